"""Does the store give back what was written, under every abuse, and nothing else?"""

from __future__ import annotations

import dataclasses
import errno
import logging
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from flipbook.data import contents
from flipbook.data.batch import VisualSlot
from flipbook.data.features import store
from flipbook.data.features.store import FeatureStore
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.layouts import LAYOUTS
from flipbook.video.settings import ClipSettings

KEY = "00112233445566778899aabbccddeeff"
_FORK = multiprocessing.get_context("fork")


def _features(seed: int = 0, num_frames: int = 2) -> torch.Tensor:
    return torch.randn(num_frames, 4, 8, generator=torch.Generator().manual_seed(seed))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def features_at(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store", encoder="tower")


@pytest.fixture
def clip(tmp_path: Path) -> Media:
    (tmp_path / "clip.mp4").write_bytes(b"content of a clip")
    return Media("video", str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_written_is_read_bit_for_bit(features_at: FeatureStore, dtype: torch.dtype) -> None:
    assert features_at.read(KEY) is None
    assert features_at.write(KEY, _features().to(dtype), num_repeated=1)
    found = features_at.read(KEY)
    assert found is not None
    assert found.num_repeated == 1
    assert found.features.dtype == dtype
    assert torch.equal(found.features, _features().to(dtype))
    assert len(_files(features_at.folder)) == features_at.num_written == 1


def test_a_key_is_the_same_for_the_same_content(
    features_at: FeatureStore, clip: Media, tmp_path: Path
) -> None:
    settings = ClipSettings(frame_size=128)
    shutil.copy(clip.path, tmp_path / "copy.mp4")
    key = features_at.key(clip, settings)
    assert features_at.key(Media("video", str(tmp_path / "copy.mp4")), settings) == key
    assert pickle.loads(pickle.dumps(features_at)).key(clip, settings) == key
    assert FeatureStore(tmp_path / "other", encoder="tower").key(clip, settings) == key


CHANGES: dict[str, Any] = {
    "frame_size": 192,
    "num_frames": 9,
    "sampler": "segments",
    "aspect": "crop",
    "frame_snap": 0.25,
    "frames_per_s": 2.0,
    "min_frames": 3,
    "max_frames": 65,
    "system_prompt": "Look.",
    "timestamps": True,
    "num_clips": 9,
    "clip_share": 0.5,
    "clip_place": 0.0,
    "min_frame_change": 4.0,
    "layout": "grid",
    "slow_frames": 3,
}
NEVER = {"system_prompt", "timestamps", "num_clips", "slow_frames"}
ONLY_FPS, ONLY_SPARSE = {"frames_per_s", "min_frames", "max_frames"}, {"clip_share", "clip_place"}
UNREAD = {
    "video uniform": NEVER | ONLY_FPS | ONLY_SPARSE,
    "video segments": NEVER | ONLY_FPS | ONLY_SPARSE,
    "video fps": NEVER | ONLY_SPARSE | {"num_frames"},
    "video sparse": NEVER - {"timestamps"} | ONLY_FPS,
    "image uniform": CHANGES.keys() - {"frame_size", "aspect"},
}


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (case, field.name)
        for case in UNREAD
        for field in dataclasses.fields(ClipSettings)
        if (case, field.name) != ("video sparse", "timestamps")  # they exclude each other
    ],
)
def test_a_setting_that_changes_the_frames_changes_the_key(
    features_at: FeatureStore, clip: Media, case: str, name: str
) -> None:
    kind, sampler = case.split()
    media = Media(kind, clip.path)  # type: ignore[arg-type]
    before = ClipSettings(frame_size=128, sampler=sampler)
    change = "uniform" if CHANGES[name] == sampler else CHANGES[name]
    after = dataclasses.replace(before, **{name: change})
    is_equal = features_at.key(media, before) == features_at.key(media, after)
    assert is_equal == (name in UNREAD[case])


def test_layouts_that_pool_share_what_the_tower_sees(
    features_at: FeatureStore, clip: Media
) -> None:
    settings = ClipSettings(frame_size=128, timestamps=False)
    named = {name: dataclasses.replace(settings, layout=name) for name in LAYOUTS}
    keys = {name: features_at.key(clip, one) for name, one in named.items()}
    assert keys["pooled"] == keys["spatio_temporal"] == keys["frames"]
    assert len({keys["frames"], keys["grid"], keys["slow_fast"]}) == 3
    more = dataclasses.replace(named["slow_fast"], slow_frames=3)
    whole = {features_at.key(clip, one, part=1) for one in (named["slow_fast"], more)}
    assert len(whole | {keys["slow_fast"], features_at.key(clip, more)}) == 4


