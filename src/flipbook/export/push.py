"""How does an exported folder reach the hub?

    "owner/name"          ->  nothing, where it can be pushed to; an error before hours of work else
    folder, "owner/name"  ->  address of the model on the hub

The token is where `hf auth login` put it, or in HF_TOKEN; flipbook never asks for it or keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flipbook.errors import ArgumentError
from flipbook.model.hub import hub_errors, hub_reason


def check_hub_target(hub_id: str) -> None:
    """Hold a name on the hub, the token and the network to their use, before a model is written.

    Raises:
        ArgumentError: the name is not of the form "owner/name", there is no token, the hub does
            not take it, or it cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    with _telling(hub_id, "nothing was written"):
        validate_repo_id(hub_id)
        if hub_id.count("/") != 1:
            raise ArgumentError(
                f'--push_to_hub {hub_id}: the name on the hub has the form "owner/name". Put your '
                "name or that of your organisation before it."
            )
        HfApi().whoami()


def push_folder(folder: Path, hub_id: str, *, private: bool) -> str:
    """Return the address of the model on the hub, after uploading every file of `folder` to it.

    Raises:
        ArgumentError: the hub refuses or cannot be reached, or the model is there already and
            public although `private` is asked for.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with _telling(hub_id, f"the export is whole in {folder}"):
        address = api.create_repo(hub_id, private=private, exist_ok=True)
        if private and not api.model_info(hub_id).private:
            raise ArgumentError(
                f"--private: {hub_id} is there already and public, so nothing was uploaded. Make "
                f"it private on the hub, or give another name; the export is whole in {folder}."
            )
        api.upload_folder(
            repo_id=hub_id, folder_path=folder, commit_message="Upload a model written by flipbook"
        )
    return str(address)


@contextmanager
def _telling(hub_id: str, state: str) -> Iterator[None]:
    """Turn what the hub's library raises into one line."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    try:
        yield
    except HFValidationError as error:
        raise ArgumentError(
            f"--push_to_hub {hub_id}: no name that the hub takes ({hub_reason(error)}) Give "
            f'"owner/name"; {state}.'
        ) from error
    except LocalTokenNotFoundError as error:
        raise ArgumentError(
            f"--push_to_hub {hub_id}: no token of the hub is on this machine. Log in with `hf auth "
            f"login` or set HF_TOKEN; {state}."
        ) from error
    except HfHubHTTPError as error:
        raise ArgumentError(
            f"--push_to_hub {hub_id}: the hub refuses ({hub_reason(error)}) Check that your token "
            f"may write there; {state}."
        ) from error
    except hub_errors() as error:
        raise ArgumentError(
            f"--push_to_hub {hub_id}: the hub cannot be reached ({hub_reason(error)}) Try again "
            f"when the network is there; {state}."
        ) from error
