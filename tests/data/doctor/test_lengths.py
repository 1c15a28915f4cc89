"""Tokens are counted with the frames that clips really give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures_doctor import SETTINGS, manifest_at, row, write_rows
from fixtures_table import encoder
from flipbook.data.doctor import lengths
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.ledger import RowReader, read_ledger
from flipbook.data.doctor.lengths import find_lengths
from flipbook.data.encoder import ConversationEncoder
from flipbook.errors import LabelError


def findings(
    tmp_path: Path,
    rows: list[Any],
    made: ConversationEncoder,
    *,
    num_frames: int | None = None,
    num_workers: int = 1,
) -> dict[int, list[Finding]]:
    (tmp_path / "a.mp4").write_bytes(b"x")
    reader = RowReader([manifest_at(write_rows(tmp_path / "rows.jsonl", rows))])
    ledger = read_ledger(reader, reader.rows(), SETTINGS)
    frames_of = {} if num_frames is None else dict.fromkeys(ledger.media, num_frames)
    return dict(
        find_lengths(reader, ledger, frames_of=frames_of, encoder=made, num_workers=num_workers)
    )


def test_over_budget_with_its_sum(tmp_path: Path) -> None:
    rows = [row("a", "a.mp4"), row("b", "a.mp4", "long " * 200)]
    found = findings(tmp_path, rows, encoder(200), num_frames=2)
    assert found[0] == []
    (finding,) = found[1]
    assert finding.code == "budget"
    assert "2 frames x 4 + " in finding.reason and "and the limit is 200" in finding.reason


def test_counts_without_measure_are_not_written_down(tmp_path: Path) -> None:
    found = findings(
        tmp_path, [row("a", "a.mp4", clip={"num_frames": 99_999, "frame_size": 2048})], encoder()
    )
    (finding,) = found[0]
    assert finding.code == "budget" and "which no model reads" in finding.reason


@dataclass(frozen=True)
class Unsure(ConversationEncoder):
    """Proves no labels, or only nearly."""

    def encode(self, turns: Any, **how: Any) -> Any:
        if "unproven" in turns[-1].text:
            raise LabelError(how["record_id"], "its ids differ")
        encoded = super().encode(turns, **how)
        object.__setattr__(encoded, "num_mismatched_tokens", 3)
        return encoded


def test_labels(tmp_path: Path) -> None:
    made = Unsure(encoder().tokenizer, SETTINGS)
    rows = [row("a", "a.mp4", "unproven"), row("b", "a.mp4")]
    found = findings(tmp_path, rows, made)
    assert found[0] == [Finding("labels", "its ids differ")]
    (note,) = found[1]
    assert note.code == "token_difference" and "3 tokens" in note.reason


def test_clips_that_go_by_their_length_count_when_it_is_known(tmp_path: Path) -> None:
    by_length = encoder(100, sampler="fps")
    rows = [row("a", "a.mp4"), row("b", None), {"bad": 1}]
    assert findings(tmp_path, rows, by_length) == {1: []}
    found = findings(tmp_path, rows, by_length, num_frames=40)
    assert [finding.code for finding in found[0]] == ["budget"]
    assert "40 frames" in found[0][0].reason


def test_where_files_are_missing_tokens_are_counted_all_the_same(tmp_path: Path) -> None:
    rows = [row("a", "gone.mp4", "long " * 200), row("b", "a.mp4", clip={"min_frames": 99})]
    found = findings(tmp_path, rows, encoder(200))
    assert [finding.code for finding in found.pop(0)] == ["budget"]
    assert found == {}


def test_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(str(n), "a.mp4", "long " * (10 * n)) for n in range(12)]
    alone = findings(tmp_path, rows, encoder(150))
    monkeypatch.setattr(lengths, "MIN_PARALLEL_RECORDS", 1)
    monkeypatch.setattr(lengths, "RECORDS_PER_JOB", 2)
    assert findings(tmp_path, rows, encoder(150), num_workers=2) == alone
    assert {len(found) for found in alone.values()} == {0, 1}
