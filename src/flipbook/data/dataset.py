"""How does a record become something to learn from?

    manifest -> checked Records -> Sample: input_ids (L,), labels (L,), frames (T, 3, S, S)

Everything that can be known without decoding is checked before the first step: structure, labels,
the token budget. Decoding happens when a sample is asked for. A sample that fails is an error that
names its record; it is never replaced by another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol, SupportsIndex

import torch
from torch import Tensor
from torch.utils.data import Dataset

from flipbook.data.encoder import ConversationEncoder
from flipbook.data.epochs.packing import filler_of
from flipbook.data.features.store import FeatureStore
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.data.labels.joining import join
from flipbook.data.manifests import refuse_bad_records
from flipbook.data.media import Draw, MediaVisuals, media_of, read_visuals
from flipbook.data.sample import Sample
from flipbook.data.sources import Source, sources_of
from flipbook.data.tables.opening import open_table
from flipbook.data.turns import Media
from flipbook.data.workers.working import reading_record
from flipbook.errors import FlipbookError
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
    timestamps: bool
    clip_share: float
    num_clips: int
    min_frame_change: float
    frame_layout: str
    slow_frames: int
    augment: bool
    model_max_length: int | None
    max_bad_fraction: float
    data_seed: int


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
        timestamps=data_args.timestamps,
        clip_share=data_args.clip_share,
        num_clips=data_args.num_clips,
        min_frame_change=data_args.min_frame_change,
        layout=data_args.frame_layout,
        slow_frames=data_args.slow_frames,
    )


class LazySupervisedDataset(Dataset[Sample]):
    """The conversations of one or more manifests; indexing decodes and encodes one.

    Args:
        data_path: a JSON or JSONL file of records, or several; or `Source`s.
        tokenizer: of the checkpoint, with its `<image>` token and chat template.
        data_args: see `DataSettings`.
        training: whether samplers may jitter; false for validation.

    Attributes:
        table: the conversations and what is known of each without decoding.
        check: what was found, see `DataCheck`.
        settings: how clips are read.
        max_length: longest conversation in tokens; None is no limit.
        store: where features are looked for before a clip is decoded; set it before the first
            sample is asked for.
        num_views: how many draws of a clip take turns where there is a store; without one, each
            epoch has a draw of its own.

    Raises:
        ManifestError: a manifest cannot be read.
        DataError: more than `max_bad_fraction` of the records had to be rejected, or none is left.
    """

    def __init__(
        self,
        data_path: str | Source | Sequence[str | Source],
        tokenizer: Any,
        data_args: DataSettings,
        *,
        training: bool = True,
    ) -> None:
        self.tokenizer = tokenizer
        self.settings = clip_settings(data_args)
        self.training = training
        self.max_length = data_args.model_max_length
        self.store: FeatureStore | None = None
        self.num_views = 1
        self._data_args = data_args
        self.encoder = ConversationEncoder(tokenizer, self.settings, self.max_length)
        # In shared memory, so that workers that outlive an epoch see the next one.
        self._epoch: Tensor = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        use = "train" if training else "validation"
        sources = sources_of(data_path, image_folder=data_args.image_folder)
        self.table = open_table(
            [replace(source, use=use) for source in sources],
            image_folder=data_args.image_folder,
            encoder=self.encoder,
        )
        self.check = self.table.check
        refuse_bad_records(
            self.check.rejected,
            num_records=self.check.num_records,
            max_bad_fraction=data_args.max_bad_fraction,
            paths=[source.path for source in self.table.sources],
        )

    def __len__(self) -> int:
        return len(self.table)

    def epoch(self) -> int:
        """Return the epoch to which the randomness of the next samples belongs."""
        return int(self._epoch)

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
        indices = (index,) if isinstance(index, SupportsIndex) else index
        is_filler = indices[0] < 0
        if is_filler:
            indices = tuple(filler_of(one) for one in indices)
        chosen = [self.table[one] for one in indices]
        record_ids = tuple(conversation.record_id for conversation in chosen)
        shown = {media_of(conversation.turns) for conversation in chosen}
        if len(shown) != 1:
            raise ValueError(f"records {', '.join(record_ids)} do not show the same media")
        media = self._read(shown.pop(), indices[0])
        encoded = [
            self.encoder.encode(turns, frames_per_media=media.frames_per_media, record_id=record_id)
            for record_id, turns, _ in chosen
        ]
        joined = join(encoded, image_token_id=self.encoder.image_token_id)
        return Sample(
            record_ids=record_ids,
            input_ids=joined.input_ids,
            labels=torch.full_like(joined.labels, IGNORE_INDEX) if is_filler else joined.labels,
            segments=joined.segments,
            visuals=media.visuals,
            num_repeated=media.num_repeated,
            num_mismatched_tokens=sum(one.num_mismatched_tokens for one in encoded),
            is_filler=is_filler,
            conversations=tuple(indices),
        )

    def visuals(self, index: int, *, view: int | None = None) -> MediaVisuals:
        """Return what a conversation shows, from the store where it is there.

        Args:
            view: which draw of random instants; that of the epoch when none.

        Raises:
            MediaError: its video or image cannot be read.
        """
        return self._read(media_of(self.table[index].turns), index, view=view)

    def _read(
        self, media: tuple[Media, ...], index: int, *, view: int | None = None
    ) -> MediaVisuals:
        draw = None
        if self.training:
            if view is None:
                view = self.epoch() if self.store is None else self.epoch() % self.num_views
            draw = Draw(self._data_args.data_seed, view, self.table.clip_name(index))
        stays = int(self.table.stays[index]) if self.training and self._data_args.augment else None
        return read_visuals(media, self.settings, draw=draw, store=self.store, stays=stays)

    def __getitems__(
        self, indices: Sequence[int | tuple[int, ...]]
    ) -> list[Sample | FlipbookError]:
        """Return the samples of a batch; a failure as the error itself.

        A worker process would turn an error into text. As a value it reaches the trainer whole,
        which raises it there. One that nobody expects (of memory, of a disk) becomes a WorkerError.
        """
        samples: list[Sample | FlipbookError] = []
        for index in indices:
            try:
                with reading_record(self._names(index)):
                    samples.append(self[index])
            except FlipbookError as error:
                samples.append(error)
        return samples

    def _names(self, index: int | tuple[int, ...]) -> tuple[str, ...]:
        """Return the names of the records of a sample."""
        indices = (index,) if isinstance(index, SupportsIndex) else index
        numbers = (filler_of(one) if one < 0 else one for one in indices)
        return tuple(map(self.table.record_id, numbers))
