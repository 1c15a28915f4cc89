"""What does one step of training do, in the usual way and in ours, whole or with a part left out?

    Asked, Recipe -> Way: makes a batch; runs it forward and backward, and updates the weights

The usual way is that of reference.py. Ours is what `flipbook train` does at a step: its data set,
its collator, `encode_visuals`, `supervised_loss`, its store. A Recipe says which of its parts are
used; what stands in for a part that is not is what the usual way does in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

import reference
from clips import Asked, make_dataset
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.model.attention import choose_attention, row_arguments, set_attention
from flipbook.model.fastvlm import (
    as_encoder_outputs,
    encode_visuals,
    normalise_frames,
    plain_model,
    project,
)
from flipbook.model.loss import supervised_loss, supervised_positions
from flipbook.model.tuning import LoraSettings, cast_frozen, choose_trainable, set_train_mode
from flipbook.video import load_video_frames
from flipbook.video.clip import Clip

_TENSORS = ("input_ids", "labels", "position_ids", "frames", "features")  # of a batch
LEARNING_RATE = 1e-5


@dataclass(frozen=True)
class Way:
    """A step in its two parts: `make` reads a batch, `run` learns from it and returns the loss."""

    make: Callable[[], Any]
    run: Callable[[Any], float]

    def __call__(self) -> float:
        return self.run(self.make())


@dataclass(frozen=True)
class Recipe:
    """Which parts of our way a step takes; all of them by default.

    Attributes:
        decodes: flipbook's input path; else decord and the reference's processor, once a pass.
        encodes_few: the tower sees a few frames at a time, channels last; else a batch at once.
        short_logits: only labelled positions meet the vocabulary; else all do.
        packs: samples stand in one row; else each in a row of its own, padded to the longest.
        shares: all questions of a clip are asked behind one copy of its frames; needs `packs`.
        stores: features come from disk where they are there.
    """

    decodes: bool = True
    encodes_few: bool = True
    short_logits: bool = True
    packs: bool = True
    shares: bool = True
    stores: bool = False


class Steps:
    """Makes steps of one model, in several ways.

    Args:
        model: a FastVLM on the device of its training, with its trainable weights chosen.
        num_frames, side: of a clip, and of its frames in px.
        autocast: the precision of mixed precision; None for none.
        frames_a_call: of the tower, where it does not see a few at a time.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        num_frames: int,
        side: int,
        autocast: torch.dtype | None = None,
        frames_a_call: int = 32,
    ) -> None:
        self.frames_a_call = frames_a_call
        self.model, self.tokenizer = model, tokenizer
        self.num_frames, self.side = num_frames, side
        self.device = next(model.parameters()).device
        self._autocast = autocast
        trained = [p for p in model.parameters() if p.requires_grad]
        is_fused = self.device.type == "cuda"
        self._optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, fused=is_fused)

    def usual(self, asked: Asked, *, kind: str = "PIL", batch_size: int | None = None) -> Way:
        """Return the reference's way through all that is asked, in padded batches.

        Args:
            kind: of image processor.
            batch_size: questions of a step; all in one step when none.
        """
        processor = reference.make_processor(kind, side=self.side)
        size = batch_size or len(asked.rows)

        def make() -> list[dict[str, Tensor]]:
            examples = [self._example(row, processor) for row in asked.rows]
            return [
                reference.make_batch(
                    examples[start : start + size], pad_token_id=self.tokenizer.pad_token_id
                )
                for start in range(0, len(examples), size)
            ]

        def run(batches: list[dict[str, Tensor]]) -> float:
            self.attend("sdpa")
            losses = []
            for batch in batches:
                with self.precision():
                    loss = reference.loss_of(self.model, self.placed(batch))
                losses.append(self.learn(loss))
            return sum(losses) / len(losses)

        return Way(make, run)

    def ours(self, asked: Asked, recipe: Recipe, *, store: FeatureStore | None = None) -> Way:
        """Return a step over all that is asked, as a recipe says."""
        dataset = make_dataset(
            asked, tokenizer=self.tokenizer, num_frames=self.num_frames, side=self.side
        )
        dataset.store = store if recipe.stores else None
        collate = DataCollatorForSupervisedDataset()
        members = together(asked) if recipe.shares else [(i,) for i in range(len(asked.rows))]

        def make() -> Any:
            with nullcontext() if recipe.decodes else self._decoding_as_usual():
                batch: Any = collate(dataset.__getitems__(members))
            if "error" in batch:
                raise batch["error"]
            return batch

        def run(batch: Any) -> float:
            placed = self.placed(batch)
            features = self.encode(placed, few=recipe.encodes_few)
            if dataset.store is not None:
                dataset.store.write_visuals(placed["visuals"], features)
            return self.learn(self.loss(placed, torch.cat(features), recipe))

        return Way(make, run)

    def placed(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch on the device of the model."""
        return {
            name: send_to_device(value, self.device) if name in _TENSORS else value
            for name, value in batch.items()
        }

    def encode(self, batch: dict[str, Any], *, few: bool) -> list[Tensor]:
        """Return the tower's features (T, P, C) of each clip of a batch."""
        if few:
            return encode_visuals(self.model, batch)
        tower = plain_model(self.model).model.vision_tower
        dtype = next(tower.parameters()).dtype
        with torch.no_grad():
            maps = torch.cat(
                [
                    tower(normalise_frames(frames, dtype=dtype)).last_hidden_state
                    for frames in torch.cat(batch["frames"]).split(self.frames_a_call)
                ]
            )
        tokens = maps.flatten(2).permute(0, 2, 1)  # (F, P, C)
        return list(torch.split(tokens, [slot.num_frames for slot in batch["visuals"]]))

    def loss(self, batch: dict[str, Any], features: Tensor, recipe: Recipe) -> Tensor:
        """Return the loss of a batch whose features are at hand."""
        with self.precision():
            if not recipe.packs:
                self.attend("sdpa")
                return self._padded_loss(batch, features, short_logits=recipe.short_logits)
            self.attend(choose_attention("auto", device_type=self.device.type))
            if recipe.short_logits:
                return supervised_loss(self.model, batch, features=features).loss
            output = self.model(
                input_ids=batch["input_ids"],
                position_ids=batch["position_ids"],
                labels=batch["labels"],
                mm_encoder_outputs=as_encoder_outputs(project(self.model, features)),
                use_cache=False,
                **row_arguments(self.model, batch["segments"], device=self.device),
            )
            loss: Tensor = output.loss
            return loss

    def attend(self, implementation: str) -> None:
        """Let the language model take another attention, where it has not already."""
        config = plain_model(self.model).model.language_model.config
        if config._attn_implementation != implementation:
            set_attention(self.model, implementation)

    def precision(self) -> Any:
        if self._autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._autocast)

    def learn(self, loss: Tensor) -> float:
        """Update the weights; return the loss."""
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def _padded_loss(
        self, batch: dict[str, Any], features: Tensor, *, short_logits: bool
    ) -> Tensor:
        pad = nn.utils.rnn.pad_sequence
        lengths = [sum(segments) for segments in batch["segments"]]
        ids = batch["input_ids"][0].split(lengths)
        masks = [torch.ones_like(one) for one in ids]
        labels = pad(
            batch["labels"][0].split(lengths), batch_first=True, padding_value=reference.IGNORED
        )
        given = {
            "input_ids": pad(ids, batch_first=True, padding_value=self.tokenizer.pad_token_id),
            "attention_mask": pad(masks, batch_first=True),
            "mm_encoder_outputs": as_encoder_outputs(project(self.model, features)),
            "use_cache": False,
        }
        loss: Tensor
        if not short_logits:
            loss = self.model(**given, labels=labels).loss
            return loss
        keep = supervised_positions(labels)
        logits = self.model(**given, logits_to_keep=keep).logits  # (N, V)
        return nn.functional.cross_entropy(logits.float(), labels[:, 1:][keep[:, :-1]])

    def _example(self, row: tuple[str, str, str], processor: Any) -> reference.Example:
        path, question, answer = row
        ids, labels = reference.tokens_of(
            question,
            answer,
            tokenizer=self.tokenizer,
            num_frames=self.num_frames,
            side=self.side,
        )
        return reference.Example(ids, labels, self._usual_pixels(path, processor))

    def _usual_pixels(self, path: str, processor: Any) -> Tensor:
        read = reference.read_pictures if reference.has_decord() else load_video_frames
        return reference.pixel_values_of(
            path, num_frames=self.num_frames, processor=processor, read=read
        )

    @contextmanager
    def _decoding_as_usual(self) -> Iterator[None]:
        processor = reference.make_processor("PIL", side=self.side)

        def read(path: str, **settings: Any) -> Clip:
            del settings
            frames = self._usual_pixels(path, processor).mul(255).round().byte()
            times_s = torch.zeros(len(frames), dtype=torch.float64)
            return Clip(path, frames, times_s, tuple(range(len(frames))), 0)

        with mock.patch("flipbook.data.shown.read_clip", read):
            yield


def together(asked: Asked) -> list[tuple[int, ...]]:
    """Return the numbers of the questions of each clip, clip by clip."""
    clips: dict[str, list[int]] = {}
    for number, (path, _, _) in enumerate(asked.rows):
        clips.setdefault(path, []).append(number)
    return [tuple(numbers) for numbers in clips.values()]


def choose_usual_parts(
    model: nn.Module, *, lora_rank: int = 0, frozen_dtype: torch.dtype | None = None
) -> nn.Module:
    """Return a model whose projector and language model learn, and whose tower rests.

    Args:
        lora_rank: of adapters on the language model; 0 trains all of it.
        frozen_dtype: precision of what rests; None leaves it.
    """
    lora = LoraSettings(lora_rank, alpha=2.0 * lora_rank) if lora_rank else None
    chosen = choose_trainable(model, ["projector", "language_model"], lora=lora)
    if frozen_dtype is not None:
        cast_frozen(chosen, frozen_dtype)
    reference.rest_tower_(plain_model(chosen))
    set_train_mode(chosen)
    return chosen
