"""Weight files: the dtype without reading a tensor, and one clear line for each kind of damage."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures_model import make_checkpoint
from flipbook.errors import CheckpointError
from flipbook.model import weights
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.model.weights import read_tensors, stored_dtype, stored_tensors

NORM = "model.language_model.norm.weight"
F32, BF16, F16, I64 = torch.float32, torch.bfloat16, torch.float16, torch.int64


class Malice:
    """An object whose unpickling would make a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def write(folder: Path, *, kind: str, state: dict[str, torch.Tensor]) -> Path:
    if kind == "safetensors":
        path = folder / "model.safetensors"
        save_file(state, path)
    else:
        path = folder / "pytorch_model.bin"
        torch.save(state, path, _use_new_zipfile_serialization=kind == "bin")
    return path


KINDS = ["safetensors", "bin", "old bin"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ([F32], F32),
        ([BF16, I64], BF16),
        ([F16], F16),
        ([BF16, F32], F32),
        ([F16, F32, I64], F32),
        ([BF16, F16], F32),  # neither holds all values of the other
        ([F32, torch.float64], torch.float64),
    ],
)
def test_the_widest_dtype_loses_nothing(
    tmp_path: Path, kind: str, dtypes: list[torch.dtype], expected: torch.dtype
) -> None:
    state = {str(place): torch.ones(2, 3, dtype=dtype) for place, dtype in enumerate(dtypes)}
    write(tmp_path, kind=kind, state=state)
    assert stored_dtype(tmp_path) == expected
    found = stored_tensors(tmp_path)
    assert [found[str(place)].dtype for place in range(len(dtypes))] == dtypes
    assert found["0"].shape == (2, 3)
    for name, tensor in read_tensors(tmp_path).items():
        assert torch.equal(tensor, state[name])


def test_weights_without_a_floating_dtype_are_refused(tmp_path: Path) -> None:
    write(tmp_path, kind="safetensors", state={"x": torch.zeros(2, dtype=torch.int8)})
    with pytest.raises(CheckpointError, match="no weight is stored in a floating dtype"):
        stored_dtype(tmp_path)


def test_no_tensor_is_read_for_the_dtype(tmp_path: Path) -> None:
    """A file of 64 GB on paper: only its header exists, and a hole as long as its tensors."""
    size = 1 << 36
    header = {"x": {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    assert stored_dtype(tmp_path) == BF16
    assert stored_tensors(tmp_path)["x"].shape == (size // 2,)


@pytest.mark.parametrize("dtype", [F32, BF16, F16])
def test_a_checkpoint_keeps_its_dtype_when_asked(tmp_path: Path, dtype: torch.dtype) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.to(dtype)
    for folder in (
        save_checkpoint(tmp_path / "hf", checkpoint),
        save_apple_checkpoint(tmp_path / "llava", checkpoint),
    ):
        model = load_checkpoint(folder, dtype=None).model
        assert {weight.dtype for weight in model.parameters()} == {dtype}


def test_mixed_dtypes_take_the_widest(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.model.vision_tower.to(BF16)
    expected = {name: value.float() for name, value in checkpoint.model.state_dict().items()}
    for folder in (
        save_checkpoint(tmp_path / "hf", checkpoint),
        save_apple_checkpoint(tmp_path / "llava", checkpoint),
    ):
        loaded = load_checkpoint(folder, dtype=None).model
        assert {weight.dtype for weight in loaded.parameters()} == {F32}
        assert all(torch.equal(v.float(), expected[n]) for n, v in loaded.state_dict().items())


PAGE = b"<!DOCTYPE html><html><body>Not found</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[: len(content) // 2], "the file is cut off or damaged"),
        (lambda content: content[:-5], "the file is cut off or damaged"),
        (lambda content: content[:20], "the file is cut off or damaged"),
        (lambda content: b"", "the file is empty. Download the file again"),
        (lambda content: PAGE, "it is a web page. Download"),
        (lambda content: b"\n " + PAGE, "it is a web page"),
        (lambda content: POINTER, "it is a pointer of Git LFS and not the file itself"),
    ],
)
def test_each_kind_of_damage_has_its_line(
    tmp_path: Path, kind: str, change: Callable[[bytes], bytes], message: str
) -> None:
    path = write(tmp_path, kind=kind, state={"x": torch.zeros(500)})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tensors(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{path}: the weights cannot be loaded")
    assert "\n" not in said
    assert "weights_only" not in said  # torch advises to run the file's code


@pytest.mark.parametrize("layout", ["fast_vlm", "apple"])
def test_pickled_code_is_named_and_never_run(
    fast_vlm_folder: Path, apple_folder: Path, tmp_path: Path, layout: str
) -> None:
    source = fast_vlm_folder if layout == "fast_vlm" else apple_folder
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state | {"x": Malice(tmp_path / "mark")}, folder / "pytorch_model.bin")
    for dtype in (F32, None):
        with pytest.raises(CheckpointError, match=r"wants to run \w+\.mkdir.*Nothing was run"):
            load_checkpoint(folder, dtype=dtype)
    assert not (tmp_path / "mark").exists()


def test_the_trap_would_shut_without_the_care(tmp_path: Path) -> None:
    """The pickle above is a live one: an unguarded reader runs it."""
    torch.save({"x": Malice(tmp_path / "mark")}, tmp_path / "x.bin")
    torch.load(tmp_path / "x.bin", weights_only=False)
    assert (tmp_path / "mark").is_dir()


def test_a_bin_of_other_things_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}, "step": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds other things than named tensors"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), RuntimeError("x: Cannot allocate memory")]
)
def test_a_sound_file_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    write(tmp_path, kind="safetensors", state={"x": torch.zeros(2)})

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(weights, "load_file", fail)
    with pytest.raises(CheckpointError, match="though the file may be sound"):
        read_tensors(tmp_path)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="cut off or damaged"):
        stored_tensors(tmp_path)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "parts", make_checkpoint(), max_shard_size="300KB")


