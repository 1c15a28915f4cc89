"""What does a model in mlx-vlm say about a clip?

    folder written by `write_mlx`  ->  MlxModel;  clips, question  ->  answer

mlx-vlm 0.7 puts the pictures of a prompt in wrong places when there are several: its places are
counted with the placeholders, and then used on the words without them, so every picture after the
first stands one word later than the one before, inside the question.

    prompt                 <image> \\n <image> \\n Why ?
    mlx-vlm                [seen 1] \\n \\n [seen 2] Why ?
    here, and in training  [seen 1] \\n [seen 2] \\n Why ?

The model that `load_mlx` returns puts them right, also for mlx-vlm's own `generate` and server.
Frames and prompts are made by flipbook, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.media import read_media
from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.turns import Media, Turn
from flipbook.errors import CheckpointError
from flipbook.export.vision import need_package
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.folders import CONFIG_FILE, read_json
from flipbook.model.generation import Prompt
from flipbook.model.processing import ImageRule, read_image_rule
from flipbook.video.settings import SETTINGS_FILE, ClipSettings


@dataclass(frozen=True)
class MlxModel:
    """A model of mlx-vlm with what is needed to feed it as it was trained.

    `model` and `processor` are what `mlx_vlm.load` gives, the model with its pictures in place.
    """

    model: Any
    processor: Any
    settings: ClipSettings
    image_rule: ImageRule

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the processor."""
        return self.processor.tokenizer


def load_mlx(folder: str | Path) -> MlxModel:
    """Return the model in a folder that `write_mlx` has written. No code of the folder is run.

    Raises:
        ArgumentError: mlx-vlm is not installed.
        CheckpointError: the folder was not written by flipbook, or names code of its own.
    """
    library = need_package("mlx_vlm", extra="mlx")
    folder = Path(folder)
    config = read_json(folder / CONFIG_FILE)
    settings = ClipSettings.load(folder)
    if settings is None or "projection_dim" not in config.get("vision_config", {}):
        raise CheckpointError(
            f"{folder}: was not written by flipbook for mlx-vlm ({SETTINGS_FILE} or a "
            '"projection_dim" in config.json is missing). Export the model with --layout mlx.'
        )
    if "model_file" in config:
        raise CheckpointError(
            f'{folder}: config.json names code to run ("model_file"), and flipbook runs none. '
            "Export the model with --layout mlx."
        )
    with _tower_sizes(config["vision_config"]):
        model, processor = library.load(str(folder), trust_remote_code=False)
    model.__class__ = _with_pictures_in_place()
    return MlxModel(model, processor, settings, read_image_rule(folder))


def answer_mlx(
    loaded: MlxModel, *, media: Sequence[Media], question: str, max_new_tokens: int = 256
) -> str:
    """Return the greedy answer to one question about clips and pictures, or about none.

    Raises:
        MediaError: a clip or picture cannot be read.
        RecordError: the prompt is longer than the language model may read.
    """
    settings = loaded.settings
    shown = read_media(media, settings)
    input_ids = encode_prompt(
        (Turn("user", (*media, question)),),
        tokenizer=loaded.tokenizer,
        image_token_id=_image_token_id(loaded),
        frames_per_media=shown.frames_per_media,
        tokens_per_frame=settings.tokens_per_frame,
        system_prompt=settings.system_prompt,
        max_length=loaded.model.config.text_config.max_position_embeddings,
        record_id="chat",
    )
    return generate_mlx(
        loaded, Prompt("chat", input_ids, shown.frames), max_new_tokens=max_new_tokens
    )


