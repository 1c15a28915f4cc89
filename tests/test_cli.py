from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flipbook import __version__
from flipbook.cli import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, about in COMMANDS.items():
        assert name in shown
        assert about in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main([name, "--help"]) == 0
    except SystemExit as leaving:  # argparse leaves so after printing help
        assert leaving.code == 0
    assert "--" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flipbook {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["trian"], "Unknown command 'trian'. Did you mean 'train'?", 2),
        (["train", "--data_pth", "x"], "Unknown flag --data_pth. Did you mean '--data_path'?", 2),
        (["train", "--data_path", "absent.json"], "absent.json", 3),
        (["chat", "--model", "tiny", "--video", "absent.mp4", "What?"], "absent.mp4", 3),
        (["evaluate", "--model", "tiny"], "--data_path", 2),
        (["info", "absent"], "there is no model folder 'absent'", 2),
        (
            ["export", "--model", "tiny", "--out", "x", "--layout", "aple"],
            "Did you mean 'apple'",
            2,
        ),
        (["quickstart", "--max_steps", "0"], "must be 1 or more", 2),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_an_exit_code(
    words: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("flipbook: ")
    assert "Traceback" not in printed.err


def test_debug_shows_where_an_error_came_from() -> None:
    command = [sys.executable, "-m", "flipbook", "trian", "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "ArgumentError" in done.stderr


def test_a_keyboard_stop_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipbook.apps import train

    def stop(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run", stop)
    assert main(["train"]) == 130
    assert capsys.readouterr().err == "flipbook: stopped by Ctrl-C\n"


def test_import_costs_nothing() -> None:
    code = "import sys, flipbook; print(sorted({'torch', 'transformers', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there() -> None:
    import flipbook

    for name in flipbook.__all__:
        assert getattr(flipbook, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = flipbook.absent


def test_the_whole_way_from_clips_to_claim(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "quickstart"
    words = ["--output_dir", str(run), "--clips_per_task", "1", "--max_steps", "2"]
    assert main(["quickstart", *words, "--test_clips_per_task", "1"]) == 0
    scores = json.loads((run / "scores.json").read_text())
    for row in (
        "untuned",
        "tuned",
        "shuffled",
        "reversed",
        "single_frame",
        "blank",
        "still_images_before",
        "still_images_after",
    ):
        assert 0 <= scores[row]["mean"] <= 1
        assert len(scores[row]) > 2, f"{row} has no value per task"
    shown = capsys.readouterr().out
    assert "single_frame" in shown
    assert str(run / "model") in shown
    assert main(["quickstart", *words, "--test_clips_per_task", "1"]) == 0
    assert (tmp_path / "runs" / "quickstart-1" / "scores.json").is_file()
    clip = next((run / "data" / "clips").glob("test-*.mp4"))
    capsys.readouterr()
    assert main(["chat", "--model", str(run), "--video", str(clip), "What happens?"]) == 0
    assert capsys.readouterr().out.strip()


def test_a_command_of_a_command_is_looked_up_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "chek", "a.json"]) == 2
    told = capsys.readouterr().err
    assert "Unknown command 'data chek'. Did you mean 'check'? Commands: convert, check" in told
    assert main(["data"]) == 2
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
