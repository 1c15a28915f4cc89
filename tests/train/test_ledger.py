"""Every record that a user named ends in exactly one class, and the totals add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures_data import Tune
from fixtures_model import make_tokenizer
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData, write_clip
from flipbook.errors import TrainingError
from flipbook.train.arguments import DataArguments
from flipbook.train.ledger.counts import TrainedCounts
from flipbook.train.ledger.upstream import Upstream
from flipbook.train.ledger.writing import check_promise, told_of_ledger, write_ledger
from flipbook.train.progress import ProgressCallback

pytestmark = pytest.mark.guarantee(4)

GOOD: list[Any] = [
    {"from": "human", "value": "Which way?"},
    {"from": "gpt", "value": "Left."},
]
# Records without a picture: sound ones with one or two conversations, and bad ones.
KINDS: dict[str, Any] = {
    "sound": {"conversations": GOOD},
    "two conversations": {"conversations": [GOOD, GOOD]},
    "no answer": {"conversations": GOOD[:1]},
    "an unknown role": {"conversations": [{"from": "cat", "value": "Meow."}, *GOOD]},
    "absent clip": {"video": "nowhere.mp4", "conversations": GOOD},
    "no words": {"conversations": []},
}
SOUND = ("sound", "two conversations")


def of(run_folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the lines of a ledger, and its totals."""
    lines = (run_folder / "ledger.jsonl").read_text("utf-8").splitlines()
    return list(map(json.loads, lines)), json.loads((run_folder / "ledger.json").read_text("utf-8"))


def as_expected(lines: list[dict[str, Any]], totals: dict[str, Any]) -> None:
    """Check that each line is of one class, and that the totals are those of the lines."""
    assert all(("trained" in line) != ("excluded" in line) for line in lines)
    excluded = [line for line in lines if "excluded" in line]
    assert all(line["excluded"] and line["stage"] for line in excluded)
    times = Counter(line["trained"] for line in lines if "trained" in line)
    assert totals["times"] == {str(k): times[k] for k in sorted(times)}
    assert totals["trained"] + totals["not_trained"] + totals["excluded"] == len(lines)
    assert totals["excluded"] == len(excluded) == sum(totals["excluded_by_reason"].values())
    assert totals["excluded_by_stage"] == dict(Counter(line["stage"] for line in excluded))
    assert totals["adds_up"]
    assert totals["named"] == len(lines) + sum(totals["held_out"].values())


