"""Every recipe loads, says what is so, and runs."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from flipbook.data.generated.write import GeneratedData
from flipbook.train.arguments import Arguments
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.run import train

ROOT = Path(__file__).parents[1]
NUM_ROWS = 4
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
PLACEHOLDERS = {
    "model_name_or_path": "path/to/FastVLM-0.5B",
    "data_path": [["train.json"], ["clips"]],
}
QUICK: dict[str, object] = {
    "model_name_or_path": "tiny",
    "max_steps": 2,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "num_video_frames": 2,
    "frame_size": 128,
    "dataloader_num_workers": 0,
    "eval_num_answers": 3,
    "follow_num_answers": 1,
    "max_new_tokens": 2,
    "proof_records": 2,
    "bf16": False,
    "use_cpu": True,
    "report_to": "none",
}
# What a recipe is about is run as it is.
KEPT = {"on-device-512-tokens.yaml": ("num_video_frames", "frame_size")}


def _name(path: Path) -> str:
    return path.name


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@dataclass(frozen=True)
class Data:
    """Small data of each form that recipes name: records, captions, folders by class."""

    records: tuple[Path, Path]
    captions: tuple[Path, Path]
    classes: Path

    def named(self, recipe: Path) -> dict[str, object]:
        if recipe.name == "classification.yaml":
            return {"data_path": self.classes}
        train, validation = self.captions if recipe.name == "captioning.yaml" else self.records
        return {"data_path": train, "validation_data_path": validation}


@pytest.fixture(scope="module")
def data(generated: GeneratedData, tmp_path_factory: pytest.TempPathFactory) -> Data:
    written: dict[str, list[Path]] = {"records": [], "captions": []}
    for name in ("train", "validation"):
        rows = json.loads((generated.folder / f"{name}.json").read_text())
        few = [row for row in rows if "video" in row][:NUM_ROWS]
        for form, made in (("records", few), ("captions", [_caption(row) for row in few])):
            path = generated.folder / f"{form}-{name}.json"
            path.write_text(json.dumps(made))
            written[form].append(path)
    classes = tmp_path_factory.mktemp("recipes") / "classes"
    for name in ("direction", "order"):
        (classes / name).mkdir(parents=True)
        for clip in (generated.folder / "clips").glob(f"*-{name}-*.mp4"):
            shutil.copy(clip, classes / name)
    records, captions = written.values()
    return Data((records[0], records[1]), (captions[0], captions[1]), classes)


def _caption(row: dict[str, Any]) -> dict[str, Any]:
    turns = [
        {"from": "human", "value": "<video>\nDescribe this video."},
        {"from": "gpt", "value": "A circle moves."},
    ]
    return {"id": row["id"], "video": row["video"], "conversations": turns, "kind": "caption"}


def _arguments(recipe: Path, data: Data, output_dir: Path, **flags: object) -> Arguments:
    kept = KEPT.get(recipe.name, ())
    quick = {name: value for name, value in QUICK.items() if name not in kept}
    settings = quick | data.named(recipe) | {"output_dir": output_dir} | flags
    return parse_arguments(
        [str(recipe), *(f"--{name}={value}" for name, value in settings.items())]
    )


def test_there_is_a_recipe_for_each_case() -> None:
    assert {path.stem for path in RECIPES} == {
        "100-500-clips",
        "to-3k-clips",
        "to-10k-clips",
        "full",
        "classification",
        "captioning",
        "on-device-512-tokens",
    }


def test_the_page_of_recipes_names_each_and_nothing_else() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    assert set(re.findall(r"recipes/([\w-]+\.yaml)", text)) == {path.name for path in RECIPES}
    flags = {name[2:] for name in make_parser()._option_string_actions}
    sweep = {"model", "frames", "frame_sizes"}
    assert set(re.findall(r"--(\w+)", text)) - {"logdir"} <= flags | sweep


@pytest.mark.parametrize("recipe", RECIPES, ids=_name)
def test_the_page_tells_of_each_recipe_what_stands_in_it(recipe: Path) -> None:
    content = _read(recipe)
    text = (ROOT / "docs" / "recipes.md").read_text()
    (line,) = [line for line in text.splitlines() if f"| `recipes/{recipe.name}` |" in line]
    _, _, learns, rate, epochs, _ = (cell.strip() for cell in line.strip("| ").split("|"))
    ranks = [int(word) for word in re.findall(r"rank (\d+)", learns)]
    rates = [content["learning_rate"], content.get("projector_learning_rate")]
    assert ranks == ([content["lora_r"]] if "lora_r" in content else [])
    assert [float(word) for word in rate.split(", ")] == [r for r in rates if r is not None]
    assert int(epochs.split(",")[0]) == content["num_train_epochs"]
    assert ("stopped early" in epochs) == ("early_stopping_patience" in content)


@pytest.mark.parametrize("recipe", RECIPES, ids=_name)
def test_a_recipe_is_read_as_it_is(recipe: Path) -> None:
    content = _read(recipe)
    assert content["model_name_or_path"] == PLACEHOLDERS["model_name_or_path"]
    assert content["data_path"] in PLACEHOLDERS["data_path"]
    assert content["output_dir"].startswith("runs/")
    parse_arguments([str(recipe), "--data_path", "rows.json", "--validation_data_path", "v.json"])


@pytest.mark.parametrize("recipe", RECIPES, ids=_name)
def test_what_a_recipe_leaves_open_can_be_said(recipe: Path) -> None:
    flags = {name[2:] for name in make_parser()._option_string_actions}
    text = recipe.read_text()
    for commented in re.findall(r"^# (\w+):", text, re.MULTILINE):
        assert commented in flags
    for flag in re.findall(r"--(\w+)", text):
        assert flag in flags | {"nproc_per_node"}
    for named in re.findall(r"(?:recipes|docs)/[\w.-]+\.\w+", text):
        assert (ROOT / named).is_file()


@pytest.mark.parametrize("recipe", RECIPES, ids=_name)
def test_what_a_recipe_says_of_tokens_is_so(recipe: Path) -> None:
    content, text = _read(recipe), recipe.read_text()
    each = (content["frame_size"] // 64) ** 2
    for told in re.findall(r"(\d+) tokens a frame", text):
        assert int(told) == each
    for told in re.findall(r"(\d+)(?: tokens)? a clip", text):
        assert int(told) == each * content["num_video_frames"]


def test_the_sums_of_the_recipe_for_devices_are_right() -> None:
    recipe = ROOT / "recipes" / "on-device-512-tokens.yaml"
    content, text = _read(recipe), recipe.read_text()
    limit, number = content["model_max_length"], content["num_video_frames"]
    each = (content["frame_size"] // 64) ** 2 + 1
    assert f"{number} x ({each - 1} + 1) = {number * each} tokens" in text
    assert f"leave {limit - number * each} for" in " ".join(text.replace("#", "").split())
    assert f"16 frames leave {limit - 16 * each}" in text


@pytest.mark.parametrize("recipe", RECIPES, ids=_name)
def test_a_recipe_runs(recipe: Path, data: Data, tmp_path: Path) -> None:
    arguments = _arguments(recipe, data, tmp_path / "run")
    result = train(arguments, console=Console(file=io.StringIO()))
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if "eval_loss" in line]
    assert len(evaluations) == 2
    assert all(arguments.training.metric_for_best_model in line for line in evaluations)
    assert (result.model_folder / "config.json").is_file()
    assert (tmp_path / "run" / "adapter").is_dir() == (arguments.model.lora_r > 0)
