"""No code of a checkpoint or a data set is run, and sizes that it claims take no memory.

Every payload would make a file; none may be there afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fixtures_data import Tune
from fixtures_doctor import row, write_rows
from flipbook.cli import main
from flipbook.data.converting.convert import convert
from flipbook.data.formats.origin import Origin
from flipbook.data.records import read_records
from flipbook.data.sources import sources_of
from flipbook.errors import ArgumentError, DataError, FlipbookError

pytestmark = pytest.mark.guarantee(7)
SIDE_FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "scaler.pt")
CODE = "import pathlib; pathlib.Path({!r}).touch()\n"


class _Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def _edit(folder: Path, name: str, **changes: Any) -> None:
    path = folder / name
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | changes))


def _pickles(folder: Path, harm: Path) -> None:
    for name in (*SIDE_FILES, "pytorch_model.bin", "adapter_model.bin"):
        torch.save({"a": _Payload(harm)}, folder / name)


def _only_pickle(folder: Path, harm: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": _Payload(harm)}))


def _own_code(folder: Path, harm: Path) -> None:
    for name in ("modeling.py", "configuration.py", "tokenization.py", "processing.py"):
        (folder / name).write_text(CODE.format(str(harm)))
    classes = {
        "AutoConfig": "configuration.Config",
        "AutoModel": "modeling.Model",
        "AutoModelForCausalLM": "modeling.Model",
        "AutoTokenizer": ["tokenization.Tokenizer", "tokenization.Tokenizer"],
        "AutoProcessor": "processing.Processor",
    }
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        _edit(folder, name, auto_map=classes, trust_remote_code=True)


def _own_tokenizer(folder: Path, harm: Path) -> None:
    (folder / "tokenization.py").write_text(CODE.format(str(harm)))
    own = ["tokenization.Own", "tokenization.Own"]
    _edit(folder, "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": own})


def _template(folder: Path, _harm: Path) -> None:
    (folder / "chat_template.jinja").write_text(
        "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    )


def _layers(folder: Path, _harm: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    _edit(folder, "config.json", text_config=config["text_config"] | {"num_hidden_layers": 10**9})


def _vocabulary(folder: Path, _harm: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    _edit(folder, "config.json", text_config=config["text_config"] | {"vocab_size": 10**13})


def _wide(folder: Path, _harm: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    sizes = {"hidden_size": 10**7, "intermediate_size": 10**8}
    _edit(folder, "config.json", text_config=config["text_config"] | sizes)


def _tower(folder: Path, _harm: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    vision = config["vision_config"]
    sizes = {"layers": [10**8, 1, 2, 1, 1]}
    vision = vision | {"model_args": vision["model_args"] | sizes}
    _edit(folder, "config.json", vision_config=vision)


def _lying_header(folder: Path, _harm: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))


def _endless_header(folder: Path, _harm: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{" * 64)


def _deep_json(folder: Path, _harm: Path) -> None:
    (folder / "config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def _deep_tokenizer(folder: Path, _harm: Path) -> None:
    (folder / "tokenizer.json").write_text("[" * 100_000 + "]" * 100_000)


def _template_bomb_in_words(folder: Path, _harm: Path) -> None:
    _edit(folder, "tokenizer_config.json", chat_template="{{ 'x' * 10 ** 10 }}")
    (folder / "chat_template.jinja").unlink(missing_ok=True)


# What is taken, for what is wrong lies where nothing is read or is mended in a known way.
TAKEN: dict[str, Callable[[Path, Path], None]] = {
    "pickles beside": _pickles,
    "code of its own": _own_code,
    "endless template": _template,
    "large template": _template_bomb_in_words,
}
REFUSED: dict[str, Callable[[Path, Path], None]] = {
    "pickle alone": _only_pickle,
    "a billion layers": _layers,
    "a vocabulary of 10^13": _vocabulary,
    "layers of 10^7": _wide,
    "a tower of 10^8 blocks": _tower,
    "header that lies": _lying_header,
    "header without end": _endless_header,
    "deep configuration": _deep_json,
    "deep tokenizer": _deep_tokenizer,
}


@pytest.mark.parametrize("kind", [*TAKEN, *REFUSED, "tokenizer of its own"])
@pytest.mark.parametrize("command", [["info"], ["chat", "Why?", "--model"]])
def test_a_model_folder(
    kind: str,
    command: list[str],
    fast_vlm_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(fast_vlm_folder, tmp_path / "model"))
    harm = tmp_path / "harm"
    make = (TAKEN | REFUSED).get(kind, _own_tokenizer)
    make(folder, harm)
    code = main([*command, str(folder)])
    assert not harm.exists(), "code of a checkpoint was run"
    printed = capsys.readouterr()
    if kind in TAKEN:
        assert code == 0, printed.err
    elif kind in REFUSED:
        assert code != 0
        assert str(folder) in printed.err
        assert "Traceback" not in printed.err


@pytest.mark.slow
def test_a_checkpoint_to_resume_from(tune: Tune, tmp_path: Path) -> None:
    """Either nothing that is pickled is read, or the run refuses; the code is never run."""
    harm = tmp_path / "harm"
    run = tmp_path / "run"
    tune(run, max_steps=2, save_strategy="steps", save_steps=1, eval_strategy="no")
    newest = max(run.rglob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]))
    for name in SIDE_FILES:
        torch.save({"a": _Payload(harm)}, newest / name)
    with contextlib.suppress(FlipbookError, pickle.UnpicklingError):
        tune(run, max_steps=3, save_strategy="no", resume_from_checkpoint=newest)
    assert not harm.exists()


def _yaml(folder: Path, harm: Path) -> str:
    (folder / "mix.yaml").write_text(f"!!python/object/apply:os.mkdir ['{harm}']\n")
    return "mix.yaml"


def _yaml_bomb(folder: Path, _harm: Path) -> str:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    (folder / "mix.yaml").write_text("\n".join([*lines, "datasets: *a59"]))
    return "mix.yaml"


@pytest.mark.parametrize("make", [_yaml, _yaml_bomb])
def test_a_mixture(make: Callable[[Path, Path], str], tmp_path: Path) -> None:
    name = make(tmp_path, tmp_path / "harm")
    with pytest.raises(ArgumentError, match="mix.yaml") as caught:
        sources_of(str(tmp_path / name), image_folder=None)
    assert len(str(caught.value)) < 2000
    assert not (tmp_path / "harm").exists()


def _pickled_columns(folder: Path, harm: Path) -> Path:
    content = pickle.dumps(_Payload(harm))
    about = json.dumps({"info": {"features": {"video": {"_type": "Pickle", "names": "x"}}}})
    table = pa.table({"video": ["a.mp4"], "question": ["?"], "answer": [content]})
    pq.write_table(table.replace_schema_metadata({"huggingface": about}), folder / "a.parquet")
    return folder / "a.parquet"


def _loading_script(folder: Path, harm: Path) -> Path:
    data = folder / "data"
    data.mkdir()
    for name in ("data.py", "dataset.py", "__init__.py"):
        (data / name).write_text(CODE.format(str(harm)))
    (data / "README.md").write_text("---\nconfigs:\n- config_name: default\n---\n")
    return data


def _numpy(folder: Path, harm: Path) -> Path:
    np.save(folder / "rows.npy", np.array([_Payload(harm)], dtype=object), allow_pickle=True)
    return (folder / "rows.npy").rename(folder / "rows.json")


def _bare_pickle(folder: Path, harm: Path) -> Path:
    (folder / "rows.jsonl").write_bytes(pickle.dumps(_Payload(harm)))
    return folder / "rows.jsonl"


def _torch_file(folder: Path, harm: Path) -> Path:
    torch.save(_Payload(harm), folder / "rows.csv")
    return folder / "rows.csv"


@pytest.mark.parametrize(
    "make", [_pickled_columns, _loading_script, _numpy, _bare_pickle, _torch_file]
)
def test_a_data_set(make: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    path = make(tmp_path, harm)
    origin = Origin(path, extracted=tmp_path / "extracted")
    with pytest.raises(DataError) as caught:
        convert(origin, format_name=None, out=tmp_path / "out.jsonl", max_bad_fraction=1.0)
    assert path.name in str(caught.value)
    assert not harm.exists()


def test_long_and_deep_lines_cost_themselves_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    sound = row("sound", "a.mp4")
    deep = '{"deep": ' + "[" * 200_000 + "]" * 200_000 + "}"
    path = write_rows(tmp_path / "rows.jsonl", [deep, "[" * 1_000_000, "x" * 30_000_000, sound])
    found = read_records(path)
    assert [record.id for record in found.records] == ["sound"]
    assert len(found.rejected) == 3
