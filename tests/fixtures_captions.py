"""What captions in the tests of text measures are made of."""

CAPTION_WORDS = [
    "the",
    "a",
    "man",
    "Man",
    "lifts,",
    "box",
    "boxes.",
    "red",
    "left-hand",
    "it's",
    "café",
    "3",
    "猫",
    "!",
    "quickly",
    "(slowly)",
]
