"""What does the hub tell about a model before its weights are downloaded, and why does it refuse?

"owner/model"        ->  HubFacts: folder of small files, tensors by name, bytes of every file
an error of the hub  ->  one line that a person can act on
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flipbook.errors import CheckpointError, NoModelError
from flipbook.model.folders import ADAPTER_FILE, ADAPTER_WEIGHTS, SMALL_FILES
from flipbook.model.weights import DTYPES, StoredTensor


@dataclass(frozen=True)
class HubFacts:
    """What the hub knows of a model.

    Attributes:
        folder: in the hub's cache, with configuration and words and without weights.
        tensors: dtype and shape by name, from the headers of the weight files.
        file_bytes: size of every file, by name.
    """

    folder: Path
    tensors: dict[str, StoredTensor]
    file_bytes: dict[str, int]


def hub_errors() -> tuple[type[Exception], ...]:
    """Every kind of error by which the hub's library says that something was not possible."""
    from huggingface_hub import errors  # slow, and rarely needed

    # A server that cannot be reached is the base of HfHubHTTPError, under no name of this library.
    (unreachable, *_) = errors.HfHubHTTPError.__bases__
    return (
        unreachable,
        errors.HFValidationError,
        errors.NotASafetensorsRepoError,
        errors.SafetensorsParsingError,
        OSError,
    )


def hub_reason(error: Exception) -> str:
    """What an error of the hub says, in one line that ends with a stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first line of an answer is its status; the words that explain it stand below.
    said = " ".join(dict.fromkeys([*lines[:1], *lines[-1:]])) if lines else type(error).__name__
    return said if said.endswith(".") else f"{said}."


def fetch_facts(hub_id: str) -> HubFacts:
    """What the hub knows of a model; its weights are not downloaded.

    Raises:
        CheckpointError: there is no network, no such model, or it holds no safetensors.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import NotASafetensorsRepoError

    api = HfApi()
    try:
        files = api.model_info(hub_id, files_metadata=True).siblings or []
        folder = Path(snapshot_download(hub_id, allow_patterns=SMALL_FILES))
        if (folder / ADAPTER_FILE).is_file():
            headers = [api.parse_safetensors_file_metadata(hub_id, ADAPTER_WEIGHTS)]
        else:
            headers = list(api.get_safetensors_metadata(hub_id).files_metadata.values())
    except NotASafetensorsRepoError as error:
        raise CheckpointError(
            f"{hub_id}: holds no safetensors, so its weights cannot be described from afar. "
            "Download the model and give its folder."
        ) from error
    except hub_errors() as error:
        raise NoModelError(
            f"{hub_id!r} is no folder here, and the hub did not describe it: {hub_reason(error)} "
            "Check the spelling and the network, or download the model and give its folder."
        ) from error
    return HubFacts(
        folder=folder,
        tensors={
            name: StoredTensor(DTYPES[tensor.dtype], tuple(tensor.shape))
            for header in headers
            for name, tensor in header.tensors.items()
        },
        file_bytes={file.rfilename: file.size or 0 for file in files},
    )
