"""What is a flag of LLaVA's or FastVLM's training code called here?

    "mm_projector_lr"  ->  "write --projector_learning_rate"

Flags that mean the same under the same name are not listed: they just work. `docs/datasets.md` has
this table for people.
"""

from __future__ import annotations

_FROM_CHECKPOINT = "leave it out: the checkpoint says so itself"
_ALWAYS = "leave it out: it is always so"

LLAVA_FLAGS = {
    "version": "leave it out: the chat template comes from the checkpoint",
    "vision_tower": _FROM_CHECKPOINT,
    "mm_projector_type": _FROM_CHECKPOINT,
    "mm_vision_select_layer": _FROM_CHECKPOINT,
    "mm_vision_select_feature": _FROM_CHECKPOINT,
    "mm_use_im_start_end": _FROM_CHECKPOINT,
    "mm_use_im_patch_token": _FROM_CHECKPOINT,
    "mm_patch_merge_type": "leave it out: FastVLM has one grid of tokens a frame",
    "pretrain_mm_mlp_adapter": "leave it out: the projector is in the checkpoint",
    "input_image_size": "write --frame_size, in px",
    "is_multimodal": _ALWAYS,
    "lazy_preprocess": _ALWAYS,
    "group_by_modality_length": "leave it out: batches are packed by length without padding",
    "group_by_length": "leave it out: batches are packed by length without padding",
    "freeze_backbone": "write --train_parts without language_model",
    "tune_mm_mlp_adapter": "write --train_parts projector",
    "freeze_mm_mlp_adapter": "write --train_parts language_model",
    "unfreeze_mm_vision_tower": "write --train_parts vision_tower projector language_model",
    "mm_tunable_parts": "write --train_parts",
    "mm_projector_lr": "write --projector_learning_rate",
    "mm_vision_tower_lr": "write --vision_tower_learning_rate",
    "lora_enable": "write --lora_r alone, for example 16",
    "lora_bias": "leave it out: adapters have no bias",
    "lora_weight_path": "name the adapter's folder with --model_name_or_path",
    "bits": "write --quantize 4bit or 8bit",
    "double_quant": "leave it out: --quantize 4bit does so",
    "quant_type": "leave it out: --quantize 4bit is nf4",
    "video_folder": "write --image_folder, which holds videos too",
    "video_path": "write --image_folder, which holds videos too",
    "num_frames": "write --num_video_frames",
    "frames_upbound": "write --num_video_frames, or --max_frames with --frame_sampler fps",
    "video_fps": "write --frame_sampler fps --frames_per_s",
    "force_sample": "leave it out: --frame_sampler uniform takes --num_video_frames always",
    "add_time_instruction": "write --timestamps",
    "image_grid_pinpoints": "leave it out: a frame is one square",
    "eval_data_path": "write --validation_data_path",
    "evaluation_strategy": "write --eval_strategy",
    "warmup_ratio": "write --warmup_steps with a share below 1",
    "mpt_attn_impl": "write --attn_implementation",
}


def llava_hint(name: str) -> str:
    """Return what to do about a flag of LLaVA's, as the end of a sentence; empty for others."""
    advice = LLAVA_FLAGS.get(name)
    return f" It is a flag of LLaVA's training code: {advice}." if advice else ""
