"""How does lmms-eval put its questions to this model?

    text, pictures and clips of a task, generation arguments  ->  answer, by flipbook's own prompt
    the same and a choice  ->  how unlikely the choice is, and whether it would be the answer

Frames, prompts and generation are those of training and of `flipbook evaluate`. lmms-eval finds the
model through the entry point `manifest`; nothing here needs it to be installed but that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from flipbook.data.labels.conversation import encode_conversation, encode_prompt
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, did_you_mean
from flipbook.evaluate.loading import DTYPES, open_model
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import as_encoder_outputs, encode_frames
from flipbook.model.generation import Prompt, generate_answers
from flipbook.model.loss import supervised_positions
from flipbook.model.processor.handed_media import clip_frames, picture_frames
from flipbook.video.decode import is_video_file
from flipbook.video.settings import ClipSettings, refuse_only_here

MODEL_CLASS = "flipbook.export.lmms_model.FlipbookModel"
NUM_PROMPTS_HELD = 64  # with their frames, before they are answered
DEFAULT_NEW_TOKENS = 256


def manifest() -> Any:
    """Return what lmms-eval wants to know of a model: its name and its class."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="flipbook", simple_class_path=MODEL_CLASS)


@dataclass(frozen=True)
class Question:
    """One question of a task: its words, what it shows, and the task's generation arguments."""

    name: str
    text: str
    visuals: tuple[Any, ...] = ()
    generation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class GenerationRule:
    """How long an answer may be, and at which words it is cut.

    Raises:
        ArgumentError: the task asks for anything but the most likely words.
    """

    max_new_tokens: int = DEFAULT_NEW_TOKENS
    until: tuple[str, ...] = ()

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> GenerationRule:
        """Return the rule that a task's `generation_kwargs` state."""
        for name, value in (("do_sample", False), ("temperature", 0), ("num_beams", 1)):
            if (arguments.get(name) or value) != value:
                raise ArgumentError(
                    f"the task asks for {name}={arguments[name]}, and flipbook gives the most "
                    f"likely words only. Give lmms-eval --gen_kwargs {name}={value}."
                )
        until = arguments.get("until") or ()
        return cls(
            max_new_tokens=int(arguments.get("max_new_tokens") or DEFAULT_NEW_TOKENS),
            until=(until,) if isinstance(until, str) else tuple(word for word in until if word),
        )

    def cut(self, answer: str) -> str:
        """Return `answer` up to the first of the words at which it ends."""
        for word in self.until:
            answer = answer.split(word)[0]
        return answer.strip()


def open_for_task(pretrained: str, *, dtype: str, overrides: Mapping[str, Any]) -> Checkpoint:
    """Return the model behind a name, with clip settings changed by `overrides`.

    Raises:
        ArgumentError: a name or a value is unknown.
        CheckpointError: the model cannot be loaded.
    """
    known = [field.name for field in fields(ClipSettings)]
    for name in overrides:
        if name not in known:
            raise ArgumentError(
                f"--model_args: unknown name {name!r}.{did_you_mean(name, known)} Known are "
                f"pretrained, dtype, device, batch_size, {', '.join(known)}."
            )
    if dtype not in DTYPES:
        raise ArgumentError(
            f"--model_args: dtype is {dtype!r}; known are {', '.join(DTYPES)}."
            f"{did_you_mean(dtype, DTYPES)}"
        )
    checkpoint = open_model(pretrained, dtype=DTYPES[dtype])
    checkpoint.settings = replace(checkpoint.clip_settings, **overrides)
    refuse_only_here(checkpoint.settings, reader="lmms-eval")
    return checkpoint


def answer_questions(
    checkpoint: Checkpoint, questions: Sequence[Question], *, batch_size: int
) -> list[str]:
    """Return the answer to each question, in order.

    Raises:
        ArgumentError: a task asks for sampling, or shows something unknown.
        MediaError: a clip or picture cannot be read.
        RecordError: a prompt is longer than the language model may read.
    """
    rules = [GenerationRule.of(question.generation or {}) for question in questions]
    answers = [""] * len(questions)
    for length in sorted({rule.max_new_tokens for rule in rules}):
        places = [place for place, rule in enumerate(rules) if rule.max_new_tokens == length]
        for first in range(0, len(places), NUM_PROMPTS_HELD):
            held = places[first : first + NUM_PROMPTS_HELD]
            given = generate_answers(
                checkpoint.model,
                checkpoint.tokenizer,
                [_prompt(checkpoint, questions[place]) for place in held],
                image_mean=checkpoint.image_mean,
                image_std=checkpoint.image_std,
                batch_size=batch_size,
                max_new_tokens=length,
            )
            for place, answer in zip(held, given, strict=True):
                answers[place] = rules[place].cut(answer)
    return answers


