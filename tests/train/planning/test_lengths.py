"""Lengths at other frames and sides are those that measuring anew finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fixtures_table import MIXED, encoder, row, write
from flipbook.data.tables.opening import open_table
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import BudgetError
from flipbook.train.batches import BatchRules
from flipbook.train.planning import lengths as module
from flipbook.train.planning.lengths import (
    Frames,
    Layout,
    LongestBatch,
    SampleLengths,
    layouts_of,
    too_long,
)

Open = Callable[..., ConversationTable]
OWN = [
    row("frames", "<video>\nWhat?", "That.", video="a.mp4", clip={"num_frames": 3}),
    row("side", "<video>\nWhat?", "That.", video="a.mp4", clip={"frame_size": 192}),
    row("both", "<video>\nWhy?", "So.", video="b.mov", clip={"num_frames": 5, "frame_size": 64}),
]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return a function: frames, side -> the table of all rows."""
    for name in ("a.mp4", "b.mov", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    manifest = write(tmp_path / "rows.json", [*MIXED, *OWN])

    def open_rows(num_frames: int, frame_size: int, **settings: Any) -> ConversationTable:
        made = encoder(num_frames=num_frames, frame_size=frame_size, **settings)
        return open_table(
            manifest, image_folder=None, encoder=made, cache_folder=tmp_path / "cache"
        )

    return open_rows


def data_of(table: Any) -> Any:
    """What of a data set packing asks for."""
    return SimpleNamespace(table=table, epoch=int, check=table.check)


@pytest.mark.parametrize(("frames", "side"), [(2, 128), (5, 128), (2, 320), (7, 64)])
def test_lengths_are_those_of_measuring_anew(opened: Open, frames: int, side: int) -> None:
    lengths = SampleLengths(opened(2, 128), measured=Frames(2, 128))
    anew, asked = opened(frames, side), Frames(frames, side)
    assert lengths.num_tokens(asked).tolist() == anew.num_tokens.tolist()
    assert lengths.head_tokens(asked).tolist() == anew.head_tokens.tolist()
    assert lengths.num_frames(asked).tolist() == anew.num_frames.tolist()


def test_frames_by_duration_stay_as_they_were_measured(opened: Open) -> None:
    lengths = SampleLengths(opened(2, 128), measured=Frames(2, 128), by_duration=True)
    assert lengths.num_frames(Frames(9, 128)).tolist() == opened(2, 128).num_frames.tolist()


@pytest.mark.parametrize("num_processes", [1, 3])
def test_the_longest_batch_is_that_of_the_packer(opened: Open, num_processes: int) -> None:
    table = opened(2, 128)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    rules = BatchRules(questions_per_pass=8)
    how: dict[str, Any] = {"batch_size": 4, "num_processes": num_processes, "seed": 3}
    batches = rules.pack(data_of(table), **how)
    longest = Layout(batches).longest(lengths, lengths.measured)
    assert longest.num_tokens == batches.longest_tokens
    wide = rules.pack(data_of(opened(4, 256)), **how)
    if num_processes == 1:  # on several, which batches are divided depends on their lengths
        assert Layout(batches).longest(lengths, Frames(4, 256)).num_tokens == wide.longest_tokens


def test_frames_of_a_clip_count_once_in_a_pass(opened: Open) -> None:
    table = opened(2, 128)
    batches = BatchRules(8).pack(data_of(table), batch_size=99, num_processes=1, seed=None)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    longest = Layout(batches).longest(lengths, lengths.measured)
    firsts = batches.units.members[batches.units.starts[:-1]]
    assert longest.num_frames == table.num_frames[firsts].sum() < table.num_frames.sum()
    assert longest.num_conversations == len(table)


def test_what_is_too_long_is_in_no_batch(opened: Open) -> None:
    table = opened(2, 128)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    batches = BatchRules(8).pack(data_of(table), batch_size=99, num_processes=1, seed=None)
    limit = int(np.sort(table.num_tokens)[-2])
    longest = Layout(batches).longest(lengths, lengths.measured, max_length=limit)
    assert longest.num_conversations == len(table) - 1
    assert longest.num_tokens < batches.longest_tokens


def test_each_size_of_batch_has_a_layout(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    table = opened(2, 128)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    how: dict[str, Any] = {"num_processes": 1, "seed": 0}
    whole = layouts_of(lengths, BatchRules(8), [1, 2, 99], **how)
    tokens = [whole[size].longest(lengths, lengths.measured).num_tokens for size in (1, 2, 99)]
    assert tokens == sorted(tokens)
    assert tokens[0] == table.num_tokens.max()
    monkeypatch.setattr(module, "MAX_PACKED", len(table) // 2)
    part = layouts_of(lengths, BatchRules(8), [99], **how)[99]
    longest = part.longest(lengths, lengths.measured)
    assert longest.num_conversations == int((table.clips % 3 == 0).sum())


def test_a_batch_is_filled_in_the_same_shares() -> None:
    assert LongestBatch(100, 8, 4).filled_to(250) == LongestBatch(250, 20, 10)


def test_what_is_over_the_limit_is_named_with_its_budget(opened: Open) -> None:
    table = opened(2, 128)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    found = too_long(data_of(table), lengths, max_length=int(table.num_tokens.max()) - 1)
    place = int(table.num_tokens.argmax())
    name, budget = found.first[0]
    num_frames = int(table.num_frames[place])
    each = int(table.frame_size[place] // 64) ** 2
    text = int(table.num_tokens[place]) - num_frames * each
    assert found.count == 1
    assert name == table[place].record_id
    assert budget == (
        f"{num_frames} frames x {each} + {text} of text and answers = "
        f"{table.num_tokens[place]} tokens"
    )


def test_what_was_left_out_for_its_length_counts_too(opened: Open) -> None:
    table = opened(2, 128, max_length=int(opened(2, 128).num_tokens.max()) - 1)
    left_out = [error for error in table.check.rejected if isinstance(error, BudgetError)]
    lengths = SampleLengths(table, measured=Frames(2, 128))
    found = too_long(data_of(table), lengths, max_length=10_000)
    assert found.count == len(left_out) == 1
    assert found.first == ((left_out[0].record_id, left_out[0].message),)


def test_no_more_than_a_few_are_named(opened: Open) -> None:
    table = opened(2, 128)
    lengths = SampleLengths(table, measured=Frames(2, 128))
    found = too_long(data_of(table), lengths, max_length=1)
    assert found.count == len(table)
    assert len(found.first) == module.NUM_NAMED
