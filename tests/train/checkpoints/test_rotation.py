from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures_checkpoints import RUN, write_small_checkpoint
from fixtures_kills import dies_at
from flipbook.errors import CheckpointError
from flipbook.train.checkpoints.choosing import newest_whole
from flipbook.train.checkpoints.manifest import verify
from flipbook.train.checkpoints.places import checkpoint_of, steps_in, sweep, whole_steps
from flipbook.train.checkpoints.rotation import rotate, steps_to_remove


@pytest.mark.parametrize(
    ("limit", "best", "gone"),
    [(None, None, []), (0, None, []), (1, None, [2, 4, 6]), (2, 4, [2, 6]), (1, 4, [2, 6])],
)
def test_the_newest_and_the_best_stay(limit: int | None, best: int | None, gone: list[int]) -> None:
    assert steps_to_remove([2, 4, 6, 8], limit=limit, newest=8, best=best) == gone


@given(
    steps=st.sets(st.integers(1, 40), min_size=1),
    limit=st.none() | st.integers(0, 6),
    data=st.data(),
)
def test_no_rotation_takes_what_is_needed(
    steps: set[int], limit: int | None, data: st.DataObject
) -> None:
    newest = data.draw(st.sampled_from(sorted(steps)))
    best = data.draw(st.none() | st.sampled_from(sorted(steps)))
    gone = steps_to_remove(steps, limit=limit, newest=newest, best=best)
    left = steps - set(gone)
    assert newest in left
    assert best is None or best in left
    assert {step for step in steps if step > newest} <= left
    if limit:
        own = {step for step in left if step <= newest}
        assert len(own) <= max(limit, len({newest, best} - {None}))
        assert not gone or max(gone) < newest


def _save(run: Path, step: int, *, limit: int | None, best: int | None) -> None:
    write_small_checkpoint(run, step)
    rotate(run, run_id=RUN, limit=limit, newest=step, best=best)


def _verifies(run: Path, step: int) -> bool:
    try:
        verify(checkpoint_of(run, step))
    except CheckpointError:
        return False
    return True


@pytest.mark.guarantee(3)
@settings(max_examples=25, deadline=None)
@given(
    limit=st.none() | st.integers(1, 3),
    events=st.lists(
        st.one_of(
            st.tuples(st.just("save"), st.integers(1, 3)),
            st.tuples(st.just("kill"), st.integers(1, 45)),
            st.tuples(st.just("damage"), st.integers(0, 3)),
            st.tuples(st.just("best"), st.integers(0, 3)),
        ),
        max_size=7,
    ),
)
def test_a_whole_one_is_always_there_and_is_taken(
    tmp_path_factory: pytest.TempPathFactory, limit: int | None, events: list[tuple[str, int]]
) -> None:
    run = tmp_path_factory.mktemp("run")
    step, best = 1, None
    _save(run, step, limit=limit, best=best)
    for what, number in events:
        sound = {s for s in steps_in(run) if _verifies(run, s)}
        if what == "save":
            step += number
            _save(run, step, limit=limit, best=best)
            kept = set(whole_steps(run, RUN))
            assert _verifies(run, step)
            assert limit is None or len(kept) <= max(limit, len({step, best} - {None}))
        elif what == "kill":
            step += 1
            target = step
            dies_at(number, lambda: _save(run, target, limit=limit, best=best))  # noqa: B023
            sweep(run)
        elif what == "damage" and sound:
            hurt = checkpoint_of(run, sorted(sound)[number % len(sound)])
            (hurt / "model.safetensors").write_bytes(bytes(40) if number % 2 else b"")
            sound = set()
        elif what == "best" and sound:
            best = sorted(sound)[number % len(sound)]
        after = {s for s in steps_in(run) if _verifies(run, s)}
        if sound:  # there was a whole one before, so there is a whole one now, and it is taken
            chosen = newest_whole(run, run_id=RUN, tell=lambda text: None)
            assert chosen is not None
            assert chosen.manifest.step == max(after) >= max(sound)
            assert best not in sound or best in after
        assert not {path.name for path in run.iterdir()} & {".partial", ".removed"}


@pytest.mark.guarantee(9)
def test_rotation_leaves_other_runs_alone(tmp_path: Path) -> None:
    write_small_checkpoint(tmp_path, 1, run_id="another")
    write_small_checkpoint(tmp_path, 900, run_id="another")
    for step in (2, 3, 4):
        _save(tmp_path, step, limit=1, best=None)
    assert steps_in(tmp_path) == [1, 4, 900]
    write_small_checkpoint(tmp_path, 900)  # the run gets there itself
    assert (tmp_path / "other-checkpoint-900.1" / "manifest.json").is_file()
    assert sorted(whole_steps(tmp_path, RUN)) == [4, 900]
