"""Which tables tell what a question costs to train on?

    Bench (a model, questions about clips) -> the lines of one table

Every figure is CPU time of one thread, decoding, update of the weights and all, divided by the
questions of a step. The ways of one table take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

import decode
from clips import SMOKE_FILE, Asked, make_asked, make_dataset
from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.initialise import initialise_
from measuring import in_turns, table
from steps import Recipe, Steps, Way, choose_usual_parts, together

FILE = decode.FILES[0]
TRUE_ROWS = 152_000  # of FastVLM's vocabulary
OURS, NOTHING = Recipe(), Recipe(False, False, False, False, False)
STORED = replace(OURS, stores=True)
STAGES = {
    "the usual way": NOTHING,
    "+ input path": replace(NOTHING, decodes=True),
    "+ tower a few frames at a time": replace(NOTHING, decodes=True, encodes_few=True),
    "+ logits only at labels": replace(OURS, packs=False, shares=False),
    "+ rows without padding": replace(OURS, shares=False),
    "+ all questions of a clip in one pass": OURS,
    "+ stored features (from epoch 2 on)": STORED,
}
LEFT_OUT = {
    "nothing": OURS,
    "input path": replace(OURS, decodes=False),
    "tower a few frames at a time": replace(OURS, encodes_few=False),
    "logits only at labels": replace(OURS, short_logits=False),
    "all questions of a clip in one pass": replace(OURS, shares=False),
}


class Bench:
    """A model and clips to train it on, and how often each way is taken."""

    def __init__(self, folder: Path, *, smoke: bool, repetitions: int, seconds: int) -> None:
        self.folder, self.smoke = folder, smoke
        self.repetitions, self.seconds = (1, 1) if smoke else (repetitions, seconds)
        self.file = SMOKE_FILE if smoke else FILE
        self.num_frames, self.side = (2, 64) if smoke else (8, 256)
        self.usual_questions = 2 if smoke else 4  # of a batch, each with its own frames
        self.num_questions = 3 if smoke else 8  # about one clip
        tiny = load_checkpoint("tiny")
        self.tokenizer = tiny.tokenizer
        self._config = tiny.model.config

    @cached_property
    def model(self) -> Any:
        """The tower of true size before the embedded language model; all embedded for smoke."""
        return self.make_model(has_true_tower=not self.smoke)

    def make_model(self, *, has_true_tower: bool, num_rows: int | None = None) -> Any:
        """Return a model with random weights that see; `num_rows` of vocabulary."""
        words = self._config.text_config.to_dict()
        words["vocab_size"] = num_rows or words["vocab_size"]
        vision = {} if has_true_tower else {"vision_config": self._config.vision_config.to_dict()}
        config = FastVlmConfig(
            text_config=words,
            image_token_index=self._config.image_token_id,
            image_seq_length=self._config.image_seq_length,
            tie_word_embeddings=True,
            **vision,
        )
        model: Any = FastVlmForConditionalGeneration(config)
        initialise_(model, seed=0, frame_size=128)
        return choose_usual_parts(model)

    def steps(
        self, *, num_frames: int | None = None, side: int | None = None, model: Any = None
    ) -> Steps:
        """Return what makes steps of clips of one shape."""
        return Steps(
            model or self.model,
            self.tokenizer,
            num_frames=num_frames or self.num_frames,
            side=side or self.side,
            frames_a_call=self.usual_questions * self.num_frames,
        )

    def asked(self, num_clips: int, questions_per_clip: int) -> Asked:
        """Return questions about copies of the file."""
        return make_asked(
            self.folder,
            self.file,
            num_clips=num_clips,
            questions_per_clip=questions_per_clip,
            seconds=self.seconds,
        )

    def with_store(self, steps: Steps, asked: Asked, recipe: Recipe = STORED) -> Way:
        """Return a step whose features have been stored by an earlier one."""
        store = FeatureStore(self.folder / "features", encoder=f"{id(steps.model)}")
        step = steps.ours(asked, recipe, store=store)
        step()
        store.flush()
        return step

    def ms_a_question(
        self, ways: Mapping[str, tuple[Callable[[], float], int]], *, repetitions: int | None = None
    ) -> dict[str, float]:
        """Return the median CPU ms of each way, a step and the number of its questions."""
        steps: dict[str, Callable[[], object]] = {name: step for name, (step, _) in ways.items()}
        spent = in_turns(steps, repetitions=repetitions or self.repetitions)
        return {name: 1000 * spent[name] / questions for name, (_, questions) in ways.items()}


def against_the_usual(bench: Bench) -> list[str]:
    """Return the table of the claim: the usual way, and ours in the first and later epochs."""
    steps, few, many = bench.steps(), bench.usual_questions, bench.num_questions
    single, several = bench.asked(few, 1), bench.asked(1, many)
    ways = {
        "the usual way, PIL": (steps.usual(single), few),
        "the usual way, torchvision": (steps.usual(single, kind="torchvision"), few),
        "1 question a clip, epoch 1": (steps.ours(single, OURS), few),
        f"{many} questions a clip, epoch 1": (steps.ours(several, OURS), many),
        "1 question a clip, stored features": (bench.with_store(steps, single), few),
        f"{many} questions a clip, stored features": (bench.with_store(steps, several), many),
    }
    ms = bench.ms_a_question(ways)
    usual, usual_fast = list(ms.values())[:2]
    rows = [[name, spent, usual / spent, usual_fast / spent] for name, spent in ms.items()]
    header = ["way", "CPU ms a question", "PIL / way", "torchvision / way"]
    return ["## A question, all in all", "", *table(header, rows), ""]


def batches_of_the_usual(bench: Bench) -> list[str]:
    """Return the table of the usual way with batches of several sizes."""
    steps, sizes = bench.steps(), [1, 2] if bench.smoke else [1, 2, 4, 8]
    ways = {str(size): (steps.usual(bench.asked(1, size)), size) for size in sizes}
    ms = bench.ms_a_question(ways, repetitions=max(1, bench.repetitions // 2))
    header = ["questions in a batch of the usual way", "CPU ms a question"]
    return ["## The usual way, by its batch", "", *table(header, list(ms.items())), ""]


def one_after_another(bench: Bench) -> list[str]:
    """Return the table of our techniques, each added to those above it."""
    steps, asked = bench.steps(), bench.asked(1, bench.num_questions)
    count = len(asked.rows)
    ways = {"the usual way": (steps.usual(asked, batch_size=bench.usual_questions), count)}
    for name, recipe in list(STAGES.items())[1:]:
        stored = recipe.stores
        step = bench.with_store(steps, asked) if stored else steps.ours(asked, recipe)
        ways[name] = (step, count)
    ms = bench.ms_a_question(ways)
    rows, before = [], None
    for name, spent in ms.items():
        gain = "" if before is None else before / spent
        rows.append([name, spent, gain, ms["the usual way"] / spent])
        before = spent
    header = ["technique", "CPU ms a question", "times faster than above", "than the usual way"]
    title = f"## One technique after another, {count} questions a clip"
    return [title, "", *table(header, rows), ""]


def each_left_out(bench: Bench) -> list[str]:
    """Return the table of our way in epoch 1 without one of its techniques."""
    steps, asked = bench.steps(), bench.asked(1, bench.num_questions)
    ways = {name: (steps.ours(asked, recipe), len(asked.rows)) for name, recipe in LEFT_OUT.items()}
    ms = bench.ms_a_question(ways)
    rows = [[name, spent, spent / ms["nothing"]] for name, spent in ms.items()]
    header = ["left out", "CPU ms a question", "times slower"]
    return ["## Each technique left out, epoch 1", "", *table(header, rows), ""]


def words_alone(bench: Bench) -> list[str]:
    """Return the table of projector and language model with features at hand, two vocabularies."""
    asked = bench.asked(2, bench.num_questions)
    count = len(asked.rows)
    names = list(STAGES)[2:6]
    labels = ["padded batch, all logits", *(name for name in names[1:])]
    columns = []
    for num_rows in (None, 512 if bench.smoke else TRUE_ROWS):
        steps = bench.steps(model=bench.make_model(has_true_tower=False, num_rows=num_rows))
        ways = {name: (_with_features(steps, asked, STAGES[name]), count) for name in names}
        columns.append(bench.ms_a_question(ways))
        columns[-1]["words"] = steps.model.lm_head.out_features
    rows = []
    for label, name in zip(labels, names, strict=True):
        cells = [[column[name], column[names[0]] / column[name]] for column in columns]
        rows.append([label, *cells[0], *cells[1]])
    small, large = (f"{column['words']:,} words" for column in columns)
    header = ["projector and language model alone", f"{small}: CPU ms a question", "times faster"]
    header += [f"{large}: CPU ms a question", "times faster"]
    return ["## The language model part, features at hand", "", *table(header, rows), ""]


def _with_features(steps: Steps, asked: Asked, recipe: Recipe) -> Callable[[], float]:
    dataset = make_dataset(
        asked, tokenizer=steps.tokenizer, num_frames=steps.num_frames, side=steps.side
    )
    members = together(asked) if recipe.shares else [(i,) for i in range(len(asked.rows))]
    batch: Any = steps.placed(DataCollatorForSupervisedDataset()(dataset.__getitems__(members)))
    features = torch.cat(steps.encode(batch, few=True))
    return lambda: steps.learn(steps.loss(batch, features, recipe))


def growth(bench: Bench) -> list[str]:
    """Return the tables of the cost against frames, side, and questions."""
    smoke, many = bench.smoke, bench.num_questions
    lines = []
    for name, values in {
        "frames": [2, 4] if smoke else [4, 8, 16, 32],
        "side, px": [64, 128] if smoke else [128, 256, 384, 512],
        "questions a clip": [1, 2] if smoke else [1, 2, 4, 8, 12],
    }.items():
        rows = []
        for value in values:
            steps = bench.steps(
                num_frames=value if name == "frames" else None,
                side=value if name == "side, px" else None,
            )
            rows.append([value, *_costs(bench, steps, value if name[0] == "q" else many)])
            print(name, rows[-1], flush=True)
        header = [name, "usual, CPU ms a question", "epoch 1", "stored", "usual / epoch 1"]
        lines += [f"## Growth with {name}", "", *table([*header, "usual / stored"], rows), ""]
    return lines


def _costs(bench: Bench, steps: Steps, num_questions: int) -> Sequence[float]:
    single, several = bench.asked(1, 1), bench.asked(1, num_questions)
    ways = {
        "usual": (steps.usual(single), 1),
        "epoch 1": (steps.ours(several, OURS), num_questions),
        "stored": (bench.with_store(steps, several), num_questions),
    }
    usual, live, stored = bench.ms_a_question(
        ways, repetitions=max(1, bench.repetitions // 2)
    ).values()
    return usual, live, stored, usual / live, usual / stored