@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_mix_of_records_is_divided_into_trained_and_excluded(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    kinds = ["sound", *data.draw(st.lists(st.sampled_from(list(KINDS)), max_size=12))]
    rows = [{"id": f"r{number}", **KINDS[kind]} for number, kind in enumerate(kinds)]
    (folder / "rows.json").write_text(json.dumps(rows))
    data_args = DataArguments(num_video_frames=2, frame_size=128, max_bad_fraction=0.99)
    dataset = LazySupervisedDataset(str(folder / "rows.json"), make_tokenizer(), data_args)
    counts = TrainedCounts(len(dataset))
    seen = data.draw(st.lists(st.integers(0, len(dataset) - 1), max_size=30))
    counts.note(seen)
    counts.finish_step()
    counts.meet(torch.clone, step=1)
    totals = write_ledger(folder, dataset.table, counts, Upstream(len(rows)), planned_steps=1)
    lines, written = of(folder)
    assert written == totals
    as_expected(lines, totals)
    assert [line["record_id"] for line in lines] == [row["id"] for row in rows]
    assert ["trained" in line for line in lines] == [kind in SOUND for kind in kinds]
    assert totals["conversations_trained"] == len(seen)


def test_a_run_tells_how_often_each_record_was_trained_on(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    rows = json.loads(generated.train.read_text())[:6]
    rows[2]["conversations"] = rows[2]["conversations"][:1]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    run = tune(
        data_path=tmp_path / "rows.json",
        image_folder=generated.folder,
        max_bad_fraction=0.5,
        per_device_train_batch_size=1,
        max_steps=7,
    )
    lines, totals = of(run.run_folder)
    as_expected(lines, totals)
    assert [line["record_id"] for line in lines] == [row["id"] for row in rows]
    assert [line.get("trained", 0) for line in lines].count(0) == 1
    assert lines[2]["stage"] == "reading"
    assert totals["times"] == {"1": 3, "2": 2}  # 7 steps of one of 5 records
    assert totals["step"] == totals["planned_steps"] == 7


def test_a_run_that_ends_before_its_last_step_is_an_error(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = True  # as the library does where a loader gives nothing

    monkeypatch.setattr(ProgressCallback, "on_substep_end", stop, raising=False)
    with pytest.raises(TrainingError, match=r"ended after step [01] of 3, and nothing had asked"):
        tune(tmp_path / "run", max_steps=3, gradient_accumulation_steps=2)
    assert not (tmp_path / "run" / "model").exists()


def test_what_the_check_of_media_leaves_out_is_in_it_too(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    rows = [row for row in json.loads(generated.train.read_text()) if "video" in row][:4]
    for row in rows:
        row["video"] = str(generated.folder / row["video"])
    rows[1]["video"] = str(tmp_path / "broken.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no clip at all")
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    run = tune(
        data_path=tmp_path / "rows.json",
        image_folder=generated.folder,
        check_media=True,
        max_bad_fraction=0.5,
        max_steps=1,
    )
    lines, totals = of(run.run_folder)
    as_expected(lines, totals)
    assert {line["record_id"] for line in lines} == {row["id"] for row in rows}
    (excluded,) = (line for line in lines if "excluded" in line)
    assert (excluded["record_id"], excluded["stage"]) == (rows[1]["id"], "check")
    assert str(tmp_path) not in json.dumps([lines, totals])


def test_what_is_kept_for_validation_and_test_is_counted(tune: Tune, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    rng = np.random.default_rng(0)
    for label in ("jump", "squat"):
        (clips / label).mkdir(parents=True)
        for number in range(4):
            frames = rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
            write_clip(clips / label / f"{number}.mp4", frames)
    lines, totals = of(tune(data_path=clips, max_steps=1, eval_strategy="no").run_folder)
    as_expected(lines, totals)
    assert totals["named"] == 8
    assert 0 < sum(totals["held_out"].values()) < 8


def test_records_that_were_not_trained_on_as_promised_are_named() -> None:
    counts = TrainedCounts(3)
    counts.note([0, 0, 2])
    counts.finish_step()
    counts.meet(torch.clone, step=4)
    names: Any = SimpleNamespace(
        lines=lambda places, _: [{"record_id": f"clip-{place}"} for place in places]
    )
    check_promise(names, counts, np.array([2, 0, 1], dtype=np.int32))
    with pytest.raises(TrainingError, match=r"step 4 2 .*clip-0 \(2 in .* 1\), clip-1 \(0 in .* 1"):
        check_promise(names, counts, np.array([1, 1, 1], dtype=np.int32))


def test_counts_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    counts = TrainedCounts(3)
    counts.note([0, 2])
    counts.finish_step()
    counts.note([1])
    counts.finish_step(is_skipped=True)
    counts.meet(torch.clone, step=2)
    counts.save(tmp_path)
    again = TrainedCounts(3)
    again.begin(tmp_path)
    assert again.taken.tolist() == [1, 0, 1]
    assert again.skipped.tolist() == [0, 1, 0]
    assert again.step == 2


def test_totals_are_told_in_a_line() -> None:
    totals = {
        "times": {"0": 1, "1": 2, "3": 1200},
        "held_out": {"validation": 10, "test": 0},
        "excluded": 34,
        "named": 1247,
    }
    assert told_of_ledger(totals) == (
        "All 1,247 records: 1 not trained, 2 trained once, 1,200 trained 3 times, 10 kept for "
        "validation, 34 excluded (reasons in ledger.jsonl)."
    )
