"""How does a record become something to learn from?

    manifest -> checked Records -> Sample: input_ids (L,), labels (L,), frames (T, 3, S, S)

Everything that can be known without decoding is checked before the first step: structure, labels,
the token budget. Decoding happens when a sample is asked for. A sample that fails is an error that
names its record; it is never replaced by another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from flipbook.data.conversation import (
    IGNORE_INDEX,
    IMAGE_TOKEN,
    EncodedConversation,
    encode_conversation,
    encode_prompt,
)
from flipbook.data.joining import join
from flipbook.data.manifests import read_manifests, refuse_bad_records
from flipbook.data.media import expected_frames, media_of, read_media, sample_rng
from flipbook.data.packing import filler_of
from flipbook.data.records import Record, Records
from flipbook.data.sample import Question, Sample, Visual
from flipbook.data.turns import Turn
from flipbook.errors import FlipbookError, MediaError, RecordError
from flipbook.video.settings import ClipSettings


class DataSettings(Protocol):
    """What the data path reads from its arguments; any object with these attributes serves."""

    image_folder: str | None
    num_video_frames: int
    frame_sampler: str
    frames_per_s: float
    min_frames: int
    max_frames: int
    frame_snap: float
    frame_size: int | None
    image_aspect_ratio: str | None
    system_prompt: str | None
    model_max_length: int | None
    max_bad_fraction: float
    data_seed: int


@dataclass(frozen=True)
class DataCheck:
    """What was found before the first step, without decoding.

    Attributes:
        num_conversations: that will be trained on.
        rejected: the records that will not, each with its reason.
        num_mismatched: conversations whose whole-text encoding differs by a few tokens.
        longest_tokens: length of the longest conversation.
        longest_id: and its record.
        total_tokens: of one epoch.
        total_supervised_tokens: those among them that are learned.
    """

    num_conversations: int
    rejected: tuple[RecordError, ...]
    num_mismatched: int
    longest_tokens: int
    longest_id: str
    total_tokens: int
    total_supervised_tokens: int


def clip_settings(data_args: DataSettings) -> ClipSettings:
    """Return how clips are read, from the arguments; 256 px and `pad` where they leave it open."""
    return ClipSettings(
        frame_size=data_args.frame_size or 256,
        num_frames=data_args.num_video_frames,
        sampler=data_args.frame_sampler,
        aspect=data_args.image_aspect_ratio or "pad",
        frame_snap=data_args.frame_snap,
        frames_per_s=data_args.frames_per_s,
        min_frames=data_args.min_frames,
        max_frames=data_args.max_frames,
        system_prompt=data_args.system_prompt,
    )


class LazySupervisedDataset(Dataset[Sample]):
    """The conversations of one or more manifests; indexing decodes and encodes one.

    Args:
        data_path: a JSON or JSONL file of records, or several.
        tokenizer: of the checkpoint, with its `<image>` token and chat template.
        data_args: see `DataSettings`.
        training: whether samplers may jitter; false for validation.

    Attributes:
        check: what was found, see `DataCheck`.
        num_tokens: the length of each conversation.
        settings: how clips are read.
        max_length: longest conversation in tokens; None is no limit.

    Raises:
        ManifestError: a manifest cannot be read.
        DataError: more than `max_bad_fraction` of the records had to be rejected, or none is left.
    """

    def __init__(
        self,
        data_path: str | Sequence[str],
        tokenizer: Any,
        data_args: DataSettings,
        *,
        training: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.settings = clip_settings(data_args)
        self.training = training
        self.max_length = data_args.model_max_length
        self._data_args = data_args
        self._image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        # In shared memory, so that workers that outlive an epoch see the next one.
        self._epoch: Tensor = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        found = read_manifests(data_path, image_folder=data_args.image_folder)
        self.num_tokens: list[int] = []
        self.conversations: list[tuple[Record, int]] = []
        self.check = self._check(found)
        refuse_bad_records(
            self.check.rejected,
            num_records=len(found.records) + len(found.rejected),
            max_bad_fraction=data_args.max_bad_fraction,
            paths=data_path,
        )

    def __len__(self) -> int:
        return len(self.conversations)

    def set_epoch(self, epoch: int) -> None:
        """Tell every worker which epoch the randomness of the next samples belongs to."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int | tuple[int, ...]) -> Sample:
        """Return one sample: a conversation, or several about one clip in one sequence.

        Nothing is learned of a filler, whose numbers are negative (`filler_of`).

        Raises:
            MediaError: its video or image cannot be read.
            RecordError: its tokens or labels cannot be made.
            ValueError: several conversations do not show the same after the same words.
        """
        indices = (index,) if isinstance(index, int) else index
        is_filler = indices[0] < 0
        if is_filler:
            indices = tuple(filler_of(one) for one in indices)
        chosen = [self.conversations[one] for one in indices]
        record_ids = tuple(record.id for record, _ in chosen)
        shown = {media_of(record.conversations[number]) for record, number in chosen}
        if len(shown) != 1:
            raise ValueError(f"records {', '.join(record_ids)} do not show the same media")
        rng = None
        if self.training:
            rng = sample_rng(self._data_args.data_seed, int(self._epoch), record_ids[0])
        media = read_media(shown.pop(), self.settings, rng=rng)
        encoded = [
            self._encode(record, record.conversations[number], media.frames_per_media)
            for record, number in chosen
        ]
        joined = join(encoded, image_token_id=self._image_token_id)
        visuals = tuple(
            Visual(len(frames), frames) for frames in media.frames.split(media.frames_per_media)
        )
        return Sample(
            record_ids=record_ids,
            input_ids=joined.input_ids,
            labels=torch.full_like(joined.labels, IGNORE_INDEX) if is_filler else joined.labels,
            segments=joined.segments,
            visuals=visuals,
            num_repeated=media.num_repeated,
            num_mismatched_tokens=sum(one.num_mismatched_tokens for one in encoded),
        )

    def question(self, index: int) -> Question:
        """Return the last question of a conversation, with frames taken as in evaluation.

        Raises:
            MediaError: its video or image cannot be read.
        """
        record, conversation_index = self.conversations[index]
        turns = record.conversations[conversation_index]
        media = read_media(media_of(turns), self.settings)
        input_ids = encode_prompt(
            turns,
            tokenizer=self.tokenizer,
            image_token_id=self._image_token_id,
            frames_per_media=media.frames_per_media,
            tokens_per_frame=self.settings.tokens_per_frame,
            system_prompt=self.settings.system_prompt,
            record_id=record.id,
        )
        return Question(record.id, input_ids, media.frames, turns[-1].text)

    def __getitems__(
        self, indices: Sequence[int | tuple[int, ...]]
    ) -> list[Sample | FlipbookError]:
        """Return the samples of a batch; a failure as the error itself.

        A worker process would turn an error into text. As a value it reaches the trainer whole,
        which raises it there.
        """
        samples: list[Sample | FlipbookError] = []
        for index in indices:
            try:
                samples.append(self[index])
            except FlipbookError as error:
                samples.append(error)
        return samples

    def _encode(
        self, record: Record, turns: tuple[Turn, ...], frames_per_media: tuple[int, ...]
    ) -> EncodedConversation:
        return encode_conversation(
            turns,
            tokenizer=self.tokenizer,
            image_token_id=self._image_token_id,
            frames_per_media=frames_per_media,
            tokens_per_frame=self.settings.tokens_per_frame,
            system_prompt=self.settings.system_prompt,
            max_length=self.max_length,
            record_id=record.id,
        )

    def _check(self, found: Records) -> DataCheck:
        bad = list(found.rejected)
        num_mismatched = total_supervised = longest_tokens = 0
        longest_id = ""
        for record in found.records:
            try:
                encoded = [
                    self._encode(record, turns, expected_frames(media_of(turns), self.settings))
                    for turns in record.conversations
                ]
            except MediaError as error:
                bad.append(RecordError(record.id, str(error)))
                continue
            except RecordError as error:
                bad.append(error)
                continue
            for index, conversation in enumerate(encoded):
                num_tokens = len(conversation.input_ids)
                self.conversations.append((record, index))
                self.num_tokens.append(num_tokens)
                num_mismatched += conversation.num_mismatched_tokens > 0
                total_supervised += int((conversation.labels != IGNORE_INDEX).sum())
                if num_tokens > longest_tokens:
                    longest_tokens, longest_id = num_tokens, record.id
        return DataCheck(
            num_conversations=len(self.conversations),
            rejected=tuple(bad),
            num_mismatched=num_mismatched,
            longest_tokens=longest_tokens,
            longest_id=longest_id,
            total_tokens=sum(self.num_tokens),
            total_supervised_tokens=total_supervised,
        )
