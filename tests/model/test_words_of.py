"""Words and settings of a model are those that loading it finds, and no weight is read for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.adapters.saving import save_adapter
from flipbook.model.adapters.trained_on import describe_base
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.saving import save_checkpoint
from flipbook.model.tuning import LoraSettings, choose_trainable
from flipbook.model.weights import stored_tensors
from flipbook.model.words_of import load_words_of
from flipbook.video.settings import ClipSettings

TEXT = "<|im_start|>user\n<image>\n Wie geht’s? 猫<|im_end|>\n"


@pytest.fixture(scope="module")
def adapter_folder(fast_vlm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = load_checkpoint(fast_vlm_folder)
    described = describe_base(checkpoint)
    lora = LoraSettings(rank=2, alpha=4)
    tuned = choose_trainable(checkpoint.model, ("language_model",), lora=lora)
    checkpoint.settings = ClipSettings(frame_size=128, num_frames=3, system_prompt="Look.")
    folder = tmp_path_factory.mktemp("run") / "adapter"
    save_adapter(folder, checkpoint, tuned=tuned, base=described)
    return folder


@pytest.mark.parametrize(
    "kind", ["fast_vlm_folder", "apple_folder", "llava_llama_folder", "adapter_folder", "tiny"]
)
def test_it_is_what_loading_finds(kind: str, request: pytest.FixtureRequest) -> None:
    name = kind if kind == "tiny" else request.getfixturevalue(kind)
    found, loaded = load_words_of(name), load_checkpoint(name)
    assert found.settings == loaded.clip_settings
    assert found.tokenizer(TEXT)["input_ids"] == loaded.tokenizer(TEXT)["input_ids"]
    assert found.tokenizer.chat_template == loaded.tokenizer.chat_template
    assert found.tokenizer.eos_token_id == loaded.tokenizer.eos_token_id
    config, wanted = found.config, loaded.model.config
    assert found.tokenizer.convert_tokens_to_ids("<image>") == config.image_token_id
    assert config.image_token_id == wanted.image_token_id
    assert found.context_tokens == wanted.text_config.max_position_embeddings
    assert config.text_config.hidden_size == wanted.text_config.hidden_size
    assert config.text_config.vocab_size == wanted.text_config.vocab_size
    assert config.vision_config.model_args == wanted.vision_config.model_args


def test_no_weight_is_read(fast_vlm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("load", "frombuffer"):
        monkeypatch.setattr(torch, name, None)
    monkeypatch.setattr("flipbook.model.weights.load_file", None)
    assert load_words_of(fast_vlm_folder).context_tokens > 0


def test_a_run_folder_is_its_model(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model", make_checkpoint(num_frames=7, system_prompt="Be brief."))
    settings = load_words_of(tmp_path).settings
    assert (settings.num_frames, settings.system_prompt) == (7, "Be brief.")


def test_an_adapter_without_settings_of_its_own_has_its_bases(
    adapter_folder: Path, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    assert load_words_of(adapter_folder).settings.system_prompt == "Look."
    folder = Path(shutil.copytree(adapter_folder, tmp_path / "adapter"))
    for name in ("flipbook.json", "base.json"):
        (folder / name).unlink()
    found = load_words_of(folder)
    assert found.settings == load_words_of(fast_vlm_folder).settings


def test_an_adapter_whose_base_is_gone_takes_another_place_for_it(
    adapter_folder: Path, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapter_folder, tmp_path / "adapter"))
    path = folder / "adapter_config.json"
    content = json.loads(path.read_text()) | {"base_model_name_or_path": str(tmp_path / "gone")}
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="the base of this adapter .* cannot be found"):
        load_words_of(folder)
    assert load_words_of(folder, base=fast_vlm_folder).settings.num_frames == 3


def test_a_base_for_a_whole_model_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"a base \(x\) is given for tiny, which is a whole"):
        load_words_of("tiny", base="x")


def test_an_adapter_with_another_image_token_than_its_base_is_refused(
    adapter_folder: Path, tmp_path: Path
) -> None:
    base = make_checkpoint()
    base.tokenizer.add_tokens(["<more>"], special_tokens=True)
    save_checkpoint(tmp_path / "base", base)
    path = tmp_path / "base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_token_index": 261}))
    words = tmp_path / "base" / "tokenizer.json"
    text = words.read_text().replace('"<image>"', '"<swap>"').replace('"<more>"', '"<image>"')
    words.write_text(text.replace('"<swap>"', '"<more>"'))
    with pytest.raises(CheckpointError, match="<image> is 260 in the tokenizer and 261 in"):
        load_words_of(adapter_folder, base=tmp_path / "base")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2"}, "model_type 'qwen2', which is no FastVLM"),
        ({"image_token_index": 5}, r"<image> is 260 in the tokenizer and 5"),
        ({"vision_config": 3}, "wrong value .*vision_config"),
        ({"text_config": {"model_type": "qwen2", "hidden_size": 32}}, "do not fit|no model can"),
    ],
)
def test_what_cannot_be_loaded_gives_no_words(
    fast_vlm_folder: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    folder = Path(shutil.copytree(fast_vlm_folder, tmp_path / "model"))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(CheckpointError, match=message):
        load_words_of(folder)


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"no model folder 'tinny'.*Did you mean 'tiny'"):
        load_words_of("tinny")


def test_a_hub_id_is_read_without_its_weights(
    fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(fast_vlm_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    asked = []

    def facts(hub_id: str) -> SimpleNamespace:
        asked.append(hub_id)
        return SimpleNamespace(folder=folder, tensors=stored_tensors(fast_vlm_folder))

    monkeypatch.setattr("flipbook.model.words_of.fetch_facts", facts)
    found = load_words_of("someone/FastVLM-small")
    assert asked == ["someone/FastVLM-small"]
    assert found.settings == load_words_of(fast_vlm_folder).settings
