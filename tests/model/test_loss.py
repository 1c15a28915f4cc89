"""A row of samples teaches what its conversations teach one by one, to the last digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from fixtures_rows import as_row, assert_equal_gradients, gradients, make_talk, separate_loss
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.model import head
from flipbook.model.attention import set_attention
from flipbook.model.fastvlm import encode_visuals
from flipbook.model.loss import supervised_loss, supervised_positions
from flipbook.model.tuning import LoraSettings, choose_trainable, set_train_mode

LENGTHS = (5, 14, 7, 9, 23, 4, 12, 6, 8, 31, 5, 11)


@pytest.fixture(params=["packed_sdpa"])
def model(request: pytest.FixtureRequest) -> Any:
    """A model whose projector and language model learn, in training mode."""
    model = choose_trainable(make_checkpoint().model, ["projector", "language_model"])
    set_train_mode(model)
    set_attention(model, request.param)
    return model


def _talks(model: Any) -> list[Any]:
    """A single question, a text, a clip with three questions, and one with two."""
    image = model.config.image_token_id
    return [
        make_talk(image, lengths=LENGTHS[:1], seed=1),
        make_talk(image, lengths=LENGTHS[1:2], num_frames=0, seed=2),
        make_talk(image, lengths=LENGTHS[2:5], num_frames=3, seed=3),
        make_talk(image, lengths=LENGTHS[5:7], seed=4),
    ]


def _assert_equal_to_separate(model: Any, talks: list[Any]) -> None:
    row = as_row(*talks)
    features = torch.cat(encode_visuals(model, row)) if "frames" in row else None
    ours = supervised_loss(model, row, features=features)
    theirs = separate_loss(model, *talks)
    torch.testing.assert_close(ours.loss, theirs, rtol=1e-6, atol=0)
    assert ours.num_targets == int((row["labels"] != IGNORE_INDEX).sum())
    assert_equal_gradients(gradients(model, ours.loss), gradients(model, theirs))


def test_positions_come_one_before_their_label() -> None:
    labels = torch.tensor([[-100, -100, 7, 8, -100]])
    assert supervised_positions(labels).tolist() == [[False, True, True, False, False]]


@pytest.mark.parametrize("num_questions", [1, 2, 3, 5, 8, 12])
def test_questions_of_one_clip_are_as_good_as_apart(model: Any, num_questions: int) -> None:
    talk = make_talk(model.config.image_token_id, lengths=LENGTHS[:num_questions])
    _assert_equal_to_separate(model, [talk])


@pytest.mark.parametrize("model", ["packed_sdpa", "eager", "sdpa"], indirect=True)
def test_clips_and_texts_in_a_row_are_as_good_as_apart(model: Any) -> None:
    _assert_equal_to_separate(model, _talks(model))


def test_a_row_of_texts_is_as_good_as_its_texts(model: Any) -> None:
    image = model.config.image_token_id
    _assert_equal_to_separate(
        model, [make_talk(image, lengths=[n], num_frames=0, seed=n) for n in (5, 14)]
    )


def test_so_it_is_with_few_logits_at_a_time(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head.LOGITS_PER_CALL, "cpu", 4 * model.config.text_config.vocab_size)
    _assert_equal_to_separate(model, _talks(model))


def test_so_it_is_with_activations_made_twice(model: Any) -> None:
    model.activation_checkpointing_enable()
    _assert_equal_to_separate(model, _talks(model))


def test_so_it_is_around_a_llama() -> None:
    model = choose_trainable(make_llama_checkpoint().model, ["projector", "language_model"])
    set_train_mode(model)
    set_attention(model, "packed_sdpa")
    _assert_equal_to_separate(model, _talks(model))


@pytest.mark.parametrize("remade", [False, True])
def test_so_it_is_with_lora(remade: bool) -> None:
    model = choose_trainable(
        make_checkpoint().model, ["projector", "language_model"], lora=LoraSettings(4, 8.0)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at the start, and then no A would learn
                weight.normal_(std=0.1)
    set_train_mode(model)
    set_attention(model, "packed_sdpa")
    if remade:
        model.enable_input_require_grads()
        model.activation_checkpointing_enable()
    _assert_equal_to_separate(model, _talks(model))


def test_a_tower_that_learns_sees_the_frames_in_the_forward_pass() -> None:
    model = make_checkpoint().model
    set_attention(model, "packed_sdpa")
    talks = _talks(model)
    ours = supervised_loss(model, as_row(*talks)).loss
    theirs = separate_loss(model, *talks)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)
    got, expected = gradients(model, ours), gradients(model, theirs)
    assert got.keys() == expected.keys()
    tower = [name for name in got if "vision_tower" in name and expected[name].norm() > 1e-6]
    assert len(tower) > 50
    for name in tower:
        assert (got[name] - expected[name]).norm() < 1e-2 * expected[name].norm(), name


def test_the_sum_may_be_divided_by_another_number(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5, 9)))
    features = torch.cat(encode_visuals(model, row))
    plain = supervised_loss(model, row, features=features)
    for divisor in (8, torch.tensor(8)):
        other = supervised_loss(model, row, features=features, num_items=divisor)
        torch.testing.assert_close(other.loss * 8, plain.loss * plain.num_targets)


def test_labels_may_be_smoothed(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(14,)))
    features = torch.cat(encode_visuals(model, row))
    smoothed = supervised_loss(model, row, features=features, label_smoothing=0.1).loss
    logits = model(
        input_ids=row["input_ids"], pixel_values=torch.cat(row["frames"]).float() / 255
    ).logits
    expected = torch.nn.functional.cross_entropy(
        logits[0, :-1], row["labels"][0, 1:], label_smoothing=0.1
    )
    torch.testing.assert_close(smoothed, expected, rtol=1e-6, atol=0)


def test_the_order_of_frames_matters(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5, 9)))
    features = torch.cat(encode_visuals(model, row))
    plain = supervised_loss(model, row, features=features).loss
    assert not torch.isclose(supervised_loss(model, row, features=features.flip(0)).loss, plain)


@pytest.fixture
def process_group() -> Iterator[None]:
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_so_it_is_in_a_distributed_run(model: Any) -> None:
    row = as_row(*_talks(model))
    features = torch.cat(encode_visuals(model, row))
    plain = gradients(model, supervised_loss(model, row, features=features).loss)
    parallel = DistributedDataParallel(model)
    loss = supervised_loss(parallel, row, features=features).loss
    assert_equal_gradients(
        {name.removeprefix("module."): g for name, g in gradients(parallel, loss).items()}, plain
    )


def test_the_head_is_as_it_was_afterwards(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5,)))
    features = torch.cat(encode_visuals(model, row))
    supervised_loss(model, row, features=features)
    assert "forward" not in vars(model.lm_head)
    plain = model.lm_head.forward
    model.lm_head.forward = plain  # as accelerate's hooks do
    with pytest.raises(Exception, match="do not match"):
        supervised_loss(model, row, features=features[:1])
    assert vars(model.lm_head)["forward"] is plain


def test_nothing_to_learn_is_an_error(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5,)))
    row["labels"] = torch.full_like(row["labels"], IGNORE_INDEX)
    with pytest.raises(ValueError, match="no token of the batch is supervised"):
        supervised_loss(model, row)


def test_stored_features_must_be_handed_in(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5,)))
    row["features"] = [torch.zeros(2, 4, 128)]
    with pytest.raises(ValueError, match="the batch holds stored features: hand them in"):
        supervised_loss(model, row)


def test_a_head_of_more_than_one_matrix_is_refused(model: Any) -> None:
    row = as_row(make_talk(model.config.image_token_id, lengths=(5,)))
    model.lm_head = torch.nn.Sequential(model.lm_head)
    with pytest.raises(ValueError, match="must be a linear layer without bias, got Sequential"):
        supervised_loss(model, row)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch reads it itself
def test_compiled_code_serves_rows_of_any_number_of_samples(model: Any) -> None:
    def row_of(num_samples: int) -> Any:
        lengths = [LENGTHS[number : number + 1 + number % 2] for number in range(num_samples)]
        image = model.config.image_token_id
        return as_row(*(make_talk(image, lengths=some, num_frames=0) for some in lengths))

    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager")
    for stance, numbers in (("default", (2, 3, 4)), ("fail_on_recompile", (5, 6, 7))):
        with torch.compiler.set_stance(stance):
            for row in map(row_of, numbers):
                torch.testing.assert_close(
                    supervised_loss(compiled, row).loss, supervised_loss(model, row).loss
                )
