"""What must a run folder tell about how it was made?

Arguments -> config.yaml (gives the run again)    installed packages -> environment.json
"""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from flipbook.data.written import write_json_whole, write_whole
from flipbook.train.arguments import Arguments

PACKAGES = (
    "flipbook-vlm",
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "accelerate",
    "peft",
    "av",
    "numpy",
    "tokenizers",
    "safetensors",
)
SECRETS = {"hub_token"}
GIT_S = 10  # on a disk that does not answer, a report is worth more than its commit


def write_arguments(run_folder: Path, arguments: Arguments) -> Path:
    """Return the path of `config.yaml`: what was asked for and what was found for the rest.

    `flipbook train config.yaml` gives the run again. Settings of the library that stayed at their
    defaults are not repeated.
    """
    lines: dict[str, Any] = {}
    for part in (arguments.model, arguments.data, arguments.training):
        for field in dataclasses.fields(part):
            value = _plain(getattr(part, field.name))
            own = field.name in type(part).__annotations__ or field.name in arguments.explicit
            told = field.init and (own or value != field.default) and field.name not in SECRETS
            if told and isinstance(value, (str, int, float, list)) and value != []:
                lines[field.name] = value
    path = run_folder / "config.yaml"
    write_whole(path, yaml.safe_dump(lines, sort_keys=False, allow_unicode=True))
    return path


def write_environment(run_folder: Path) -> Path:
    """Return the path of `environment.json`: versions and hardware."""
    path = run_folder / "environment.json"
    write_json_whole(path, environment())
    return path


def environment() -> dict[str, Any]:
    """Return the versions of what computes, and on what."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpus": gpus,
        "versions": package_versions(),
        "source": source_commit(),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of what computes."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed as a package"
    return versions


def source_commit() -> str:
    """Return the commit from which flipbook runs, and whether its files differ from it.

    "unknown" where it is installed as a package, or there is no git.
    """
    package = Path(__file__).parents[1]
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return "unknown"  # or it lies in a repository of something else
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", ".")
    return f"{commit} with changes" if changed else commit


def _git(folder: Path, *words: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-C", str(folder), *words], capture_output=True, text=True, timeout=GIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Return an enumeration's word; all else as it is."""
    return getattr(value, "value", value)
