"""Which conversation do the tests of proofs hold against what training makes of it?

TALK, FRAMES      ->  two questions about a clip and a picture, and how many frames these have
proven(encoder)   ->  its proofs by their names; failed(proofs) -> what the failing ones say
KINDS             ->  tokenizers of every kind that flipbook reads
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fixtures_llama import make_llama_tokenizer, make_prepend_tokenizer
from fixtures_model import make_tokenizer
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.proofs.label_checks import CHECKS
from flipbook.data.proofs.prove import Proof, prove
from flipbook.data.turns import Media, Turn
from flipbook.video.settings import ClipSettings

CLIP, PICTURE = Media("video", "/clips/a.mp4"), Media("image", "/clips/b.png")
TALK = (
    Turn("system", ("Look closely.",)),
    Turn("user", (CLIP, "What moves?")),
    Turn("assistant", ("A ball.",)),
    Turn("user", ("And ", PICTURE, "here?")),
    Turn("assistant", ("Nothing.",)),
)
FRAMES = (2, 1)
SETTINGS = ClipSettings(frame_size=128, num_frames=2)
KINDS: dict[str, Callable[[], Any]] = {
    "small": make_tokenizer,
    "legacy": partial(make_llama_tokenizer, legacy=True),
    "not legacy": partial(make_llama_tokenizer, legacy=False),
    "normalising": make_prepend_tokenizer,
    "joining lines": partial(make_llama_tokenizer, legacy=False, joins_lines=True),
}


def proven(
    encoder: ConversationEncoder, turns: tuple[Turn, ...] = TALK, **changes: Any
) -> dict[str, Proof]:
    frames = changes.pop("frames_per_media", FRAMES)
    found = prove(turns, encoder, frames_per_media=frames, record_id="clip-7", **changes)
    assert [proof.name for proof in found] == list(CHECKS)
    return {proof.name: proof for proof in found}


def failed(proofs: dict[str, Proof]) -> dict[str, str]:
    return {proof.name: proof.detail for proof in proofs.values() if not proof.holds}
