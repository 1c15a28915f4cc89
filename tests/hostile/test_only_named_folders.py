"""While data are read, nothing outside the named folders is opened, and nobody is called.

The first test sees what Python opens, the second, by strace, what FFmpeg and all other libraries
open, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fixtures_hostile_data
from fixtures_hostile_data import BEGIN, SECRETS, make_data_sets, read_all

pytestmark = pytest.mark.guarantee(7)
CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen")
CALLS += ("os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class", "ctypes.dlopen")
# What libraries look at on any machine: themselves, and the machine.
ITS_OWN = (sys.prefix, sys.base_prefix, "/usr", "/lib", "/etc/ld.so.cache", "/sys", "/proc", "/dev")
SECRET_PLACES = ("/etc/passwd", "/proc/self/environ", "/dev/zero")
SOURCES = str(Path(__file__).parents[2])

_seen: list[tuple[str, str]] | None = None


def _hook(event: str, words: tuple[Any, ...]) -> None:
    if _seen is not None and (event == "open" or event in CALLS):
        _seen.append((event, str(words[0])))


@pytest.fixture
def watched() -> Iterator[list[tuple[str, str]]]:
    """What Python asks the system for while the test runs; a hook can never be taken away."""
    global _seen  # noqa: PLW0603 - the hook outlives the test
    if not getattr(sys, "flipbook_watches", False):
        sys.addaudithook(_hook)
        sys.flipbook_watches = True  # type: ignore[attr-defined]
    _seen = []
    yield _seen
    _seen = None


@pytest.fixture(scope="module")
def data_sets(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_data_sets(tmp_path_factory.mktemp("sets"), corpus / "plain.mp4")


def strangers(opened: list[str], named: list[Path]) -> list[str]:
    """What lies neither in a named folder nor among the things of Python and the machine."""
    files = [os.path.realpath(path) for path in opened if not path.isdecimal()]
    places = [*map(str, named), *ITS_OWN, SOURCES]
    return [
        path
        for path in files
        if path in SECRET_PLACES
        or os.path.basename(path) in SECRETS
        or not any(path == place or path.startswith(f"{place}/") for place in places)
    ]


def test_the_watch_sees_what_is_opened(watched: list[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a")
    found = strangers([path for _, path in watched], [tmp_path])
    assert str(tmp_path / "secret.csv") in found


def test_python_opens_nothing_else(
    corpus: Path, data_sets: dict[str, Path], tmp_path: Path, watched: list[tuple[str, str]]
) -> None:
    said = read_all(corpus, data_sets, tmp_path)
    found = list(watched)
    assert [event for event in found if event[0] != "open"] == []
    named = [corpus, tmp_path, *data_sets.values(), data_sets["rows.jsonl"].parent]
    assert strangers([path for _, path in found], named) == []
    reasons = "\n".join(said)
    for words in ("leads outside of", "is an address", "is a link that leads out of"):
        assert words in reasons


def test_the_cache_of_the_hub_is_a_folder_of_its_own(corpus: Path, tmp_path: Path) -> None:
    """A snapshot holds links to blobs beside it; they are read, and nothing else beside it is."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    for place in (blobs, snapshot):
        place.mkdir(parents=True)
    shutil.copy(corpus / "plain.mp4", blobs / "1f2e")
    shutil.copy(corpus / "plain.mp4", tmp_path / "secret.mp4")
    (blobs / "aa").write_text("file_name,question,answer\na.mp4,Why?,Rain.\nb.mp4,Why?,Rain.\n")
    (snapshot / "a.mp4").symlink_to("../../blobs/1f2e")
    (snapshot / "b.mp4").symlink_to("../../secret.mp4")
    (snapshot / "metadata.csv").symlink_to("../../blobs/aa")
    said = read_all(corpus, {"snapshot": snapshot}, tmp_path / "out")
    assert any("b.mp4 leads outside of" in reason for reason in said)
    assert not any("a.mp4 leads" in reason for reason in said)
    assert not any("metadata.csv: is a link" in reason for reason in said)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace sees what FFmpeg opens")
def test_no_library_opens_anything_else(
    corpus: Path, data_sets: dict[str, Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    strace = ["strace", "-f", "-qq", "-s", "4096", "-o", str(log)]
    strace += ["-e", "trace=open,openat,openat2,connect,socket,execve"]
    program = [sys.executable, fixtures_hostile_data.__file__, str(corpus)]
    here = os.path.dirname(fixtures_hostile_data.__file__)
    path = os.pathsep.join([here, os.path.join(SOURCES, "src")])
    subprocess.run(
        [*strace, *program, *map(str, data_sets.values())],
        env=os.environ | {"PYTHONPATH": path},
        check=True,
        timeout=600,
    )
    lines = log.read_text(errors="surrogateescape").splitlines()
    begin = next(number for number, line in enumerate(lines) if BEGIN in line)
    after = [line for line in lines[begin + 1 :] if " = -1 " not in line]
    after = [line for line in after if "O_DIRECTORY" not in line]  # names are read, not files
    assert [line for line in after if re.search(r" (connect|socket|execve)\(", line)] == []
    opened = [match[1] for line in after if (match := re.search(r'open\w*\([^"]*"([^"]*)"', line))]
    assert any(path.endswith("plain.mp4") for path in opened)
    named = [corpus, corpus.parent / "traced", *data_sets.values(), data_sets["rows.jsonl"].parent]
    absolute = [path for path in opened if path.startswith("/")]
    assert sorted(set(strangers(absolute, named))) == []