def score_choices(
    checkpoint: Checkpoint, question: Question, choices: Sequence[str]
) -> list[tuple[float, bool]]:
    """Return each choice's negative log-likelihood, and whether it is the greedy answer.

    It is the sum over the choice's tokens and the token that ends the answer: what training
    supervises. lmms-eval takes the choice with the smallest number. The clip is read and encoded
    once for all choices.

    Raises: as `answer_questions`.
    """
    turn, frames_per_media, frames = _asked(checkpoint, question)
    seen: dict[str, Any] = {}
    scores = []
    with torch.inference_mode():
        if len(frames):
            features = encode_frames(
                checkpoint.model,
                frames,
                image_mean=checkpoint.image_mean,
                image_std=checkpoint.image_std,
            )
            seen["mm_encoder_outputs"] = as_encoder_outputs(features.flatten(0, 1)[None])
        for choice in choices:
            encoded = encode_conversation(
                (turn, Turn("assistant", (choice.strip(),))),
                frames_per_media=frames_per_media,
                **_encoding(checkpoint, question),
            )
            scores.append(_score(checkpoint.model, encoded.input_ids, encoded.labels, seen))
    return scores


def _score(
    model: Any, input_ids: Tensor, labels: Tensor, seen: Mapping[str, Any]
) -> tuple[float, bool]:
    """Return the summed loss over the labels (L,), and whether each is the most likely word."""
    labels = labels[None].to(model.device)  # (1, L)
    keep = supervised_positions(labels)
    logits = model(
        input_ids=input_ids[None].to(model.device), logits_to_keep=keep, use_cache=False, **seen
    ).logits  # (N, V)
    targets = labels[:, 1:][keep[:, :-1]]  # (N,)
    loss = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum")
    return float(loss), bool((logits.argmax(-1) == targets).all())


def _prompt(checkpoint: Checkpoint, question: Question) -> Prompt:
    turn, frames_per_media, frames = _asked(checkpoint, question)
    input_ids = encode_prompt(
        (turn,), frames_per_media=frames_per_media, **_encoding(checkpoint, question)
    )
    return Prompt(question.name, input_ids, frames)


def _encoding(checkpoint: Checkpoint, question: Question) -> dict[str, Any]:
    """Return the arguments that a prompt and a whole conversation share."""
    config, settings = checkpoint.model.config, checkpoint.clip_settings
    return {
        "tokenizer": checkpoint.tokenizer,
        "image_token_id": config.image_token_id,
        "tokens_per_frame": settings.tokens_per_frame,
        "system_prompt": settings.system_prompt,
        "max_length": config.text_config.max_position_embeddings,
        "record_id": question.name,
    }


def _asked(checkpoint: Checkpoint, question: Question) -> tuple[Turn, list[int], Tensor]:
    """Return the user's turn, how many frames each picture or clip gives, and the frames."""
    settings = checkpoint.clip_settings
    shown = [_read(visual, settings, question) for visual in question.visuals]
    media = [Media("video" if is_clip else "image", question.name) for is_clip, _ in shown]
    parts = [frames for _, frames in shown]
    side = settings.frame_size
    frames = torch.cat(parts) if parts else torch.zeros((0, 3, side, side), dtype=torch.uint8)
    turn = Turn("user", (*media, question.text.strip()))
    return turn, [len(part) for part in parts], frames


def _read(visual: Any, settings: ClipSettings, question: Question) -> tuple[bool, Tensor]:
    """Return whether something that a task shows is a clip, and its frames."""
    if isinstance(visual, Mapping):
        if visual.get("video_start") is not None or visual.get("video_end") is not None:
            raise ArgumentError(
                f"{question.name}: the task shows a part of a clip (video_start, video_end), and "
                "flipbook reads whole clips. Cut the clip into a file of its own."
            )
        visual = visual.get("url") or visual.get("path")
    if isinstance(visual, str) and is_video_file(visual):
        return True, clip_frames(visual, settings=settings)
    return False, picture_frames(visual, settings=settings)
