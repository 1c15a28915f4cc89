"""Are likelihoods of options those of plain `transformers`, whatever shares their row?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures_llama import make_llama_tokenizer, make_prepend_tokenizer
from fixtures_model import make_checkpoint, make_tokenizer
from flipbook.data.labels.conversation import IGNORE_INDEX, encode_conversation, encode_prompt
from flipbook.data.turns import Media, Turn
from flipbook.errors import CheckpointError, RecordError
from flipbook.model import likelihood
from flipbook.model.attention import set_attention
from flipbook.model.fastvlm import normalise_frames, tower_features
from flipbook.model.likelihood import Options, answer_ids, option_log_likelihoods
from flipbook.model.prompt import Prompt
from flipbook.model.tuning import choose_trainable, set_train_mode
from flipbook.model.words import add_image_token

TOKENS_PER_FRAME = 4  # at 128 px
MEAN_AND_STD: dict[str, Any] = {"image_mean": (0.1, 0.2, 0.3), "image_std": (0.5, 0.6, 0.7)}


@pytest.fixture(scope="module")
def model() -> Any:
    return make_checkpoint().model


def make_options(
    number: int, *, num_frames: int, num_words: int, lengths: Sequence[int]
) -> Options:
    """Return options of random words after a prompt that shows random frames."""
    generator = torch.Generator().manual_seed(number)

    def words(count: int) -> Tensor:
        return torch.randint(0, 250, (count,), generator=generator)

    image_token_id = add_image_token(make_tokenizer())
    places = torch.full((num_frames * TOKENS_PER_FRAME,), image_token_id)
    shape = (num_frames, 3, 128, 128)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    prompt = Prompt(f"r{number}", torch.cat([words(3), places, words(num_words)]), frames)
    return Options(prompt, tuple(words(length) for length in lengths))


@pytest.fixture(scope="module")
def asked() -> list[Options]:
    sizes = [(2, 5, (3, 1, 7)), (0, 4, (2, 2)), (1, 1, (1,)), (3, 6, (5, 4, 3, 2, 1)), (1, 2, (9,))]
    return [
        make_options(number, num_frames=frames, num_words=words, lengths=lengths)
        for number, (frames, words, lengths) in enumerate(sizes)
    ]


def by_transformers(model: Any, options: Options) -> list[float]:
    """Return the log-likelihood of each option, one unpadded sequence after the other."""
    found = []
    prompt = options.prompt
    for ids in options.option_ids:
        shown = {}
        if len(prompt.frames):
            shown["pixel_values"] = normalise_frames(prompt.frames, **MEAN_AND_STD)
        with torch.no_grad():
            logits = model(input_ids=torch.cat([prompt.input_ids, ids])[None], **shown).logits[0]
        likely = logits.float().log_softmax(-1)[len(prompt) - 1 : -1]
        found.append(float(likely.gather(1, ids[:, None]).sum()))
    return found


def with_features(model: Any, options: Options, *, parts: Sequence[int]) -> Options:
    """Return the same with tower features of visuals of so many frames each."""
    prompt = options.prompt
    features = tuple(
        tower_features(model, frames, **MEAN_AND_STD)
        for frames in torch.split(prompt.frames, list(parts))
    )
    shown = Prompt(prompt.record_id, prompt.input_ids, features=features)
    return Options(shown, options.option_ids)


def scored(model: Any, asked: Sequence[Options], **options: Any) -> list[tuple[float, ...]]:
    return option_log_likelihoods(model, asked, **MEAN_AND_STD, **options)


def assert_close(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> None:
    assert [len(values) for values in ours] == [len(values) for values in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert list(mine) == pytest.approx(list(other), rel=1e-5, abs=1e-5)


def test_they_are_those_of_transformers_one_by_one(model: Any, asked: list[Options]) -> None:
    expected = [by_transformers(model, options) for options in asked]
    assert_close(scored(model, asked), expected)


@pytest.mark.parametrize("name", ["packed_sdpa", "sdpa", "eager"])
def test_every_attention_gives_the_same(asked: list[Options], name: str) -> None:
    model = make_checkpoint().model
    expected = [by_transformers(model, options) for options in asked]
    set_attention(model, name)
    assert_close(scored(model, asked), expected)
    assert model.model.language_model.config._attn_implementation == name


@pytest.mark.parametrize("batch_tokens", [1, 20, 30, 50])
def test_rows_of_any_length_give_the_same(
    model: Any, asked: list[Options], batch_tokens: int
) -> None:
    assert_close(scored(model, asked, batch_tokens=batch_tokens), scored(model, asked))


def test_rows_stay_within_their_bounds(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    many = make_options(7, num_frames=1, num_words=4, lengths=[3] * 40)
    expected = by_transformers(model, many)
    lengths: list[int] = []
    forward = model.forward

    def measured(**inputs: Any) -> Any:
        lengths.append(inputs["input_ids"].shape[1])
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", measured)
    assert_close(scored(model, [many], batch_tokens=31), [expected])
    assert lengths == [31] * 4  # 11 tokens of the prompt, 2 of each of ten options
    lengths.clear()
    scores = 6 * model.config.text_config.vocab_size
    monkeypatch.setitem(likelihood.LOGITS_PER_ROW, "cpu", scores)
    assert_close(scored(model, [many]), [expected])
    assert lengths == [11 + 2 * 2] * 20


def test_features_give_what_their_frames_give(model: Any, asked: list[Options]) -> None:
    shown = [
        with_features(model, asked[0], parts=[1, 1]),
        with_features(model, asked[3], parts=[3]),
    ]
    assert_close(scored(model, shown), scored(model, [asked[0], asked[3]]))


def test_visuals_of_several_sides_may_stand_in_one_prompt(model: Any) -> None:
    options = make_options(5, num_frames=5, num_words=4, lengths=(2, 3))
    small, large = (torch.randn(1, places, 128) for places in (4, 16))
    ids, prompt = options.option_ids, options.prompt
    mixed = Options(Prompt("m", prompt.input_ids, features=(large, small)), ids)
    in_one = torch.cat([large, small], dim=1)
    as_one = Options(Prompt("o", prompt.input_ids, features=(in_one,)), ids)
    assert_close(scored(model, [mixed]), scored(model, [as_one]))
    swapped = Options(Prompt("s", prompt.input_ids, features=(small, large)), ids)
    assert scored(model, [swapped])[0] != pytest.approx(scored(model, [as_one])[0], rel=1e-3)


def test_a_model_in_training_is_left_as_it_was(asked: list[Options]) -> None:
    model = choose_trainable(make_checkpoint().model, ["projector", "language_model"])
    set_train_mode(model)
    before = {name: module.training for name, module in model.named_modules()}
    expected = scored(make_checkpoint().model, asked[:2])
    assert_close(scored(model, asked[:2]), expected)
    assert {name: module.training for name, module in model.named_modules()} == before
    assert len(set(before.values())) == 2


def test_nothing_asked_is_nothing_answered(model: Any) -> None:
    assert scored(model, []) == []


def test_wrong_places_and_sizes_are_refused(model: Any, asked: list[Options]) -> None:
    prompt = asked[0].prompt
    wrong = Options(Prompt("short", prompt.input_ids, prompt.frames[:1]), asked[0].option_ids)
    with pytest.raises(ValueError, match="prompt short has 8 image tokens for 1 frames of 4"):
        scored(model, [wrong])
    with pytest.raises(ValueError, match=r"batch_tokens \(0\) must be 1 or more"):
        scored(model, asked, batch_tokens=0)
    with pytest.raises(ValueError, match="prompt r0 has no options to compare"):
        Options(prompt, ())
    with pytest.raises(
        ValueError, match=r"option_ids must be int64 \(n,\).*got torch.int64 \(0,\)"
    ):
        Options(prompt, (torch.zeros(0, dtype=torch.int64),))


def test_a_model_that_forgets_is_refused(asked: list[Options]) -> None:
    model = make_checkpoint().model
    config = model.model.language_model.config
    config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(CheckpointError, match="sees only the last"):
        scored(model, asked)


ANSWERS = (
    "left",
    "It moves to the left.",
    "A",
    " A cat ",
    "3:4",
    "\u00e9t\u00e9",
    "two\nlines",
    ":",
)
TOKENIZERS = {
    "tiny": make_tokenizer,
    "llama": make_llama_tokenizer,
    "llama, not legacy": lambda: make_llama_tokenizer(legacy=False),
    "llama of files": make_prepend_tokenizer,
    "llama that joins": lambda: make_llama_tokenizer(joins_lines=True),
}


def assert_as_supervised(tokenizer: Any, answers: Sequence[str] = ANSWERS) -> None:
    """In full conversations, the same ids stand right behind the prompt, as answers."""
    image_token_id = add_image_token(tokenizer)
    clip = Media("video", "a.mp4")
    asking = {
        "one": (Turn("user", (clip, "\nWhich way does it move?")),),
        "several": (
            Turn("system", ("Be brief.",)),
            Turn("user", (clip, "\nWhat moves: a cat?")),
            Turn("assistant", ("Yes: it is a cat.",)),
            Turn("user", ("Which way",)),
        ),
    }
    for text in answers:
        for turns in asking.values():
            rules = {"tokenizer": tokenizer, "image_token_id": image_token_id}
            rules |= {"frames_per_media": [2], "tokens_per_frame": 4, "record_id": "r"}
            whole = encode_conversation((*turns, Turn("assistant", (text,))), **rules)
            prompt = encode_prompt(turns, **rules)
            ids = answer_ids(tokenizer, text)
            behind = whole.labels[len(prompt) :]
            assert whole.input_ids[: len(prompt)].equal(prompt)
            assert behind[: len(ids)].equal(ids), text
            assert (behind[len(ids) :] == IGNORE_INDEX).all()
            assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_answer_has_the_ids_that_training_supervises(name: str) -> None:
    assert_as_supervised(TOKENIZERS[name]())


def test_so_it_is_with_the_real_vocabulary(qwen_tokenizer: Any) -> None:
    assert_as_supervised(qwen_tokenizer, ANSWERS[:2])


def test_an_answer_follows_the_template() -> None:
    tokenizer = make_tokenizer()
    before = answer_ids(tokenizer, "left")
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "<|endoftext|>")
    assert not answer_ids(tokenizer, "left").equal(before)


def test_an_answer_without_words_is_refused() -> None:
    with pytest.raises(RecordError, match="option ' '"):
        answer_ids(make_tokenizer(), " ")
