"""Many processes measure what one does, in the same order, and one that dies costs nothing."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fixtures_table import encoder, row, write
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.records import survey
from flipbook.data.sources import Source
from flipbook.data.tables import measuring, opening
from flipbook.data.tables.measuring import Measurer, measure, numbered_rows
from flipbook.data.tables.written_turns import turns_as_json, turns_from_json
from flipbook.data.turns import Media, Turn
from flipbook.errors import CheckpointError

NUM_ROWS = 23


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    (tmp_path / "a.mp4").write_bytes(b"x")
    rows = [
        row(number % 5, "<video>\nWhat?", "" if number == 11 else "x" * (number + 1), video="a.mp4")
        for number in range(NUM_ROWS)
    ]
    return write(tmp_path / "rows.json", rows)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "NUM_ROWS_PER_CHUNK", 3)


def measured(manifest: str, made: ConversationEncoder, *, num_workers: int) -> pa.Table:
    rows = numbered_rows([manifest], [survey(Path(manifest))])
    measurer = Measurer((Source(manifest),), made)
    return pa.Table.from_batches(list(measure(rows, measurer, num_workers=num_workers)))


@dataclass(frozen=True)
class Mortal(ConversationEncoder):
    """Ends the process that encodes a certain record, if that is a worker."""

    def encode(self, turns: Any, **words: Any) -> Any:
        if words["record_id"] == "2#2" and os.getpid() != PARENT:
            os._exit(1)
        return super().encode(turns, **words)


@dataclass(frozen=True)
class Broken(ConversationEncoder):
    """Cannot encode at all."""

    def encode(self, turns: Any, **words: Any) -> Any:
        raise CheckpointError("no such template")


PARENT = os.getpid()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_processes_measure_what_one_measures(manifest: str, num_workers: int) -> None:
    alone = measured(manifest, encoder(), num_workers=0)
    assert measured(manifest, encoder(), num_workers=num_workers) == alone
    assert alone.column("record").to_pylist() == list(range(NUM_ROWS))
    assert alone.column("error").null_count == NUM_ROWS - 1


def test_work_of_a_process_that_dies_is_done_here(
    manifest: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = encoder()
    mortal = Mortal(made.tokenizer, made.settings)
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        found = measured(manifest, mortal, num_workers=2)
    assert found == measured(manifest, made, num_workers=0)
    assert "a process that measured conversations was ended; going on in this one" in caplog.text


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_that_are_no_records_fault_stop_everything(manifest: str, num_workers: int) -> None:
    made = encoder()
    with pytest.raises(CheckpointError, match="no such template"):
        measured(manifest, Broken(made.tokenizer, made.settings), num_workers=num_workers)


def test_large_manifests_are_spread_over_all_cores(
    manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watched(rows: Any, measurer: Any, *, num_workers: int) -> Any:
        asked.append(num_workers)
        return measure(rows, measurer, num_workers=0)

    monkeypatch.setattr(opening, "measure", watched)
    monkeypatch.setattr(opening, "num_cores", lambda: 5)
    for least in (NUM_ROWS + 1, NUM_ROWS):
        monkeypatch.setattr(opening, "MIN_PARALLEL_ROWS", least)
        opening.open_table(
            manifest,
            image_folder=None,
            encoder=encoder(),
            cache_folder=tmp_path / f"cache-{least}",
        )
    assert asked == [0, 5]
    assert opening.num_cores() == 5


def test_turns_come_back_from_json() -> None:
    odd = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    turns = (
        Turn("system", ("Be brief.",)),
        Turn("user", (Media("video", f"/{odd}"), 'Why "<image>" 猫?\n', Media("image", "/b.png"))),
        Turn("assistant", ("",)),
    )
    assert turns_from_json(turns_as_json(turns)) == turns
