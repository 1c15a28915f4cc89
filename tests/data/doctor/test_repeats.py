"""What is said twice is found, and what is said otherwise too."""

from __future__ import annotations

from typing import Any

from flipbook.data.doctor.repeats import Repeats, find_same_content
from flipbook.data.extras import Extras
from flipbook.data.records import Record
from flipbook.data.turns import Media, Turn
from flipbook.video.view import View

CLIP = Media("video", "/a.mp4")


def talk(question: str, answer: str, media: Media = CLIP) -> tuple[Turn, ...]:
    return Turn("user", (media, question)), Turn("assistant", (answer,))


class Reader:
    """Names records by their order."""

    def __init__(self) -> None:
        self.repeats = Repeats()
        self.number = 0

    def codes(self, *talks: Any, split: str = "train", **extras: Any) -> list[str]:
        self.number += 1
        record = Record(str(self.number), talks, Extras(**extras))
        self.found = self.repeats.look_at(record, split=split)
        return [finding.code for finding in self.found]


def test_the_same_again() -> None:
    reader = Reader()
    assert reader.codes(talk("Why?", "So.")) == []
    assert reader.codes(talk("Why? ", " So.")) == ["duplicate"]
    assert "what record 1 does" in reader.found[0].reason
    assert reader.codes(talk("Why?", "So."), split="test") == []
    assert reader.codes(talk("Why?", "So.", Media("video", "/b.mp4"))) == []
    stretch = Media("video", "/a.mp4", view=View(start_s=1.0))
    assert reader.codes(talk("Why?", "So.", stretch)) == []


def test_a_record_is_a_duplicate_when_all_of_it_was_said() -> None:
    reader = Reader()
    assert reader.codes(talk("Why?", "So."), talk("When?", "Now.")) == []
    assert reader.codes(talk("When?", "Now."), talk("Who?", "He.")) == []
    assert reader.codes(talk("Who?", "He."), talk("Why?", "So.")) == ["duplicate"]


def test_another_answer() -> None:
    reader = Reader()
    assert reader.codes(talk("Why?", "So.")) == []
    assert reader.codes(talk("Why?", "x" * 99)) == ["contradiction"]
    reason = reader.found[0].reason
    assert reason == (
        f"answers '{'x' * 57}...' to a question that record 1 answers otherwise, about the same"
    )
    assert reader.codes(talk("Why?", "Not so."), kind="caption") == []
    assert reader.codes(talk("Why?", "No."), split="test") == []
    longer = (*talk("Why?", "So."), Turn("user", ("And?",)), Turn("assistant", ("More.",)))
    assert reader.codes(longer) == []


def test_the_same_content_under_several_names() -> None:
    contents = [("x", "/a"), ("y", "/b"), ("x", "/c"), ("x", "/a"), *(("z", f"/{n}") for n in "12")]
    found = find_same_content([*contents, *(("z", f"/{n}") for n in "345")])
    assert [(note.path, note.reason) for note in found] == [
        ("/a", "has the same content as /c"),
        ("/1", "has the same content as /2, /3, /4 and 1 more"),
    ]
