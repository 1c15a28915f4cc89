"""The contract with Apple's code: each field removed and spoilt, with what the checker says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from fixtures_llama import make_llama_checkpoint
from fixtures_model import make_checkpoint
from flipbook.errors import CheckpointError
from flipbook.model.apple import contract as apple_contract
from flipbook.model.apple.contract import broken_rules, check_apple_folder, clip_tokens, name_fault
from flipbook.model.apple.names import CONSTANT_TENSOR
from flipbook.model.apple.tensors import to_apple_state
from flipbook.model.saving import save_apple_checkpoint
from flipbook.model.weights import StoredTensor
from flipbook.video.settings import ClipSettings

TINY_TOWER = (
    "the tower is [16, 32, 32, 32, 64] wide and Apple's code builds FastViTHD "
    "([96, 192, 384, 768, 1536]) alone, so only flipbook reads this folder."
)
SIZE = "the size of the language model. Otherwise Apple's code builds a language model of another"
SAID = {  # what is wanted, and what happens otherwise
    "model_type": '"llava_qwen2". Otherwise Apple\'s code does not know the model',
    "architectures": (
        '["LlavaQwen2ForCausalLM"]. Otherwise no program can tell the class that reads it'
    ),
    "hidden_size": f"{SIZE} size",
    "intermediate_size": f"{SIZE} size",
    "num_hidden_layers": f"{SIZE} size",
    "num_attention_heads": f"{SIZE} size",
    "num_key_value_heads": f"{SIZE} size",
    "vocab_size": (
        "320, the rows of the stored embeddings. Otherwise the stored embeddings do not fit"
    ),
    "rope_theta": (
        "the number the model was trained with (FastVLM: 1000000). Otherwise Apple's code takes "
        "10000 without a word, and answers wrongly"
    ),
    "tie_word_embeddings": (
        "true or false. Otherwise Apple's code takes false, and makes up a head that is not stored"
    ),
    "eos_token_id": (
        "257, the tokenizer's end of an answer. Otherwise no answer ends before it is cut off"
    ),
    "mm_vision_tower": (
        '"mobileclip_l_" and the side in px, a multiple of 64. Otherwise Apple\'s code knows no '
        "such tower"
    ),
    "unfreeze_mm_vision_tower": "true. Otherwise the tower stays random without a word",
    "mm_hidden_size": (
        "128, the width of the stored projector. Otherwise the stored projector does not fit"
    ),
    "mm_projector_type": (
        '"mlp2x_gelu". Otherwise Apple\'s code builds one linear layer, and the stored projector '
        "is not read"
    ),
    "mm_use_im_start_end": (
        "false. Otherwise Apple's predict.py fails, or adds words to the prompt"
    ),
    "mm_use_im_patch_token": (
        "false. Otherwise Apple's code adds the word <im_patch>, which has no trained row"
    ),
    "image_aspect_ratio": (
        '"pad" or "square". Otherwise Apple\'s code crops pictures to their middle without a word'
    ),
    "tokenizer_model_max_length": (
        "1044 or more, which a clip and its question need. Otherwise readers cut a longer prompt "
        "without a word"
    ),
}
SPOILT: dict[str, Any] = {
    "model_type": "llava_qwen",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": "64",
    "intermediate_size": 0,
    "num_hidden_layers": True,
    "num_attention_heads": -4,
    "num_key_value_heads": 2.0,
    "vocab_size": 321,
    "rope_theta": "1e6",
    "tie_word_embeddings": 1,
    "eos_token_id": 258,
    "mm_vision_tower": "mobileclip_l_100",
    "unfreeze_mm_vision_tower": False,
    "mm_hidden_size": 3072,
    "mm_projector_type": "linear",
    "mm_use_im_start_end": True,
    "mm_use_im_patch_token": True,
    "image_aspect_ratio": "anyres",
    "tokenizer_model_max_length": 1000,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_apple_checkpoint(tmp_path_factory.mktemp("x") / "llava", make_checkpoint())


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "llava"))


def edit_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_is_written_keeps_the_contract(written: Path) -> None:
    assert broken_rules(written) == []
    assert check_apple_folder(written) == [TINY_TOWER]


def test_the_tower_of_every_release_is_no_fault(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        model = FastVlmForConditionalGeneration(FastVlmConfig())
    shapes = {
        name: StoredTensor(tensor.dtype, tuple(tensor.shape))
        for name, tensor in to_apple_state(model.state_dict()).items()
    }
    monkeypatch.setattr(apple_contract, "stored_tensors", lambda _: shapes)
    assert apple_contract.limits(written) == []


@pytest.mark.parametrize("field", list(SAID))
def test_a_field_that_is_missing_is_told(folder: Path, field: str) -> None:
    edit_json(folder / "config.json", lambda config: config.pop(field))
    expected = f'config.json: no "{field}"; give {SAID[field]}.'
    assert check_apple_folder(folder) == [expected, TINY_TOWER]


@pytest.mark.parametrize("field", list(SAID))
def test_a_field_that_is_spoilt_is_told(folder: Path, field: str) -> None:
    value = SPOILT[field]
    edit_json(folder / "config.json", lambda config: config.update({field: value}))
    expected = f'config.json: "{field}" is {value!r}; give {SAID[field]}.'
    assert check_apple_folder(folder) == [expected, TINY_TOWER]


def test_an_image_id_that_is_no_word_is_told(folder: Path) -> None:
    edit_json(folder / "config.json", lambda config: config.update(image_token_index=260))
    assert broken_rules(folder) == [
        'config.json: "image_token_index" is 260; give no such field, for <image> is no word of '
        "the tokenizer. Otherwise readers that go by it find no picture in a prompt of Apple's "
        "Python, where a picture is -200."
    ]


def test_the_swift_apps_folder_keeps_the_contract(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint(), for_swift=True)
    assert broken_rules(folder) == []
    edit_json(folder / "config.json", lambda config: config.update(image_token_index=7))
    assert "for <image> is the word 260." in broken_rules(folder)[0]


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file_of_words_is_told(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert broken_rules(folder) == [
        f"there is no {name}. Otherwise, as now, Apple's code cannot build its tokenizer."
    ]


@pytest.mark.parametrize(("given", "shown"), [(None, "None"), ("TokenizersBackend", None)])
def test_another_tokenizer_class_is_told(folder: Path, given: str | None, shown: str) -> None:
    edit_json(folder / "tokenizer_config.json", lambda config: config.update(tokenizer_class=given))
    assert broken_rules(folder) == [
        f'tokenizer_config.json: "tokenizer_class" is {shown or repr(given)}; give '
        '"Qwen2Tokenizer". Otherwise Apple\'s code finds no tokenizer for its model.'
    ]


def test_apples_own_folders_without_the_newer_file_are_checked_too(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert broken_rules(folder) == []
    edit_json(folder / "config.json", lambda config: config.update(eos_token_id=258))
    assert len(broken_rules(folder)) == 1


def test_fewer_rows_than_words_are_told(folder: Path) -> None:
    def shorten(state: dict[str, torch.Tensor]) -> None:
        for name in ("lm_head.weight", "model.embed_tokens.weight"):
            state[name] = state[name][:200].clone()

    edit_weights(folder, shorten)
    edit_json(folder / "config.json", lambda config: config.update(vocab_size=200))
    assert broken_rules(folder) == [
        "the embeddings have 200 rows and the tokenizer 260 words. Otherwise, as now, Apple's "
        "code makes up the missing rows at random."
    ]


@pytest.mark.parametrize(
    "name", [CONSTANT_TENSOR, "model.mm_projector.0.weight", "model.embed_tokens.weight"]
)
def test_a_tensor_that_the_check_needs_is_told(folder: Path, name: str) -> None:
    edit_weights(folder, lambda state: state.pop(name))
    assert (
        f"the weights hold no {name}. Otherwise, as now, Apple's code makes it up at random."
        in broken_rules(folder)
    )


def test_any_other_tensor_is_told_by_name(folder: Path) -> None:
    edit_weights(folder, lambda state: state.pop("model.norm.weight"))
    (fault,) = broken_rules(folder)
    assert "do not fit config.json (1 missing: model.language_model.norm.weight)" in fault


def test_a_head_is_needed_only_where_it_is_not_tied(folder: Path) -> None:
    edit_weights(folder, lambda state: state.pop("lm_head.weight"))
    assert broken_rules(folder) == []
    edit_json(folder / "config.json", lambda config: config.update(tie_word_embeddings=False))
    assert "the weights hold no lm_head.weight" in broken_rules(folder)[0]


def test_missing_shards_and_settings_are_told(tmp_path: Path) -> None:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint(), max_shard_size="300KB")
    (folder / "flipbook.json").write_text("{")
    assert "flipbook.json: cannot be read as JSON" in broken_rules(folder)[0]
    next(folder.glob("model-00002*")).unlink()
    assert "names weight files that are missing: model-00002" in broken_rules(folder)[0]


def test_without_config_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read as JSON"):
        check_apple_folder(tmp_path)


def test_the_name_of_the_folder_is_told(folder: Path, tmp_path: Path) -> None:
    assert name_fault(folder) is None
    other = folder.rename(tmp_path / "mine")
    assert check_apple_folder(other)[0] == (
        "the folder is named 'mine'; give a name with llava in it, such as 'llava-mine'. "
        "Otherwise Apple's code loads a language model without eyes."
    )
    (tmp_path / "llava-link").symlink_to(other)  # Apple's code goes by what it is given
    assert name_fault(tmp_path / "llava-link") is name_fault(Path("llava/checkpoint-9")) is None
    assert name_fault(Path("LLaVA-Mistral")) == (
        "the folder is named 'LLaVA-Mistral'; give a name without 'mistral'. Otherwise Apple's "
        "code takes it for a model of that kind."
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_frames": 8}, 8 * 17 + 1024),
        ({"num_frames": 8, "sampler": "fps", "max_frames": 100}, 100 * 17 + 1024),
    ],
)
def test_the_longest_clip_counts(settings: dict[str, Any], expected: int) -> None:
    assert clip_tokens(ClipSettings(frame_size=256, **settings)) == expected


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_llama_checkpoint()
    return save_apple_checkpoint(tmp_path_factory.mktemp("x") / "llava-v1", checkpoint)


def test_a_llama_lacks_only_what_no_writer_can_make(llama_folder: Path, tmp_path: Path) -> None:
    assert broken_rules(llama_folder) == []
    assert check_apple_folder(llama_folder) == [
        "the tokenizer came without tokenizer.model, which LLaVA's code reads; copy the file of "
        "the language model into the folder.",
        TINY_TOWER,
    ]
    folder = Path(shutil.copytree(llama_folder, tmp_path / "llava"))
    (folder / "tokenizer.model").write_bytes(b"x")
    edit_json(folder / "config.json", lambda config: config.pop("rope_theta"))
    assert check_apple_folder(folder) == [TINY_TOWER]  # 10000, as Llama has it


@pytest.mark.parametrize("field", ["architectures", "eos_token_id"])
def test_a_llama_has_fields_of_its_own(llama_folder: Path, tmp_path: Path, field: str) -> None:
    folder = Path(shutil.copytree(llama_folder, tmp_path / "llava"))
    wanted = {"architectures": '["LlavaLlamaForCausalLM"]', "eos_token_id": "2, the tokenizer's"}
    edit_json(folder / "config.json", lambda config: config.pop(field))
    assert broken_rules(folder)[0].startswith(f'config.json: no "{field}"; give {wanted[field]}')