def edit_index(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    path = folder / "model.safetensors.index.json"
    content = json.loads(path.read_text())
    change(content["weight_map"])
    path.write_text(json.dumps(content))


def test_a_shard_that_is_missing_is_named(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=f"files that are missing: {shard.name}"):
        load_checkpoint(sharded)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "sub/x.safetensors"])
def test_an_index_may_not_name_a_file_elsewhere(sharded: Path, name: str) -> None:
    edit_index(sharded, lambda weight_map: weight_map.update({NORM: name}))
    with pytest.raises(CheckpointError, match="must name files of this folder"):
        load_checkpoint(sharded)


def test_an_index_that_promises_too_much_is_refused(sharded: Path) -> None:
    edit_index(sharded, lambda weight_map: weight_map.update({"model.x": weight_map[NORM]}))
    with pytest.raises(CheckpointError, match=r"holds model\.x, and it does not \(1 such tensors"):
        load_checkpoint(sharded)


def test_an_index_that_forgets_a_tensor_is_refused(sharded: Path) -> None:
    edit_index(sharded, lambda weight_map: weight_map.pop(NORM))
    with pytest.raises(CheckpointError, match=f"does not name {NORM}"):
        load_checkpoint(sharded)


def test_a_tensor_in_two_files_is_refused(sharded: Path) -> None:
    first, second = sorted(sharded.glob("*.safetensors"))[:2]
    name, tensor = next(iter(load_file(first).items()))
    save_file(load_file(second) | {name: tensor + 1}, second, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"{name} is in {first.name}, too"):
        load_checkpoint(sharded)


def test_an_index_without_its_head_is_refused(sharded: Path) -> None:
    path = sharded / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": json.loads(path.read_text())["weight_map"]}))
    with pytest.raises(CheckpointError, match="the weights cannot be loaded"):
        load_checkpoint(sharded)


def test_a_weight_beyond_float16_is_refused_where_it_would_become_infinite(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    name, variance = next(
        item for item in checkpoint.model.state_dict().items() if "running_var" in item[0]
    )
    variance[0] = 1e5
    save_checkpoint(tmp_path, checkpoint)
    with pytest.raises(CheckpointError, match=rf"ends at 65504, and 1 weights .*{name}"):
        load_checkpoint(tmp_path, dtype=F16)
    load_checkpoint(tmp_path, dtype=BF16)


def _apple_folder_with(tmp_path: Path, field: dict[str, object]) -> Path:
    folder = save_apple_checkpoint(tmp_path / "llava", make_checkpoint())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | field), encoding="utf-8")
    return folder


@pytest.mark.parametrize("field", [{"num_attention_heads": 0}, {"rope_theta": "1e6"}])
def test_a_configuration_of_which_no_model_can_be_built_is_told(
    tmp_path: Path, field: dict[str, object]
) -> None:
    folder = _apple_folder_with(tmp_path, field)
    with pytest.raises(CheckpointError, match=r"no model can be built from config\.json"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "field",
    [
        {"image_aspect_ratio": ["pad"]},
        {"rope_scaling": "x"},
        {"rope_parameters": [1]},
        {"mm_vision_tower": "mobileclip_l_0"},
        {"mm_vision_tower": "mobileclip_l_100"},
    ],
)
def test_a_field_of_another_kind_is_told_by_its_name(
    tmp_path: Path, field: dict[str, object]
) -> None:
    folder = _apple_folder_with(tmp_path, field)
    with pytest.raises(CheckpointError, match=rf'config\.json: "{next(iter(field))}" is'):
        load_checkpoint(folder)