def test_everything_else_that_changes_features_changes_the_key(
    features_at: FeatureStore,
    clip: Media,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ClipSettings(frame_size=128)
    keys = [
        features_at.key(clip, settings),
        features_at.key(Media("image", clip.path), settings),
        features_at.key(clip, settings, draw="1/0/a"),
        features_at.key(clip, settings, draw="1/1/a"),
        FeatureStore(tmp_path / "store", encoder="tower in bfloat16").key(clip, settings),
    ]
    Path(clip.path).write_bytes(b"CONTENT of a clip")
    keys.append(features_at.key(clip, settings))
    for target, name, value in (
        (store, "FRAME_RULE", 2),
        (store.av, "__version__", "0"),
        (store.PIL, "__version__", "0"),
        (store.torch, "__version__", "0"),
        (store, "scales_fast", lambda: None),
    ):
        monkeypatch.setattr(target, name, value)
        keys.append(FeatureStore(tmp_path / "store", encoder="tower").key(clip, settings))
    assert len(set(keys)) == len(keys)


def test_a_file_that_is_swapped_under_its_old_date_misses(
    features_at: FeatureStore, clip: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "YOUNG_NS", 0)
    settings, status = ClipSettings(frame_size=128), os.stat(clip.path)
    features_at.write(features_at.key(clip, settings), _features())
    assert features_at.read(features_at.key(clip, settings)) is not None
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    Path(clip.path).write_bytes(b"CONTENT of a clip")
    os.utime(clip.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert features_at.read(features_at.key(clip, settings)) is None


def test_a_missing_clip_has_no_key(features_at: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4: does not exist"):
        features_at.key(Media("video", str(tmp_path / "gone.mp4")), ClipSettings(frame_size=128))


def test_the_features_of_another_tower_are_not_found(features_at: FeatureStore) -> None:
    features_at.write(KEY, _features())
    assert FeatureStore(features_at.folder, encoder="another").read(KEY) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "folder", "pipe"])
def test_a_damaged_file_is_none_and_is_replaced(features_at: FeatureStore, damage: str) -> None:
    features_at.write(KEY, _features())
    (path,) = _files(features_at.folder)
    good = path.read_bytes()
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    path.write_bytes({"cut": good[:-8], "empty": b"", "flip": flipped}.get(damage, good))
    if damage in ("folder", "pipe"):
        path.unlink()
        (os.mkdir if damage == "folder" else os.mkfifo)(path)
    assert features_at.read(KEY) is None
    assert features_at.write(KEY, _features()) == (damage != "folder")
    assert (features_at.read(KEY) is not None) == (damage != "folder")


def _write_often(folder: Path, seed: int) -> None:
    one = FeatureStore(folder, encoder="tower")
    for number in range(30):
        key = f"{number % 3}{KEY[1:]}"
        one.write(key, _features(seed=number % 3, num_frames=64))
        if seed == 0:
            one._path(key).unlink(missing_ok=True)


def test_many_processes_write_one_key(features_at: FeatureStore) -> None:
    """One of them deletes what is there all the time; a reader never sees half a file."""
    writers = [
        _FORK.Process(target=_write_often, args=(features_at.folder, seed)) for seed in range(6)
    ]
    for writer in writers:
        writer.start()
    num_found = 0
    while any(writer.is_alive() for writer in writers):
        for number in range(3):
            found = features_at.read(f"{number}{KEY[1:]}")
            if found is not None:
                num_found += 1
                assert torch.equal(found.features, _features(seed=number, num_frames=64))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert num_found > 0
    assert not list((features_at.folder / "unfinished").iterdir())


def _write_for_ever(folder: Path) -> None:
    one = FeatureStore(folder, encoder="tower")
    large = _features(num_frames=4096)
    for number in range(10**6):
        one.write(f"{number % 7:032x}", large + number)


def test_a_killed_writer_leaves_no_half_file_to_be_seen(features_at: FeatureStore) -> None:
    for attempt in range(12):
        writer = _FORK.Process(target=_write_for_ever, args=(features_at.folder,))
        writer.start()
        assert writer.pid is not None
        while writer.is_alive() and not (features_at.folder / "unfinished").exists():
            time.sleep(0.001)
        time.sleep(0.003 * attempt)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        for path in _files(features_at._own):
            assert features_at.read(path.stem) is not None, path
    left = features_at.folder / "unfinished" / "x.1.unfinished"
    left.write_bytes(b"half")
    for path in left.parent.iterdir():
        os.utime(path, (time.time() - 2 * store.ABANDONED_S,) * 2)
    young = features_at.folder / "unfinished" / "y.2.unfinished"
    young.write_bytes(b"being written by another process")
    assert features_at.write(KEY, _features())
    assert _files(left.parent) == [young]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device"),
        (errno.EDQUOT, "quota exceeded"),
        (errno.EROFS, "Read-only file system"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_a_disk_that_takes_no_more_is_told_once(
    features_at: FeatureStore,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
) -> None:
    features_at.write(KEY, _features())

    def fail(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(contents.os, "replace", fail)
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        assert not features_at.write(KEY[::-1], _features())
        assert not features_at.write(KEY[::-1], _features())
        features_at.write_visuals([VisualSlot(2, False, KEY[::-1])], [_features()])
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{features_at.folder}: no more features are stored, because it can")
    assert words.lower() in message.lower()
    for advice in ("decoded and encoded at every step", "--feature_store_max_gb", "delete"):
        assert advice in message
    assert "\n" not in message
    assert features_at.read(KEY) is not None
    assert len(_files(features_at.folder)) == 1


def _write_beyond_the_limit(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    one = FeatureStore(folder, encoder="tower")
    assert one.write(KEY, _features())
    assert not one.write(KEY[::-1], _features(num_frames=4096))
    assert one.stopped is not None
    assert "File too large" in one.stopped


def test_a_file_that_the_system_cuts_off_is_not_seen(features_at: FeatureStore) -> None:
    writer = _FORK.Process(target=_write_beyond_the_limit, args=(features_at.folder,))
    writer.start()
    writer.join()
    assert writer.exitcode == 0
    assert [path.stem for path in _files(features_at.folder)] == [KEY]


def test_a_store_that_cannot_be_made_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, clip: Media
) -> None:
    (tmp_path / "file").write_bytes(b"")
    one = FeatureStore(tmp_path / "file" / "store", encoder="tower")
    assert one.read(one.key(clip, ClipSettings(frame_size=128))) is None
    assert not one.write(KEY, _features())
    assert "cannot be written to (Not a directory)" in caplog.text


def test_the_bound_is_held_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = FeatureStore(tmp_path, encoder="tower", max_bytes=10_000)
    written = [one.write(f"{number:032x}", _features(number)) for number in range(40)]
    num_written = written.count(True)
    assert written == [True] * num_written + [False] * (40 - num_written)
    sizes = [path.stat().st_size for path in _files(tmp_path)]
    assert 10_000 - max(sizes) < sum(sizes) <= 10_000
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: no more features are stored, because it has reached 0.0 GB, its bound. "
        "Nothing is lost: what is not stored is decoded and encoded at every step. Make "
        "room there, raise --feature_store_max_gb, name another --feature_store, or delete the "
        f"folders of other vision towers beside {one._own.name}, which is this one's."
    ]
    assert all(one.read(f"{number:032x}") is not None for number in range(num_written))


def test_a_batch_is_written_behind_its_back(features_at: FeatureStore) -> None:
    slots = [
        VisualSlot(2, False, KEY, 1),
        VisualSlot(2, True, KEY[::-1]),  # came from the store
        VisualSlot(2, False, None),  # is to be stored nowhere
    ]
    features_at.write_visuals(slots, [_features(0), _features(1), _features(2)])
    features_at.flush()
    found = features_at.read(KEY)
    assert found is not None
    assert torch.equal(found.features, _features(0))
    assert found.num_repeated == 1
    assert len(_files(features_at.folder)) == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("feature-store")]
    features_at.write_visuals(slots[1:2], [_features(1)])
    features_at.write_visuals([VisualSlot(2, False, KEY[::-1])], [_features(1)])
    features_at.close()
    assert features_at.read(KEY[::-1]) is not None


def test_the_thread_waits_for_the_disk_with_few_clips(
    features_at: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_PENDING", 3)
    gate = threading.Semaphore(0)
    replace_file = store.replace_file

    def slow(*args: Any, **kwargs: Any) -> None:
        gate.acquire()
        replace_file(*args, **kwargs)

    monkeypatch.setattr(store, "replace_file", slow)
    slots = [VisualSlot(2, False, f"{number:032x}") for number in range(3)]
    features_at.write_visuals(slots, [_features()] * 3)  # returns although nothing is written
    assert features_at.num_written == 0
    threading.Timer(0.01, gate.release, [10]).start()
    features_at.write_visuals([VisualSlot(2, False, KEY)], [_features()])
    assert features_at.num_written >= 1  # it had to wait for one of them
    features_at.flush()
    assert features_at.num_written == 4


def test_a_mistake_in_the_thread_is_not_lost(features_at: FeatureStore) -> None:
    features_at.write_visuals([VisualSlot(2, False, KEY)], [torch.zeros(2, 3)])
    with pytest.raises(ValueError, match=r"features must be \(T, P, C\)"):
        features_at.flush()


def test_features_that_cannot_be_paired_are_refused(features_at: FeatureStore) -> None:
    with pytest.raises(ValueError, match="shorter"):
        features_at.write_visuals([VisualSlot(2, False, KEY)], [])


class _Reading(Dataset[torch.Tensor]):
    def __init__(self, one: FeatureStore) -> None:
        self.one = one

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        found = self.one.read(f"{index:032x}")
        assert found is not None
        return found.features


def test_workers_read_what_a_thread_of_the_parent_writes(features_at: FeatureStore) -> None:
    slots = [VisualSlot(2, False, f"{number:032x}") for number in range(9)]
    features_at.write_visuals(slots[:8], [_features(number) for number in range(8)])
    while features_at.num_written < 8:
        time.sleep(0.001)
    features_at.write_visuals(slots[8:], [_features(8)])
    loader = DataLoader(_Reading(features_at), batch_size=2, num_workers=2)
    read = torch.cat(list(loader))
    assert torch.equal(read, torch.cat([torch.stack([_features(n)]) for n in range(8)]))
    features_at.close()
    assert features_at.num_written == 9
    copied = pickle.loads(pickle.dumps(features_at))
    assert copied.read(KEY) is None
    assert copied.read(f"{8:032x}") is not None
