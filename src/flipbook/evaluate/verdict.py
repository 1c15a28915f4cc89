"""What may be said about a model, and what not, from its answers?

    Predictions by row, their Differences  ->  one paragraph in plain words

Two rows count as different only where answers that change places at random would differ as much
less than one time in twenty, so a handful of questions never makes a claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flipbook.evaluate.differences import (
    ORDER_CONTROLS,
    in_plain_text,
    is_above,
    is_below,
    name_of,
    nearest_row,
)
from flipbook.evaluate.rows import STILLS_AFTER, STILLS_BEFORE, TUNED, UNTUNED
from flipbook.score.intervals import Difference
from flipbook.score.prediction import Prediction
from flipbook.score.scores import by_name_of_task, mean_over_tasks, videos_of

FEWEST_VIDEOS = 6  # of five, the best p-value is 2/2^5 = 0.06
NO_PICTURES = ("blank", "text_only")
OTHER_CLIP = "other_clip"
SHUFFLED, SINGLE_FRAME = ORDER_CONTROLS
_SEEN = {
    SHUFFLED: "with the frames shuffled",
    SINGLE_FRAME: "from one frame",
    "blank": "with blank frames",
    "text_only": "from the words alone",
}
_LOST = {SHUFFLED: "the order of frames", SINGLE_FRAME: "more than one frame"}

Rows = Mapping[str, Sequence[Prediction]]
Differences = Mapping[str, Difference]


def verdict(predictions: Rows, *, differences: Differences) -> str:
    """Return what the rows say together; those that are absent are left out.

    Args:
        differences: those of `differences_of`.

    Raises:
        ValueError: there is no row `tuned`.
    """
    if TUNED not in predictions:
        raise ValueError(f"no row {TUNED!r} among {list(predictions)}")
    num_videos = len(set(videos_of(predictions[TUNED])))
    if num_videos < FEWEST_VIDEOS:
        sentences = [_too_few(predictions, num_videos)]
    else:
        sentences = [_gain(predictions, differences), *_of_frames(predictions, differences)]
    stills = differences.get(name_of(STILLS_AFTER, STILLS_BEFORE))
    if stills is not None:
        sentences.append(_of_still_images(predictions, stills))
    return " ".join(sentences)


def _start(predictions: Rows) -> str:
    tuned = predictions[TUNED]
    num_tasks = len(by_name_of_task(tuned))
    all_or_nothing = all(prediction.value in (0.0, 1.0) for prediction in tuned)
    verb, of = ("answers", " of the questions") if all_or_nothing else ("scores", "")
    over = f" (mean over {num_tasks} tasks)" if num_tasks > 1 else ""
    if UNTUNED not in predictions:
        return f"The model {verb} {_mean(tuned)}{of}{over}"
    before = f"{_mean(predictions[UNTUNED])} before tuning"
    return f"The tuned model {verb} {_mean(tuned)}{of}{over}, {before}"


def _too_few(predictions: Rows, num_videos: int) -> str:
    num_questions = len(predictions[TUNED])
    few = f"{_counted(num_questions, 'question')} about {_counted(num_videos, 'video')}"
    verb = "is" if num_questions == 1 else "are"
    return f"{_start(predictions)}. {few} {verb} too few to claim anything: add videos."


def _gain(predictions: Rows, differences: Differences) -> str:
    start = _start(predictions)
    apart = differences.get(name_of(TUNED, UNTUNED))
    if apart is None:
        return f"{start}."
    if is_above(apart):
        return f"{start}: it learned."
    if is_below(apart):
        return f"{start}: tuning made it worse."
    return f"{start}: no difference that {_counted(apart.num_questions, 'question')} can show."


def _of_frames(predictions: Rows, differences: Differences) -> list[str]:
    """Return what is said of its use of frames, up to the first thing that nothing shows."""
    without = nearest_row(differences, _unbeaten(differences, NO_PICTURES))
    if without is not None:
        return [
            f"It scores {_mean(predictions[without])} {_SEEN[without]}: nothing here shows that it "
            "looks at the frames."
        ]
    sentences = []
    other = differences.get(name_of(TUNED, OTHER_CLIP))
    if other is not None:
        start = f"It scores {_mean(predictions[OTHER_CLIP])} with the frames of another clip:"
        if not is_above(other):
            return [f"{start} nothing here shows that it uses those of the clip asked about."]
        sentences.append(f"{start} it uses those of the clip asked about.")
    return [*sentences, *_of_order(predictions, differences)]


def _of_order(predictions: Rows, differences: Differences) -> list[str]:
    """Return what is said of order: it is used only where every control without it is beaten."""
    known = [row for row in ORDER_CONTROLS if name_of(TUNED, row) in differences]
    unbeaten = _unbeaten(differences, known)
    row = nearest_row(differences, unbeaten or known)
    if row is None:
        return []
    start = f"It scores {_mean(predictions[row])} {_SEEN[row]}"
    if unbeaten:
        return [
            f"{start}: nothing here shows that it uses {_LOST[row]}; it, or the questions, may not "
            "need it."
        ]
    gain = differences[name_of(TUNED, row)]
    if known == list(ORDER_CONTROLS) and row == SINGLE_FRAME:
        start += f" and no more {_SEEN[SHUFFLED]}"
    used = _LOST[SHUFFLED if SHUFFLED in known else SINGLE_FRAME]
    return [f"{start}: it uses {used} ({_numbers(gain)})."]


def _unbeaten(differences: Differences, rows: Sequence[str]) -> list[str]:
    """Return those of some rows that tuned is not above by more than chance explains."""
    apart = {row: differences.get(name_of(TUNED, row)) for row in rows}
    return [row for row, gain in apart.items() if gain is not None and not is_above(gain)]


def _of_still_images(predictions: Rows, apart: Difference) -> str:
    before, after = _mean(predictions[STILLS_BEFORE]), _mean(predictions[STILLS_AFTER])
    start = f"On still images it scores {after}, {before} before tuning:"
    if is_below(apart):
        return f"{start} it forgot some; mix still images into the training data."
    return f"{start} nothing forgotten that these questions would show."


def _numbers(gain: Difference) -> str:
    return (
        f"temporal gain {gain.value:.2f}, 95 % interval {gain.low:.2f} to {gain.high:.2f}, "
        f"{in_plain_text(gain.p_value)}"
    )


def _mean(predictions: Sequence[Prediction]) -> str:
    return f"{mean_over_tasks(predictions).value:.2f}"


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
