"""`flipbook plan` reads no weight, and tells of what training would refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flipbook.cli import main
from flipbook.data.generated.write import GeneratedData

GRID = ["--frames", "2", "4", "--sides", "128", "256", "--batch_sizes", "1", "4"]


@pytest.fixture
def words(fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path) -> list[str]:
    """The words of a plan for a small run."""
    settings = {
        "model_name_or_path": fast_vlm_folder,
        "data_path": generated.train,
        "output_dir": tmp_path / "run",
        "num_video_frames": 2,
        "frame_size": 128,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "report_to": "none",
        "memory_gb": 50,
    }
    return ["plan", *(f"--{name}={value}" for name, value in settings.items()), *GRID]


def planned(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    return capsys.readouterr().err


def test_the_plan_is_printed_and_no_weight_is_read(
    words: list[str],
    fast_vlm_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flipbook.model import weights

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("weights are read")

    monkeypatch.setattr("safetensors.torch.load_file", fail)
    monkeypatch.setattr(weights, "read_tensors", fail)
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", fail)
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"Plan for {fast_vlm_folder}; no weight was read." in printed
    assert "Predicted peak memory of one process" in printed
    assert "The budget: 85% of 50.00 GB of memory." in printed
    assert "best with LoRA r=16: 4 frames of 256 px, batches of 4, LoRA r=16: " in printed
    assert "would refuse" not in printed
    assert not (tmp_path / "run").exists()


def test_json_holds_the_same(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(words, capsys)
    assert len(plan["choices"]) == 2 * 2 * 2 * 2
    assert plan["own"]["num_frames"] == 2
    assert plan["best"]["full"]["side_px"] == 256
    assert plan["budget"] == {"memory_bytes": 50 * 10**9, "max_length": 32768, "batch_tokens": None}
    assert plan["left_out"] == []
    assert {part["part"] for part in plan["parts"]} == {
        "vision_tower",
        "projector",
        "language_model",
    }


def test_training_prints_the_same_facts(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    own = ("--frames", "--sides", "--batch_sizes", "--memory_gb")
    assert main(words) == 0
    expected = capsys.readouterr().out
    flags = [word for word in words[1:] if not word.startswith(own) and word.startswith("--")]
    assert main(["train", *flags, "--max_steps=1", "--save_strategy=no"]) == 0
    printed = capsys.readouterr().out
    start, end = "What trains", "Predicted peak memory"
    facts = expected[expected.index(start) : expected.index(end)].splitlines()
    for line in facts:
        if " steps, " not in line:
            assert line in printed
    assert "Predicted peak memory of one process" in printed
    assert "The memory model was fitted on " in printed


def test_what_is_too_long_is_told_and_not_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--model_max_length=60"]) == 0
    printed = capsys.readouterr().out
    assert "samples are over the limit of 60 tokens:" in printed
    assert "flipbook train would refuse these records: " in printed
    assert "best with full: nothing in the table fits." in printed


def test_a_sample_longer_than_a_batch_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planned([*words, "--max_batch_tokens=60"], capsys)
    assert plan["too_long"]["limit"] == 60
    assert plan["too_long"]["count"] > 0
    assert {choice["batch_size"] for choice in plan["choices"]} == {None}


def test_records_that_cannot_be_used_are_told(
    words: list[str], generated: GeneratedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(generated.train.read_text())
    rows[0]["conversations"][0]["from"] = "robot"
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    words = [*words, f"--data_path={tmp_path / 'rows.json'}"]
    words.append(f"--image_folder={generated.folder}")
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "1 records are left out" in printed
    assert f"would refuse these records: 1 of {len(rows)} cannot be used (" in printed
    assert main([*words, "--max_bad_fraction=0.5"]) == 0
    assert "would refuse" not in capsys.readouterr().out
    (left_out,) = planned(words, capsys)["left_out"]
    assert "robot" in left_out


def test_processes_share_batches_and_memory(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in words if not word.startswith("--memory_gb")]
    one, two = (planned([*words, f"--num_processes={n}"], capsys) for n in (1, 2))
    assert two["passes"]["num_processes"] == 2
    assert two["passes"]["num_batches"] % 2 == 0
    assert two["budget"]["memory_bytes"] < 0.75 * one["budget"]["memory_bytes"]
    assert two["own"]["peak_bytes"] > one["own"]["peak_bytes"] * 0.99


def test_a_gpu_that_is_not_here_can_be_planned_for(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in words if not word.startswith("--use_cpu")]
    plan = planned([*words, "--device=cuda"], capsys)
    assert plan["device_type"] == "cuda"
    assert {"bfloat16"} == {dtype for part in plan["parts"][:1] for dtype in part["dtypes"]}
    words = [word for word in words if not word.startswith("--memory_gb")]
    message = "this machine has none to ask. Tell how much memory it has with --memory_gb"
    assert message in refusal([*words, "--device=cuda"], capsys)


def test_a_yaml_file_may_come_first(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text("lora_r: 4\n")
    plan = planned([words[0], str(tmp_path / "run.yaml"), *words[1:]], capsys)
    assert plan["own"]["tuning"] == "LoRA r=4"


def test_folders_of_classes_are_planned_as_they_would_be_trained(
    words: list[str], generated: GeneratedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, clip in enumerate(sorted((generated.folder / "clips").glob("train-*.mp4"))[:6]):
        folder = tmp_path / "classes" / ("left" if number % 2 else "right")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, folder / f"{number}.mp4")
    flags = [f"--data_path={tmp_path / 'classes'}", "--split_fractions", "1", "0", "0"]
    plan = planned([*words, *flags], capsys)
    assert plan["passes"]["num_questions"] == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--frames", "0"], "--frames must be 1 or more, got 0"),
        (["--sides", "100"], "--sides 100 is no multiple of 64 px: give 64 or 128"),
        (["--batch_sizes", "-1"], "--batch_sizes must be 1 or more, got -1"),
        (["--memory_gb", "nan"], "--memory_gb must be above 0, got nan"),
        (["--token_budget", "0"], "--token_budget must be above 0, got 0"),
        (["--frames", "many"], "invalid int value: 'many'. See `flipbook plan --help`"),
        (["--framse", "4"], "Unknown flag --framse"),
    ],
)
def test_wrong_flags_are_told(
    flags: list[str], message: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refusal([*words, *flags], capsys)


def test_help_lists_both_kinds_of_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--memory_gb" in printed
    assert "--num_video_frames" in printed
