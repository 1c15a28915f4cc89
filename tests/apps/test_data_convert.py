"""What `flipbook data convert` prints and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flipbook.cli import main
from flipbook.data.generated.write import write_clip
from flipbook.data.records import read_records


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_clip("a.mp4", np.zeros((2, 64, 64, 3), dtype=np.uint8))
    Path("t.csv").write_text("path,q,a,note\na.mp4,What?,A ball.,x\n", encoding="utf-8")
    return tmp_path


def test_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", "t.csv", "--out", "t.jsonl"]) == 0
    assert capsys.readouterr().out == (
        "format: columns (CSV, TSV, JSONL or Parquet with a column for each thing, as --map says)\n"
        "columns (guessed; say it with --map): video=path,question=q,answer=a\n"
        "\n"
        "t.csv:1 (open)\n"
        "  video      a.mp4\n"
        "  user       What?\n"
        "  assistant  A ball.\n"
        "\n"
        "1 record written to t.jsonl\n"
        "Train on it with --data_path t.jsonl\n"
    )
    (record,) = read_records("t.jsonl", strict=True).records
    assert record.media[0].path == str(folder / "a.mp4")


def test_the_flags(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "t.csv --out new/t.jsonl --format columns --image_folder . --map video=path,answer=note"
    words += " --prompt Why? --frames_fps 2 --max_bad_fraction 0.5"
    assert main(["data", "convert", *words.split()]) == 0
    shown = capsys.readouterr().out
    assert "columns (as told): video=path,answer=note" in shown
    assert f"Train on it with --data_path new/t.jsonl --image_folder {folder}" in shown
    (record,) = read_records("new/t.jsonl", image_folder=".", strict=True).records
    assert [turn.text for turn in record.conversations[0]] == ["Why?", "x"]


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        ("t.csv --out t.jsonl --map video=pth,answer=a", "Did you mean 'path'?", 3),
        ("t.csv --out t.jsonl --format colums", "Did you mean 'columns'?", 2),
        ("t.csv --out t.jsonl --frames_fps 0", "--frames_fps is 0; give a number above 0.", 2),
        ("t.csv --out t.jsonl --max_bad_fraction 2", "--max_bad_fraction is 2; give 0 to 1.", 2),
        (
            "t.csv --out t.jsonl --answers x.json",
            "--answers is not followed by the format columns",
            2,
        ),
        ("absent.csv --out t.jsonl", "absent.csv: does not exist", 3),
        ("t.csv --out t.txt", "--out t.txt must end in .jsonl", 2),
        ("t.csv", "--out", 2),
    ],
)
def test_what_is_wrong_is_one_message(
    words: str, message: str, code: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "convert", *words.split()]) == code
    assert message in capsys.readouterr().err
    assert not (folder / "t.jsonl").exists()


def test_help_lists_the_formats(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "convert", "--help"])
    shown = capsys.readouterr().out
    assert "formats:\n" in shown
    assert "  llava                 LLaVA, LLaVA-Video-178K, Video-LLaVA, FastVLM" in shown
