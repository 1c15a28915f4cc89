"""What `flipbook data stats` prints agrees with the files and fits a terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from flipbook.apps.data.stats import add_arguments, run
from flipbook.data.generated.write import GeneratedData


def _stats(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(words))


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_tables_tell_of_words_answers_and_clips(
    generated: GeneratedData, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    num_rows = len(json.loads(generated.train.read_text("utf-8")))
    _stats(str(generated.train), "--num_workers", "0")
    shown = capsys.readouterr().out
    assert ["records", str(num_rows)] in _lines(shown)
    for words in ("Words of a question: ", "always", "Different questions: ", "Seconds of a clip"):
        assert words in shown
    assert ["codecs", "h264", "8,", "png", "3"] in _lines(shown)
    assert "\u2588" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_clips_may_be_left_alone(
    generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    _stats(str(generated.train), str(generated.test), "--no_media")
    assert "codecs" not in capsys.readouterr().out


def test_json_holds_the_same_numbers(
    generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    _stats(str(generated.train), "--json", "--num_workers", "0")
    found = json.loads(capsys.readouterr().out)
    assert found["num_records"] == len(json.loads(generated.train.read_text("utf-8")))
    assert found["num_media"] == found["media"]["num_videos"] + found["media"]["num_images"]
    assert found["media"]["durations_s"]["bins"][0].keys() == {"start", "end", "number"}
    assert sum(answers["total"] for answers in found["answers"].values()) == found["num_records"]
    _stats(str(generated.train), "--json", "--no_media")
    assert json.loads(capsys.readouterr().out)["media"] is None


def test_bad_rows_and_markup_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"id": "1", "task": "[red]x[/red]", "messages": [{"role": "user", "content": "[b] red"}]}
    good["messages"] = [*good["messages"], {"role": "assistant", "content": "red"}]  # type: ignore[misc]
    path = tmp_path / "rows.jsonl"
    missing = {"id": "2", "video": "gone.mp4", "conversations": []}
    path.write_text(f"{json.dumps(good)}\n{json.dumps(missing)}\nno json\n", "utf-8")
    _stats(str(path))
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown
    assert "Rows that are no records: 2" in shown
    assert "rows.jsonl:3: is not JSON" in shown
    assert "Questions in which their answer stands: 1 of 1 with short answers (100.0%)" in shown
    assert "1: '[b] red' -> 'red'" in shown


def test_a_clip_that_cannot_be_opened_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    turns = [{"from": "human", "value": "Hm?"}, {"from": "gpt", "value": "So."}]
    rows = [{"video": "broken.mp4", "conversations": turns}]
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    _stats(str(tmp_path / "rows.json"))
    shown = capsys.readouterr().out.replace("\n", "")
    assert "Cannot be read: 1" in shown
    assert "broken.mp4: " in shown
