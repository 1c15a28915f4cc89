"""How is a clip changed a little in training, so that no two epochs show the same?

    turns, extras              ->  what must stay: KEEPS_TIME, KEEPS_SIDES     before the first step
    random numbers, what stays ->  Change: part of the clip, mirrored or not, light
    frames (T, 3, S, S), Change -> frames

Three things may change: a clip loses up to a fifth of its time at its ends, all its frames are
mirrored, its light changes by a tenth. A clip is never played backwards, and still images stay.

A clip is not mirrored where any word that is said about it speaks of sides, of turning, or of
writing, in one of a dozen languages: `left`, `clockwise`, `izquierda`, also the `right` of "all
right". It is not cropped in time where a record asks when, how long or how often, has a stretch,
instants or spans of its own, or speaks of what comes first or last. Words are told by how they
begin, so a few more clips than need be stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flipbook.data.extras import Extras
from flipbook.data.turns import Turn
from flipbook.video.stretch import ALL_TIME

KEEPS_TIME, KEEPS_SIDES = 1, 2  # bits, so that those of several conversations can be joined

LEAST_TIME = 0.8  # of a clip that is kept
MOST_LIGHT = 0.1  # by which brightness and contrast change, up and down
_MIRRORED = 0.5  # how often

_KINDS_OF_TIME = frozenset({"when", "count"})
_SIDES = r"""
    left right clockwise counter-?clock anti-?clock east west starboard
    text letter writ spell caption subtitle sign
    izquierd derech zurd diestr gauche droit links linke recht uhrzeiger sinistr destr
    esquerd direit hor\u00e1ri antihorari lew[aeoy] praw[aeoy] vlevo vpravo lev\u00e1 prav\u00e1
    v\u00e4nster h\u00f6ger venstre h\u00f8yre h\u00f8jre vasen vasem oikea bal\b balra jobb
    sol\b sola\b soldan\b sa\u011f kiri kanan tr\u00e1i ph\u1ea3i
    \u043b\u0435\u0432 \u043f\u0440\u0430\u0432 \u0432\u043b\u0435\u0432\u043e
    \u043d\u0430\u043b\u0435\u0432\u043e \u0441\u043b\u0435\u0432\u0430
    \u0432\u043f\u0440\u0430\u0432\u043e \u043d\u0430\u043f\u0440\u0430\u0432\u043e
    \u0441\u043f\u0440\u0430\u0432\u0430 \u0447\u0430\u0441\u043e\u0432
"""  # the last three lines: Russian; the line before: Turkish, Indonesian, Vietnamese
# Chinese and Japanese, Korean, Arabic, Hebrew, Hindi: words without spaces, or behind an article.
_SIDES_ANYWHERE = r"""
    o'clock \u5de6 \u53f3 \u65f6\u9488 \u6642\u91dd \u6642\u8a08 \uc67c\ucabd \uc624\ub978\ucabd
    \u064a\u0633\u0627\u0631 \u064a\u0645\u064a\u0646
    \u05e9\u05de\u05d0\u05dc \u05d9\u05de\u05d9\u05df
    \u092c\u093e\u090f \u092c\u093e\u092f \u092c\u093e\u0908
    \u0926\u093e\u090f \u0926\u093e\u092f \u0926\u093e\u0908
"""
_TIMES = r"""
    when how\s+long how\s+many how\s+often how\s+much\s+time duration second minute timestamp
    first last begin start end final before after earl late
    cu\u00e1ndo cu\u00e1nt quand combien wann wie\s+lange wie\s+oft wie\s+viel quando quant
    \d+(?:[.,]\d+)?\s*(?:s|sec|secs|min)\b \d+:\d\d
"""


def _starts(words: str) -> str:
    return rf"(?<!\w)(?:{'|'.join(words.split())})"


_ABOUT_SIDES = re.compile(
    f"{_starts(_SIDES)}|{'|'.join(_SIDES_ANYWHERE.split())}|[\u2190\u2192\u21b6\u21b7\u21ba\u21bb]",
    re.IGNORECASE,
)
_ABOUT_TIME = re.compile(_starts(_TIMES), re.IGNORECASE)


class Change(NamedTuple):
    """What becomes of one clip.

    Attributes:
        time_crop: from where to where it is seen, as shares of it.
        mirrored: left and right of every frame change places.
        brightness: factor of every level.
        contrast: exponent of every level, of 0 to 1; above 1 darkens what lies between.
    """

    time_crop: tuple[float, float] = ALL_TIME
    mirrored: bool = False
    brightness: float = 1.0
    contrast: float = 1.0


UNCHANGED = Change()


def what_stays(turns: Sequence[Turn], extras: Extras) -> int:
    """Return `KEEPS_TIME`, `KEEPS_SIDES`, both joined by `|`, or 0, for a conversation.

    Args:
        turns: of the conversation, with its answers.
        extras: of its record.
    """
    words = "\n".join(_words(turns, extras))
    has_times = any(
        item.view.times_s or item.view.start_s is not None or item.view.end_s is not None
        for turn in turns
        for item in turn.media
    )
    is_timed = (
        has_times or extras.spans or extras.kind in _KINDS_OF_TIME or _ABOUT_TIME.search(words)
    )
    is_sided = _ABOUT_SIDES.search(words)
    return (KEEPS_TIME if is_timed else 0) | (KEEPS_SIDES if is_sided else 0)


def _words(turns: Sequence[Turn], extras: Extras) -> Iterable[str]:
    """Yield all that is said about a clip."""
    yield from (turn.text for turn in turns)
    yield from extras.options
    yield from extras.references
    yield from (text for text in (extras.task, extras.answer) if text)


def draw_change(rng: np.random.Generator, *, stays: int) -> Change:
    """Return a change drawn from `rng`, which gives as many numbers whatever `stays`."""
    kept, start, mirror, brightness, contrast = rng.random(5).tolist()
    kept = LEAST_TIME + (1 - LEAST_TIME) * kept
    start *= 1 - kept
    return Change(
        ALL_TIME if stays & KEEPS_TIME else (start, start + kept),
        mirror < _MIRRORED and not stays & KEEPS_SIDES,
        1 + MOST_LIGHT * (2 * brightness - 1),
        1 + MOST_LIGHT * (2 * contrast - 1),
    )


def changed_frames(frames: Tensor, change: Change) -> Tensor:
    """Return frames, uint8 (T, 3, S, S), mirrored and in another light; black bars stay black."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    lit = (change.brightness * levels**change.contrast * 255).round().clamp(0, 255)
    mirrored = frames.flip(-1) if change.mirrored else frames
    return lit.to(torch.uint8)[mirrored.to(torch.int64)]
