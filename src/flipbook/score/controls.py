"""What does a question show when one kind of evidence is taken away?

    full            0 1 2 3     all there is
    shuffled        2 0 3 1     every picture, without their order
    reversed        3 2 1 0     every picture, in the opposite order
    single_frame    2 2 2 2     one picture
    blank           . . . .     black pictures
    other_clip      5 6 7 8     pictures of another clip that the same task asks about
    text_only                   the words of the question alone, without any picture

A model that reads motion must lose on all but the first. Every control is a pure function of the
questions: what is drawn depends on the names of records alone. To add one that changes the order:
a function and a line in `ORDERS`; one that changes the question goes into `CONTROLS`, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from flipbook.data.turns import Media, Turn
from flipbook.score.questions import AskedQuestion

Order = Callable[[Tensor, str], Tensor]
_Clips = dict[tuple[Media, ...], str]  # and the source of each


def full(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames as they are."""
    return frames


def shuffled(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames in an order drawn from `record_id`, never one that looks the same.

    Where the draw leaves the clip as it was, which short clips see often, each frame moves on by
    one place. Only a clip of equal frames cannot be changed and comes back as it is.
    """
    order = np.random.default_rng(_drawn_from(record_id)).permutation(len(frames))
    mixed = frames[torch.from_numpy(order)]
    return frames.roll(1, dims=0) if torch.equal(mixed, frames) else mixed


def reversed_(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames from last to first."""
    return frames.flip(0)


def single_frame(frames: Tensor, record_id: str) -> Tensor:
    """Return the middle frame T times; of an even number, the later of the two middle ones."""
    return frames[len(frames) // 2 : len(frames) // 2 + 1].expand_as(frames)


FULL = "full"
ORDERS: dict[str, Order] = {
    FULL: full,
    "shuffled": shuffled,
    "reversed": reversed_,
    "single_frame": single_frame,
}
BLANK, OTHER_CLIP, TEXT_ONLY = "blank", "other_clip", "text_only"
CONTROLS = (*ORDERS, BLANK, OTHER_CLIP, TEXT_ONLY)


def in_order(control: str, frames: Tensor, *, record_id: str) -> Tensor:
    """Return what is seen of one clip, (T, ...), in the order that a control gives it.

    Frames, or features of frames: whatever has one entry for each. Controls that change no order
    leave it as it is. Frames never move from one clip to another, so a record with several stays a
    fair question.
    """
    return ORDERS.get(control, full)(frames, record_id)


def without_media(question: AskedQuestion) -> AskedQuestion | None:
    """Return a question in words alone; None where a turn has no words but its pictures."""
    turns = tuple(_words_of(turn) for turn in question.turns)
    if not all(turn.text.strip() for turn in turns):
        return None
    return replace(question, turns=turns)


def _words_of(turn: Turn) -> Turn:
    if not turn.media:
        return turn
    return Turn(turn.role, (turn.text.strip(),))


def with_other_clips(questions: Sequence[AskedQuestion]) -> list[AskedQuestion | None]:
    """Return each question about the clips and pictures of another one.

    They are drawn, by the question's name, from those of its task that are of another source and
    of the same kinds; from those of all tasks where its own has none. None where there is none at
    all, or nothing is shown.
    """
    of_all: dict[tuple[str, ...], _Clips] = {}
    of_task: dict[tuple[str | None, tuple[str, ...]], _Clips] = {}
    for question in questions:
        kinds = tuple(item.kind for item in question.media)
        of_all.setdefault(kinds, {})[question.media] = question.video
        of_task.setdefault((question.task, kinds), {})[question.media] = question.video
    lists = {id(clips): list(clips.items()) for clips in (*of_all.values(), *of_task.values())}
    changed: list[AskedQuestion | None] = []
    for question in questions:
        kinds = tuple(item.kind for item in question.media)
        near, far = lists[id(of_task[question.task, kinds])], lists[id(of_all[kinds])]
        media = _other(question, near) or _other(question, far)
        changed.append(None if media is None else _about(question, media))
    return changed


def _other(
    question: AskedQuestion, known: Sequence[tuple[tuple[Media, ...], str]]
) -> tuple[Media, ...] | None:
    """Return clips of another source, none of them shown, from a drawn place on; else None."""
    if not question.media:
        return None
    own = {item.path for item in question.media}
    start = _drawn_from(f"{question.record_id}/{question.number}")
    for step in range(len(known)):
        media, video = known[(start + step) % len(known)]
        if video != question.video and own.isdisjoint(item.path for item in media):
            return media
    return None


def _about(question: AskedQuestion, media: tuple[Media, ...]) -> AskedQuestion:
    """Return a question about other clips and pictures, in the places of its own."""
    left = iter(media)
    turns = tuple(
        Turn(turn.role, tuple(next(left) if isinstance(p, Media) else p for p in turn.parts))
        for turn in question.turns
    )
    return replace(question, turns=turns)


def _drawn_from(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
