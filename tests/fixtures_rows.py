"""How do the tests say what a row of samples must give?

make_talk      ->  a clip and some conversations about it, of words drawn at random
as_row         ->  several of them in one Batch
separate_loss  ->  what plain transformers makes of each conversation alone, summed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flipbook.data.batch import Batch, DataCollatorForSupervisedDataset
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.data.sample import Sample, Visual
from flipbook.model.fastvlm import normalise_frames

TOKENS_PER_FRAME = 4  # at 128 px
NUM_WORDS = 250


@dataclass(frozen=True)
class Talk:
    """Some conversations about one clip: what they share, and how each goes on."""

    shared: Tensor
    branches: tuple[tuple[Tensor, Tensor], ...]  # ids and labels
    frames: Tensor

    @property
    def sample(self) -> Sample:
        """All of it as one sample: a tree, or one plain sequence where nothing branches."""
        lengths = [len(ids) for ids, _ in self.branches]
        hidden = torch.full_like(self.shared, IGNORE_INDEX)
        is_tree = len(lengths) > 1
        return Sample(
            record_ids=tuple(f"r{number}" for number in range(len(lengths))),
            input_ids=torch.cat([self.shared, *(ids for ids, _ in self.branches)]),
            labels=torch.cat([hidden, *(labels for _, labels in self.branches)]),
            segments=(len(self.shared), *lengths) if is_tree else (len(self.shared) + lengths[0],),
            visuals=(Visual(len(self.frames), frames=self.frames),) if len(self.frames) else (),
        )


def make_talk(
    image_token_id: int, *, lengths: Sequence[int], num_frames: int = 2, seed: int = 0
) -> Talk:
    """Return a talk with one conversation of each length; from 12 tokens on it has two turns."""
    generator = torch.Generator().manual_seed(seed)

    def words(number: int) -> Tensor:
        return torch.randint(0, NUM_WORDS, (number,), generator=generator)

    places = torch.full((TOKENS_PER_FRAME * num_frames,), image_token_id)
    branches = []
    for length in lengths:
        ids = words(length)
        labels = torch.full_like(ids, IGNORE_INDEX)
        labels[-2:] = ids[-2:]
        if length >= 12:
            labels[4:7] = ids[4:7]
        branches.append((ids, labels))
    shape = (num_frames, 3, 128, 128)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return Talk(torch.cat([words(3), places]), tuple(branches), frames)


def as_row(*talks: Talk) -> Batch:
    """Return the talks one after the other in one Batch."""
    return DataCollatorForSupervisedDataset()([talk.sample for talk in talks])


def separate_loss(model: Any, *talks: Talk) -> Tensor:
    """Return the mean loss over all supervised tokens, one unpadded sequence a conversation."""
    summed, num_targets = torch.zeros(()), 0
    for talk in talks:
        for ids, labels in talk.branches:
            seen = {"pixel_values": normalise_frames(talk.frames)} if len(talk.frames) else {}
            logits = model(input_ids=torch.cat([talk.shared, ids])[None], **seen).logits
            summed = summed + torch.nn.functional.cross_entropy(
                logits[0, len(talk.shared) : -1], labels[1:], reduction="sum"
            )
            num_targets += int((labels[1:] != IGNORE_INDEX).sum())
    return summed / num_targets


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradient of each weight that has one, and clear it."""
    model.zero_grad()
    loss.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def assert_equal_gradients(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Each weight's gradient differs by at most 1e-5 of its own norm."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert (ours[name] - expected).norm() <= 1e-5 * expected.norm(), name
