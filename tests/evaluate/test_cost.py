"""Does a cost count what the model does, and nothing else?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from flipbook.data.generated.write import GeneratedData
from flipbook.data.media import read_visuals
from flipbook.data.records import Turn, read_records
from flipbook.evaluate import cost, peak
from flipbook.evaluate.cost import Spread, measure_cost, spread_of
from flipbook.evaluate.peak import PeakMemory
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.prompt import see
from flipbook.score.questions import AskedQuestion, questions_of

TIMES = ("encode_ms", "prefill_ms", "ms_per_token")


@pytest.fixture(scope="module")
def questions(generated: GeneratedData) -> tuple[AskedQuestion, ...]:
    return questions_of(read_records(str(generated.test)).records)


def test_every_number_is_there(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    settings = seeing_checkpoint.clip_settings
    found = measure_cost(seeing_checkpoint, questions, settings=settings, num_questions=3)
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    for name in TIMES:
        assert 0 < content[name]["low"] <= content[name]["median"] <= content[name]["high"]
    tokens = settings.num_frames * settings.tokens_per_frame
    assert content["visual_tokens"] == {"median": tokens, "low": tokens, "high": tokens}
    assert content["prompt_tokens"]["low"] > tokens
    assert content["num_questions"] == 3
    assert (content["frames"], content["frame_size"]) == (settings.num_frames, settings.frame_size)
    assert content["device"] in ("cpu, 1 thread", f"cpu, {torch.get_num_threads()} threads")
    assert content["dtype"] == "float32"
    assert content["peak_memory_bytes"] > 1024 * 1024
    assert "resident memory" in content["peak_memory_is"]
    assert found.latency_ms == found.encode_ms.median + found.prefill_ms.median


def test_more_frames_and_larger_ones_are_more_tokens(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    few = seeing_checkpoint.clip_settings
    tokens = [
        measure_cost(seeing_checkpoint, questions, settings=settings, num_questions=1).visual_tokens
        for settings in (few, replace(few, num_frames=8), replace(few, frame_size=192))
    ]
    assert [spread.median for spread in tokens] == [16, 32, 36]


def test_the_model_answers_as_in_an_evaluation(
    seeing_checkpoint: Checkpoint,
    questions: tuple[AskedQuestion, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A warm-up and one question: each a prompt, then single tokens beside what is remembered."""
    lengths: list[int] = []
    forward = seeing_checkpoint.model.forward

    def counted(**inputs: Any) -> Any:
        lengths.append(inputs["input_ids"].shape[1])
        return forward(**inputs)

    monkeypatch.setattr(seeing_checkpoint.model, "forward", counted)
    found = measure_cost(
        seeing_checkpoint,
        questions,
        settings=seeing_checkpoint.clip_settings,
        num_questions=1,
        num_new_tokens=8,
    )
    assert lengths == [int(found.prompt_tokens.median), *[1] * 7] * 2
    assert not seeing_checkpoint.model.training


def test_the_first_tokens_are_those_of_a_plain_forward_pass(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    clock = cost._Clock(seeing_checkpoint, seeing_checkpoint.clip_settings, 8)
    with torch.inference_mode():
        read = read_visuals(questions[0].media, clock.settings)
        prompt = clock._prompt(questions[0], read, clock._through_tower(read.visuals))
        seen = see([prompt], seeing_checkpoint.model, **clock.rule).of([0])[0]
        token, cache = clock._first(prompt.input_ids[None], seen)
        again = seeing_checkpoint.model(
            input_ids=torch.cat([prompt.input_ids, token[0]])[None],
            mm_encoder_outputs=cost.as_encoder_outputs(seen[None]),
        ).logits[0]
        further = seeing_checkpoint.model(input_ids=token, past_key_values=cache).logits[0, -1]
    assert int(again[-2].argmax()) == int(token)
    torch.testing.assert_close(again[-1], further, rtol=1e-4, atol=1e-4)


def test_words_alone_cost_no_encoding(seeing_checkpoint: Checkpoint) -> None:
    turns = (Turn("user", ("What is two and two?",)), Turn("assistant", ("four",)))
    asked = AskedQuestion("words", None, turns)
    found = measure_cost(seeing_checkpoint, [asked], settings=seeing_checkpoint.clip_settings)
    assert found.visual_tokens == Spread(0, 0, 0)
    assert found.frames == 0
    assert found.prompt_tokens.median > 0


def test_nothing_to_measure_is_refused(
    seeing_checkpoint: Checkpoint, questions: tuple[AskedQuestion, ...]
) -> None:
    settings = seeing_checkpoint.clip_settings
    with pytest.raises(ValueError, match="0 questions and 16 tokens: cost needs at least 1"):
        measure_cost(seeing_checkpoint, [], settings=settings)
    with pytest.raises(ValueError, match="and 7 tokens: cost needs .* 8 tokens"):
        measure_cost(seeing_checkpoint, questions, settings=settings, num_new_tokens=7)


def test_percentiles_lie_around_the_middle() -> None:
    assert spread_of([float(number) for number in range(11)]) == Spread(5.0, 1.0, 9.0)
    assert spread_of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_a_peak_is_seen_after_it_has_passed() -> None:
    watched = PeakMemory(torch.device("cpu"))
    before = watched.num_bytes
    held = bytearray(b"x" * (64 * 1024 * 1024))
    watched.note()
    del held
    watched.note()
    assert watched.num_bytes >= before + 48 * 1024 * 1024


def test_without_the_files_of_linux_the_process_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(peak, "_STATUS", tmp_path / "none")
    watched = PeakMemory(torch.device("cpu"))
    assert watched.meaning == peak.NOTED
    assert watched.num_bytes > 1024 * 1024


def test_a_peak_that_cannot_be_set_back_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(peak, "_RESET", tmp_path / "no folder" / "clear_refs")
    if peak._STATUS.is_file():
        assert PeakMemory(torch.device("cpu")).meaning == peak.SINCE_START
    monkeypatch.setattr(peak, "_STATUS", tmp_path / "status")
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\n", encoding="ascii")
    assert PeakMemory(torch.device("cpu")).num_bytes == 2048 * 1024
