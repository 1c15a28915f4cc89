"""Which rows does a report have, and what does each of them mean?

    control  ->  row  ->  its meaning in words

To add a row: a line in ROWS, and its predictions in `run.py`.
"""

from __future__ import annotations

TUNED, UNTUNED = "tuned", "untuned"
STILL_IMAGES = "still_images_"
STILLS_BEFORE, STILLS_AFTER = f"{STILL_IMAGES}before", f"{STILL_IMAGES}after"

MEANING = "tuning; what the model sees"  # heading of what stands in ROWS

ROWS = {
    UNTUNED: "before; frames in order",
    TUNED: "after; frames in order",
    "shuffled": "after; frames in random order",
    "reversed": "after; frames backwards",
    "single_frame": "after; middle frame alone",
    "blank": "after; black frames",
    "other_clip": "after; frames of another clip",
    "text_only": "after; words alone, no frames",
    STILLS_BEFORE: "before; still images",
    STILLS_AFTER: "after; still images",
}

ROW_OF_CONTROL = {
    "full": TUNED,
    "shuffled": "shuffled",
    "reversed": "reversed",
    "single_frame": "single_frame",
    "blank": "blank",
    "other_clip": "other_clip",
    "text_only": "text_only",
}
