"""With which model, and with which data settings, does a run begin?

Arguments -> Checkpoint -> what the checkpoint settles of the data settings, model with what trains

`flipbook train` and `flipbook encode` begin alike, so that one finds what the other has stored.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from flipbook.errors import ArgumentError
from flipbook.model.attention import choose_attention, set_attention
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.tuning import LoraSettings, cast_frozen, choose_trainable
from flipbook.model.words_of import WordsOf
from flipbook.train.arguments import Arguments, DataArguments, ModelArguments
from flipbook.video.settings import ClipSettings


def load_start_model(arguments: Arguments) -> Checkpoint:
    """Return the checkpoint, in float32 unless what is frozen is quantised."""
    quantize = None if arguments.model.quantize == "none" else arguments.model.quantize
    return load_checkpoint(
        arguments.model.model_name_or_path,
        dtype=torch.bfloat16 if quantize else torch.float32,
        quantize=quantize,
    )


def fit_to_checkpoint(data_args: DataArguments, checkpoint: Checkpoint) -> DataArguments:
    """Return the data arguments with what was left open taken from the checkpoint.

    Raises:
        ArgumentError: a longer conversation is asked for than the language model can place.
    """
    text_config: Any = checkpoint.model.config.text_config
    return _fit(
        data_args,
        checkpoint.settings,
        frame_size=checkpoint.frame_size,
        limit=int(text_config.max_position_embeddings),
    )


def fit_to_words(data_args: DataArguments, words: WordsOf) -> DataArguments:
    """Return the same as `fit_to_checkpoint`, before any weight is read.

    Raises:
        ArgumentError: a longer conversation is asked for than the language model can place.
    """
    return _fit(
        data_args,
        words.settings if words.settings_saved else None,
        frame_size=words.settings.frame_size,
        limit=words.context_tokens,
    )


def _fit(
    data_args: DataArguments, saved: ClipSettings | None, *, frame_size: int, limit: int
) -> DataArguments:
    if data_args.model_max_length is not None and data_args.model_max_length > limit:
        raise ArgumentError(
            f"--model_max_length {data_args.model_max_length} is more than the language model "
            f"can place ({limit} tokens)."
        )
    fitted = dataclasses.replace(
        data_args,
        frame_size=data_args.frame_size or frame_size,
        image_aspect_ratio=data_args.image_aspect_ratio or (saved.aspect if saved else "pad"),
        system_prompt=data_args.system_prompt
        if data_args.system_prompt is not None or saved is None
        else saved.system_prompt,
        model_max_length=data_args.model_max_length or limit,
    )
    fitted.data_seed = data_args.data_seed
    return fitted


def lora_of(words: ModelArguments) -> LoraSettings | None:
    """Return the adapters that are asked for; None for none."""
    if words.lora_r == 0:
        return None
    alpha = 2.0 * words.lora_r if words.lora_alpha is None else words.lora_alpha
    return LoraSettings(rank=words.lora_r, alpha=alpha, dropout=words.lora_dropout)


def prepare_model(
    arguments: Arguments, checkpoint: Checkpoint, *, lora: LoraSettings | None
) -> nn.Module:
    """Return the model with what trains in float32 and what does not as asked."""
    words, args = arguments.model, arguments.training
    set_attention(
        checkpoint.model,
        choose_attention(words.attn_implementation, device_type=args.device.type),
    )
    model = choose_trainable(checkpoint.model, words.train_parts, lora=lora)
    if words.frozen_dtype == "bfloat16" or (words.frozen_dtype == "auto" and args.bf16):
        cast_frozen(model, torch.bfloat16)
    if args.activation_checkpointing and "vision_tower" in words.train_parts:
        recompute_tower(checkpoint.model)
    return model


def recompute_tower(model: Any) -> None:
    """Let a vision tower that learns compute its activations twice: the library's switch does not.

    It does not reach into timm.
    """
    model.model.vision_tower.timm_model.set_grad_checkpointing(True)
