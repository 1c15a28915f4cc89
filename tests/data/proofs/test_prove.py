"""What training reads is proven: of random conversations, of every tokenizer, of data sets."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures_model import make_tokenizer
from fixtures_proofs import CLIP, KINDS, PICTURE, SETTINGS, TALK, failed, proven
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.generated.write import GeneratedData
from flipbook.data.proofs.label_checks import CHECKS
from flipbook.data.proofs.prove import choose_conversations, count_features, prove_sample_of
from flipbook.data.proofs.token_roles import tokens_per_frame_of
from flipbook.data.sample import Visual
from flipbook.data.turns import Turn
from flipbook.errors import LabelError, MediaError
from flipbook.train.arguments import DataArguments
from flipbook.video.view import View

PLACEHOLDERS = next(iter(CHECKS))
WORDS = [
    *("<image>", "<video>", "<|im_end|>", "<|im_start|>", "</s>", "<s>", "\n", " ", "  ", "\t"),
    *(
        "e\u0301",
        "\u0301",
        "ü",
        "猫",
        "👩\u200d👩\u200d👧",
        "שלום",
        "مرحبا",
        "<",
        "A",
        "cat",
        ":",
        "th",
    ),
    *("\u00a0", "\u2028", "\x00", "\ufffd", "\r\n", "{{ x }}", "assistant\n"),
]


def random_talk(draw: random.Random) -> tuple[Turn, ...]:
    turns = [Turn("system", ("Be brief.",))] if draw.random() < 0.5 else []
    for number in range(2 * draw.randint(1, 4)):
        text = "".join(draw.choices(WORDS, k=draw.randint(1, 9)))
        shown = draw.choices([CLIP, PICTURE], k=draw.randint(0, 2))
        parts = [text, *shown]
        draw.shuffle(parts)
        role = "assistant" if number % 2 else "user"
        turns.append(Turn(role, (f"{text}x",) if number % 2 else tuple(parts)))
    return tuple(turns)


@pytest.mark.parametrize("kind", [*KINDS, "qwen"])
def test_random_conversations_are_proven(kind: str, request: pytest.FixtureRequest) -> None:
    is_real = kind == "qwen"
    tokenizer = request.getfixturevalue("qwen_tokenizer") if is_real else KINDS[kind]()
    draw = random.Random(1)
    for number in range(25):
        settings = replace(SETTINGS, system_prompt="Look." if number % 2 else None)
        encoder = ConversationEncoder(tokenizer, settings)
        turns = random_talk(draw)
        if turns[-1].role != "assistant" or not all(t.text.strip() or t.media for t in turns):
            continue
        frames = tuple(draw.randint(1, 3) for turn in turns for _ in turn.media)
        assert failed(proven(encoder, turns, frames_per_media=frames)) == {}


def test_answers_that_begin_with_spaces_and_line_breaks_are_proven(qwen_tokenizer: Any) -> None:
    encoder = ConversationEncoder(qwen_tokenizer, SETTINGS)
    for text in ("\n\nA cat.\n\n", "  A  cat. ", "assistant\nassistant", "<|im_end|>\n"):
        turns = (*TALK[:-1], Turn("assistant", (text,)))
        assert failed(proven(encoder, turns)) == {}


@pytest.fixture(scope="module")
def encoder() -> ConversationEncoder:
    return ConversationEncoder(make_tokenizer(), SETTINGS)


def test_media_of_several_sizes_are_counted_apart(encoder: ConversationEncoder) -> None:
    large = replace(CLIP, view=View(frame_size=256))
    turns = (Turn("user", (large, PICTURE, "Which?")), Turn("assistant", ("Both.",)))
    assert tokens_per_frame_of(turns, encoder) == (16, 4)
    proofs = proven(encoder, turns)
    assert failed(proofs) == {}
    assert proofs[PLACEHOLDERS].detail == "there are 36 placeholders and 36 features, of 3 frames"


def test_features_that_the_media_do_not_give_are_found(encoder: ConversationEncoder) -> None:
    faults = failed(proven(encoder, num_features=8))
    assert faults == {PLACEHOLDERS: "there are 12 placeholders and 8 features, of 3 frames"}


def test_features_are_counted_from_pixels_and_from_the_store() -> None:
    frames = torch.zeros(3, 3, 128, 128, dtype=torch.uint8)
    stored = Visual(2, features=torch.zeros(2, 16, 8))
    assert count_features([]) == 0
    assert count_features([Visual(3, frames=frames), stored]) == 3 * 4 + 2 * 16


ONE = np.zeros(1000, np.int32)


@pytest.mark.parametrize("num_records", [1, 2, 3, 32])
def test_the_first_the_longest_and_some_of_all_parts_are_chosen(num_records: int) -> None:
    num_tokens = np.full(1000, 50, dtype=np.int32)
    num_tokens[617] = 90

    def choose(seed: int) -> list[int]:
        return choose_conversations(num_tokens, source_of=ONE, num_records=num_records, seed=seed)

    chosen = choose(0)
    assert {0, 617} <= set(chosen)
    assert chosen == sorted(set(chosen)) == choose(0)
    assert num_records - 2 <= len(chosen) <= max(2, num_records)
    if num_records > 2:
        assert chosen != choose(1)
        assert np.diff([0, *chosen, 1000]).max() <= 2 * 1000 / (num_records - 2) + 1


def test_one_of_every_data_set_is_chosen() -> None:
    source_of = np.repeat(np.arange(5, dtype=np.int32), [400, 1, 199, 2, 398])
    for num_records in (2, 8):
        chosen = choose_conversations(ONE, source_of=source_of, num_records=num_records, seed=0)
        assert {0, 400, 401, 600, 602} <= set(chosen)
        assert len(chosen) <= max(5, num_records)


@pytest.mark.parametrize("num_conversations", [0, 1, 5])
def test_of_few_conversations_all_are_chosen(num_conversations: int) -> None:
    few = ONE[:num_conversations]
    chosen = choose_conversations(few, source_of=few, num_records=5, seed=0)
    assert chosen == list(range(num_conversations))


def a_dataset(path: Path, **changes: Any) -> LazySupervisedDataset:
    settings: dict[str, Any] = {"num_video_frames": 2, "frame_size": 128} | changes
    return LazySupervisedDataset(str(path), make_tokenizer(), DataArguments(**settings))


def test_a_data_set_is_proven_with_its_media_read(generated: GeneratedData) -> None:
    dataset = a_dataset(generated.train)
    assert prove_sample_of(dataset, num_records=6) in range(4, 7)
    dataset = a_dataset(generated.images)
    assert prove_sample_of(dataset) == len(dataset)


def test_frames_that_are_not_what_the_labels_count_on_stop_a_run(generated: GeneratedData) -> None:
    dataset = a_dataset(generated.validation)
    dataset.encoder = replace(dataset.encoder, settings=replace(SETTINGS, frame_size=256))
    with pytest.raises(LabelError, match="there are 32 placeholders and 8 features, of 2 frames"):
        prove_sample_of(dataset, num_records=2)


def test_a_clip_that_cannot_be_read_is_named_with_its_record(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip")
    turns = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "That."}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"id": "lost-1", "video": "a.mp4", "conversations": turns}]))
    with pytest.raises(MediaError, match=r"a\.mp4: .*Record lost-1 shows it\."):
        prove_sample_of(a_dataset(path))
