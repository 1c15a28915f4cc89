"""What must each field of an Apple-layout config.json be, and what happens otherwise?

    config.json, facts about its neighbours  ->  sentences, one for each field that is wrong

Apple's code takes a default for nearly everything that config.json does not say, without a word:
a folder loads, answers, and is another model. To add a rule: a line in `RULES_OF_CONFIG`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.model.apple.config import RATIO_OF_ASPECT, TEXT_SIZES, THETA_BEFORE_THE_KEY
from flipbook.model.apple.names import EMBEDDINGS
from flipbook.model.families import Family
from flipbook.model.weights import StoredTensor
from flipbook.video.frames import PX_PER_TOKEN

PROJECTOR_IN = "model.multi_modal_projector.linear_1.weight"


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """What a folder holds, as far as the rules ask."""

    config: dict[str, Any]
    family: Family
    tensors: Mapping[str, StoredTensor]  # by `fast_vlm` name
    word_ids: dict[str, int]
    end_id: int | None
    num_clip_tokens: int


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """What one field must be. `wanted` gives the text of it, or None where the value is right."""

    wanted: Callable[[Any, FolderFacts], str | None]
    otherwise: str


def _exactly(value: object) -> Callable[[Any, FolderFacts], str | None]:
    shown = json.dumps(value)
    return lambda given, _: None if given == value and type(given) is type(value) else shown


def _position_base(given: Any, folder: FolderFacts) -> str | None:
    if given is None and folder.family.text_model_type in THETA_BEFORE_THE_KEY:
        return None  # both sides then take the same
    good = isinstance(given, int | float) and not isinstance(given, bool) and given > 0
    return None if good else "the number the model was trained with (FastVLM: 1000000)"


def _size(given: Any, _: FolderFacts) -> str | None:
    good = isinstance(given, int) and not isinstance(given, bool) and given > 0
    return None if good else "the size of the language model"


def _family_word(name: str) -> Callable[[Any, FolderFacts], str | None]:
    def wanted(given: Any, folder: FolderFacts) -> str | None:
        word = getattr(folder.family, name)
        shown = [word] if name == "architecture" else word
        return None if given == shown else json.dumps(shown)

    return wanted


def _tower_name(given: Any, _: FolderFacts) -> str | None:
    found = re.fullmatch(r"mobileclip_l_(\d+)", str(given))
    good = found is not None and int(found[1]) % PX_PER_TOKEN == 0 and int(found[1]) > 0
    return None if good else '"mobileclip_l_" and the side in px, a multiple of 64'


def _projector_width(given: Any, folder: FolderFacts) -> str | None:
    width = folder.tensors[PROJECTOR_IN].shape[1]
    return None if given == width else f"{width}, the width of the stored projector"


def _aspect(given: Any, _: FolderFacts) -> str | None:
    known = list(RATIO_OF_ASPECT.values())
    return None if given in known else " or ".join(f'"{name}"' for name in known)


def _long_enough(given: Any, folder: FolderFacts) -> str | None:
    longest = folder.config.get("max_position_embeddings")
    least = folder.num_clip_tokens
    least = min(least, longest) if isinstance(longest, int) else least
    good = isinstance(given, int) and given >= least
    return None if good else f"{least} or more, which a clip and its question need"


def _tied(given: Any, _: FolderFacts) -> str | None:
    return None if isinstance(given, bool) else "true or false"


def _rows(given: Any, folder: FolderFacts) -> str | None:
    rows = folder.tensors[EMBEDDINGS].shape[0]
    return None if given == rows else f"{rows}, the rows of the stored embeddings"


def _end(given: Any, folder: FolderFacts) -> str | None:
    return None if given == folder.end_id else f"{folder.end_id}, the tokenizer's end of an answer"


def _image_id(given: Any, folder: FolderFacts) -> str | None:
    known = folder.word_ids.get(IMAGE_TOKEN)
    if given is None or given == known:
        return None
    return f"no such field, for {IMAGE_TOKEN} is " + (
        "no word of the tokenizer" if known is None else f"the word {known}"
    )


_SIZE = _Rule(wanted=_size, otherwise="Apple's code builds a language model of another size")
RULES_OF_CONFIG: dict[str, _Rule] = {
    "model_type": _Rule(
        wanted=_family_word("layout"), otherwise="Apple's code does not know the model"
    ),
    "architectures": _Rule(
        wanted=_family_word("architecture"), otherwise="no program can tell the class that reads it"
    ),
    **dict.fromkeys(TEXT_SIZES, _SIZE),
    "vocab_size": _Rule(wanted=_rows, otherwise="the stored embeddings do not fit"),
    "rope_theta": _Rule(
        wanted=_position_base,
        otherwise="Apple's code takes 10000 without a word, and answers wrongly",
    ),
    "tie_word_embeddings": _Rule(
        wanted=_tied, otherwise="Apple's code takes false, and makes up a head that is not stored"
    ),
    "eos_token_id": _Rule(wanted=_end, otherwise="no answer ends before it is cut off"),
    "mm_vision_tower": _Rule(wanted=_tower_name, otherwise="Apple's code knows no such tower"),
    "unfreeze_mm_vision_tower": _Rule(
        wanted=_exactly(True), otherwise="the tower stays random without a word"
    ),
    "mm_hidden_size": _Rule(wanted=_projector_width, otherwise="the stored projector does not fit"),
    "mm_projector_type": _Rule(
        wanted=_exactly("mlp2x_gelu"),
        otherwise="Apple's code builds one linear layer, and the stored projector is not read",
    ),
    "mm_use_im_start_end": _Rule(
        wanted=_exactly(False), otherwise="Apple's predict.py fails, or adds words to the prompt"
    ),
    "mm_use_im_patch_token": _Rule(
        wanted=_exactly(False),
        otherwise="Apple's code adds the word <im_patch>, which has no trained row",
    ),
    "image_aspect_ratio": _Rule(
        wanted=_aspect, otherwise="Apple's code crops pictures to their middle without a word"
    ),
    "tokenizer_model_max_length": _Rule(
        wanted=_long_enough, otherwise="readers cut a longer prompt without a word"
    ),
    "image_token_index": _Rule(
        wanted=_image_id,
        otherwise=(
            "readers that go by it find no picture in a prompt of Apple's Python, where a picture "
            "is -200"
        ),
    ),
}


def faults_of_config(facts: FolderFacts) -> list[str]:
    """Sentences about the fields of config.json that break a rule, in the order of the rules."""
    faults = []
    for field, rule in RULES_OF_CONFIG.items():
        given = facts.config.get(field)
        wanted = rule.wanted(given, facts)
        if wanted is not None:
            said = f'"{field}" is {given!r}' if field in facts.config else f'no "{field}"'
            faults.append(f"config.json: {said}; give {wanted}. Otherwise {rule.otherwise}.")
    return faults
