"""Adapters: loaded onto their own base with equal logits, and onto no other."""

from __future__ import annotations

import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from fixtures_model import make_checkpoint, make_model
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.adapters.attach import merge_adapter
from flipbook.model.adapters.saving import save_adapter
from flipbook.model.adapters.trained_on import AdapterBase, describe_base
from flipbook.model.checkpoint import Checkpoint, load_as_stored, load_checkpoint
from flipbook.model.saving import save_checkpoint
from flipbook.model.tuning import LoraSettings, choose_trainable
from flipbook.video.settings import ClipSettings

ALL_PARTS = ("vision_tower", "projector", "language_model")
PIXELS = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits_of(model: Any) -> torch.Tensor:
    ids = torch.tensor([[model.config.image_token_id] * 8 + [70, 71, 72]])
    return model.eval()(input_ids=ids, pixel_values=PIXELS.to(model.dtype)).logits  # (1, L, V)


def tune(base: Path | str, *, parts: tuple[str, ...] = ALL_PARTS, rank: int = 2) -> Any:
    """Return a checkpoint of `base`, its PEFT model with every trainable weight moved, the base."""
    checkpoint = load_checkpoint(base)
    described = describe_base(checkpoint)
    torch.manual_seed(0)
    tuned = choose_trainable(checkpoint.model, parts, lora=LoraSettings(rank=rank, alpha=4))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        for name, buffer in tuned.named_buffers():
            if "modules_to_save" in name and "running_mean" in name:
                buffer += 0.05
    checkpoint.settings = ClipSettings(frame_size=128, num_frames=3, system_prompt="Look.")
    return checkpoint, tuned, described


def make_adapter(folder: Path, base: Path | str, **how: Any) -> tuple[Path, torch.Tensor]:
    checkpoint, tuned, described = tune(base, **how)
    save_adapter(folder, checkpoint, tuned=tuned, base=described)
    return folder, logits_of(tuned)


@pytest.fixture(scope="module")
def made(
    fast_vlm_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, torch.Tensor]:
    return make_adapter(tmp_path_factory.mktemp("made") / "adapter", fast_vlm_folder)


