"""An export is whole or not there, goes where it is asked to, and names no folder of its maker."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from fixtures_model import make_checkpoint
from fixtures_video import MakeClip
from flipbook.errors import ArgumentError, CheckpointError, FlipbookError, StorageError
from flipbook.export import homes
from flipbook.export.homes import ExportOptions
from flipbook.export.write import Exported, export_model
from flipbook.model.adapters.attach import merge_adapter
from flipbook.model.adapters.saving import save_adapter
from flipbook.model.adapters.trained_on import describe_base
from flipbook.model.apple.contract import broken_rules
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.describe import describe
from flipbook.model.provenance import Provenance
from flipbook.model.saving import save_checkpoint
from flipbook.model.tuning import LoraSettings, choose_trainable


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without LoRA: its model, its scores."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    checkpoint = make_checkpoint(num_frames=2)
    checkpoint.provenance = Provenance(
        base="someone/FastVLM-0.5B",
        base_layout="fast_vlm",
        trained={"projector": 12_544},
        lora=None,
        data=[],
        recipe={"optimizer_steps": 2},
        versions={},
    )
    save_checkpoint(folder / "model", checkpoint)
    scores = {"tuned": {"mean": 0.75, "a": 0.75}, "num_questions": {"tuned": {"a": 8}}}
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture(scope="module")
def lora_run(fast_vlm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with LoRA as training leaves it: its adapter, and the model with it merged in."""
    folder = tmp_path_factory.mktemp("runs") / "lora"
    checkpoint = load_checkpoint(fast_vlm_folder)
    base = describe_base(checkpoint)
    settings = LoraSettings(rank=2, alpha=4)
    tuned: Any = choose_trainable(checkpoint.model, ["projector", "language_model"], lora=settings)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn_like(weight)
    save_adapter(folder / "adapter", checkpoint, tuned=tuned, base=base)
    checkpoint.model = merge_adapter(tuned)
    save_checkpoint(folder / "model", checkpoint)
    return folder


def _logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[257, 70, 71, 72, 260, 260, 260, 260, 73]])
    frames = torch.linspace(0, 1, 3 * 128 * 128).view(1, 3, 128, 128)
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids, pixel_values=frames).logits
    return logits


