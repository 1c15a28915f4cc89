"""What does training cost on one CUDA GPU, and how much of the GPU does it use?

    python benchmarks/gpu.py [--sizes 0.5b 1.5b] [--sides 512 1024]  ->  benchmarks/results/gpu.md
    python benchmarks/gpu.py --smoke                  the embedded model on a CPU, once, unsaved

FastVLMs of true size with random weights, bfloat16 autocast, weights that learn in float32, frozen
ones in bfloat16; 8 frames, LoRA and full tuning; the usual way (reference.py) beside ours, all of
it and with parts left out. Wall time, with the GPU waited for. The MFU is that of the language
model: what its matrices and its attention must compute for the tokens there are, forward and
backward, over what the GPU could have computed in the time that projector and language model take.

Needs decord and the development tools, for the vocabulary comes with them.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers
from torch import Tensor, nn

import decode
import reference
from clips import SMOKE_FILE, Asked, make_asked
from flipbook.data.features.store import FeatureStore
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.fastvlm import plain_model
from flipbook.model.loss import supervised_positions
from measuring import circumstances, in_turns, table, write_page
from steps import Recipe, Steps, Way, choose_usual_parts

RESULT_FILE = Path(__file__).parent / "results" / "gpu.md"
LORA_RANK = 16
OURS = Recipe()
RECIPES = {
    "ours": OURS,
    "ours, stored features": replace(OURS, stores=True),
    "without one pass for all questions": replace(OURS, shares=False),
    "without rows, padded": replace(OURS, shares=False, packs=False),
    "without logits only at labels": replace(OURS, short_logits=False),
    "with all frames in one call": replace(OURS, encodes_few=False),
}
# Dense bfloat16 TFLOP/s by NVIDIA's data sheets.
PEAK_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.0}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", default=["0.5b", "1.5b"])
    parser.add_argument("--sides", type=int, nargs="*", default=[512, 1024], help="px of a frame")
    parser.add_argument("--clips", type=int, default=8, help="of a step of ours")
    parser.add_argument("--usual_questions", type=int, default=8, help="of a step the usual way")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="that decode")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--peak_tflops", type=float, help="of the GPU, when it is not known here")
    parser.add_argument("--smoke", action="store_true", help="once on the CPU, without a result")
    given = parser.parse_args(words)
    if not given.smoke and not (torch.cuda.is_available() and reference.has_decord()):
        print(
            f"this benchmark needs a CUDA GPU and decord; {reference.INSTALL_DECORD}; "
            "--smoke runs it without either",
            file=sys.stderr,
        )
        return 2
    if given.smoke:
        torch.set_num_threads(1)
        given.sizes, given.sides, given.clips, given.usual_questions = ["embedded"], [64], 2, 2
        given.repetitions, given.peak_tflops = 1, 1.0
    given.peak_tflops = given.peak_tflops or peak_tflops(torch.cuda.get_device_name())
    lines = title(given)
    for size in given.sizes:
        for side in given.sides:
            for lora_rank in (LORA_RANK, 0):
                lines += measured(size, side, lora_rank, given)
                print("\n".join(lines[-12:]), flush=True)
    if not given.smoke:
        write_page(RESULT_FILE, lines)
    return 0


class Bench:
    """One model on one device, and clips to train it on."""

    def __init__(self, folder: Path, size: str, side: int, lora_rank: int, given: Any) -> None:
        self.folder, self.given = folder, given
        self.device = torch.device("cpu" if given.smoke else "cuda")
        checkpoint = load_checkpoint("tiny") if given.smoke else random_checkpoint(size)
        model = choose_usual_parts(
            checkpoint.model.to(self.device), lora_rank=lora_rank, frozen_dtype=torch.bfloat16
        )
        self.num_frames, self.num_questions = (2, 2) if given.smoke else (8, 8)
        self.steps = Steps(
            model,
            checkpoint.tokenizer,
            num_frames=self.num_frames,
            side=side,
            autocast=torch.bfloat16,
        )

    def asked(self, num_clips: int, questions_per_clip: int) -> Asked:
        """Return questions about copies of one file."""
        return make_asked(
            self.folder,
            SMOKE_FILE if self.given.smoke else decode.FILES[0],
            num_clips=num_clips,
            questions_per_clip=questions_per_clip,
            seconds=1 if self.given.smoke else 8,
        )

    def ways(self) -> dict[str, tuple[Way, int]]:
        """Return each way to make a step, and the number of its questions."""
        single = self.asked(self.given.usual_questions, 1)
        several = self.asked(self.given.clips, self.num_questions)
        store = FeatureStore(self.folder / "features", encoder="benchmark")
        ways = {"the usual way": (self.steps.usual(single), len(single.rows))}
        ways["ours, 1 question a clip"] = (self.steps.ours(single, OURS), len(single.rows))
        for name, recipe in RECIPES.items():
            asked = several if recipe.shares else single
            way = self.steps.ours(asked, recipe, store=store)
            if recipe.stores:
                way()
                store.flush()
            ways[name] = (way, len(asked.rows))
        return ways

    def clock(self) -> float:
        """Return the wall time after the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def ms(self, run: Callable[[], object], *, repetitions: int | None = None) -> float:
        """Return the median ms of one call."""
        repetitions = repetitions or self.given.repetitions
        spent = in_turns({"run": run}, repetitions=repetitions, clock=self.clock)
        return 1000 * spent["run"]

    def peak_gb(self, run: Callable[[], object]) -> float:
        """Return the most memory of the GPU that one call holds."""
        if self.device.type != "cuda":
            return 0.0
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() / 1e9


