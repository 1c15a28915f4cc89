"""How does a plan read?

Plan, data -> tables and lines on a console
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from flipbook.data.batch import DataModule
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.manifests import list_reasons
from flipbook.model.tuning import PartSize
from flipbook.train.planning.choices import BEST_RULE, Choice, is_possible
from flipbook.train.planning.facts import Features, Passes, Plan, Spread
from flipbook.train.planning.lengths import TooLong
from flipbook.train.planning.memory import USABLE_SHARE
from flipbook.video.layouts import FRAMES

BAR_WIDTH = 40
VERDICTS = {"kept": "", "recomputed": " twice", "no": " no"}
TITLE = (
    "Predicted peak memory of one process, GB\n"
    "tokens: of the longest batch; over: samples over the limit; twice: fits if activations are\n"
    "computed twice (--activation_checkpointing true); no: does not fit"
)


def show_plan(console: Console, plan: Plan, data: DataModule) -> None:
    """Print what trains, on what, how long, and in how much memory."""
    dataset = data["train_dataset"]
    console.print(_parts_table(plan.parts))
    console.print(_clip_line(dataset))
    for line in _sample_lines(plan.samples):
        console.print(line, markup=False)
    for line in _too_long_lines(plan.too_long):
        console.print(line, markup=False)
    _print_data(console, "training", dataset)
    if data["eval_dataset"] is not None:
        _print_data(console, "validation", data["eval_dataset"])
    console.print(_passes_line(plan.passes))
    if plan.features is not None:
        console.print(_features_line(plan.features), markup=False)
    console.print(_choices_table(plan.choices))
    for line in _memory_lines(plan):
        console.print(line, markup=False)


def _parts_table(parts: Sequence[PartSize]) -> Table:
    table = Table(title="What trains", title_justify="left")
    for heading in ("part", "weights", "trained", "precision"):
        table.add_column(heading, justify="left" if heading in ("part", "precision") else "right")
    for size in parts:
        trained = f"{size.num_trainable:,}" if size.num_trainable else "frozen"
        table.add_row(size.part, f"{size.num_weights:,}", trained, ", ".join(size.dtypes))
    return table


def _clip_line(dataset: LazySupervisedDataset) -> str:
    settings = dataset.settings
    frames = f"{settings.num_frames} frame{'s' if settings.num_frames > 1 else ''}"
    if settings.sampler == "fps":
        frames = f"{settings.min_frames} to {settings.max_frames} frames"
    start = f"A clip: {frames} ({settings.sampler}) of {settings.frame_size} px"
    if settings.layout == FRAMES:
        return f"{start}, {settings.tokens_per_frame} tokens each."
    tokens = sum(settings.tokens_of_clip(settings.num_frames))
    many = "" if settings.sampler == "fps" else f", {tokens} tokens in all"
    return f"{start}, as {settings.layout}{many}; other frames and sides are not weighed."


def _sample_lines(samples: Spread) -> list[str]:
    """Return the histogram of the lengths of samples, and their middle and ends."""
    most = max(count for _, _, count in samples.bins)
    width = len(f"{samples.bins[-1][1]:,}")
    lines = ["Tokens of a sample"]
    for first, last, count in samples.bins:
        bar = "█" * -(-BAR_WIDTH * count // most)
        lines.append(f"  {first:>{width},} to {last:>{width},}  {bar} {count:,}")
    lines.append(
        f"  {samples.min:,} at least, {samples.median:,} in the middle, 95 % have "
        f"{samples.percentile_95:,} or fewer, {samples.max:,} at most (record "
        f"{samples.longest_id})."
    )
    return lines


def _too_long_lines(found: TooLong) -> list[str]:
    if not found.count:
        return [f"The limit of a sample is {found.limit:,} tokens; none is longer."]
    lines = [f"{found.count:,} samples are over the limit of {found.limit:,} tokens:"]
    lines += [f"  - record {name}: {budget}" for name, budget in found.first]
    if found.count > len(found.first):
        lines.append(f"  - and {found.count - len(found.first):,} more")
    return lines


def _print_data(console: Console, name: str, dataset: LazySupervisedDataset) -> None:
    check = dataset.check
    console.print(
        f"{name}: {check.num_conversations:,} conversations, {check.total_tokens:,} tokens, of "
        f"which {check.total_supervised_tokens:,} are learned."
    )
    if check.num_mismatched:
        console.print(
            f"  {check.num_mismatched:,} conversations would be encoded a few tokens differently "
            "as one text; accepted."
        )
    if check.rejected:
        left_out = f"  {len(check.rejected):,} records are left out (--max_bad_fraction):"
        console.print(left_out + list_reasons(check.rejected), markup=False)


def _passes_line(passes: Passes) -> str:
    share = 1 - passes.num_tokens / passes.num_tokens_alone
    saved = f", {share:.0%} fewer than each alone" if share > 0 else ""
    return (
        f"{passes.num_questions:,} questions in {passes.num_passes:,} passes of "
        f"{passes.num_tokens:,} tokens{saved}. {passes.num_steps:,} steps, "
        f"{passes.num_batches:,} batches an epoch, {passes.filling:.0%} full, on "
        f"{passes.num_processes} process(es)."
    )


def _features_line(features: Features) -> str:
    size = features.num_bytes / 1e9
    views = f" in {features.num_views} views" if features.num_views > 1 else ""
    clips = f"{features.num_clips:,} training clips{views}"
    if features.folder is not None:
        return f"Features of {clips} take about {size:.2f} GB in {features.folder}."
    return (
        f"Each clip is decoded and encoded at every pass. --frame_features store does so once and "
        f"keeps about {size:.2f} GB for {clips}."
    )


def _choices_table(choices: Sequence[Choice]) -> Table:
    """Return a line for each combination of frames, side and batch, the ways of tuning beside."""
    tunings = list(dict.fromkeys(choice.tuning for choice in choices))
    table = Table(title=TITLE, title_justify="left", box=SIMPLE, pad_edge=False)
    for heading in ("frames", "side", "batch", "tokens", "over"):
        table.add_column(heading, justify="right")
    for tuning in tunings:
        table.add_column(tuning)
    lines: dict[tuple[int, int, int | None], list[Choice]] = {}
    for choice in choices:
        lines.setdefault((choice.num_frames, choice.side_px, choice.batch_size), []).append(choice)
    seen = None
    for (frames, side, size), row in lines.items():
        table.add_row(
            *(("", "") if (frames, side) == seen else (str(frames), str(side))),
            "full" if size is None else str(size),
            f"{row[0].longest_tokens:,}",
            f"{row[0].num_too_long:,}",
            *(_cell(choice) for choice in row),
        )
        seen = (frames, side)
    return table


def _cell(choice: Choice) -> str:
    return f"{choice.peak_bytes / 1e9:,.2f}{VERDICTS[choice.fits]}"


def _said(choice: Choice) -> str:
    """Return a choice in words."""
    size = "batches by tokens" if choice.batch_size is None else f"batches of {choice.batch_size}"
    twice = ", --activation_checkpointing true" if choice.fits == "recomputed" else ""
    return (
        f"{choice.num_frames} frames of {choice.side_px} px, {size}, {choice.tuning}{twice}: "
        f"{choice.longest_tokens:,} tokens in the longest, {choice.peak_bytes / 1e9:,.2f} GB"
    )


def _memory_lines(plan: Plan) -> list[str]:
    """Return what fits means, what is best, and what the predictions are worth."""
    budget = plan.budget
    most = f" and {budget.batch_tokens:,} tokens of a batch" if budget.batch_tokens else ""
    fits = "" if is_possible(plan.own, budget) else ", which is over the budget"
    lines = [
        f"The budget: {USABLE_SHARE:.0%} of {budget.memory_bytes / 1e9:.2f} GB of memory{most}. "
        f"{BEST_RULE}",
        f"  this run: {_said(plan.own)}{fits}.",
    ]
    for tuning, choice in plan.best.items():
        said = "nothing in the table fits" if choice is None else _said(choice)
        lines.append(f"  best with {tuning}: {said}.")
    return [*lines, plan.memory_model]
