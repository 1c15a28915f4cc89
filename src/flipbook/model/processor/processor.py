"""How do plain transformers' chats, clips included, become what the model was trained on?

    from flipbook import FlipbookProcessor            once; from then on
    AutoProcessor.from_pretrained(folder)             ->  FlipbookProcessor
    processor.apply_chat_template(messages, ...)      ->  input_ids, attention_mask, pixel_values

Ids come from `encode_prompt` and pixels from the readers of `flipbook.video`, as in training; so a
typed `<image>` or `<|im_start|>` stays text. Whoever renders a chat first and passes the text on
has `<video>` in it for each clip, and its frames are written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor
from transformers import BatchFeature, LlavaProcessor
from transformers.processing_utils import _UNMARKED  # no mark of `sanitize_control_tokens` before

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.templates.system_prompt import with_system_prompt, without_system_prompt
from flipbook.data.templates.template import choose_template
from flipbook.errors import ArgumentError
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.processing import NO_MEAN, NO_STD, Triple, save_processor
from flipbook.model.processor.chat_rows import Asked, encode_chat, has_counterpart, pad_rows
from flipbook.model.processor.folder import read_processor_folder
from flipbook.model.processor.media_processors import (
    FlipbookImageProcessor,
    FlipbookVideoProcessor,
    changed_by_name,
    flat_clips,
    flat_pictures,
)
from flipbook.model.processor.messages import name_videos
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.settings import ClipSettings

VIDEO_TOKEN = "<video>"  # noqa: S105 - stands for a clip in rendered text, and is no word


class FlipbookProcessor(LlavaProcessor):
    """`LlavaProcessor` that takes clips beside pictures, and gives the prompts of training.

    Args:
        image_processor: reads pictures.
        tokenizer: with `<image>` among its tokens; its padding side becomes left.
        video_processor: reads clips; its settings hold the model's system prompt.
        chat_template: in place of the tokenizer's.
    """

    text_kwargs = {"padding": True}

    def __init__(
        self,
        image_processor: FlipbookImageProcessor | None = None,
        tokenizer: Any = None,
        video_processor: FlipbookVideoProcessor | None = None,
        chat_template: str | None = None,
    ) -> None:
        if image_processor is None or tokenizer is None or video_processor is None:
            raise ValueError("image_processor, tokenizer and video_processor must all be given")
        self.patch_size = PX_PER_TOKEN
        self.num_additional_image_tokens = 0
        self.vision_feature_select_strategy = "full"
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.video_token = VIDEO_TOKEN
        tokenizer.padding_side = "left"
        tokenizer.chat_template = without_system_prompt(
            chat_template or tokenizer.chat_template or ""
        )
        template = choose_template(tokenizer, None)
        tokenizer.chat_template = template.text
        # LlavaProcessor's own takes no video processor.
        super(LlavaProcessor, self).__init__(  # type: ignore[no-untyped-call]
            image_processor,
            tokenizer,
            video_processor,
            chat_template=with_system_prompt(template, video_processor.settings.system_prompt),
        )

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        settings: ClipSettings,
        *,
        image_mean: Triple = NO_MEAN,
        image_std: Triple = NO_STD,
    ) -> Self:
        """Processor for a tokenizer and clip settings, such as those of a `Checkpoint`."""
        scale = {"image_mean": image_mean, "image_std": image_std}
        return cls(
            FlipbookImageProcessor.of(settings, **scale),
            tokenizer,
            FlipbookVideoProcessor.of(settings, **scale),
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[Any], *args: Any, **kwargs: Any
    ) -> Self:
        """Processor of a folder, a hub id or "tiny"; clip settings may be changed by their names.

        Raises:
            CheckpointError: the files are missing, damaged, or no FastVLM's.
            ArgumentError: a changed setting is out of range.
        """
        tokenizer, rule = read_processor_folder(pretrained_model_name_or_path, **kwargs)
        settings = changed_by_name(rule.settings, kwargs)
        return cls.of(tokenizer, settings, image_mean=rule.mean, image_std=rule.std)

    def save_pretrained(
        self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """Paths of the files written, which plain transformers reads as a `LlavaProcessor`."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        save_processor(
            folder,
            self.tokenizer,
            settings=self.video_processor.settings,
            mean=tuple(self.video_processor.image_mean),
            std=tuple(self.video_processor.image_std),
        )
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", folder.name), **kwargs)
        return [str(path) for path in sorted(folder.iterdir())]

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        tokenize: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        sanitize_control_tokens: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Prompt of a chat, or of several: with `tokenize` and `return_dict`, what the model takes.

        Ids and pixels are those of training. What training has no counterpart for, such as tools,
        takes transformers' own way: rendered text, in which clips are `<video>`.

        Args:
            conversation: messages, or a list of such lists.
            chat_template: in place of the model's.
            tokenize: whether to give ids instead of text.
            processor_kwargs: changes to clip settings, padding and the like.
            sanitize_control_tokens: whether special tokens that a user typed stay text.
            kwargs: transformers' further arguments, and changes as in `processor_kwargs`.

        Raises:
            RecordError: the turns are no conversation, or it needs more than `max_length` tokens.
            MediaError: a picture or clip cannot be read.
            ArgumentError: a part, a picture, a clip or an argument cannot be meant.
        """
        kwargs.pop("load_audio_from_video", None)  # `transformers serve` asks; nobody hears here
        changes = {**(processor_kwargs or {}), **kwargs}
        chats, is_batched = self._normalize_conversations(conversation)
        asked = Asked(**{name: changes.pop(name) for name in Asked._fields if name in changes})
        followed = {*self.image_processor.valid_kwargs.__annotations__}
        followed |= {*self.video_processor.valid_kwargs.__annotations__}
        is_exact = tokenize and has_counterpart(chats, asked, changes, followed=followed)
        if is_exact and sanitize_control_tokens:
            return self._exact(chats, chat_template, asked=asked, changes=changes)
        if not tokenize:
            chats = name_videos(chats, token=VIDEO_TOKEN)
        if tokenize and sanitize_control_tokens and not asked.return_assistant_tokens_mask:
            kwargs["sanitize_control_tokens"] = True
        return super().apply_chat_template(
            chats if is_batched else chats[0],
            chat_template,
            tokenize=tokenize,
            processor_kwargs=dict(processor_kwargs or {}),
            **kwargs,
        )

    def _multimodal_inputs_from_conversations(self, conversations: Any, *args: Any) -> Any:
        """What the chats show; in those that are rendered next, `<video>` stands for each clip."""
        found = super()._multimodal_inputs_from_conversations(conversations, *args)
        conversations[:] = name_videos(conversations, token=VIDEO_TOKEN)
        return found

    def _exact(
        self,
        chats: Sequence[Sequence[Mapping[str, Any]]],
        chat_template: str | None,
        *,
        asked: Asked,
        changes: Mapping[str, Any],
    ) -> Any:
        """Ids and pixels by the functions of training."""
        kwargs = self._merge_kwargs(**changes)
        text = kwargs["text_kwargs"]
        rows = [
            encode_chat(
                chat,
                self,
                kwargs=kwargs,
                chat_template=chat_template,
                is_continued=bool(asked.continue_final_message),
            )
            for chat in chats
        ]
        data = pad_rows(
            rows, self.tokenizer, text=text, with_masks=asked.return_assistant_tokens_mask
        )
        data |= self._seen([frames for row in rows for frames in row.frames])
        given = asked.return_tensors if asked.return_tensors != "auto" else None
        output = BatchFeature(data, tensor_type=given or text.get("return_tensors"))
        return output if asked.return_dict else output["input_ids"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        audio: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """What the model takes, of rendered text with `<image>` and `<video>` in place.

        Raises:
            MediaError: a picture or clip cannot be read.
            ArgumentError: places and media are not as many, or one cannot be meant.
        """
        if audio is not None:
            raise ArgumentError("a FastVLM does not hear. Leave audio out.")
        merged = self._merge_kwargs(**kwargs)
        pictures = [] if images is None else flat_pictures(images)
        clips = [] if videos is None else flat_clips(videos)
        image_frames = [
            self.image_processor.frames_of(item, **merged["images_kwargs"]) for item in pictures
        ]
        video_frames = [
            self.video_processor.frames_of(item, **merged["videos_kwargs"]) for item in clips
        ]
        data: dict[str, Any] = {}
        in_order = [*image_frames, *video_frames]
        if text is not None:
            samples = [text] if isinstance(text, str) else list(text)
            data, in_order = self._read_text(samples, image_frames, video_frames, merged)
        data |= self._seen(in_order)
        return BatchFeature(data, tensor_type=merged["text_kwargs"].get("return_tensors"))

    def _read_text(
        self,
        samples: list[str],
        image_frames: list[Tensor],
        video_frames: list[Tensor],
        merged: Mapping[str, Any],
    ) -> tuple[dict[str, Any], list[Tensor]]:
        """Return the tokenizer's output, and the frames in the order of their places."""
        for token, given in ((self.image_token, image_frames), (self.video_token, video_frames)):
            places = re.findall(_UNMARKED + re.escape(token), "\0".join(samples))
            if len(places) != len(given):
                raise ArgumentError(
                    f"the text has {len(places)} {token}, and {len(given)} of them are given. "
                    "Give a picture for each <image> and a clip for each <video>."
                )
        pictures = {"pixel_values": [frames[0] for frames in image_frames]}
        of_pictures = [self.replace_image_token(pictures, n) for n in range(len(image_frames))]
        clips = {"pixel_values_videos": video_frames}
        of_clips = [self.replace_video_token(clips, n) for n in range(len(video_frames))]
        # It returns another type than it declares.
        texts, offsets = cast(Any, self.get_text_with_replacements(samples, of_pictures, of_clips))
        waiting = {"image": iter(image_frames), "video": iter(video_frames)}
        in_order = [next(waiting[place["type"]]) for sample in offsets for place in sample]
        begins = "".join(samples[:1]).startswith(self.tokenizer.bos_token or "\0")
        tokens = self.tokenizer(texts, **{"add_special_tokens": not begins} | merged["text_kwargs"])
        self._check_special_mm_tokens(texts, tokens, modalities=["image"])
        return dict(tokens), in_order

    def replace_video_token(
        self, video_inputs: Mapping[str, Any], video_idx: int, **kwargs: Any
    ) -> str:
        """Text of a clip: for each frame its image tokens and a line break, as in training."""
        num_frames, _, height, width = video_inputs["pixel_values_videos"][video_idx].shape
        tokens_per_frame = (height // self.patch_size) * (width // self.patch_size)
        return str((self.image_token * tokens_per_frame + "\n") * num_frames)

    def _seen(self, frames: list[Tensor]) -> dict[str, Tensor]:
        """Return frames of pictures and clips as `pixel_values`, (F, 3, S, S); {} without any."""
        if not frames:
            return {}
        sizes = sorted({part.shape[-1] for part in frames})
        if len(sizes) > 1:
            raise ArgumentError(
                f"pictures and clips have sides of {sizes} px. Give one frame_size for both."
            )
        mean, std = self.video_processor.image_mean, self.video_processor.image_std
        return {"pixel_values": normalise_frames(torch.cat(frames), image_mean=mean, image_std=std)}
