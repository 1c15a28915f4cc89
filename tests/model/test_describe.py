"""What is known of a model without loading it, and that it is what loading it finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures_model import make_checkpoint
from flipbook.errors import CheckpointError
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.describe import ADAPTER_ALONE, SAMPLE_QUESTION, describe
from flipbook.model.provenance import Provenance
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.model.tuning import part_sizes

PROVENANCE = Provenance(
    base="someone/FastVLM-0.5B",
    base_layout="fast_vlm",
    trained={"vision_tower": 0, "projector": 12_544, "language_model": 900},
    lora=None,
    data=[{"file": "train.json", "sha256": "ab", "num_records": 3, "split": "train"}],
    recipe={"num_steps": 2},
    versions={},
)


@pytest.fixture
def copied(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fast_vlm_folder, tmp_path / "model"))


@pytest.fixture(scope="module")
def full_apple_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_checkpoint(num_frames=2, system_prompt="Be brief.")
    checkpoint.provenance = PROVENANCE
    return save_apple_checkpoint(tmp_path_factory.mktemp("apple") / "llava-small", checkpoint)


def _rewrite(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    return {size.part: size.num_weights for size in part_sizes(checkpoint.model)}


@pytest.mark.parametrize("kind", ["fast_vlm_folder", "full_apple_folder", "tiny"])
def test_it_is_what_loading_finds(kind: str, request: pytest.FixtureRequest) -> None:
    name = kind if kind == "tiny" else request.getfixturevalue(kind)
    found, loaded = describe(name), load_checkpoint(name, dtype=None)
    assert found.layout == loaded.layout
    assert found.language_model == loaded.model.config.text_config.model_type
    assert {part.part: part.num_weights for part in found.parts} == _sizes(loaded)
    assert found.num_words == len(loaded.tokenizer)
    assert found.image_token_id == loaded.model.config.image_token_id
    assert found.vocabulary_rows == loaded.model.get_input_embeddings().weight.shape[0]
    assert found.context_tokens == loaded.model.config.text_config.max_position_embeddings
    assert found.settings == loaded.clip_settings
    assert found.research_only == loaded.research_only
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    assert [part.dtypes for part in found.parts] == [(dtype,)] * 3


def test_no_weight_is_read(fast_vlm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("load", "frombuffer"):
        monkeypatch.setattr(torch, name, None)
    monkeypatch.setattr("flipbook.model.weights.load_file", None)
    assert describe(fast_vlm_folder).parts


def test_sizes_on_disk_are_those_of_the_files(fast_vlm_folder: Path) -> None:
    found = describe(fast_vlm_folder)
    assert (
        found.file_bytes["model.safetensors"]
        == (fast_vlm_folder / "model.safetensors").stat().st_size
    )
    assert sum(part.num_bytes for part in found.parts) < found.file_bytes["model.safetensors"]


def test_every_dtype_of_a_part_is_told(copied: Path) -> None:
    path = copied / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "multi_modal_projector" in name)
    save_file(tensors | {name: tensors[name].half()}, path, metadata={"format": "pt"})
    dtypes = {part.part: part.dtypes for part in describe(copied).parts}
    assert dtypes["projector"] == ("float16", "float32")
    assert dtypes["vision_tower"] == ("float32",)


def test_the_prompt_is_that_of_one_clip(full_apple_folder: Path) -> None:
    found = describe(full_apple_folder)
    assert found.template_name == "qwen_2"
    assert found.prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<image>\n<image>\n"
        f"{SAMPLE_QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_of_its_own_is_called_so(copied: Path) -> None:
    path = copied / "chat_template.jinja"
    path.write_text(path.read_text().replace("You are a helpful assistant.", "Be kind."))
    found = describe(copied)
    assert found.template_name == "own"
    assert "Be kind." in str(found.prompt)


def test_settings_that_are_not_saved_come_from_the_other_files(apple_folder: Path) -> None:
    found = describe(apple_folder)
    assert not found.settings_saved
    assert found.settings is not None
    assert (found.settings.frame_size, found.settings.aspect) == (128, "pad")
    assert describe("tiny").settings_saved


def test_what_trained_is_told(full_apple_folder: Path) -> None:
    assert describe(full_apple_folder).provenance == PROVENANCE


def test_faults_of_apples_contract_are_told(full_apple_folder: Path, tmp_path: Path) -> None:
    (narrow,) = describe(full_apple_folder).apple_faults
    assert "only flipbook reads this folder" in narrow
    folder = Path(shutil.copytree(full_apple_folder, tmp_path / "llava-copy"))
    _rewrite(folder, unfreeze_mm_vision_tower=False)
    faults = describe(folder).apple_faults
    assert narrow in faults
    assert any("unfreeze_mm_vision_tower" in fault for fault in faults)


def test_a_folder_in_hugging_faces_layout_has_no_such_faults(fast_vlm_folder: Path) -> None:
    assert describe(fast_vlm_folder).apple_faults == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2"}, "model_type 'qwen2', which is no FastVLM"),
        ({"model_type": "llava"}, "model_type 'llava', which is a LLaVA"),
        ({"text_config": {"model_type": "gemma"}}, "the language model is a 'gemma'"),
        ({"text_config": None}, "the weights do not fit config.json"),
        ({"vision_config": {"model_type": "timm_wrapper"}}, "do not fit config.json|no model can"),
        ({"vision_config": 3}, "wrong value .*vision_config"),
    ],
)
def test_a_configuration_that_cannot_be_loaded_is_not_described(
    copied: Path, changes: dict[str, object], message: str
) -> None:
    _rewrite(copied, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        describe(copied)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named(copied: Path) -> None:
    path = copied / "model.safetensors"
    tensors = load_file(path)
    norm = tensors.pop("model.language_model.norm.weight")
    save_file(tensors | {"extra": norm}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 missing: model\.language_model\.norm\.weight; 1"):
        describe(copied)
    tensors["model.language_model.norm.weight"] = torch.zeros(3)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"norm\.weight \[3\] for \[64\]"):
        describe(copied)


def test_another_image_token_than_the_configurations_is_refused(copied: Path) -> None:
    _rewrite(copied, image_token_index=5)
    with pytest.raises(CheckpointError, match=r"<image> is 260 in the tokenizer and 5"):
        describe(copied)


def test_an_adapter_is_described_without_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "/secret/place/base", "r": 4, "lora_alpha": 8})
    )
    with pytest.raises(CheckpointError, match="holds adapter_config.json and no adapter_model"):
        describe(tmp_path)
    save_file({"a": torch.zeros(4, 3)}, tmp_path / "adapter_model.safetensors")
    found = describe(tmp_path)
    assert found.layout == ADAPTER_ALONE
    assert found.adapter is not None
    assert (found.adapter.base, found.adapter.rank, found.adapter.num_weights) == ("base", 4, 12)
    assert (found.prompt, found.num_words, found.settings, found.parts) == (None, None, None, ())


def test_an_adapter_beside_a_runs_model_is_told(fast_vlm_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(fast_vlm_folder, tmp_path / "model")
    assert describe(tmp_path).adapter is None
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "a/b", "r": 4, "lora_alpha": 8})
    )
    save_file({"a": torch.zeros(2)}, adapter / "adapter_model.safetensors")
    found = describe(tmp_path).adapter
    assert found is not None
    assert (found.base, found.alpha, found.dtypes) == ("a/b", 8, ("float32",))


def test_a_run_is_its_model(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.provenance = PROVENANCE
    save_checkpoint(tmp_path / "model", checkpoint)
    found = describe(tmp_path)
    assert found.folder == str(tmp_path / "model")
    assert found.provenance == PROVENANCE
