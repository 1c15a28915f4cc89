"""How was the embedded model made, and how is it made again?

    python scripts/make_tiny_model.py -> src/flipbook/model/tiny/weights/

A random FastVLM of the embedded size learns to answer questions about still pictures: colour, side
and height of one shape. It never sees a clip. Everything is drawn from one seed; on a given machine
and set of versions two runs with one thread give the same weights.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flipbook.data.generated.movies import Question
from flipbook.data.generated.scenes import TASKS, make_rivals
from flipbook.data.generated.shapes import draw_picture
from flipbook.data.generated.stills import ask_everything, make_still
from flipbook.data.labels.conversation import IGNORE_INDEX, encode_conversation
from flipbook.data.turns import Media, Turn
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.saving import save_checkpoint
from flipbook.model.tiny import TINY_FOLDER
from flipbook.model.tiny.build import FRAME_SIZE, TOKENS_PER_FRAME, build_model, build_tokenizer
from flipbook.video.settings import ClipSettings

STEPS = 300
PICTURES_PER_STEP = 32
QUESTIONS_PER_PICTURE = 2
LEARNING_RATE = 1.5e-3
TOWER_RATE = 3.0  # times the learning rate: the tower has the longest way to go
FIRST_PICTURE = 10**12  # seeds from here on belong to no split of any generated data


def main() -> None:
    """Make the model, print its losses, save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TINY_FOLDER)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = build_tokenizer(task_texts())
    model = build_model(tokenizer, seed=arguments.seed)
    train(model, tokenizer, steps=arguments.steps, seed=arguments.seed)
    model.to(torch.bfloat16)  # float16 ends at 65,504, which a BatchNorm variance passes
    settings = ClipSettings(frame_size=FRAME_SIZE)
    save_checkpoint(arguments.out, Checkpoint(model, tokenizer, settings))
    print(f"saved to {arguments.out}")


def task_texts() -> list[str]:
    """Return every text whose words get a token of their own, each once, sorted."""
    texts = {"You are a helpful assistant.", "system\n", "user\n", "assistant\n"}
    for seed in range(400):
        asked = list(ask_everything(make_still("colour", seed=seed)[0]))
        for task in TASKS:
            asked += [q for movie in make_rivals(task, seed=seed) for q in movie.questions]
        texts.update(text for question in asked for text in (question.text, question.answer))
    return sorted(texts)


def train(model: Any, tokenizer: Any, *, steps: int, seed: int) -> None:
    """Train every part of the model on pictures that are drawn as they are needed."""
    tower = list(model.model.vision_tower.parameters())
    in_tower = {id(parameter) for parameter in tower}
    others = [parameter for parameter in model.parameters() if id(parameter) not in in_tower]
    optimizer = torch.optim.AdamW(
        [{"params": tower, "lr": TOWER_RATE * LEARNING_RATE}, {"params": others}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.95),
        weight_decay=0.01,
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / 20, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    model.train()
    started_s = time.process_time()
    for step, (pixels, input_ids, labels) in enumerate(batches(tokenizer, steps=steps, seed=seed)):
        loss = answer_loss(model, pixels, input_ids, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}: loss {loss:.3f}, {time.process_time() - started_s:.0f} CPU s")
    model.eval()


def batches(tokenizer: Any, *, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield pixels (B, 3, S, S), ids and labels (B * questions, L), padded on the right."""
    random = np.random.default_rng(seed)
    for step in range(steps):
        first = FIRST_PICTURE + (seed * steps + step) * PICTURES_PER_STEP
        pictures = [make_still("colour", seed=first + i)[0] for i in range(PICTURES_PER_STEP)]
        drawn = np.stack([draw_picture(picture) for picture in pictures])
        pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2) / 255
        encoded = []
        for picture in pictures:
            questions = ask_everything(picture)
            chosen = random.choice(len(questions), QUESTIONS_PER_PICTURE, replace=False)
            encoded += [encode(questions[number], tokenizer) for number in chosen]
        ids, labels = zip(*encoded, strict=True)
        yield (
            pixels,
            pad(ids, value=tokenizer.pad_token_id),
            pad(labels, value=IGNORE_INDEX),
        )


def encode(question: Question, tokenizer: Any) -> tuple[Tensor, Tensor]:
    """Return ids and labels of one question about one picture."""
    encoded = encode_conversation(
        (
            Turn("user", (Media("image", ""), question.text)),
            Turn("assistant", (question.answer,)),
        ),
        tokenizer=tokenizer,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        frames_per_media=(1,),
        tokens_per_frame=TOKENS_PER_FRAME,
    )
    return encoded.input_ids, encoded.labels


def pad(rows: tuple[Tensor, ...], *, value: int) -> Tensor:
    """Return rows of several lengths as one tensor, filled up on the right."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def answer_loss(model: Any, pixels: Tensor, input_ids: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of the answers; padding on the right is never attended to."""
    features = model.get_image_features(pixel_values=pixels)
    features.pooler_output = features.pooler_output.repeat_interleave(QUESTIONS_PER_PICTURE, dim=0)
    predicts_answer = (labels != IGNORE_INDEX).roll(-1, dims=1)
    logits = model(
        input_ids=input_ids,
        mm_encoder_outputs={"image": features},
        logits_to_keep=predicts_answer,
    ).logits
    return nn.functional.cross_entropy(logits.flatten(0, -2), labels[labels != IGNORE_INDEX])


if __name__ == "__main__":
    main()
