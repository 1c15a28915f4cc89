"""What is uploaded, and what is said when the hub does not take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

from flipbook.errors import ArgumentError
from flipbook.export.push import check_hub_target, push_folder

(UNREACHABLE, *_) = HfHubHTTPError.__bases__


class FakeHub:
    """Stands in for `HfApi`: notes what is asked of it, and fails at one call where told to."""

    calls: list[tuple[str, dict[str, Any]]]

    def __init__(self, *, fails_at: str = "", error: Exception | None = None) -> None:
        self.calls = []
        self.fails_at, self.error = fails_at, error
        self.is_private = True

    def _note(self, name: str, **arguments: Any) -> None:
        self.calls.append((name, arguments))
        if name == self.fails_at and self.error is not None:
            raise self.error

    def whoami(self) -> dict[str, str]:
        self._note("whoami")
        return {"name": "someone"}

    def create_repo(self, hub_id: str, **arguments: Any) -> str:
        self._note("create_repo", hub_id=hub_id, **arguments)
        return f"https://hub.example/{hub_id}"

    def model_info(self, hub_id: str) -> Any:
        self._note("model_info", hub_id=hub_id)
        return self  # has `private`, as the hub's answer has

    @property
    def private(self) -> bool:
        return self.is_private

    def upload_folder(self, **arguments: Any) -> None:
        self._note("upload_folder", **arguments)


class _Response:
    """As much of an answer as the hub's error looks at."""

    headers: dict[str, str] = {}
    request = None


def _refusal(text: str) -> Exception:
    response: Any = _Response()
    return HfHubHTTPError(text, response=response)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    hub = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    return hub


@pytest.mark.parametrize("private", [False, True])
def test_every_file_of_the_folder_is_uploaded(hub: FakeHub, tmp_path: Path, private: bool) -> None:
    address = push_folder(tmp_path, "someone/laps", private=private)
    assert address == "https://hub.example/someone/laps"
    asked = dict(hub.calls)
    assert asked["create_repo"] == {"hub_id": "someone/laps", "private": private, "exist_ok": True}
    assert asked["upload_folder"]["repo_id"] == "someone/laps"
    assert asked["upload_folder"]["folder_path"] == tmp_path


def test_what_shall_be_hidden_is_not_put_where_all_can_see(hub: FakeHub, tmp_path: Path) -> None:
    hub.is_private = False
    with pytest.raises(ArgumentError, match="--private: someone/laps is there already and public"):
        push_folder(tmp_path, "someone/laps", private=True)
    assert "upload_folder" not in dict(hub.calls)
    push_folder(tmp_path, "someone/laps", private=False)
    assert "upload_folder" in dict(hub.calls)


ERRORS = [
    (
        LocalTokenNotFoundError("Token is required."),
        "no token of the hub is on this machine. Log in",
    ),
    (
        _refusal("403 Forbidden.\n\nYou have no right to create a model under someone."),
        r"the hub refuses \(403 Forbidden\. You have no right .* someone\.\) Check that your token",
    ),
    (UNREACHABLE("[Errno 111] Connection refused"), "cannot be reached .*Connection refused"),
    (
        OfflineModeIsEnabled("Offline mode is enabled."),
        "cannot be reached .Offline mode is enabled",
    ),
    (HFValidationError("Repo id must not end with '-'."), "no name that the hub takes"),
]


@pytest.mark.parametrize(("error", "message"), ERRORS)
@pytest.mark.parametrize("call", ["create_repo", "upload_folder"])
def test_what_the_hub_says_is_one_line_and_the_export_is_kept(
    hub: FakeHub, tmp_path: Path, call: str, error: Exception, message: str
) -> None:
    hub.fails_at, hub.error = call, error
    with pytest.raises(ArgumentError, match=message) as caught:
        push_folder(tmp_path, "someone/laps", private=False)
    assert "\n" not in str(caught.value)
    assert f"the export is whole in {tmp_path}" in str(caught.value)


@pytest.mark.parametrize(("error", "message"), ERRORS)
def test_token_and_network_are_tried_before_a_model_is_written(
    hub: FakeHub, error: Exception, message: str
) -> None:
    hub.fails_at, hub.error = "whoami", error
    with pytest.raises(ArgumentError, match=message) as caught:
        check_hub_target("someone/laps")
    assert "nothing was written" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("laps", 'has the form "owner/name". Put your name'),
        ("some one/laps", "no name that the hub takes"),
        ("someone/laps/again", "no name that the hub takes"),
        ("", "no name that the hub takes"),
    ],
)
def test_a_wrong_name_is_told_first(hub: FakeHub, name: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_hub_target(name)
    assert hub.calls == []


def test_a_sound_target_is_let_pass(hub: FakeHub) -> None:
    check_hub_target("someone/laps")
    assert [name for name, _ in hub.calls] == ["whoami"]
