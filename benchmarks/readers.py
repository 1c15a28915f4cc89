"""How do the different homes of a checkpoint read one clip?

    folder  ->  Reader: clip, number of frames  ->  Reading: pixels, features, logits, greedy tokens

To add a home: a function that makes its Reader, and a line where `parity.py` pairs them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor

from flipbook.data.media import read_media
from flipbook.data.turns import Media, Turn
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.fastvlm import as_encoder_outputs, encode_frames, normalise_frames
from flipbook.score.prompts import prompt_ids
from flipbook.video.decode import load_video_frames
from flipbook.video.settings import SETTINGS_FILE, ClipSettings

QUESTION = "Which way does it move?"
NUM_NEW_TOKENS = 24


class Reading(NamedTuple):
    """What one reader makes of the clip; None where it has no such step."""

    pixels: Tensor | None  # float (T, 3, S, S) in [0, 1]
    features: Tensor | None  # (T, P, D)
    logits: Tensor | None  # (V,), of the last prompt position
    new_ids: list[int] | None  # greedy tokens


Reader = Callable[[Path, int], Reading]


def in_flipbook(folder: Path) -> Reader:
    """Return how flipbook reads a folder, in float32."""
    checkpoint = load_checkpoint(folder)

    def read(clip: Path, num_frames: int) -> Reading:
        media = read_media((Media("video", str(clip)),), settings_of(checkpoint, num_frames))
        ids = our_ids(checkpoint, clip, num_frames)
        pixels = normalise_frames(
            media.frames, image_mean=checkpoint.image_mean, image_std=checkpoint.image_std
        )
        with torch.inference_mode():
            features = encode_frames(
                checkpoint.model,
                media.frames,
                image_mean=checkpoint.image_mean,
                image_std=checkpoint.image_std,
            )
        seen = {"mm_encoder_outputs": as_encoder_outputs(features)}
        logits, new_ids = say(checkpoint.model, ids, **seen)
        return Reading(pixels, features, logits, new_ids)

    return read


def settings_of(checkpoint: Checkpoint, num_frames: int) -> ClipSettings:
    return dataclasses.replace(checkpoint.clip_settings, num_frames=num_frames, sampler="uniform")


def our_ids(checkpoint: Checkpoint, clip: Path, num_frames: int) -> Tensor:
    """Return the prompt ids (1, L) that flipbook trains and asks with."""
    turn = Turn("user", (Media("video", str(clip)), QUESTION))
    return prompt_ids(
        checkpoint,
        (turn,),
        frames_per_media=(num_frames,),
        settings=settings_of(checkpoint, num_frames),
        record_id="parity",
    )[None]


def say(model: Any, ids: Tensor, **seen: Any) -> tuple[Tensor, list[int]]:
    """Return the logits (V,) after a prompt and the greedy tokens, through `generate`."""
    with torch.inference_mode():
        answer = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NUM_NEW_TOKENS,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            **seen,
        )
    ends = model.generation_config.eos_token_id
    new_ids = answer.sequences[0, ids.shape[1] :].tolist()
    is_end = {ends} if isinstance(ends, int) else set(ends)
    return answer.logits[0][0].float(), [token for token in new_ids if token not in is_end]


def in_transformers(folder: Path, *, backend: str) -> Reader:
    """Return how plain `transformers` reads a folder: its own model class, tokens and pictures.

    Its processor sees a folder without flipbook's settings, as where flipbook is not installed.
    """
    model = plain_model(folder)
    plain = folder.with_name(f"{folder.name}-{backend}")
    plain.mkdir()
    for path in folder.iterdir():
        if path.name != SETTINGS_FILE:
            (plain / path.name).symlink_to(path)
    prepare = transformers.LlavaProcessor.from_pretrained(plain)
    prepare.image_processor = transformers.AutoImageProcessor.from_pretrained(
        plain, backend=backend
    )

    def read(clip: Path, num_frames: int) -> Reading:
        pictures = load_video_frames(clip, num_frames)
        parts = [{"type": "image"}] * num_frames + [{"type": "text", "text": QUESTION}]
        text = prepare.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True
        )
        inputs = prepare(text=text, images=pictures, return_tensors="pt")
        return read_inputs(model, inputs)

    return read


def in_pipeline_parts(folder: Path) -> Reader:
    """Return how `transformers` reads a video file through the processor that flipbook brings."""
    from flipbook import FlipbookProcessor

    model = plain_model(folder)
    prepare = FlipbookProcessor.from_pretrained(folder)

    def read(clip: Path, num_frames: int) -> Reading:
        parts = [{"type": "video", "path": str(clip)}, {"type": "text", "text": QUESTION}]
        inputs = prepare.apply_chat_template(
            [{"role": "user", "content": parts}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"num_frames": num_frames},
        )
        return read_inputs(model, inputs)

    return read


def plain_model(folder: Path) -> Any:
    return transformers.AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32
    ).eval()


def read_inputs(model: Any, inputs: Any) -> Reading:
    pixels = inputs["pixel_values"]
    with torch.inference_mode():
        features = model.get_image_features(pixel_values=pixels).pooler_output
    features = torch.stack(tuple(features))
    logits, new_ids = say(model, inputs["input_ids"], pixel_values=pixels)
    return Reading(pixels, features, logits, new_ids)


def further_homes(hf: Path, folder: Path) -> dict[str, Callable[[], Reader]]:
    """Return the readers whose packages are installed here."""
    homes: dict[str, Callable[[], Reader]] = {}
    if all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        homes["ONNX, tower and projector"] = lambda: in_onnx(hf, folder / "onnx")
    if importlib.util.find_spec("mlx_vlm"):
        homes["mlx-vlm"] = lambda: in_mlx(hf, folder / "mlx")
    return homes


def in_onnx(hf: Path, folder: Path) -> Reader:
    """Return how onnxruntime sees; it has no language model."""
    import onnxruntime

    from flipbook.export.onnx import write_onnx

    folder.mkdir()
    checkpoint = load_checkpoint(hf)
    session = onnxruntime.InferenceSession(str(write_onnx(folder, checkpoint)))

    def read(clip: Path, num_frames: int) -> Reading:
        media = read_media((Media("video", str(clip)),), settings_of(checkpoint, num_frames))
        images = normalise_frames(media.frames)
        features = session.run(["features"], {"images": images.numpy()})[0]
        return Reading(None, torch.from_numpy(features), None, None)

    return read


def in_mlx(hf: Path, folder: Path) -> Reader:
    """Return how mlx-vlm reads, with its pictures put in their places."""
    from flipbook.export.mlx import write_mlx
    from flipbook.export.mlx_chat import greedy_ids_mlx, load_mlx, logits_mlx
    from flipbook.model.generation import Prompt

    folder.mkdir()
    checkpoint = load_checkpoint(hf)
    loaded = load_mlx(write_mlx(folder, checkpoint))

    def read(clip: Path, num_frames: int) -> Reading:
        media = read_media((Media("video", str(clip)),), settings_of(checkpoint, num_frames))
        prompt = Prompt("parity", our_ids(checkpoint, clip, num_frames)[0], media.frames)
        logits = torch.from_numpy(logits_mlx(loaded, prompt)[-1])
        new_ids = greedy_ids_mlx(loaded, prompt, max_new_tokens=NUM_NEW_TOKENS)
        return Reading(None, None, logits, new_ids)

    return read
