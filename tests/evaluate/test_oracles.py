"""Do the controls tell what a model looks at, where that is known?

Each model here answers from one kind of evidence alone: the last frame, the set of frames, or the
words. What it must score under each control is computed from the order of frames by other means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flipbook.data.media import MediaVisuals
from flipbook.data.records import Media, Record, Turn
from flipbook.data.sample import Visual
from flipbook.evaluate.report import Report
from flipbook.evaluate.run import EvaluationSettings, evaluate_model
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt
from flipbook.score import answering, seen
from flipbook.score.controls import in_order, with_other_clips
from flipbook.score.questions import questions_of

NUM_CLIPS, NUM_FRAMES, NUM_SYMBOLS = 60, 4, 6
BLACK = -1  # the symbol of a black frame
QUICK = EvaluationSettings(num_cost_questions=0, num_in_gallery=0, show_progress=False)
Reader = Callable[[list[int], str], str]  # symbols of the frames, words of the question -> answer


def symbols_of(media: Media) -> list[int]:
    """What the frames of a clip show: a pure function of its name."""
    rng = np.random.default_rng(int(Path(media.path).stem))
    return [int(symbol) for symbol in rng.integers(0, NUM_SYMBOLS, NUM_FRAMES)]


def last_frame(symbols: list[int], words: str) -> str:
    return str(symbols[-1] if symbols else BLACK)


def set_of_frames(symbols: list[int], words: str) -> str:
    return " ".join(map(str, sorted(symbols)))


def words_alone(symbols: list[int], words: str) -> str:
    return words[-3:]


def records_for(reader: Reader) -> list[Record]:
    """Questions whose right answers are what `reader` says of the whole clip."""
    records = []
    for number in range(NUM_CLIPS):
        clip = Media("video", f"/clips/{number}.mp4")
        words = f"What do you say to {number:03}"
        turns = (
            Turn("user", (clip, words)),
            Turn("assistant", (reader(symbols_of(clip), words),)),
        )
        records.append(Record(id=f"r{number}", conversations=(turns,)))
    return records


@pytest.fixture
def evaluate(
    seeing_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Reader], Report]:
    """Evaluates a model that is made to answer as a reader does."""

    def numbered(media: Sequence[Media], settings: Any, **options: Any) -> MediaVisuals:
        (item,) = media
        frames = torch.zeros((NUM_FRAMES, 3, settings.frame_size, settings.frame_size))
        frames += torch.tensor(symbols_of(item)).view(-1, 1, 1, 1) + 1
        return MediaVisuals((Visual(NUM_FRAMES, frames=frames.to(torch.uint8)),), (NUM_FRAMES,), 0)

    def number_of(model: Any, frames: torch.Tensor, **options: Any) -> torch.Tensor:
        values = frames.float().amax(dim=(1, 2, 3)) - 1
        return values.view(-1, 1, 1).expand(-1, settings.tokens_per_frame, 1)

    settings = seeing_checkpoint.clip_settings
    monkeypatch.setattr(seen, "read_visuals", numbered)
    monkeypatch.setattr(seen, "tower_features", number_of)

    def report(reader: Reader) -> Report:
        def answers(
            model: Any, tokenizer: Any, prompts: Sequence[Prompt], **options: Any
        ) -> list[str]:
            found = []
            for prompt in prompts:
                symbols = [int(v) for clip in prompt.features for v in clip[:, 0, 0]]
                words = tokenizer.decode(prompt.input_ids).split("<|im_end|>")[-2]
                found.append(reader(symbols, words))
            return found

        monkeypatch.setattr(answering, "generate_answers", answers)
        return evaluate_model(
            records_for(reader),
            tuned=seeing_checkpoint,
            untuned=None,
            output_folder=tmp_path,
            settings=QUICK,
        )

    return report


def expected(reader: Reader) -> dict[str, float]:
    """Return what a reader must score in each row, from the order of symbols alone."""
    questions = questions_of(records_for(reader))
    others = with_other_clips(questions)
    right: dict[str, list[bool]] = {}
    for question, other in zip(questions, others, strict=True):
        assert other is not None
        own = symbols_of(question.media[0])
        mixed = in_order("shuffled", torch.tensor(own), record_id=question.record_id).tolist()
        shown = {
            "tuned": own,
            "shuffled": mixed,
            "reversed": own[::-1],
            "single_frame": [own[NUM_FRAMES // 2]] * NUM_FRAMES,
            "blank": [BLACK] * NUM_FRAMES,
            "other_clip": symbols_of(other.media[0]),
            "text_only": [],
        }
        for row, symbols in shown.items():
            right.setdefault(row, []).append(reader(symbols, question.text) == question.reference)
    return {row: sum(values) / len(values) for row, values in right.items()}


@pytest.mark.parametrize("reader", [last_frame, set_of_frames, words_alone])
def test_every_row_is_what_was_computed(
    reader: Reader, evaluate: Callable[[Reader], Report]
) -> None:
    report = evaluate(reader)
    rows = {row: pytest.approx(score.mean) for row, score in report.scores.items()}
    assert expected(reader) == rows
    assert report.scores["tuned"].mean == 1.0


def test_a_reader_of_the_last_frame_uses_order_and_the_clip(
    evaluate: Callable[[Reader], Report],
) -> None:
    report = evaluate(last_frame)
    worth = expected(last_frame)
    gain = report.content["temporal_gain"]
    without = max(worth["shuffled"], worth["single_frame"])
    assert gain["value"] == pytest.approx(1 - without)
    assert gain["low"] > 0
    assert worth["reversed"] < 0.5
    assert "it uses the order of frames" in report.verdict


def test_a_reader_of_the_set_of_frames_gains_nothing_from_order(
    evaluate: Callable[[Reader], Report],
) -> None:
    report = evaluate(set_of_frames)
    assert report.scores["shuffled"].mean == report.scores["reversed"].mean == 1.0
    assert report.scores["other_clip"].mean < 0.1
    assert report.content["temporal_gain"]["value"] == 0.0
    assert "nothing here shows that it uses the order of frames" in report.verdict


def test_a_reader_of_words_alone_is_found_out(evaluate: Callable[[Reader], Report]) -> None:
    report = evaluate(words_alone)
    assert {score.mean for score in report.scores.values()} == {1.0}
    assert "nothing here shows that it looks" in report.verdict