def generate_mlx(loaded: MlxModel, prompt: Prompt, *, max_new_tokens: int) -> str:
    """Return the greedy answer to a prompt, as `generate_answers` does in torch."""
    new_ids = greedy_ids_mlx(loaded, prompt, max_new_tokens=max_new_tokens)
    text: str = loaded.tokenizer.decode(
        new_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text.strip()


def greedy_ids_mlx(loaded: MlxModel, prompt: Prompt, *, max_new_tokens: int) -> list[int]:
    """Return the most likely ids after a prompt, one after the other, up to the end token."""
    ar = need_package("mlx_vlm.generate.ar", extra="mlx")
    ids, pixel_values = _as_mlx(loaded, prompt)
    end_ids = {loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id}
    new_ids: list[int] = []
    steps = ar.generate_step(
        ids, loaded.model, pixel_values, None, max_tokens=max_new_tokens, temperature=0.0
    )
    for token, _ in steps:
        if int(token) in end_ids:
            break
        new_ids.append(int(token))
    return new_ids


def logits_mlx(loaded: MlxModel, prompt: Prompt) -> npt.NDArray[np.float32]:
    """Return the scores of the next word at each place of a prompt, (L, V)."""
    core = need_package("mlx.core", extra="mlx")
    ids, pixel_values = _as_mlx(loaded, prompt)
    embedded = loaded.model.get_input_embeddings(ids, pixel_values).inputs_embeds
    logits = loaded.model.language_model(None, inputs_embeds=embedded).logits
    return np.array(logits[0].astype(core.float32))


def _as_mlx(loaded: MlxModel, prompt: Prompt) -> tuple[Any, Any]:
    """Return ids with one placeholder for each frame (1, L), and pixel values or None."""
    core = need_package("mlx.core", extra="mlx")
    placeholder = loaded.model.config.image_token_index
    per_frame = loaded.settings.tokens_per_frame
    ids: list[int] = []
    num_seen = 0
    for token_id in prompt.input_ids.tolist():
        if token_id != _image_token_id(loaded):
            ids.append(token_id)
            continue
        if num_seen % per_frame == 0:
            ids.append(placeholder)
        num_seen += 1
    if num_seen != len(prompt.frames) * per_frame:
        raise ValueError(
            f"prompt {prompt.record_id} has {num_seen} image tokens for {len(prompt.frames)} "
            f"frames of {per_frame} features each"
        )
    if not num_seen:
        return core.array([ids]), None
    rule = loaded.image_rule
    pixel_values = normalise_frames(prompt.frames, image_mean=rule.mean, image_std=rule.std)
    return core.array([ids]), core.array(pixel_values.numpy())  # (F, 3, S, S)


def _image_token_id(loaded: MlxModel) -> int:
    return int(loaded.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


@contextmanager
def _tower_sizes(vision_config: dict[str, Any]) -> Iterator[None]:
    """Let mlx-vlm build a tower of other sizes than FastViTHD, which it does not read by itself.

    Its configuration holds them as constants of the class.
    """
    kind: Any = need_package("mlx_vlm.models.fastvlm.config", extra="mlx").VisionConfig
    names = [name for name in ("layers", "embed_dims", "mlp_ratios") if name in vision_config]
    before = {name: getattr(kind, name) for name in names}
    for name in names:
        setattr(kind, name, list(vision_config[name]))
    try:
        yield
    finally:
        for name in names:
            setattr(kind, name, before[name])


def _with_pictures_in_place() -> type:
    """Return mlx-vlm's FastVLM class with a right way to put pictures among words."""
    core = need_package("mlx.core", extra="mlx")
    kind: Any = need_package("mlx_vlm.models.fastvlm", extra="mlx").Model

    class ManyPictures(kind):  # type: ignore[misc]
        """FastVLM that reads several pictures in one prompt, and cuts no prompt off."""

        def prepare_inputs_for_multimodal(self, image_features: Any, ids: Any, mask: Any) -> Any:
            """Return embeddings (B, L, D) with each picture's features at its own placeholder."""
            words, placeholder = (
                self.language_model.model.embed_tokens,
                self.config.image_token_index,
            )
            rows = _unpadded(np.array(ids), None if mask is None else np.array(mask))
            num_places = sum(row.count(placeholder) for row in rows)
            if num_places != len(image_features):
                raise ValueError(f"{len(image_features)} pictures for {num_places} placeholders")
            pictures = iter(image_features)
            embedded = [
                core.concatenate(
                    [
                        next(pictures) if stretch == [placeholder] else words(core.array(stretch))
                        for stretch in _stretches(row, placeholder)
                    ]
                )
                for row in rows
            ]
            if len({len(row) for row in embedded}) > 1:
                raise ValueError("prompts of several lengths in one batch: give them one by one")
            return core.stack(embedded)

    return ManyPictures


def _unpadded(ids: npt.NDArray[Any], mask: npt.NDArray[Any] | None) -> list[list[int]]:
    """Return each row's ids without its padding."""
    if mask is None:
        return [row.tolist() for row in ids]
    return [row[kept.astype(bool)].tolist() for row, kept in zip(ids, mask, strict=True)]


def _stretches(ids: list[int], placeholder: int) -> list[list[int]]:
    """Return ids cut into placeholders, each alone, and the words between them.

    >>> _stretches([5, 0, 6, 7, 0], 0)
    [[5], [0], [6, 7], [0]]
    """
    alone = groupby(enumerate(ids), lambda item: item[0] if item[1] == placeholder else -1)
    return [[token_id for _, token_id in stretch] for _, stretch in alone]
