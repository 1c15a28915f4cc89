"""Does mlx-vlm compute what torch computes, with one picture and with many?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures_model import make_checkpoint, make_model
from fixtures_video import MakeClip
from flipbook.apps.chat import chat
from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.export import mlx, mlx_chat
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.generation import Prompt, generate_answers


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return make_checkpoint()


@pytest.fixture(scope="module")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mlx_vlm")
    return mlx.write_mlx(tmp_path_factory.mktemp("mlx"), checkpoint)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> mlx_chat.MlxModel:
    return mlx_chat.load_mlx(folder)


def _prompt(checkpoint: Checkpoint, num_frames: int) -> Prompt:
    media = (Media("video", "clip.mp4"),) if num_frames else ()
    input_ids = encode_prompt(
        [Turn("user", (*media, "What is in the clip?"))],
        tokenizer=checkpoint.tokenizer,
        image_token_id=checkpoint.model.config.image_token_id,
        frames_per_media=[num_frames] if num_frames else [],
        tokens_per_frame=checkpoint.clip_settings.tokens_per_frame,
    )
    generator = torch.Generator().manual_seed(num_frames)
    frames = torch.randint(
        0, 256, (num_frames, 3, 128, 128), dtype=torch.uint8, generator=generator
    )
    return Prompt("test", input_ids, frames)


def _torch_logits(checkpoint: Checkpoint, prompt: Prompt) -> Any:
    seen = {"pixel_values": normalise_frames(prompt.frames)} if len(prompt.frames) else {}
    with torch.no_grad():
        return checkpoint.model(input_ids=prompt.input_ids[None], **seen).logits[0].numpy()


@pytest.mark.parametrize("num_frames", [0, 1, 2, 4])
def test_logits_and_words_equal_those_of_torch(
    checkpoint: Checkpoint, loaded: mlx_chat.MlxModel, num_frames: int
) -> None:
    prompt = _prompt(checkpoint, num_frames)
    ours, theirs = _torch_logits(checkpoint, prompt), mlx_chat.logits_mlx(loaded, prompt)
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours).max() < 1e-4 * np.abs(ours).max()
    words = generate_answers(
        checkpoint.model,
        checkpoint.tokenizer,
        [prompt],
        image_mean=checkpoint.image_mean,
        image_std=checkpoint.image_std,
        max_new_tokens=12,
    )
    assert [mlx_chat.generate_mlx(loaded, prompt, max_new_tokens=12)] == words


def test_mlx_vlm_alone_mixes_up_several_pictures(
    checkpoint: Checkpoint, loaded: mlx_chat.MlxModel
) -> None:
    """When this fails, mlx-vlm has been mended: `load_mlx` need not put pictures right any more."""
    kind = pytest.importorskip("mlx_vlm.models.fastvlm").Model
    right = type(loaded.model)
    differences = []
    try:
        loaded.model.__class__ = kind
        for num_frames in (1, 4):
            prompt = _prompt(checkpoint, num_frames)
            theirs = mlx_chat.logits_mlx(loaded, prompt)
            differences.append(np.abs(theirs - _torch_logits(checkpoint, prompt)).max())
    finally:
        loaded.model.__class__ = right
    assert differences[0] < 1e-3 < 0.1 < differences[1]


def test_a_clip_is_answered_as_in_chat(
    checkpoint: Checkpoint, loaded: mlx_chat.MlxModel, make_clip: MakeClip
) -> None:
    clip = make_clip("mlx.mp4", num_frames=12)
    ours = chat(checkpoint, media=[clip], question="What is it?", max_new_tokens=12)
    theirs = mlx_chat.answer_mlx(
        loaded, media=[Media("video", str(clip))], question="What is it?", max_new_tokens=12
    )
    assert theirs == ours


def test_mlx_vlms_own_generate_reads_several_pictures(
    checkpoint: Checkpoint, loaded: mlx_chat.MlxModel, tmp_path: Path
) -> None:
    library = pytest.importorskip("mlx_vlm")
    prompts = pytest.importorskip("mlx_vlm.prompt_utils")
    image = pytest.importorskip("PIL.Image")
    frames = torch.randint(0, 256, (3, 3, 128, 128), generator=torch.Generator().manual_seed(3))
    paths = []
    for number, frame in enumerate(frames.to(torch.uint8)):
        paths.append(str(tmp_path / f"{number}.png"))
        image.fromarray(frame.permute(1, 2, 0).numpy()).save(paths[-1])
    text = prompts.apply_chat_template(
        loaded.processor, loaded.model.config, "What is in the clip?", num_images=3
    )
    output = library.generate(
        loaded.model, loaded.processor, text, image=paths, max_tokens=12, temperature=0.0
    )
    prompt = Prompt("own", _prompt(checkpoint, 3).input_ids, frames.to(torch.uint8))
    assert output.text.strip() == mlx_chat.generate_mlx(loaded, prompt, max_new_tokens=12)


def test_bfloat16_stays_bfloat16(tmp_path: Path, checkpoint: Checkpoint) -> None:
    core = pytest.importorskip("mlx.core")
    half = make_checkpoint()
    half.model.to(torch.bfloat16)
    loaded = mlx_chat.load_mlx(mlx.write_mlx(tmp_path, half))
    assert loaded.model.mm_projector[0].weight.dtype == core.bfloat16
    prompt = _prompt(checkpoint, 2)
    ours = _torch_logits(checkpoint, prompt)
    assert np.abs(mlx_chat.logits_mlx(loaded, prompt) - ours).max() < 0.05 * np.abs(ours).max()


def test_an_untied_head_is_written_and_read(tmp_path: Path) -> None:
    pytest.importorskip("mlx_vlm")
    checkpoint = make_checkpoint()
    checkpoint.model = make_model(checkpoint.model.config.image_token_id, tied=False)
    loaded = mlx_chat.load_mlx(mlx.write_mlx(tmp_path, checkpoint))
    prompt = _prompt(checkpoint, 1)
    ours = _torch_logits(checkpoint, prompt)
    assert np.abs(mlx_chat.logits_mlx(loaded, prompt) - ours).max() < 1e-4 * np.abs(ours).max()


def test_frames_and_places_must_agree(checkpoint: Checkpoint, loaded: mlx_chat.MlxModel) -> None:
    prompt = _prompt(checkpoint, 2)
    short = Prompt("short", prompt.input_ids, prompt.frames[:1])
    with pytest.raises(ValueError, match="short has 8 image tokens for 1 frames of 4 features"):
        mlx_chat.logits_mlx(loaded, short)


def test_pictures_without_a_place_are_refused(loaded: mlx_chat.MlxModel) -> None:
    core = pytest.importorskip("mlx.core")
    ids, features = core.array([[1, -200, 2]]), core.zeros((2, 4, 64))
    with pytest.raises(ValueError, match="2 pictures for 1 placeholders"):
        loaded.model.prepare_inputs_for_multimodal(features, ids, None)
    with pytest.raises(ValueError, match="prompts of several lengths in one batch"):
        mask = core.array([[1, 1, 1], [1, 1, 0]])
        rows = core.array([[1, -200, 2], [1, -200, 2]])
        loaded.model.prepare_inputs_for_multimodal(features, rows, mask)


def test_the_library_is_left_as_it_was(loaded: mlx_chat.MlxModel) -> None:
    config = pytest.importorskip("mlx_vlm.models.fastvlm.config")
    assert config.VisionConfig.layers == [2, 12, 24, 4, 2]


def test_code_in_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (tmp_path / "flipbook.json").write_text((folder / "flipbook.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content | {"model_file": "evil.py"}))
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(CheckpointError, match=r'names code to run \("model_file"\)'):
        mlx_chat.load_mlx(tmp_path)


def test_a_folder_of_another_kind_is_refused(fast_vlm_folder: Path) -> None:
    pytest.importorskip("mlx_vlm")
    with pytest.raises(CheckpointError, match="was not written by flipbook for mlx-vlm"):
        mlx_chat.load_mlx(fast_vlm_folder)


def test_another_language_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlx_vlm", sys)  # stands for one that is there
    checkpoint = make_checkpoint()
    checkpoint.model.config.text_config.model_type = "llama"
    with pytest.raises(ArgumentError, match=r"has a Qwen2 language model, and this one is a 'll"):
        mlx.write_mlx(tmp_path, checkpoint)


def test_a_tensor_without_a_name_is_refused() -> None:
    state = {"model.vision_tower.lora_A": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"no name in mlx-vlm: model\.vision_tower\.lora_A"):
        mlx.mlx_tensors(state, tied=True, tower_width=8)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlx_vlm", None)
    with pytest.raises(ArgumentError, match=r"needs the package mlx_vlm,.*'flipbook-vlm\[mlx\]'"):
        mlx.write_mlx(tmp_path, make_checkpoint())
    assert not list(tmp_path.iterdir())


def test_a_prompt_is_never_cut(checkpoint: Checkpoint) -> None:
    config = mlx.mlx_config(checkpoint)
    context = checkpoint.model.config.text_config.max_position_embeddings
    assert config["tokenizer_model_max_length"] == context
