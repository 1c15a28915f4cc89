"""How far is the memory that `flipbook plan` predicts from the memory that steps take?

    python benchmarks/memory.py [--smoke]  ->  src/flipbook/train/planning/memory_model.json,
                                               benchmarks/results/memory.md

Each case trains a FastVLM with random weights in a process of its own: a short step, then the
measured one, both as `flipbook train` takes them, on made-up clips. The most memory that it
held is compared with the terms of `flipbook.train.planning.forecast`, whose coefficients are
fitted by least squares of the relative error. Cases with language models of other sizes,
FastVLM-0.5B's among them, are held out of the fit. `--smoke` measures two small cases and writes
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from torch import nn
from transformers import FastVlmForConditionalGeneration

from flipbook.data.batch import VisualSlot
from flipbook.data.labels.tokens import IGNORE_INDEX
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import encode_visuals, join_features, tower_is_at_rest
from flipbook.model.loss import supervised_loss
from flipbook.model.tuning import set_train_mode
from flipbook.train.arguments import Arguments
from flipbook.train.features import autocast_dtype
from flipbook.train.planning.footprint import footprint_of
from flipbook.train.start import lora_of, prepare_model
from measuring import forget_peak, held_mb, in_fresh_process
from memory_cases import (
    ANSWER_TOKENS,
    CASES,
    HELD_OUT,
    IMAGE_TOKEN_ID,
    SMOKE,
    Case,
    arguments_of,
    config_of,
    step_of,
)
from memory_fit import Measured, fit, page, write_model

KB_IN_A_MB = 1.024e6  # `held_mb` gives thousands of KiB


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="two small cases, nothing is written")
    parser.add_argument("--at_a_time", type=int, default=2, help="processes side by side")
    parser.add_argument("--case", help=argparse.SUPPRESS)  # one measurement, in this process
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    if given.case:
        print(peak_bytes(Case(**json.loads(given.case))))
        return 0
    started_s = time.perf_counter()
    fitted = measure(SMOKE if given.smoke else CASES, given.at_a_time)
    held_out = measure(SMOKE[:1] if given.smoke else HELD_OUT, given.at_a_time)
    model = fit(fitted, held_out)
    lines = page(model, fitted, held_out, seconds=time.perf_counter() - started_s)
    print("\n".join(lines))
    if not given.smoke:
        write_model(model, lines)
    return 0


def measure(cases: Sequence[Case], at_a_time: int) -> list[Measured]:
    """Return what each case took, with what is known of it without running it."""

    def peak_of(case: Case) -> float:
        (peak,) = in_fresh_process(__file__, "--case", json.dumps(asdict(case)))
        print(f"{peak / 1e9:7.3f} GB  {case}", flush=True)
        return peak

    with ThreadPoolExecutor(at_a_time) as pool:
        peaks = list(pool.map(peak_of, cases))
    return [
        Measured(case, footprint_of(config_of(case), arguments_of(case)), step_of(case), peak)
        for case, peak in zip(cases, peaks, strict=True)
    ]


def peak_bytes(case: Case) -> float:
    """Return the most memory that this process holds while it takes the steps of a case."""
    arguments = arguments_of(case)
    model: Any = FastVlmForConditionalGeneration(config_of(case))
    named = cast(Checkpoint, SimpleNamespace(model=model))
    model = prepare_model(arguments, named, lora=lora_of(arguments.model))
    if case.recompute:
        model.activation_checkpointing_enable()
    set_train_mode(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)  # as the Trainer's default
    rows = len(model.get_input_embeddings().weight)
    batches = [make_batch(one, rows=rows) for one in (replace(case, samples=1, frames=1), case)]
    forget_peak()
    for batch in batches:  # after the first, small one the moments of AdamW are there
        take_step(model, batch, arguments)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return held_mb()[1] * KB_IN_A_MB


def take_step(model: nn.Module, batch: dict[str, Any], arguments: Arguments) -> None:
    """Run a batch forward and backward, as the trainer does."""
    dtype = autocast_dtype(arguments.training)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
        at_rest = tower_is_at_rest(model)
        features = join_features(encode_visuals(model, batch)) if at_rest else None
        loss = supervised_loss(model, batch, features=features).loss
    loss.backward()


def make_batch(case: Case, *, rows: int) -> dict[str, Any]:
    """Return samples of random frames and words, in one row."""
    frame = [IMAGE_TOKEN_ID] * (case.side // 64) ** 2 + [IMAGE_TOKEN_ID + 1]
    words = torch.randint(IMAGE_TOKEN_ID + 1, rows, (case.words,))
    ids = torch.cat([torch.tensor(frame * case.frames), words])
    labels = torch.full_like(ids, IGNORE_INDEX)
    labels[-ANSWER_TOKENS:] = ids[-ANSWER_TOKENS:]
    shape = (case.samples * case.frames, 3, case.side, case.side)
    return {
        "input_ids": ids.repeat(case.samples)[None],  # (1, L)
        "labels": labels.repeat(case.samples)[None],
        "position_ids": torch.arange(len(ids)).repeat(case.samples)[None],
        "segments": [(len(ids),)] * case.samples,
        "visuals": [VisualSlot(case.frames, False, None)] * case.samples,
        "frames": [torch.randint(0, 256, shape, dtype=torch.uint8)],
    }


if __name__ == "__main__":
    sys.exit(main())
