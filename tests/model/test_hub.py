"""A model on the hub is described from its headers; the hub itself is played."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    NotASafetensorsRepoError,
    RepositoryNotFoundError,
)
from safetensors import safe_open
from safetensors.torch import save_file
from torch import zeros

from flipbook.errors import CheckpointError
from flipbook.model.describe import describe
from flipbook.model.folders import SMALL_FILES
from flipbook.model.hub import hub_reason

(UNREACHABLE, *_) = HfHubHTTPError.__bases__


class _Named:
    """An object of the hub's answers: only its attributes count."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def _header(path: Path) -> _Named:
    with safe_open(path, framework="pt") as file:
        views = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        tensors = {
            name: _Named(dtype=view.get_dtype(), shape=view.get_shape())
            for name, view in views.items()
        }
    return _Named(tensors=tensors)


class PlayedHub:
    """The hub with one model, which lies in a folder."""

    def __init__(self, folder: Path, cache: Path, error: Exception | None = None) -> None:
        self.folder, self.cache, self.error = folder, cache, error

    def model_info(self, hub_id: str, *, files_metadata: bool) -> _Named:
        assert files_metadata
        if self.error is not None:
            raise self.error
        files = [_Named(rfilename=p.name, size=p.stat().st_size) for p in self.folder.iterdir()]
        return _Named(siblings=files)

    def snapshot_download(self, hub_id: str, *, allow_patterns: list[str]) -> str:
        assert not any("safetensors" in pattern or pattern == "*" for pattern in allow_patterns)
        ignore = shutil.ignore_patterns("*.safetensors")
        return str(shutil.copytree(self.folder, self.cache, ignore=ignore, dirs_exist_ok=True))

    def get_safetensors_metadata(self, hub_id: str) -> _Named:
        path = self.folder / "model.safetensors"
        if not path.is_file():
            raise NotASafetensorsRepoError("no safetensors")
        return _Named(files_metadata={path.name: _header(path)})

    def parse_safetensors_file_metadata(self, hub_id: str, name: str) -> _Named:
        return _header(self.folder / name)


@pytest.fixture
def played(fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedHub:
    folder = Path(shutil.copytree(fast_vlm_folder, tmp_path / "on_the_hub"))
    hub = PlayedHub(folder, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def test_a_model_on_the_hub_is_described_like_one_here(played: PlayedHub) -> None:
    there, here = describe("someone/FastVLM-0.5B"), describe(played.folder)
    assert there.parts == here.parts
    assert there.file_bytes == here.file_bytes
    assert there.prompt == here.prompt
    assert there.settings == here.settings
    assert not list(played.cache.glob("*.safetensors"))


def test_an_adapter_on_the_hub_is_described(played: PlayedHub) -> None:
    shutil.rmtree(played.folder)
    played.folder.mkdir()
    config = {"base_model_name_or_path": "someone/base", "r": 4, "lora_alpha": 8}
    (played.folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({"a": zeros(2, 3)}, played.folder / "adapter_model.safetensors")
    found = describe("someone/laps").adapter
    assert found is not None
    assert (found.base, found.num_weights) == ("someone/base", 6)


def test_pickled_weights_are_not_fetched_to_be_described(played: PlayedHub) -> None:
    (played.folder / "model.safetensors").rename(played.folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds no safetensors.*Download the model and give"):
        describe("someone/FastVLM-0.5B")


class _Response:
    headers: dict[str, str] = {}
    request = None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UNREACHABLE("[Errno 111] Connection refused"), "Connection refused. Check the spelling"),
        (OSError("Offline mode is enabled."), "Offline mode is enabled. Check the spelling"),
        (HFValidationError("Repo id must not end with '-'."), "must not end with '-'. Check"),
        (
            RepositoryNotFoundError(
                "401 Client Error.\nmore\nNo such model.", response=_Response()
            ),
            "401 Client Error. No such model. Check the spelling",
        ),
    ],
)
def test_what_the_hub_says_is_one_line(played: PlayedHub, error: Exception, message: str) -> None:
    played.error = error
    with pytest.raises(CheckpointError) as caught:
        describe("someone/FastVLM-0.5B")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "the hub did not describe it" in str(caught.value)


def test_an_error_without_words_has_the_name_of_its_kind() -> None:
    assert hub_reason(TimeoutError()) == "TimeoutError."


def test_no_weight_file_is_among_the_small_ones() -> None:
    assert not [pattern for pattern in SMALL_FILES if "safetensors" in pattern or ".bin" in pattern]
