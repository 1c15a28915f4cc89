"""Which folder a name means, and what is said when it means none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from flipbook.errors import CheckpointError
from flipbook.model.folders import (
    find_folder,
    find_weight_files,
    is_adapter,
    plain_name,
    read_json,
    source_of,
)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find_folder(tmp_path) == tmp_path


def test_a_run_folder_means_its_model(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert find_folder(str(tmp_path)) == tmp_path / "model"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no config\.json.*run folder"):
        find_folder(tmp_path)


def test_an_adapter_wins_over_a_config_beside_it(tmp_path: Path) -> None:
    assert not is_adapter(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "config.json").write_text("{}")
    assert find_folder(tmp_path) == tmp_path
    assert is_adapter(tmp_path)


def test_a_run_that_left_an_adapter_only_means_its_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert find_folder(tmp_path) == tmp_path / "adapter"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert find_folder(tmp_path) == tmp_path / "model"


def test_an_adapter_without_its_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"no adapter_config\.json, which tells where"):
        find_folder(tmp_path)


def test_a_source_is_found_again_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert source_of("mine", Path("mine")) == str(tmp_path / "mine")
    assert source_of("someone/FastVLM-0.5B", tmp_path / "cache") == "someone/FastVLM-0.5B"
    assert source_of("tiny", find_folder("tiny")) == str(find_folder("tiny"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("someone/FastVLM-0.5B", "someone/FastVLM-0.5B"),
        ("/data/models/mine", "mine"),
        ("/data/runs/first/model", "first"),
        ("/data/runs/first/adapter", "first"),
        (str(find_folder("tiny")), "tiny"),
        ("", ""),
    ],
)
def test_a_plain_name_shows_no_folder_of_this_machine(source: str, name: str) -> None:
    assert plain_name(source) == name


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(CheckpointError, match="this is a file; give the folder"):
        find_folder(path)


def test_a_misspelt_folder_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "quickstart").mkdir()
    with pytest.raises(CheckpointError, match="Did you mean 'quickstart'"):
        find_folder(tmp_path / "quikstart")


def test_a_relative_folder_that_is_missing_is_not_sought_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(CheckpointError, match="Did you mean 'first'"):
        find_folder("runs/frist")


def test_a_misspelt_tiny_gets_a_suggestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="Did you mean 'tiny'"):
        find_folder("tinny")


def test_a_hub_id_is_downloaded_without_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def download(hub_id: str, *, allow_patterns: list[str]) -> str:
        assert hub_id == "someone/FastVLM-0.5B"
        asked.append(allow_patterns)
        (tmp_path / "config.json").write_text("{}")
        if len(asked) == 2:
            (tmp_path / "pytorch_model.bin").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_folder("someone/FastVLM-0.5B") == tmp_path
    assert ["*.bin" in patterns for patterns in asked] == [False, True]
    assert not any(pattern.endswith((".py", "*")) for patterns in asked for pattern in patterns)


def test_no_network_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(hub_id: str, **_: Any) -> str:
        raise LocalEntryNotFoundError("Cannot reach the hub.\nMore words.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(CheckpointError) as caught:
        find_folder("someone/FastVLM-0.5B")
    assert "Cannot reach the hub. Check the spelling and the network" in str(caught.value)
    assert "More words" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_a_damaged_json_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json.*again"):
        read_json(tmp_path / "config.json")


def test_words_named_like_sizes_are_words(tmp_path: Path) -> None:
    """As "layers", number 44198 of Qwen2's."""
    words = {"model": {"vocab": {"layers": 44198, "hidden_size": 151_000}}}
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_text(json.dumps(words))
    assert read_json(tmp_path / "tokenizer.json") == words
    with pytest.raises(CheckpointError, match="layers is 44198, and no model has more"):
        read_json(tmp_path / "config.json")


def test_no_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights"):
        find_weight_files(tmp_path)


def test_safetensors_come_before_bin(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    (tmp_path / "model.safetensors").touch()
    assert find_weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "one.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"missing: two\.safetensors"):
        find_weight_files(tmp_path)
    (tmp_path / "two.safetensors").touch()
    assert [path.name for path in find_weight_files(tmp_path)] == [
        "one.safetensors",
        "two.safetensors",
    ]


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", 3])
def test_an_index_names_only_files_of_its_folder(tmp_path: Path, shard: object) -> None:
    index = {"weight_map": {"a": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="must name files of this folder"):
        find_weight_files(tmp_path)
