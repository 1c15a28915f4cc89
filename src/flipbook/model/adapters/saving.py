"""How does an adapter become a folder that is whole without its run?

    PEFT model, Checkpoint, AdapterBase  ->  adapter_config.json, adapter_model.safetensors,
                                             base.json, tokenizer, processor, flipbook.json, ...

Plain PEFT loads the folder onto the base; flipbook finds in it, too, which base that is, its words
and how clips were read. Only the base's weights are not in it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.folders import ADAPTER_WEIGHTS
from flipbook.model.saving import save_side_files


def save_adapter(
    folder: str | Path,
    checkpoint: Checkpoint,
    *,
    tuned: Any,
    base: AdapterBase,
    state_dict: dict[str, Tensor] | None = None,
) -> Path:
    """Folder with all weights that trained, what they belong to, and how clips were read.

    Args:
        folder: made where it does not exist.
        checkpoint: whose words, settings and origin go with the adapter.
        tuned: the PEFT model, its weights trained.
        base: what the model was before anything trained, see `describe_base`.
        state_dict: the weights of `tuned`, where they were gathered from several processes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # `False`, for else peft asks the hub whether words were added to the base.
    trained = get_peft_model_state_dict(tuned, state_dict=state_dict, save_embedding_layers=False)
    apart = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in trained.items()}
    save_file(apart, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = copy.deepcopy(tuned.peft_config["default"])
    config.base_model_name_or_path = checkpoint.source
    config.inference_mode = True
    config.save_pretrained(str(folder))
    base.save(folder)
    save_side_files(folder, checkpoint)
    return folder
