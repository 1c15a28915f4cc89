"""Does lmms-eval get the answers that flipbook gives?

The questions are asked directly here; where lmms-eval is installed (an environment of its own, see
docs/homes.md), a whole run of it is made, too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fixtures_model import make_checkpoint
from fixtures_video import MakeClip
from flipbook.apps.chat import chat
from flipbook.errors import ArgumentError
from flipbook.export.lmms import (
    GenerationRule,
    Question,
    answer_questions,
    open_for_task,
    score_choices,
)
from flipbook.model.checkpoint import Checkpoint

TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {rows}
test_split: test
doc_to_visual: !function tools.doc_to_visual
doc_to_text: {text}
{rest}
"""
TOOLS = """\
def doc_to_visual(doc):
    return [doc["clip"]]

def next_round(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None,
               previous_round_info=None):
    if round_idx is None:
        return doc["question"]
    return [doc["clip"]], doc["question"], round_idx == 2, previous_output, None

def agreed(doc, results):
    rounds = results[0]
    return {"agreed": float(len(rounds) == 2 and len(set(rounds)) == 1)}
"""
METRIC = "metric_list:\n  - metric: {}\n    aggregation: mean\n    higher_is_better: true"
RESTS = {
    "clips": ('"{{question}}"', 'output_type: generate_until\ndoc_to_target: "{{answer}}"\n'
              "generation_kwargs:\n  max_new_tokens: 12\n" + METRIC.format("exact_match")),
    "choices": ('"{{question}}"', 'output_type: multiple_choice\ndoc_to_choice: "{{choices}}"\n'
                "doc_to_target: 0\n" + METRIC.format("acc")),
    "rounds": ("!function tools.next_round", "output_type: generate_until_multi_round\n"
               'doc_to_target: "{{answer}}"\ngeneration_kwargs:\n  max_new_tokens: 12\n'
               "process_results: !function tools.agreed\n" + METRIC.format("agreed")),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


def test_answers_are_those_of_chat(checkpoint: Checkpoint, make_clip: MakeClip) -> None:
    clip = str(make_clip("lmms.mp4", num_frames=20))
    questions = [
        Question("a", "What is it?", (clip,), {"max_new_tokens": 12}),
        Question("b", "And what is this?", ({"type": "video", "url": clip},), {}),
        Question("c", "Say something.", (), {"max_new_tokens": 12}),
    ]
    answers = answer_questions(checkpoint, questions, batch_size=2)
    assert answers == [
        chat(checkpoint, media=[clip], question="What is it?", max_new_tokens=12),
        chat(checkpoint, media=[clip], question="And what is this?"),
        chat(checkpoint, media=[], question="Say something.", max_new_tokens=12),
    ]


def test_a_picture_in_memory_is_a_picture(checkpoint: Checkpoint, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "a.png")
    asked = Question("a", "What is it?", (picture,), {"max_new_tokens": 12})
    assert answer_questions(checkpoint, [asked], batch_size=1) == [
        chat(checkpoint, media=[tmp_path / "a.png"], question="What is it?", max_new_tokens=12)
    ]


def test_the_greedy_answer_is_the_likeliest_choice(
    checkpoint: Checkpoint, make_clip: MakeClip
) -> None:
    tiny = open_for_task("tiny", dtype="float32", overrides={"num_frames": 4})
    assert tiny.clip_settings.num_frames == 4
    asked = Question("a", "What colour is the circle?", (str(make_clip("l.mp4", num_frames=9)),))
    (answer,) = answer_questions(tiny, [asked], batch_size=1)
    scores = score_choices(tiny, asked, [answer, f" {answer} ", "never a colour"])
    assert scores[0][1]
    assert scores[0] == scores[1]  # white space around a choice is no part of an answer
    assert not scores[2][1]
    assert 0 < scores[0][0] < scores[2][0]


def test_answers_are_cut_where_the_task_says() -> None:
    rule = GenerationRule.of({"until": ["\n\n", "."], "max_new_tokens": 5, "temperature": 0})
    assert rule == GenerationRule(max_new_tokens=5, until=("\n\n", "."))
    assert rule.cut("It is red. Or not.") == "It is red"
    assert GenerationRule.of({"until": "Q:"}).cut("red\nQ: and") == "red"


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 0.7), ("do_sample", True), ("num_beams", 4)]
)
def test_sampling_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"the task asks for {name}={value}, and flipbook"):
        GenerationRule.of({name: value})


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"unknown name 'num_frame'\. Did you mean 'num_fr"):
        open_for_task("tiny", dtype="float32", overrides={"num_frame": 4})
    with pytest.raises(ArgumentError, match=r"dtype is 'float23'; known are float32, bfloat16"):
        open_for_task("tiny", dtype="float23", overrides={})


def test_a_part_of_a_clip_is_refused(checkpoint: Checkpoint) -> None:
    part = {"type": "video", "url": "a.mp4", "video_start": 3.0, "video_end": 5.0}
    with pytest.raises(ArgumentError, match="a: the task shows a part of a clip"):
        answer_questions(checkpoint, [Question("a", "What?", (part,))], batch_size=1)


def test_lmms_eval_itself_gets_the_same_answers(
    checkpoint: Checkpoint, make_clip: MakeClip, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("lmms_eval") is None:
        pytest.skip("lmms-eval is not installed here")
    asked = "What is in the clip?"
    clip = str(make_clip("whole.mp4", num_frames=20))
    answer = chat(fast_vlm_folder, media=[clip], question=asked, max_new_tokens=12)
    row = {"clip": clip, "question": asked, "answer": answer, "choices": [answer, "nothing at all"]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "tools.py").write_text(TOOLS)
    for name, (text, rest) in RESTS.items():
        facts = {"name": f"flipbook_{name}", "rows": tmp_path / "rows.jsonl"}
        (tmp_path / f"{name}.yaml").write_text(TASK.format(text=text, rest=rest, **facts))
    tasks = ",".join(f"flipbook_{name}" for name in RESTS)
    words = f"--model flipbook --model_args pretrained={fast_vlm_folder} --tasks {tasks}"
    words += f" --include_path {tmp_path} --output_path {tmp_path / 'out'}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "lmms_eval", *words.split()],
        env=os.environ | offline,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "out").rglob("*_results.json")
    results = json.loads(path.read_text())["results"]
    assert results["flipbook_clips"]["exact_match,none"] == 1.0
    assert results["flipbook_choices"]["acc,none"] == 1.0
    assert results["flipbook_rounds"]["agreed,none"] == 1.0
