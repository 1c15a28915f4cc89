"""A folder that is damaged, foreign or half there gives one line and exit code 2, by every command.

Each kind is made from a sound folder, so a command that does not look at it would succeed.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures_model import make_checkpoint
from flipbook.cli import main
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint

WEIGHTS = "model.safetensors"
NORM = "model.language_model.norm.weight"


def _json(folder: Path, name: str = "config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def _cut(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def _web_page(folder: Path) -> None:
    (folder / WEIGHTS).write_text("<!DOCTYPE html><html>Sign in to download</html>")


def _pointer(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\n")


class _Code:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _pickle_with_code(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({NORM: _Code(folder / "harm")}, file)


def _torch_file_with_code(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({NORM: _Code(folder / "harm")}, folder / "pytorch_model.bin")


def _training_state(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    torch.save({"model": {"a": torch.zeros(1)}, "step": 3}, folder / "pytorch_model.bin")


def _shards(folder: Path, *, where: str) -> None:
    names = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    weight_map = dict.fromkeys(names, "model-00001-of-00002.safetensors") | {NORM: where}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _clip_llava(folder: Path) -> None:
    _json(folder, model_type="llava_qwen2", mm_vision_tower="openai/clip-vit-large-patch14-336")


def _mlx_quantised(folder: Path) -> None:
    tensors = {
        "language_model.model.embed_tokens.scales": torch.zeros(320, 1),
        "language_model.model.embed_tokens.weight": torch.zeros(320, 8, dtype=torch.uint32),
    }
    _json(folder, quantization={"group_size": 64, "bits": 4})
    save_file(tensors, folder / WEIGHTS, metadata={"format": "mlx"})


def _gguf_only(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    (folder / "fastvlm-q4.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _half_written(folder: Path) -> None:
    folder.rename(folder.with_name(".model.partial"))
    folder.mkdir()


def _plain_qwen(folder: Path) -> None:
    _json(folder, model_type="qwen2", architectures=["Qwen2ForCausalLM"])


def _broken(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _without(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


HF_KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (_empty, "holds no config.json"),
    "half written": (_half_written, "holds no config.json"),
    "GGUF only": (_gguf_only, "holds no config.json"),
    "no weights": (_without(WEIGHTS), "holds no weights"),
    "no configuration": (_without("config.json"), "holds no config.json"),
    "broken configuration": (_broken("config.json", '{"model_type"'), "cannot be read as JSON"),
    "configuration is a list": (_broken("config.json", "[]"), "holds no JSON object"),
    "no tokenizer": (_without("tokenizer.json"), "tokenizer"),
    "broken tokenizer": (_broken("tokenizer.json", "{}"), "the tokenizer cannot be loaded"),
    "broken settings": (_broken("flipbook.json", "{"), "cannot be read as JSON"),
    "broken origin": (_broken("provenance.json", "{"), "cannot be read as JSON"),
    "wrong value": (lambda f: _json(f, vision_config=3), "config.json has a wrong value"),
    "other image token": (lambda f: _json(f, image_token_index=5), "<image> is 260 in the token"),
    "cut off": (_cut, "cut off or damaged"),
    "weights empty": (_broken(WEIGHTS, ""), "the file is empty"),
    "web page": (_web_page, "it is a web page"),
    "pointer": (_pointer, "pointer of Git LFS"),
    "code in a pickle": (_pickle_with_code, "the weights cannot be loaded"),
    "code in a torch file": (_torch_file_with_code, "the weights cannot be loaded"),
    "training state": (_training_state, "holds other things than named tensors"),
    "shard missing": (
        lambda f: _shards(f, where="model-00002-of-00002.safetensors"),
        "missing: mo",
    ),
    "shard outside": (lambda f: _shards(f, where="../x.safetensors"), "must name files of this"),
    "tensor missing": (lambda f: _weights(f, lambda t: t.pop(NORM)), f"1 missing: {NORM}"),
    "tensor too much": (
        lambda f: _weights(f, lambda t: t.update(extra=torch.zeros(2))),
        "1 unexpected: extra",
    ),
    "tensor of another shape": (
        lambda f: _weights(f, lambda t: t.update({NORM: torch.zeros(3)})),
        f"{NORM} [3] for [64]",
    ),
    "plain Qwen2": (_plain_qwen, "model_type 'qwen2', which is no FastVLM"),
    "LLaVA": (lambda f: _json(f, model_type="llava"), "model_type 'llava'"),
    "other language model": (
        lambda f: _json(f, text_config={"model_type": "gemma2"}),
        "the language model is a 'gemma2'",
    ),
}
APPLE_KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "CLIP-LLaVA": (_clip_llava, "This is some other LLaVA model"),
    "MLX-quantised": (_mlx_quantised, "exported for MLX or Core ML"),
    "Apple's, cut off": (_cut, "cut off or damaged"),
    "Apple's, tensor missing": (
        lambda f: _weights(f, lambda t: t.pop("model.norm.weight")),
        "1 missing: ",
    ),
    "Apple's, no sizes": (lambda f: _json(f, hidden_size=None), "no number under hidden_size"),
    "Apple's, other projector": (
        lambda f: _json(f, mm_projector_type="linear"),
        "mm_projector_type",
    ),
    "Apple's, wrong value": (lambda f: _json(f, hidden_act=3), "config.json has a wrong value"),
}
COMMANDS: dict[str, list[str]] = {
    "info": [],
    "export": ["--layout", "hf", "--out"],
    "chat": ["What is this?"],
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders that every kind is made from; all commands take them."""
    folder = tmp_path_factory.mktemp("sound")
    return {
        "hf": save_checkpoint(folder / "model", make_checkpoint()),
        "apple": save_apple_checkpoint(folder / "llava-model", make_checkpoint()),
    }


def _words(command: str, model: Path, out: Path) -> list[str]:
    given = [str(model)] if command == "info" else ["--model", str(model)]
    return [command, *given, *COMMANDS[command], *([str(out)] if command == "export" else [])]


@pytest.mark.parametrize("layout", ["hf", "apple"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_sound_folder_is_taken(
    sound: dict[str, Path], layout: str, command: str, tmp_path: Path
) -> None:
    assert main(_words(command, sound[layout], tmp_path / "out")) == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", [*HF_KINDS, *APPLE_KINDS])
def test_one_line_and_exit_code_5(
    kind: str,
    command: str,
    sound: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    layout = "hf" if kind in HF_KINDS else "apple"
    damage, message = (HF_KINDS | APPLE_KINDS)[kind]
    folder = Path(shutil.copytree(sound[layout], tmp_path / "llava-damaged"))
    damage(folder)
    capsys.readouterr()
    assert main(_words(command, folder, tmp_path / "out")) == 5
    printed = capsys.readouterr()
    assert message in printed.err
    (line,) = [line for line in printed.err.splitlines() if not line.startswith("Loading weights:")]
    assert line.startswith("flipbook: ")
    assert printed.out == ""
    assert not (folder / "harm").exists(), "code of a file was run"
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*.partial")) or kind == "half written"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"adapter_config.json": "{}"}, "adapter_model.safetensors|names no base"),
        (
            {"adapter_config.json": "{", "adapter_model.safetensors": ""},
            "cannot be read as JSON|is empty",
        ),
        ({"adapter_model.safetensors": ""}, "adapter_config.json"),
    ],
)
def test_half_an_adapter_is_one_line_too(
    command: str,
    files: dict[str, str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert main(_words(command, folder, tmp_path / "out")) == 5
    printed = capsys.readouterr()
    assert any(part in printed.err for part in message.split("|"))
    assert len(printed.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
