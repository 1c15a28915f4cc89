"""Are answers that were written down read back as they were, or refused with a reason?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fixtures_predictions import make_prediction, share
from flipbook.data.extras import Extras
from flipbook.data.records import Turn
from flipbook.errors import DataError
from flipbook.evaluate.predictions_file import read_predictions, write_predictions
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion

CLASSES = tuple(f"class {place}" for place in range(8))
BEST = "Evaluate again with `flipbook evaluate`"


def classified(place: int, *, right: int, chosen: int) -> Prediction:
    extras = Extras(kind="classification", options=CLASSES, answer=CLASSES[right])
    turns = (Turn("user", ("?",)), Turn("assistant", (CLASSES[right],)))
    question = AskedQuestion(f"c{place}", "class", turns, extras=extras)
    likelihoods = [-float(2 + (option - chosen) % 8) for option in range(8)]
    return judge(question, Answer(CLASSES[chosen], tuple(likelihoods)))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = {
        "untuned": share(1, 3),
        "tuned": [
            make_prediction("a", 0.25, task=None, references=("left", "to the left")),
            make_prediction("b", 1, question="🎈\u2028 \ud800"),
        ],
    }
    write_predictions(tmp_path / "predictions.jsonl", rows)
    found = read_predictions(tmp_path / "predictions.jsonl")
    assert list(found) == ["untuned", "tuned"]
    assert found["tuned"][0].references == ("left", "to the left")
    for row, own in rows.items():
        assert [item.as_dict() for item in found[row]] == [item.as_dict() for item in own]


def test_a_line_is_the_row_and_the_prediction(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    prediction = make_prediction("a", 1)
    write_predictions(path, {"tuned": [prediction]})
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {"row": "tuned", **prediction.as_dict()}
    assert "Où va-t-il" in text


def test_measures_of_what_is_read_are_those_of_what_was_written(tmp_path: Path) -> None:
    written = [
        classified(place, right=place % 4, chosen=(place * place + place // 3) % 8)
        for place in range(40)
    ]
    write_predictions(tmp_path / "p.jsonl", {"tuned": written})
    (found,) = read_predictions(tmp_path / "p.jsonl").values()
    assert [item.as_dict() for item in found] == [item.as_dict() for item in written]
    assert any(len(item.options) < len(CLASSES) for item in found)
    values = {name: measure.value for name, measure in measures_of(written).items()}
    assert {name: measure.value for name, measure in measures_of(found).items()} == pytest.approx(
        values
    )


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, {"tuned": share(1, 1)})

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_predictions(path, {"tuned": share(2, 2)})
    assert [item.name for item in tmp_path.iterdir()] == ["p.jsonl"]
    assert len(read_predictions(path)["tuned"]) == 1


LINE = {"row": "tuned", **make_prediction("a", 1).as_dict()}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: is no prediction: is not JSON"),
        ("[1]", "it is no JSON object"),
        ('{"row": "tuned", "row": "blank"}', "holds the key 'row' twice"),
        (json.dumps({**LINE, "value": None}), "its 'value' is None"),
        (json.dumps({**LINE, "number": "1"}), "its 'number' is '1'"),
        (json.dumps({**LINE, "number": True}), "its 'number' is True"),
        (json.dumps({**LINE, "measures": {"x": "y"}}), "its 'measures' is {'x': 'y'}"),
        (json.dumps({**LINE, "task": 3}), "its 'task' is 3"),
        (json.dumps({**LINE, "ranked": [["a"]]}), "its options are not told as they should be"),
        (json.dumps({**LINE, "ranked": 5}), "its options are not told as they should be"),
        (json.dumps({**LINE, "value": float("nan")}), "holds NaN"),
        (json.dumps(LINE), r"row tuned has question \('a', 1\) twice"),
        (json.dumps({**LINE, "value": 7.0}), "its 'value' is 7.0, and should be its 'exact_match'"),
        (
            json.dumps({**LINE, "value": 7.0, "measures": {"exact_match": 7.0}}),
            "its 'exact_match' is 7.0, which lies outside 0 to 1",
        ),
        (
            json.dumps({**LINE, "measures": {}}),
            "its 'measures' do not tell 'exact_match', by which",
        ),
        (
            json.dumps({**LINE, "measures": {"exact_match": 1.0, "similarity": -2}}),
            "its 'similarity' is -2, which lies outside -1 to 1",
        ),
        (
            json.dumps({**LINE, "measures": {"exact_match": 1.0, "absolute_error": 10**400}}),
            "its 'absolute_error' is 10+.* outside 0 to",
        ),
        (json.dumps({**LINE, "kind": "nokind"}), "its 'kind' is 'nokind'; known are open, mult"),
        (json.dumps({**LINE, "row": "bogus"}), "its 'row' is 'bogus'; known are untuned, tuned"),
        (json.dumps({**LINE, "references": "left"}), "its 'references' is 'left'"),
        (json.dumps({**LINE, "choice": 3}), "its 'choice' is 3"),
        (json.dumps({**LINE, "ranked": [["a", 10**400]]}), "its options are not told as they"),
        ('{"ranked": [["a", -1e999]], ' + json.dumps(LINE)[1:], "a likelihood is not finite"),
        (json.dumps({k: v for k, v in LINE.items() if k != "video"}), "it has no 'video'"),
    ],
)
def test_a_line_that_is_no_prediction_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"p.jsonl line 2: is no prediction: .*{BEST}") as caught:
        read_predictions(path)
    assert caught.match(reason)


def test_files_without_predictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(DataError, match=r"p.jsonl: cannot be read .*Give a run"):
        read_predictions(path)
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DataError, match=r"p.jsonl: cannot be read .*Give a run"):
        read_predictions(path)
    path.write_text("\n\n")
    with pytest.raises(DataError, match=rf"p.jsonl: holds no prediction. {BEST}"):
        read_predictions(path)
