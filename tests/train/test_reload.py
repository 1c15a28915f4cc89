"""Does all that trained come back from every folder that a run leaves, or is exported to?"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from fixtures_data import Tune
from flipbook.errors import StorageError, TrainingError
from flipbook.export.write import export_model
from flipbook.model.checkpoint import load_checkpoint
from flipbook.train import finish, run
from flipbook.train.sound.read_back import refuse_other_tensors

pytestmark = pytest.mark.guarantee(6)
ALL = "vision_tower projector language_model"
SAVED = {"save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2, "warmup_steps": 0}
PIXELS = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def logits_of(model: Any) -> Tensor:
    """Return what a model says to two frames and some words.

    It is asked of a copy: where in memory weights begin, as they come out of a file, decides which
    code of a CPU multiplies them, and so the last bit of a sum.
    """
    model = copy.deepcopy(model)
    image = model.config.image_token_id
    ids = torch.tensor([[image] * 8 + [70, 71, 72]])
    with torch.no_grad():
        logits: Tensor = model.eval()(input_ids=ids, pixel_values=PIXELS).logits
    return logits[..., :256]  # the words that every layout has under the same numbers


def rounded(model: Any, dtype: torch.dtype) -> Any:
    """Return a copy whose weights are those of `dtype`, in float32."""
    found = copy.deepcopy(model)
    for tensor in found.state_dict().values():
        tensor.copy_(tensor.to(dtype) if tensor.is_floating_point() else tensor)
    return found


@pytest.fixture
def tune_and_ask(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function: flags -> run folder, logits in memory after the last step."""

    def tuned(*, as_saved: torch.dtype = torch.float32, **flags: Any) -> tuple[Path, Tensor]:
        seen: list[Tensor] = []
        save_run = run.save_run

        def ask_and_save(trainer: Any, *args: Any, **kwargs: Any) -> Path:
            seen.append(logits_of(rounded(trainer.model, as_saved)))
            return save_run(trainer, *args, **kwargs)

        monkeypatch.setattr(run, "save_run", ask_and_save)
        return tune(**SAVED, **flags).run_folder, seen[0]

    return tuned


PARTS = [
    pytest.param(ALL, marks=[]),
    *(
        pytest.param(parts, marks=pytest.mark.slow)
        for parts in (
            "vision_tower",
            "projector",
            "language_model",
            "vision_tower projector",
            "vision_tower language_model",
            "projector language_model",
        )
    ),
]


@pytest.mark.parametrize("parts", PARTS)
def test_every_folder_gives_the_logits_that_were_in_memory(
    tune_and_ask: Any, tmp_path: Path, parts: str
) -> None:
    folder, logits = tune_and_ask(train_parts=parts, save_dtype="float32")
    export_model(folder, layout="apple", out=tmp_path / "fastvlm-llava_qwen2")
    export_model(folder, layout="hf", out=tmp_path / "hf")
    for place in ("run/model", "run/checkpoint-2", "run", "hf", "fastvlm-llava_qwen2"):
        assert torch.equal(logits_of(load_checkpoint(tmp_path / place).model), logits), place
    for place in ("run/model", "hf"):
        plain = AutoModelForImageTextToText.from_pretrained(tmp_path / place)
        assert torch.equal(logits_of(plain), logits), place


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["language_model", "projector language_model", ALL])
def test_an_adapter_and_its_merged_model_give_them_too(
    tune_and_ask: Any, tmp_path: Path, parts: str
) -> None:
    folder, logits = tune_and_ask(train_parts=parts, lora_r=2, train_batch_norm=parts == ALL)
    for place in ("run/adapter", "run/checkpoint-2"):
        apart = load_checkpoint(tmp_path / place, merge=False).model
        assert torch.equal(logits_of(apart), logits), place
    merged = logits_of(load_checkpoint(folder / "adapter").model)
    assert torch.allclose(merged, logits, rtol=0, atol=1e-4)  # W + BA is rounded once
    export_model(folder, layout="apple", out=tmp_path / "fastvlm-llava_qwen2", merge_lora=True)
    export_model(folder, layout="hf", out=tmp_path / "hf", merge_lora=True)
    for place in ("run/model", "hf", "fastvlm-llava_qwen2"):
        assert torch.equal(logits_of(load_checkpoint(tmp_path / place).model), merged), place


@pytest.mark.slow
def test_a_model_saved_in_bfloat16_gives_those_of_its_rounded_weights(
    tune_and_ask: Any, tmp_path: Path
) -> None:
    folder, logits = tune_and_ask(as_saved=torch.bfloat16, train_parts=ALL, save_dtype="bfloat16")
    assert torch.equal(logits_of(load_checkpoint(folder).model), logits)


def _flip(path: Path, name: str) -> None:
    tensors = load_file(path)
    tensors[name].view(-1)[-1].view(torch.int32).bitwise_xor_(1)
    save_file(tensors, path)


STATE = {"a": torch.arange(4.0), "tied": torch.arange(4.0), "b": torch.ones(2, 2)}


def test_what_the_disk_gives_back_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({name: STATE[name].clone() for name in ("a", "b")}, path)
    refuse_other_tensors(tmp_path, STATE)
    _flip(path, "b")
    with pytest.raises(StorageError, match="does not hold what was written to it: b read back"):
        refuse_other_tensors(tmp_path, STATE)
    save_file({"a": STATE["a"].clone(), "c": STATE["b"].clone()}, path)
    with pytest.raises(StorageError, match="written to it: c read back"):
        refuse_other_tensors(tmp_path, STATE)
    save_file({"a": STATE["a"].clone()}, path)
    with pytest.raises(StorageError, match="written to it: b read back"):
        refuse_other_tensors(tmp_path, STATE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match="cannot be read back"):
        refuse_other_tensors(tmp_path, STATE)
    with pytest.raises(TrainingError, match="^b is not finite"):
        refuse_other_tensors(tmp_path, STATE | {"b": torch.tensor(torch.inf)})


def test_a_run_whose_model_was_not_written_right_ends_with_an_error(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = finish.save_checkpoint

    def save(folder: Path, *args: Any, **kwargs: Any) -> Path:
        written = real(folder, *args, **kwargs)
        _flip(written / "model.safetensors", "model.multi_modal_projector.linear_1.bias")
        return written

    monkeypatch.setattr(finish, "save_checkpoint", save)
    with pytest.raises(
        StorageError, match=r"model\.multi_modal_projector\.linear_1\.bias read back"
    ):
        tune(max_steps=1)
    assert not (tmp_path / "run" / "model").exists()