def random_checkpoint(size: str) -> Checkpoint:
    """Return a FastVLM of true size with random weights that see."""
    sys.path.append(str(Path(__file__).parents[1] / "scripts"))
    from make_random_checkpoint import make_checkpoint

    return make_checkpoint(size, frame_size=256, seed=0, layout="hf", dtype=torch.float32)


def measured(size: str, side: int, lora_rank: int, given: Any) -> list[str]:
    """Return the table of one model at one side, with adapters of a rank or none."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), size, side, lora_rank, given)
        rows: list[list[Any]] = []
        for name, (way, questions) in bench.ways().items():
            batch = way.make()
            try:
                gpu = bench.ms(partial(way.run, batch)) / questions
                peak = bench.peak_gb(partial(way.run, batch))
            except torch.cuda.OutOfMemoryError:
                rows.append([name, "out of memory", "", "", "", ""])
                continue
            cpu = bench.ms(way.make, repetitions=1) / questions
            rows.append([name, gpu, cpu, max(gpu, cpu / given.workers), peak])
            usual = rows[0][3]
            rows[-1].append(usual / rows[-1][3] if isinstance(usual, float) else "")
        share = language_model_use(bench)
    header = ["way", "GPU, ms a question", "making a batch, CPU ms a question"]
    header += [f"slower of both, {given.workers} workers", "GPU memory, GB", "times faster"]
    kind = f"LoRA of rank {lora_rank}" if lora_rank else "full"
    heading = f"## {size}, {bench.num_frames} frames of {side} px, {kind}"
    bench.steps.model = None
    gc.collect()
    return [heading, "", *table(header, rows), "", share, ""]


def language_model_use(bench: Bench) -> str:
    """Return a line with the MFU of the language model part of our step."""
    steps = bench.steps
    way = steps.ours(bench.asked(bench.given.clips, bench.num_questions), OURS)
    batch = steps.placed(way.make())
    features = torch.cat(steps.encode(batch, few=True))

    def passes() -> None:
        steps.loss(batch, features, OURS).backward()
        steps.model.zero_grad(set_to_none=True)

    seconds = bench.ms(passes) / 1000
    tflops = language_flops(steps.model, batch) / seconds / 1e12
    peak = bench.given.peak_tflops
    num_tokens = batch["input_ids"].numel()
    return (
        f"Projector and language model, {num_tokens:,} tokens a step: {1000 * seconds:.0f} ms, "
        f"{tflops:.3g} TFLOP/s, {tflops / peak:.1%} of {peak:g}."
    )


def language_flops(model: nn.Module, batch: dict[str, Any]) -> float:
    """Return the operations that a step of the language model cannot do without.

    Each weight of a matrix multiplies and adds once for a token, forward; again for the gradient
    of its input; again for its own where it learns. Attention does so for each pair of a token and
    one that it sees, in scores and in sums, forward once and backward twice. The head counts for
    labelled positions alone.
    """
    inner = plain_model(model)
    num_tokens = batch["input_ids"].numel()
    num_targets = int(supervised_positions(batch["labels"]).sum())
    total = 0.0
    for module in inner.model.language_model.layers.modules():
        if isinstance(module, nn.Linear):
            total += _passes(module.weight) * module.weight.numel() * num_tokens
    total += _passes(inner.lm_head.weight) * inner.lm_head.weight.numel() * num_targets
    config = inner.config.text_config
    width = config.hidden_size * config.num_hidden_layers
    return 2 * (total + 3 * 2 * width * sum(map(num_pairs, batch["segments"])))


def _passes(weight: Tensor) -> int:
    return 3 if weight.requires_grad else 2


def num_pairs(segments: Sequence[int]) -> int:
    """Return how many pairs of a token and one that it sees a sample has.

    (4, 2): the prefix of 4 has 10, the branch of 2 sees it twice and has 3 of its own.
    """
    prefix, *branches = segments
    pairs = prefix * (prefix + 1) // 2
    return pairs + sum(length * prefix + length * (length + 1) // 2 for length in branches)


def peak_tflops(device_name: str) -> float:
    """Return what a GPU can compute in bfloat16; raises SystemExit for one that is not listed."""
    for name, tflops in PEAK_TFLOPS.items():
        if name in device_name:
            return tflops
    raise SystemExit(f"the peak of {device_name} is not listed: give it as --peak_tflops")


def title(given: Any) -> list[str]:
    device = "CPU, smoke" if given.smoke else torch.cuda.get_device_name()
    return [
        "# Training on a GPU",
        "",
        f"{device}; {circumstances(transformers=transformers.__version__)}",
        f"bfloat16 autocast, 8 frames, {given.clips} clips a step of ours, "
        f"{given.usual_questions} questions a step the usual way; medians of {given.repetitions}.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
