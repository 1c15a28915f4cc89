"""Loading a model: nothing made up, nothing left over, nothing run, and the same logits."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import FastVlmForConditionalGeneration

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.licence import tell_licence

NORM = "model.language_model.norm.weight"


@pytest.fixture
def copied(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fast_vlm_folder, tmp_path / "copy"))


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def logits_of(loaded: Checkpoint, pixels: torch.Tensor) -> torch.Tensor:
    image_id = loaded.model.config.image_token_id
    words = loaded.tokenizer("Which way?")["input_ids"]
    ids = torch.tensor([[image_id] * 4 * len(pixels) + words])
    return loaded.model(input_ids=ids, pixel_values=pixels).logits  # (B, L, V)


def test_a_folder_gives_model_words_and_settings(fast_vlm_folder: Path) -> None:
    loaded = load_checkpoint(fast_vlm_folder)
    assert loaded.layout == "fast_vlm"
    assert loaded.settings is not None
    assert (loaded.settings.frame_size, loaded.settings.num_frames) == (128, 4)
    assert (loaded.image_mean, loaded.image_std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert not loaded.model.training
    assert loaded.model.dtype == torch.float32
    assert not loaded.research_only


def test_both_layouts_give_the_same_logits(fast_vlm_folder: Path, apple_folder: Path) -> None:
    pixels = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    ours, theirs = load_checkpoint(fast_vlm_folder), load_checkpoint(apple_folder)
    expected = logits_of(ours, pixels)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits_of(theirs, pixels), expected, rtol=0, atol=0)
    changed = logits_of(theirs, pixels.flip(0))
    assert not torch.allclose(changed[:, -1], expected[:, -1])  # it sees


def test_the_logits_are_those_of_plain_transformers(fast_vlm_folder: Path) -> None:
    plain = FastVlmForConditionalGeneration.from_pretrained(fast_vlm_folder).eval()
    loaded = load_checkpoint(fast_vlm_folder)
    pixels = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    expected = logits_of(Checkpoint(model=plain, tokenizer=loaded.tokenizer, settings=None), pixels)
    assert torch.equal(logits_of(loaded, pixels), expected)


def test_the_layout_is_told_by_config_and_not_by_the_name(
    apple_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(apple_folder, tmp_path / "fast_vlm-hf-FastVlmForConditionalGeneration")
    assert load_checkpoint(folder).layout == "llava_qwen2"


def test_the_end_of_a_turn_ends_generation(fast_vlm_folder: Path, apple_folder: Path) -> None:
    for folder in (fast_vlm_folder, apple_folder):
        loaded = load_checkpoint(folder)
        end = loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")
        assert loaded.model.generation_config.eos_token_id == end
        assert loaded.tokenizer.eos_token == "<|im_end|>"


def test_the_dtype_is_the_one_asked_for(fast_vlm_folder: Path) -> None:
    loaded = load_checkpoint(fast_vlm_folder, dtype=torch.bfloat16)
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("llava_mistral", "a LLaVA whose layout flipbook does not read yet"),
        ("qwen2_vl", "which is no FastVLM"),
        ("fastvlm", "Did you mean 'fast_vlm'"),
        (None, "model_type 'None'"),
    ],
)
def test_another_kind_of_model_is_refused(
    tmp_path: Path, model_type: str | None, message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(tmp_path)
    assert "fast_vlm, llava_qwen2" in str(caught.value)


def test_a_missing_tensor_is_named_and_never_made_up(copied: Path) -> None:
    edit_weights(copied, lambda state: state.pop(NORM))
    with pytest.raises(CheckpointError, match=f"1 missing: {NORM}"):
        load_checkpoint(copied)


def test_a_tensor_to_spare_is_named(copied: Path) -> None:
    edit_weights(copied, lambda state: state.update({"model.extra.weight": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match=r"1 unexpected: model\.extra\.weight"):
        load_checkpoint(copied)


def test_a_tensor_of_another_shape_is_named(copied: Path) -> None:
    edit_weights(copied, lambda state: state.update({NORM: torch.zeros(3)}))
    with pytest.raises(CheckpointError, match=r"another shape: .*norm\.weight \[3\] for \[64\]"):
        load_checkpoint(copied)


def test_a_tied_head_with_other_values_is_refused(copied: Path) -> None:
    edit_weights(copied, lambda state: state.update({"lm_head.weight": torch.zeros(320, 64)}))
    with pytest.raises(CheckpointError, match="stored lm_head differs from the embeddings"):
        load_checkpoint(copied)


def test_a_missing_head_that_is_not_tied_is_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    config["text_config"]["tie_word_embeddings"] = config["tie_word_embeddings"] = False
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"1 missing: lm_head\.weight"):
        load_checkpoint(copied)


def test_a_damaged_weight_file_is_refused(copied: Path) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="the weights cannot be loaded"):
        load_checkpoint(copied)


def test_an_image_token_that_two_files_number_differently_is_refused(copied: Path) -> None:
    edit_json(copied / "config.json", image_token_index=7)
    with pytest.raises(CheckpointError, match=r"<image> is 260 in the tokenizer and 7"):
        load_checkpoint(copied)


class Malice:
    """An object whose unpickling would make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("layout", ["fast_vlm", "apple"])
def test_pickled_code_is_never_run(
    fast_vlm_folder: Path, apple_folder: Path, tmp_path: Path, layout: str
) -> None:
    source = fast_vlm_folder if layout == "fast_vlm" else apple_folder
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    (folder / "model.safetensors").unlink()
    torch.save({"x": Malice(tmp_path / "mark")}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="the weights cannot be"):
        load_checkpoint(folder)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("layout", ["fast_vlm", "apple"])
def test_plain_bin_weights_are_read(
    fast_vlm_folder: Path, apple_folder: Path, tmp_path: Path, layout: str
) -> None:
    source = fast_vlm_folder if layout == "fast_vlm" else apple_folder
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    expected = load_checkpoint(source).model.state_dict()
    for name, tensor in load_checkpoint(folder).model.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_remote_code_is_never_run(copied: Path, tmp_path: Path) -> None:
    (copied / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\n")
    edit_json(copied / "config.json", auto_map={"AutoConfig": "evil.Config"})
    edit_json(
        copied / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Words", "evil.Words"]}
    )
    load_checkpoint(copied)
    assert not (tmp_path / "mark").exists()


def test_the_side_falls_back_to_the_configuration(copied: Path) -> None:
    (copied / "flipbook.json").unlink()
    (copied / "processor_config.json").unlink()
    loaded = load_checkpoint(copied)
    assert (loaded.settings, loaded.frame_size, loaded.aspect) == (None, 128, "pad")
    edit_json(copied / "config.json", image_seq_length=576)  # a default that is true of no FastVLM
    assert load_checkpoint(copied).frame_size == 1024


def test_apples_licence_is_told_once(
    apple_folder: Path, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (copied / "README.md").write_text("---\nlicense: apple-amlr\n---\n")
    tell_licence.cache_clear()
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        for folder in (apple_folder, copied, apple_folder):
            assert load_checkpoint(folder).research_only
    told = [record.getMessage() for record in caplog.records if record.name == "flipbook"]
    assert len(told) == 2
    assert all("research only" in message for message in told)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_quantising_without_a_gpu_is_refused(fast_vlm_folder: Path) -> None:
    with pytest.raises(ArgumentError, match="'4bit' needs a CUDA GPU"):
        load_checkpoint(fast_vlm_folder, quantize="4bit")
