"""Are answers those of plain `transformers`, whatever the batch around them?"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import FastVlmConfig, FastVlmForConditionalGeneration, GenerationConfig

from flipbook.model import fastvlm, generation
from flipbook.model.fastvlm import as_encoder_outputs, normalise_frames, tower_features
from flipbook.model.generation import Prompt, answers_match, generate_answers
from flipbook.model.initialise import initialise_
from flipbook.model.tuning import LoraSettings, choose_trainable, set_train_mode

FRAME_SIZE = 128
TOKENS_PER_FRAME = 4
VOCAB_SIZE = 100
IMAGE_TOKEN_ID = 99
END_ID = 98
MEAN_AND_STD: dict[str, Any] = {"image_mean": (0.1, 0.2, 0.3), "image_std": (0.5, 0.6, 0.7)}


class NumberTokenizer:
    """Token 7 is the word "7"; the end of a turn is 98."""

    eos_token_id = END_ID

    def get_vocab(self) -> dict[str, int]:
        return {"<|im_end|>": self.eos_token_id}

    def decode(self, ids: list[int], **options: bool) -> str:
        return " ".join(str(token_id) for token_id in ids) + " "


@pytest.fixture(scope="module")
def model() -> Any:
    tower = {"inference_mode": True, "layers": (1, 1, 1, 1, 1), "embed_dims": (16, 32, 32, 32, 64)}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "hidden_size": 128}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCAB_SIZE}
    config = FastVlmConfig(
        vision_config=vision | {"model_args": tower},
        text_config={"model_type": "qwen2", "tie_word_embeddings": False} | sizes | heads,
        image_token_index=IMAGE_TOKEN_ID,
        tie_word_embeddings=False,
    )
    made = FastVlmForConditionalGeneration(config)
    initialise_(made, seed=0, frame_size=FRAME_SIZE)
    return made.eval()


def make_prompt(number: int, *, num_frames: int, num_words: int) -> Prompt:
    generator = torch.Generator().manual_seed(number)
    shape = (num_frames, 3, FRAME_SIZE, FRAME_SIZE)
    places = torch.full((num_frames * TOKENS_PER_FRAME,), IMAGE_TOKEN_ID)
    return Prompt(
        record_id=f"record {number}",
        input_ids=torch.cat([places, torch.randint(0, 90, (num_words,), generator=generator)]),
        frames=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
    )


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    sizes = [(3, 4), (0, 9), (1, 2), (8, 5), (3, 11), (0, 1), (2, 6)]
    return [make_prompt(i, num_frames=t, num_words=w) for i, (t, w) in enumerate(sizes)]


def answer_of_transformers(model: Any, prompt: Prompt, *, max_new_tokens: int) -> str:
    pictures = {}
    if len(prompt.frames):
        pictures["pixel_values"] = normalise_frames(prompt.frames, **MEAN_AND_STD)
    ids = model.generate(
        input_ids=prompt.input_ids[None],
        attention_mask=torch.ones_like(prompt.input_ids[None]),
        generation_config=GenerationConfig(
            do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=END_ID, pad_token_id=0
        ),
        **pictures,
    )
    new_ids = [int(token_id) for token_id in ids[0, len(prompt) :] if token_id != END_ID]
    return NumberTokenizer().decode(new_ids).strip()


def answers(model: Any, prompts: list[Prompt], **options: Any) -> list[str]:
    return generate_answers(model, NumberTokenizer(), prompts, **MEAN_AND_STD, **options)


def test_answers_are_those_of_transformers_one_by_one(model: Any, prompts: list[Prompt]) -> None:
    expected = [answer_of_transformers(model, prompt, max_new_tokens=6) for prompt in prompts]
    assert len(set(expected)) > 3  # a model that says the same to all would prove nothing
    assert answers(model, prompts, max_new_tokens=6) == expected


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_answers_do_not_depend_on_the_batch_size(
    model: Any, prompts: list[Prompt], batch_size: int
) -> None:
    expected = answers(model, prompts, max_new_tokens=6)
    assert answers(model, prompts, batch_size=batch_size, max_new_tokens=6) == expected


def test_answers_come_in_the_order_of_the_prompts(model: Any, prompts: list[Prompt]) -> None:
    expected = answers(model, prompts, max_new_tokens=4)
    assert answers(model, prompts[::-1], max_new_tokens=4) == expected[::-1]
    assert answers(model, [], max_new_tokens=4) == []


def test_windows_do_not_change_answers(
    model: Any, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(model, prompts, max_new_tokens=4)
    monkeypatch.setattr(generation, "BATCHES_PER_WINDOW", 1)
    monkeypatch.setitem(fastvlm.PX_PER_CALL, "cpu", 1)
    assert answers(model, prompts, batch_size=2, max_new_tokens=4) == expected


def test_an_answer_stops_before_its_end_token(model: Any, prompts: list[Prompt]) -> None:
    free = answers(model, prompts, max_new_tokens=6)
    third = int(free[0].split()[2])
    first_place = free[0].split().index(str(third))

    class EarlyStop(NumberTokenizer):
        eos_token_id = third

    stopped = generate_answers(model, EarlyStop(), prompts, **MEAN_AND_STD, max_new_tokens=6)
    assert stopped[0].split() == free[0].split()[:first_place]
    for short, long in zip(stopped, free, strict=True):
        words = long.split()
        end = words.index(str(third)) if str(third) in words else len(words)
        assert short.split() == words[:end]


def test_a_frame_shown_by_many_prompts_is_encoded_once(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = make_prompt(1, num_frames=3, num_words=4)
    flipped = Prompt("flipped", prompt.input_ids, prompt.frames.flip(0))
    still = Prompt("still", prompt.input_ids, prompt.frames[:1].expand(3, -1, -1, -1))
    num_encoded: list[int] = []
    encode = model.model.vision_tower.forward

    def counted(pixel_values: Tensor, **options: Any) -> Any:
        num_encoded.append(len(pixel_values))
        return encode(pixel_values, **options)

    expected = [answers(model, [each], max_new_tokens=4)[0] for each in (prompt, flipped, still)]
    monkeypatch.setattr(model.model.vision_tower, "forward", counted)
    assert answers(model, [prompt, flipped, still], max_new_tokens=4) == expected
    assert sum(num_encoded) == 3


def with_features(model: Any, prompt: Prompt, *, parts: Sequence[int]) -> Prompt:
    """Return the same prompt with tower features, of visuals of so many frames each."""
    features = tuple(
        tower_features(model, frames, **MEAN_AND_STD)
        for frames in torch.split(prompt.frames, list(parts))
    )
    return Prompt(prompt.record_id, prompt.input_ids, features=features)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_features_give_the_answers_of_their_frames(
    model: Any, prompts: list[Prompt], batch_size: int
) -> None:
    expected = answers(model, prompts, max_new_tokens=6)
    parts = [[1, 2], [], [1], [8], [3], [], [1, 1]]
    stored = [
        with_features(model, prompt, parts=sizes) if sizes else prompt
        for prompt, sizes in zip(prompts, parts, strict=True)
    ]
    mixed = [prompts[0], *stored[1:4], *prompts[4:]]
    for shown in (stored, mixed):
        assert answers(model, shown, max_new_tokens=6, batch_size=batch_size) == expected


def test_features_of_several_sides_stand_in_their_order(model: Any) -> None:
    prompt = make_prompt(1, num_frames=5, num_words=4)
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(1, 16, 128, generator=generator)
    small = torch.randn(1, 4, 128, generator=generator)
    mixed = Prompt("mixed", prompt.input_ids, features=(large, small))
    swapped = Prompt("swapped", prompt.input_ids, features=(small, large))
    projected = model.model.multi_modal_projector(torch.cat([large, small], dim=1))
    with torch.no_grad():
        ids = model.generate(
            input_ids=prompt.input_ids[None],
            attention_mask=torch.ones_like(prompt.input_ids[None]),
            mm_encoder_outputs=as_encoder_outputs(projected),
            generation_config=GenerationConfig(
                do_sample=False, max_new_tokens=6, eos_token_id=END_ID, pad_token_id=0
            ),
        )
    new_ids = [int(token_id) for token_id in ids[0, len(prompt) :] if token_id != END_ID]
    first, second = answers(model, [mixed, swapped], max_new_tokens=6)
    assert first == NumberTokenizer().decode(new_ids).strip()
    assert second != first


def test_what_several_prompts_share_is_projected_once(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = with_features(model, make_prompt(1, num_frames=3, num_words=4), parts=[3])
    other = Prompt(
        "other", torch.cat([shown.input_ids, torch.tensor([5])]), features=shown.features
    )
    num_projected: list[int] = []
    forward = model.model.multi_modal_projector.forward

    def counted(features: Tensor) -> Any:
        num_projected.append(len(features))
        return forward(features)

    expected = [answers(model, [each], max_new_tokens=4)[0] for each in (shown, other)]
    monkeypatch.setattr(model.model.multi_modal_projector, "forward", counted)
    assert answers(model, [shown, other], max_new_tokens=4) == expected
    assert num_projected == [3]


def test_features_of_another_dtype_are_taken(model: Any) -> None:
    shown = with_features(model, make_prompt(1, num_frames=3, num_words=4), parts=[3])
    rounded = tuple(part.bfloat16() for part in shown.features)
    half = Prompt("half", shown.input_ids, features=rounded)
    same = Prompt("same", shown.input_ids, features=tuple(part.float() for part in rounded))
    assert answers(model, [half], max_new_tokens=4) == answers(model, [same], max_new_tokens=4)


def test_every_module_is_left_in_the_mode_it_had(model: Any, prompts: list[Prompt]) -> None:
    for parameter in model.model.vision_tower.parameters():
        parameter.requires_grad_(False)
    set_train_mode(model)
    before = {name: module.training for name, module in model.named_modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert len(set(before.values())) == 2
    try:
        answers(model, prompts[:2], max_new_tokens=2)
        wrong = make_prompt(3, num_frames=1, num_words=2)
        with pytest.raises(ValueError, match="image tokens"):
            answers(model, [Prompt("wrong", wrong.input_ids[1:], wrong.frames)])
        after = {name: module.training for name, module in model.named_modules()}
    finally:
        model.eval()
    assert after == before
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_a_frozen_bf16_tower_beside_float32_weights_answers(
    prompts: list[Prompt], model: Any
) -> None:
    model.model.vision_tower.bfloat16()
    try:
        assert all(answers(model, prompts[:3], max_new_tokens=2))
    finally:
        model.model.vision_tower.float()


# peft 0.21 reads the old name of this property of every model that it wraps
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_a_model_with_fresh_adapters_answers_as_without(model: Any, prompts: list[Prompt]) -> None:
    lora = LoraSettings(rank=2, alpha=4)
    adapted = choose_trainable(copy.deepcopy(model), ("projector", "language_model"), lora=lora)
    expected = answers(model, prompts[:4], max_new_tokens=3)
    assert answers(adapted, prompts[:4], max_new_tokens=3) == expected


def test_a_wrong_number_of_image_tokens_is_named(model: Any) -> None:
    right = make_prompt(1, num_frames=2, num_words=3)
    short = Prompt("short", right.input_ids[1:], right.frames)
    long = Prompt("long", torch.cat([right.input_ids[:1], right.input_ids]), right.frames)
    message = "prompt short has 7 image tokens for 2 frames of 8 features in all"
    with pytest.raises(ValueError, match=message):
        answers(model, [short, long])  # their sum is right
    stored = with_features(model, right, parts=[1, 1])
    few = Prompt("few", right.input_ids, features=stored.features[:1])
    message = "prompt few has 8 image tokens for 1 frames of 4 features in all"
    with pytest.raises(ValueError, match=message):
        answers(model, [few])


def test_a_prompt_refuses_wrong_shapes() -> None:
    good = make_prompt(1, num_frames=1, num_words=2)
    with pytest.raises(ValueError, match=r"input_ids must be int64 \(L,\).*got.*\(1, 6\)"):
        Prompt("a", good.input_ids[None], good.frames)
    with pytest.raises(ValueError, match=r"frames must be uint8 \(T, 3, S, S\), got torch.float32"):
        Prompt("a", good.input_ids, good.frames.float())
    with pytest.raises(
        ValueError, match=r"must be floating \(T, P, C\), got torch.float32 \(4, 8\)"
    ):
        Prompt("a", good.input_ids, features=(torch.zeros(4, 8),))
    with pytest.raises(ValueError, match=r"must be floating \(T, P, C\), got torch.int64"):
        Prompt("a", good.input_ids, features=(torch.zeros(1, 4, 8, dtype=torch.int64),))
    with pytest.raises(ValueError, match="prompt a has both frames and features"):
        Prompt("a", good.input_ids, good.frames, (torch.zeros(1, 4, 8),))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"max_new_tokens": 0}])
def test_sizes_below_one_are_refused(model: Any, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        answers(model, [make_prompt(1, num_frames=1, num_words=1)], **options)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("left", "left"),
        ("  Left.\n", "left"),
        ("LEFT!", "left"),
        ("left .", "Left"),
        ("?", "?"),
        ("cafe\u0301", "caf\u00e9"),  # a mark of its own, and one letter
        ("红色。", "红色"),
        ("أحمر؟", "أحمر"),
    ],
)
def test_answers_that_match(answer: str, reference: str) -> None:
    assert answers_match(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", "left"),
        ("it moves left", "left"),
        ("left or right", "left"),
        ("lef", "left"),
        ("le ft", "left"),
        ("3", "3.5"),
        ("!", "?"),
    ],
)
def test_answers_that_do_not_match(answer: str, reference: str) -> None:
    assert not answers_match(answer, reference)