def _same_weights(first: Any, second: Any) -> bool:
    """Whether two models hold the same bits; logits vary with where a file puts its tensors."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(tensor, theirs[name]) for name, tensor in ours.items()
    )


def _refused(
    out: Path,
    message: str,
    *args: Any,
    kind: type[FlipbookError] = ArgumentError,
    **kwargs: Any,
) -> None:
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else None
    with pytest.raises(kind, match=message):
        export_model(*args, out=out, **kwargs)
    after = sorted(out.parent.iterdir()) if out.parent.is_dir() else None
    assert after == before, "something is left behind"


def test_a_run_becomes_a_folder_that_plain_transformers_loads(
    run_folder: Path, tmp_path: Path
) -> None:
    done = export_model(run_folder, layout="hf", out=tmp_path / "mine")
    assert isinstance(done, Exported)
    assert (
        done.file_bytes["model.safetensors"]
        == (tmp_path / "mine" / "model.safetensors").stat().st_size
    )
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "mine")
    assert _same_weights(plain, load_checkpoint(run_folder).model)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_is_known_of_the_run_goes_along(run_folder: Path, tmp_path: Path) -> None:
    export_model(run_folder, layout="hf", out=tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "| tuned | 0.750 | 8 |" in card
    assert "base_model: someone/FastVLM-0.5B" in card
    assert Provenance.load(tmp_path / "mine") == Provenance.load(run_folder / "model")
    again = export_model(tmp_path / "mine", layout="apple", out=tmp_path / "llava-mine")
    card = (again.folder / "README.md").read_text()
    assert "base_model: someone/FastVLM-0.5B" in card
    assert "## Scores" not in card
    assert Provenance.load(again.folder) == Provenance.load(run_folder / "model")


def test_scores_of_an_evaluation_are_taken_where_training_left_none(
    run_folder: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (run / "evaluation").mkdir()
    (run / "scores.json").rename(run / "evaluation" / "scores.json")
    done = export_model(run, layout="hf", out=tmp_path / "mine")
    assert "| tuned | 0.750 | 8 |" in (done.folder / "README.md").read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"tuned": {"mean": 1}}', "null"])
def test_damaged_scores_are_named(run_folder: Path, tmp_path: Path, text: str) -> None:
    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    (run / "scores.json").write_text(text)
    message = r"scores\.json: cannot be read as scores .*Evaluate again, or remove"
    _refused(tmp_path / "mine", message, run, layout="hf")


def test_the_way_through_apples_layout_changes_no_bit(run_folder: Path, tmp_path: Path) -> None:
    apple = export_model(run_folder, layout="apple", out=tmp_path / "llava-mine")
    assert broken_rules(apple.folder) == []
    back = export_model(apple.folder, layout="hf", out=tmp_path / "back")
    before = load_file(run_folder / "model" / "model.safetensors")
    after = load_file(back.folder / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_take_the_dtype_that_is_asked_for(
    run_folder: Path, tmp_path: Path, dtype: str
) -> None:
    options = ExportOptions(dtype=dtype)
    done = export_model(run_folder, layout="hf", out=tmp_path / "mine", options=options)
    stored = load_file(done.folder / "model.safetensors").values()
    assert {t.dtype for t in stored if t.is_floating_point()} == {getattr(torch, dtype)}
    kept = export_model(done.folder, layout="hf", out=tmp_path / "kept")
    stored = load_file(kept.folder / "model.safetensors").values()
    assert {t.dtype for t in stored if t.is_floating_point()} == {getattr(torch, dtype)}


def test_large_files_are_split(run_folder: Path, tmp_path: Path) -> None:
    for layout in ("hf", "apple"):
        out = tmp_path / f"llava-{layout}"
        options = ExportOptions(max_shard_size="400KB")
        done = export_model(run_folder, layout=layout, out=out, options=options)
        assert "model.safetensors.index.json" in done.file_bytes
        assert len([name for name in done.file_bytes if name.endswith(".safetensors")]) > 1
        found = load_checkpoint(done.folder).model
        assert _same_weights(found, load_checkpoint(run_folder).model)


def test_only_apples_app_is_told_of_the_image_token(run_folder: Path, tmp_path: Path) -> None:
    for name, for_swift in (("llava-python", None), ("llava-swift", True)):
        options = ExportOptions(for_swift=for_swift)
        done = export_model(run_folder, layout="apple", out=tmp_path / name, options=options)
        config = json.loads((done.folder / "config.json").read_text())
        assert ("image_token_index" in config) == bool(for_swift)


def test_no_file_names_a_folder_of_this_machine(
    run_folder: Path, lora_run: Path, tmp_path: Path
) -> None:
    lora = lora_run
    for number, (model, layout, merge) in enumerate(
        [(run_folder, "hf", False), (run_folder, "apple", False), (lora, "hf", False)]
        + [(lora, "hf", True)]
    ):
        out = tmp_path / "out" / f"llava-{number}"
        done = export_model(model, layout=layout, out=out, merge_lora=merge)
        for path in done.folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert b"/tmp/" not in content, path.name
            assert str(Path.home()).encode() + b"/" not in content, path.name
            assert str(tmp_path).encode() not in content, path.name


def test_a_run_with_lora_gives_its_adapter(lora_run: Path, tmp_path: Path) -> None:
    done = export_model(lora_run, layout="hf", out=tmp_path / "mine")
    assert done.home == "adapter"
    assert "adapter_model.safetensors" in done.file_bytes
    assert "model.safetensors" not in done.file_bytes
    assert "library_name: peft" in (done.folder / "README.md").read_text()


def test_a_run_with_lora_and_its_adapter_are_described(lora_run: Path) -> None:
    whole, alone = describe(lora_run), describe(lora_run / "adapter")
    assert whole.adapter == alone.adapter
    assert alone.adapter is not None
    assert (alone.adapter.base, alone.adapter.rank) == ("fast_vlm", 2)
    assert (alone.prompt, alone.num_words) == (whole.prompt, whole.num_words)
    assert alone.image_token_id == whole.image_token_id
    assert alone.parts == ()


def test_plain_peft_and_flipbook_load_the_adapter(
    lora_run: Path, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    done = export_model(lora_run, layout="hf", out=tmp_path / "mine")
    base = AutoModelForImageTextToText.from_pretrained(fast_vlm_folder)
    untuned = _logits(base)
    plain = _logits(PeftModel.from_pretrained(base, done.folder))
    ours = load_checkpoint(done.folder, base=fast_vlm_folder, merge=False)
    assert torch.allclose(plain, _logits(ours.model), atol=1e-5)
    assert not torch.allclose(plain, untuned, atol=1e-2)


def test_a_merged_run_is_a_whole_model(lora_run: Path, tmp_path: Path) -> None:
    done = export_model(lora_run, layout="hf", out=tmp_path / "a", merge_lora=True)
    assert done.home == "hf"
    assert "adapter_model.safetensors" not in done.file_bytes
    merged = load_checkpoint(lora_run / "model").model
    assert _same_weights(load_checkpoint(done.folder).model, merged)


def test_an_adapter_is_merged_into_the_base_that_is_named(
    lora_run: Path, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(fast_vlm_folder, tmp_path / "moved"))
    adapter = lora_run / "adapter"
    for number, model in enumerate((lora_run, adapter)):
        out = tmp_path / f"llava-{number}"
        done = export_model(model, layout="apple", out=out, merge_lora=True, base=moved)
        merged = _logits(load_checkpoint(lora_run / "model").model)
        assert torch.allclose(_logits(load_checkpoint(done.folder).model), merged, atol=1e-5)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", "float32"), ("bf16", "bfloat16")])
def test_an_adapter_is_merged_in_the_precision_it_was_trained_in(
    lora_run: Path, run_folder: Path, tmp_path: Path, precision: str, dtype: str
) -> None:
    adapter = Path(shutil.copytree(lora_run / "adapter", tmp_path / "adapter"))
    (adapter / "base.json").unlink()  # the base below has other weights
    origin = Provenance.load(run_folder / "model")
    assert origin is not None
    dataclasses.replace(origin, recipe={"precision": precision}).save(adapter)
    out = tmp_path / "mine"
    base = run_folder / "model"
    done = export_model(adapter, layout="hf", out=out, merge_lora=True, base=base)
    stored = load_file(done.folder / "model.safetensors").values()
    assert {t.dtype for t in stored if t.is_floating_point()} == {getattr(torch, dtype)}


def test_the_adapter_in_the_run_of_a_model_named_by_itself_is_no_matter(
    lora_run: Path, tmp_path: Path
) -> None:
    done = export_model(lora_run / "model", layout="hf", out=tmp_path / "mine")
    assert done.home == "hf"


@pytest.mark.parametrize(
    ("layout", "arguments", "message"),
    [
        ("apple", {}, "is a LoRA adapter, which has no form of its own in the layout apple. Write"),
        ("hf", {"base": "tiny"}, "--base is read with --merge_lora alone"),
        ("hf", {"options": ExportOptions(dtype="float16")}, "--dtype cannot change an adapter"),
        (
            "hf",
            {"options": ExportOptions(dtype="float16", max_shard_size="1GB")},
            "--dtype and --max_shard_size cannot change an adapter",
        ),
    ],
)
def test_what_an_adapter_cannot_do_is_refused(
    tmp_path: Path, layout: str, arguments: dict[str, Any], message: str
) -> None:
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    (tmp_path / "run" / "adapter" / "adapter_config.json").write_text("{}")
    _refused(tmp_path / "llava", message, tmp_path / "run", layout=layout, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"merge_lora": True}, "--merge_lora is for LoRA adapters, and .* holds a whole model"),
        ({"base": "tiny"}, "--base is for LoRA adapters"),
        ({"layout": "hugging"}, "--layout 'hugging' is unknown; known are hf, apple, mlx"),
        ({"layout": "appel"}, "Did you mean 'apple'"),
        ({"layout": "apple"}, r"--out .*mine: the folder is named 'mine'; give a name with llava"),
        ({"options": ExportOptions(dtype="int8")}, "--dtype 'int8' is not possible with --layout"),
        (
            {"options": ExportOptions(for_swift=True)},
            "--for_swift does nothing for --layout hf: leave it out. It is read for apple.",
        ),
        (
            {"layout": "mlx", "options": ExportOptions(max_shard_size="1GB")},
            "--max_shard_size does nothing for --layout mlx.*read for hf, apple",
        ),
        (
            {"layout": "onnx", "options": ExportOptions(dtype="bfloat16")},
            "'bfloat16' is not possible with --layout onnx; possible are stored, float32, float16",
        ),
        (
            {"options": ExportOptions(max_shard_size="5 apples")},
            "--max_shard_size '5 apples' is no size: give",
        ),
        ({"options": ExportOptions(max_shard_size="0GB")}, "--max_shard_size '0GB' is no size"),
    ],
)
def test_what_does_not_apply_is_refused_and_not_ignored(
    fast_vlm_folder: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    _refused(tmp_path / "mine", message, fast_vlm_folder, **({"layout": "hf"} | arguments))


def test_a_folder_that_is_taken_is_left_alone(fast_vlm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    message = "is there already and not empty. Give a new folder"
    _refused(tmp_path / "taken", message, fast_vlm_folder, layout="hf")
    _refused(tmp_path / "taken" / "thesis.txt", message, fast_vlm_folder, layout="hf")
    assert (tmp_path / "taken" / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_is_filled(fast_vlm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = export_model(fast_vlm_folder, layout="hf", out=tmp_path / "mine")
    assert "config.json" in done.file_bytes


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device"),
    ],
)
def test_a_full_disk_leaves_nothing_behind(
    fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fill(folder: Path, *_: Any, **__: Any) -> None:
        (folder / "model.safetensors").write_text("half of it")
        raise error

    monkeypatch.setattr(homes, "save_checkpoint", fill)
    message = "No space left on device.*Nothing is left of it; give a folder on a disk"
    out = tmp_path / "new" / "mine"
    _refused(out, message, fast_vlm_folder, kind=StorageError, layout="hf")


def test_a_stopped_export_leaves_nothing_behind(
    fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(folder: Path, *_: Any, **__: Any) -> None:
        (folder / "model.safetensors").write_text("half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(homes, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        export_model(fast_vlm_folder, layout="hf", out=tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_what_an_export_that_was_killed_left_is_no_obstacle(
    fast_vlm_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / ".mine.partial").mkdir()
    (tmp_path / ".mine.partial" / "rest").touch()
    done = export_model(fast_vlm_folder, layout="hf", out=tmp_path / "mine")
    assert "rest" not in done.file_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_told(fast_vlm_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "mine"
    message = r"--out .*mine: cannot be written \(Not a directory\)"
    _refused(out, message, fast_vlm_folder, kind=StorageError, layout="hf")


def test_a_model_without_a_form_in_the_layout_is_a_fault_of_the_model(
    tmp_path: Path,
) -> None:
    save_checkpoint(tmp_path / "stretched", make_checkpoint(aspect="stretch"))
    with pytest.raises(CheckpointError, match="aspect"):
        export_model(tmp_path / "stretched", layout="apple", out=tmp_path / "llava")
    assert [path.name for path in tmp_path.iterdir()] == ["stretched"]


@pytest.mark.parametrize("kind", ["pictures", "clips"])
def test_the_code_of_the_card_runs(
    kind: str,
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_clip: MakeClip,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = export_model(run_folder, layout="hf", out=tmp_path / "mine")
    blocks = re.findall(r"```python\n(.*?)```", (done.folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30), "red").save("picture.png")
    shutil.copy(make_clip("clip.mp4"), "clip.mp4")
    code = blocks[kind == "clips"].replace("max_new_tokens=64", "max_new_tokens=3")
    exec(compile(code, "card", "exec"), {})  # noqa: S102  (the card's own words)
    assert capsys.readouterr().out


def test_the_code_of_an_adapters_card_runs(
    lora_run: Path, fast_vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = export_model(lora_run, layout="hf", out=tmp_path / "mine")
    blocks = re.findall(r"```python\n(.*?)```", (done.folder / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        code = block.replace('"BASE"', repr(str(fast_vlm_folder)))
        exec(compile(code, "card", "exec"), {})  # noqa: S102


@pytest.mark.parametrize("layout", ["hf", "apple"])
def test_others_may_read_what_a_new_file_lets_them_read(
    layout: str, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").touch()
    done = export_model(run_folder, layout=layout, out=tmp_path / "llava-mine")
    modes = {path.stat().st_mode for path in [tmp_path / "new", *done.folder.iterdir()]}
    assert len(modes) == 1
    assert ".mode" not in done.file_bytes


def test_the_scores_of_an_evaluation_beside_a_model_are_told(
    run_folder: Path, tmp_path: Path
) -> None:
    first = export_model(run_folder, layout="hf", out=tmp_path / "first")
    (first.folder / "evaluation").mkdir()
    shutil.copy(run_folder / "scores.json", first.folder / "evaluation")
    second = export_model(first.folder, layout="apple", out=tmp_path / "llava-second")
    assert "| tuned | 0.750 | 8 |" in (second.folder / "README.md").read_text()


def test_weights_of_apples_stay_research_only(apple_folder: Path, tmp_path: Path) -> None:
    done = export_model(apple_folder, layout="hf", out=tmp_path / "mine")
    assert "license: apple-amlr" in (done.folder / "README.md").read_text()
    assert load_checkpoint(done.folder).research_only
    back = export_model(done.folder, layout="apple", out=tmp_path / "llava-mine")
    assert load_checkpoint(back.folder).research_only


def test_other_weights_in_apples_layout_are_not_taken_for_apples(
    run_folder: Path, tmp_path: Path
) -> None:
    done = export_model(run_folder, layout="apple", out=tmp_path / "llava-mine")
    assert not load_checkpoint(done.folder).research_only


def test_the_card_bears_the_name_that_is_given(fast_vlm_folder: Path, tmp_path: Path) -> None:
    done = export_model(
        fast_vlm_folder, layout="hf", out=tmp_path / "mine", card_name="someone/laps"
    )
    card = (done.folder / "README.md").read_text()
    assert "# laps" in card
    assert 'from_pretrained("someone/laps")' in card


@pytest.mark.parametrize("out", ["", "  "])
def test_a_folder_without_a_name_is_refused(out: str) -> None:
    with pytest.raises(ArgumentError, match="--out is empty. Give the folder to make"):
        export_model("tiny", layout="hf", out=out)


def test_the_card_tells_what_apples_code_cannot_build(
    fast_vlm_folder: Path, tmp_path: Path
) -> None:
    said = "Not yet with Apple's code: the tower is [16, 32, 32, 32, 64] wide"
    for layout, is_told in (("apple", True), ("hf", False)):
        folder = tmp_path / f"llava-{layout}"
        export_model(fast_vlm_folder, layout=layout, out=folder)
        assert (said in (folder / "README.md").read_text()) is is_told
