"""What do the tests of a run that goes on share?

rows         ->  a manifest of clips, pictures and words with several questions each
go_on        ->  a function: settings, step -> a straight run, one that goes on from that step
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.train.run import RunResult

GoOn = Callable[..., tuple[RunResult, RunResult]]
QUESTIONS = ("Which way?", "What is red?", "How many are lit, and when?", "Why?")
ANSWERS = ("Left.", "A circle.", "Three, at the end.", "It grows.")


def turns_of(question: str, answer: str) -> list[dict[str, str]]:
    """Return one question with its answer as a manifest has them."""
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory, generated: GeneratedData) -> Path:
    """Four clips with four questions each, three pictures, one of them with two conversations."""
    found: list[dict[str, Any]] = []
    clips = sorted((generated.folder / "clips").glob("train-*.mp4"))[:4]
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True):
        for clip in clips:
            name = f"{clip.stem}-{QUESTIONS.index(question)}"
            own = turns_of(f"<video>\n{question}", answer)
            found.append({"id": name, "video": str(clip), "conversations": own})
    pictures = [row for row in json.loads(generated.train.read_text()) if "image" in row][:3]
    for number, row in enumerate(pictures):
        row["image"] = str(generated.folder / row["image"])
        if number == 0:
            row["conversations"] = [row["conversations"], turns_of("<image>\nAnd?", "That is all.")]
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(json.dumps([*found, *pictures]))
    return path


def losses(run: RunResult) -> dict[int, float]:
    """Return the loss of each step."""
    lines = map(json.loads, (run.run_folder / "log.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def ledger(run_folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a ledger."""
    return [json.loads(line) for line in (run_folder / "ledger.jsonl").read_text().splitlines()]


def assert_same(straight: RunResult, resumed: RunResult, *, after: int) -> None:
    """Check that losses, final weights and counts of records are the same to the last bit."""
    expected = {step: loss for step, loss in losses(straight).items() if step > after}
    assert expected
    assert losses(resumed) == expected
    before = load_file(straight.model_folder / "model.safetensors")
    now = load_file(resumed.model_folder / "model.safetensors")
    different = [name for name, tensor in before.items() if not tensor.equal(now[name])]
    assert not different
    assert ledger(resumed.run_folder) == ledger(straight.run_folder)


@pytest.fixture
def go_on(tune: Tune, rows: Path, generated: GeneratedData, tmp_path: Path) -> GoOn:
    def run(*, step: int, **settings: Any) -> tuple[RunResult, RunResult]:
        shared: dict[str, Any] = {
            "data_path": rows,
            "image_folder": generated.folder,
            "save_strategy": "steps",
            "save_steps": step,
            "save_total_limit": 9,
            "max_steps": step + 3,
        }
        straight = tune(tmp_path / "straight", **shared | settings)
        name = f"checkpoint-{step}"
        shutil.copytree(straight.run_folder / name, tmp_path / "stopped" / name)
        again = {"resume_from_checkpoint": "latest"}
        return straight, tune(tmp_path / "stopped", **shared | settings | again)

    return run