@pytest.fixture
def copied(made: tuple[Path, torch.Tensor], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def other_base(folder: Path, change: Callable[[Checkpoint], None]) -> Path:
    """Return a folder with a model that differs from the fixtures' in one respect."""
    checkpoint = make_checkpoint()
    change(checkpoint)
    return save_checkpoint(folder, checkpoint)


def test_beside_its_base_an_adapter_gives_the_very_logits(made: tuple[Path, torch.Tensor]) -> None:
    folder, expected = made
    loaded = load_checkpoint(folder, merge=False)
    assert torch.equal(logits_of(loaded.model), expected)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_merged_it_gives_them_within_rounding(
    made: tuple[Path, torch.Tensor], fast_vlm_folder: Path
) -> None:
    folder, expected = made
    loaded = load_checkpoint(folder)
    assert not isinstance(loaded.model, PeftModel)
    merged = logits_of(loaded.model)
    torch.testing.assert_close(merged, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(merged, logits_of(load_checkpoint(fast_vlm_folder).model), atol=0.01)


def test_every_weight_that_trained_is_in_the_file(tmp_path: Path, fast_vlm_folder: Path) -> None:
    checkpoint, tuned, described = tune(fast_vlm_folder)
    save_adapter(tmp_path, checkpoint, tuned=tuned, base=described)
    stored = {
        (tuple(tensor.shape), tensor.double().sum().item())
        for tensor in load_file(tmp_path / "adapter_model.safetensors").values()
    }
    for name, tensor in tuned.state_dict().items():
        if "lora_" in name or ".modules_to_save." in name:  # statistics of the tower, too
            assert (tuple(tensor.shape), tensor.double().sum().item()) in stored, name
    trainable = {name for name, p in tuned.named_parameters() if p.requires_grad}
    assert all("lora_" in name or ".modules_to_save." in name for name in trainable)


def test_words_settings_and_side_come_from_the_adapter(made: tuple[Path, torch.Tensor]) -> None:
    loaded = load_checkpoint(made[0])
    assert loaded.settings == ClipSettings(frame_size=128, num_frames=3, system_prompt="Look.")
    assert loaded.tokenizer.eos_token == "<|im_end|>"
    assert loaded.model.generation_config.eos_token_id == loaded.tokenizer.eos_token_id
    assert loaded.source == str(made[0])
    assert loaded.layout == "fast_vlm"


def test_plain_peft_loads_it(made: tuple[Path, torch.Tensor], fast_vlm_folder: Path) -> None:
    folder, expected = made
    base = AutoModelForImageTextToText.from_pretrained(fast_vlm_folder)
    assert torch.equal(logits_of(PeftModel.from_pretrained(base, str(folder))), expected)


def test_a_merged_adapter_saves_as_any_model(
    made: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    loaded = load_checkpoint(made[0])
    again = load_checkpoint(save_checkpoint(tmp_path / "whole", loaded)).model
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name]), name
    # Kernels choose their way by where a tensor begins in memory: 2e-6 apart with equal weights.
    torch.testing.assert_close(logits_of(again), logits_of(loaded.model), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_the_sum_is_rounded_once(
    made: tuple[Path, torch.Tensor], dtype: torch.dtype, fast_vlm_folder: Path
) -> None:
    half = load_checkpoint(made[0], dtype=dtype).model
    assert {parameter.dtype for parameter in half.parameters()} == {dtype}
    checkpoint, tuned, _ = tune(fast_vlm_folder)
    for name, parameter in tuned.named_parameters():
        if "lora_" not in name:
            parameter.data = parameter.data.to(dtype).float()  # what the base holds in memory
    exact = merge_adapter(tuned).state_dict()
    for name, tensor in half.state_dict().items():
        assert torch.equal(tensor, exact[name].to(tensor.dtype)), name
    beside = load_checkpoint(made[0], dtype=dtype, merge=False).model
    assert logits_of(beside).isfinite().all()


def test_the_layout_of_the_base_does_not_matter(
    made: tuple[Path, torch.Tensor], apple_folder: Path, tmp_path: Path
) -> None:
    folder, expected = made
    loaded = load_checkpoint(folder, base=apple_folder, merge=False)
    assert torch.equal(logits_of(loaded.model), expected)
    theirs, expected = make_adapter(tmp_path / "theirs", apple_folder)
    assert torch.equal(logits_of(load_checkpoint(theirs, merge=False).model), expected)
    assert load_checkpoint(theirs).research_only


def test_an_adapter_may_stand_on_an_adapter(
    made: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    second, expected = make_adapter(tmp_path / "second", made[0], rank=3)
    assert torch.equal(logits_of(load_checkpoint(second, merge=False).model), expected)
    half = load_checkpoint(second, dtype=torch.bfloat16)
    assert logits_of(half.model).isfinite().all()


def test_the_base_is_named_for_others_without_its_path(made: tuple[Path, torch.Tensor]) -> None:
    base = AdapterBase.load(made[0])
    assert base is not None
    assert (base.name, base.layout) == ("fast_vlm", "fast_vlm")
    assert str(made[0].parent) not in (made[0] / "base.json").read_text()


def test_the_embedded_model_is_found_on_another_machine(tmp_path: Path) -> None:
    folder, expected = make_adapter(tmp_path / "adapter", "tiny", parts=("language_model",))
    edit_json(folder / "adapter_config.json", base_model_name_or_path="/elsewhere/tiny/weights")
    assert torch.equal(logits_of(load_checkpoint(folder, merge=False).model), expected)


def test_stored_bits_are_kept(tmp_path: Path, made: tuple[Path, torch.Tensor]) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.to(torch.bfloat16)
    folder = save_checkpoint(tmp_path / "half", checkpoint)
    assert load_as_stored(folder).model.dtype == torch.bfloat16
    assert load_as_stored(made[0]).model.dtype == torch.float32
    adapter, expected = make_adapter(tmp_path / "adapter", folder)
    assert torch.equal(logits_of(load_checkpoint(adapter, merge=False).model), expected)
    assert load_checkpoint(adapter, dtype=None).model.dtype == torch.bfloat16


# A wrong base.


def reseed(checkpoint: Checkpoint) -> None:
    checkpoint.model.model.language_model.norm.weight.data[0] += 1e-3


def widen(checkpoint: Checkpoint) -> None:
    config = checkpoint.model.config
    config.text_config.intermediate_size = 192
    checkpoint.model = type(checkpoint.model)(config)


def learn_word(checkpoint: Checkpoint) -> None:
    checkpoint.tokenizer.add_tokens(["<new>"])


def untie(checkpoint: Checkpoint) -> None:
    checkpoint.model = make_model(260, tied=False)


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (reseed, [r"hash of language_model  [0-9a-f]{12}        [0-9a-f]{12}"]),
        (widen, [r"feed-forward width  128                 192"]),
        (learn_word, [r"number of words  261                 262"]),
        (untie, [r"tied head  True                False"]),
    ],
)
def test_another_base_is_refused_with_what_differs(
    made: tuple[Path, torch.Tensor],
    tmp_path: Path,
    change: Callable[[Checkpoint], None],
    rows: list[str],
) -> None:
    wrong = other_base(tmp_path / "wrong", change)
    with pytest.raises(
        CheckpointError, match="this adapter was trained on fast_vlm, and"
    ) as caught:
        load_checkpoint(made[0], base=wrong)
    head, titles, *table = str(caught.value).splitlines()
    assert str(wrong) in head
    assert "Give the one it was trained on as base." in head
    assert titles.split() == ["adapter", "trained", "on", "this", "base"]
    assert len(table) == len(rows)
    for line, row in zip(table, rows, strict=True):
        assert re.fullmatch(f"  {row}", line), line


def test_other_words_under_the_same_numbers_are_refused(copied: Path) -> None:
    base = AdapterBase.load(copied)
    assert base is not None
    edit_json(copied / "base.json", fingerprints=base.fingerprints | {"words": "0" * 32})
    with pytest.raises(CheckpointError, match="hash of words  000000000000"):
        load_checkpoint(copied)


def test_a_wrong_base_is_found_in_half_precision_too(
    made: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    load_checkpoint(made[0], dtype=torch.bfloat16)
    wrong = other_base(tmp_path / "wrong", reseed)
    with pytest.raises(CheckpointError, match="hash of language_model"):
        load_checkpoint(made[0], base=wrong, dtype=torch.bfloat16)


def test_beside_a_quantised_base_it_stays_apart_and_the_files_are_compared(
    made: tuple[Path, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(quantize: str | None, **_: object) -> dict[str, Any]:
        return (
            {"dtype": torch.bfloat16} if quantize else {}
        )  # as far from the stored bits as four of them would be

    monkeypatch.setattr("flipbook.model.checkpoint.quantization_kwargs", rounded)
    loaded = load_checkpoint(made[0], quantize="4bit")
    assert isinstance(loaded.model, PeftModel)
    wrong = other_base(tmp_path / "wrong", reseed)
    with pytest.raises(CheckpointError, match="hash of language_model"):
        load_checkpoint(made[0], base=wrong, quantize="4bit")


def test_a_base_that_has_moved_is_asked_for(
    copied: Path, tmp_path: Path, made: tuple[Path, torch.Tensor], fast_vlm_folder: Path
) -> None:
    edit_json(copied / "adapter_config.json", base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(
        CheckpointError, match=r"base of this adapter \(fast_vlm\) cannot"
    ) as caught:
        load_checkpoint(copied)
    assert "Give the model that it was trained on: --base MODEL" in str(caught.value)
    moved = load_checkpoint(copied, base=fast_vlm_folder, merge=False)
    assert torch.equal(logits_of(moved.model), made[1])


def test_a_base_that_is_given_wrongly_is_said_plainly(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no model folder"):
        load_checkpoint(copied, base=tmp_path / "gone")


def test_an_adapter_that_names_no_base_or_itself_is_refused(copied: Path) -> None:
    edit_json(copied / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="names no base model.*--base MODEL"):
        load_checkpoint(copied)
    edit_json(copied / "adapter_config.json", base_model_name_or_path=str(copied))
    with pytest.raises(CheckpointError, match="named as its own base"):
        load_checkpoint(copied)


def test_a_whole_model_needs_no_base(fast_vlm_folder: Path) -> None:
    with pytest.raises(ArgumentError, match="whole model and needs none. Leave it out"):
        load_checkpoint(fast_vlm_folder, base="tiny")


# Damaged and foreign adapters.


def test_truncated_weights_are_refused(copied: Path) -> None:
    path = copied / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors.*cut off or damaged"):
        load_checkpoint(copied)


def test_missing_weights_are_refused(copied: Path) -> None:
    (copied / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"and no adapter_model\.safetensors.*all of its"):
        load_checkpoint(copied)


def test_a_missing_configuration_is_refused(copied: Path) -> None:
    (copied / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"and no adapter_config\.json"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; flipbook reads LORA"),
        ({"target_modules": ["c_attn"]}, "cannot be applied to this model .*No modules"),
        ({"target_modules": ["q_proj"]}, r"does not fit this base \(\d+ unexpected: "),
        ({"r": 5}, r"does not fit this base \(\d+ of another shape: "),
        ({"modules_to_save": ["lm_head"]}, "trained lm_head, which this base holds once"),
        ({"modules_to_save": ["score"]}, "does not fit this base"),
        ({"r": -1}, "cannot be applied to this model .*should be a positive integer"),
        ({"modules_to_save": 3}, "is no configuration that peft can read"),
        ({"layers_to_transform": [0]}, "is no configuration that peft can read"),
    ],
)
def test_a_configuration_of_another_kind_is_refused(
    copied: Path, change: dict[str, Any], message: str
) -> None:
    edit_json(copied / "adapter_config.json", **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copied)


@pytest.mark.parametrize("name", ["adapter_config.json", "base.json", "provenance.json"])
def test_a_damaged_json_file_is_refused_by_name(copied: Path, name: str) -> None:
    (copied / name).write_text("{")
    with pytest.raises(CheckpointError, match=f"{name}.*cannot be read as JSON"):
        load_checkpoint(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprints": None}, "has no sound fingerprints, so nothing tells the base"),
        ({"format": 2}, "has another format"),
    ],
)
def test_a_base_file_of_another_kind_is_refused(
    copied: Path, change: dict[str, Any], message: str
) -> None:
    edit_json(copied / "base.json", **change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copied)


def test_a_tensor_too_few_or_too_many_is_named(copied: Path) -> None:
    path = copied / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "lora_A" in name)
    save_file({n: t for n, t in tensors.items() if n != name}, path)
    with pytest.raises(CheckpointError, match=rf"1 missing: {re.escape(name)}"):
        load_checkpoint(copied)
    save_file(tensors | {"more.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"1 unexpected: more\.weight"):
        load_checkpoint(copied)


def test_an_adapter_made_elsewhere_is_loaded_with_a_warning(
    tmp_path: Path, fast_vlm_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, tuned, _ = tune(fast_vlm_folder, parts=("language_model",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned.save_pretrained(tmp_path / "peft")
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        loaded = load_checkpoint(tmp_path / "peft", merge=False)
    assert torch.equal(logits_of(loaded.model), logits_of(tuned))
    assert "nothing tells whether it was trained on these very weights" in caplog.text
    assert loaded.settings is not None
    assert loaded.settings.num_frames == 4  # the base's
