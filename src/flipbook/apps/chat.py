"""What does a model say about this clip?

    flipbook chat --model RUN --video clip.mp4 "question"   ->  the answer
    flipbook chat --model RUN --video clip.mp4              ->  a line in, an answer out, until EOF

Clips are read, and prompts are made, by the same functions and the same saved settings as in
training, so the model is asked in exactly the form that it learned.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from flipbook.data.records import Media, Turn
from flipbook.data.workers.watched import watched_command
from flipbook.errors import ArgumentError
from flipbook.evaluate.loading import DTYPES, Source, open_model
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt, generate_answers
from flipbook.score.controls import FULL
from flipbook.score.prompts import prompt_ids
from flipbook.score.seen import Looked, Sight
from flipbook.video.decode import is_video_file

NO_ANSWER = "(the model gave no words)"


def chat(
    model: Source, *, media: Sequence[str | Path], question: str, max_new_tokens: int = 256
) -> str:
    """Return the model's answer to one question about clips and pictures, or about none.

    Raises:
        CheckpointError: the model cannot be loaded.
        MediaError: a clip or picture cannot be read.
        RecordError: the prompt is longer than the language model may read.
        ArgumentError: the question is blank.
    """
    talk = Talk(open_model(model), media=media, max_new_tokens=max_new_tokens)
    return talk.ask(question)


class Talk:
    """A conversation about some clips and pictures that remembers what was said.

    Args:
        checkpoint: who answers.
        media: paths of clips and pictures, shown before the first question.
        max_new_tokens: longest answer in tokens.

    Raises:
        MediaError: a clip or picture cannot be read.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, media: Sequence[str | Path], max_new_tokens: int = 256
    ) -> None:
        self.checkpoint = checkpoint
        self.settings = checkpoint.clip_settings
        self.media = tuple(media_at(path) for path in media)
        sight = Sight(checkpoint.model, checkpoint, self.settings)
        self.shown: Looked = sight.look(self.media, control=FULL, record_id="chat")
        self.turns: tuple[Turn, ...] = ()
        self._max_new_tokens = max_new_tokens

    def ask(self, question: str) -> str:
        """Return the answer to the next question. A question without an answer is forgotten.

        Raises:
            ArgumentError: the question is blank.
            RecordError: the conversation is longer than the language model may read.
        """
        if not question.strip():
            raise ArgumentError("the question is blank: write what you want to know.")
        shown = () if self.turns else self.media
        asked = (*self.turns, Turn("user", (*shown, question.strip())))
        prompt = self.prompt(asked)
        answer = generate_answers(
            self.checkpoint.model,
            self.checkpoint.tokenizer,
            [prompt],
            image_mean=self.checkpoint.image_mean,
            image_std=self.checkpoint.image_std,
            max_new_tokens=self._max_new_tokens,
        )[0]
        if answer:
            self.turns = (*asked, Turn("assistant", (answer,)))
        return answer

    def prompt(self, turns: tuple[Turn, ...]) -> Prompt:
        """Return turns that end with a question as the model reads them."""
        input_ids = prompt_ids(
            self.checkpoint,
            turns,
            frames_per_media=self.shown.frames_per_media,
            settings=self.settings,
            record_id="chat",
        )
        return Prompt("chat", input_ids, features=self.shown.features)


def media_at(path: str | Path) -> Media:
    """Return what lies at a path: a clip, by the ending of its name, or else a picture."""
    name = os.path.expanduser(path)  # as typed otherwise, so an error repeats what was typed
    return Media("video" if is_video_file(name) else "image", str(name))


def talk_over(lines: Iterable[str], talk: Talk) -> Iterator[str]:
    """Yield the answer to each line that is not blank."""
    for line in lines:
        if line.strip():
            yield talk.ask(line) or NO_ANSWER


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook chat`."""
    parser.add_argument("question", nargs="?", help="What to ask; without one, lines are read.")
    parser.add_argument("--model", required=True, help="A run folder, a model, or 'tiny'.")
    parser.add_argument("--base", help="The model under an adapter, where it has moved.")
    for flag, what in (("--video", "clip"), ("--image", "picture")):
        parser.add_argument(
            flag,
            dest="media",
            action="append",
            default=[],
            metavar="FILE",
            help=f"A {what} to ask about; may be repeated, and the order of files is kept.",
        )
    parser.add_argument("--max_new_tokens", type=int, default=256, help="Longest answer.")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="Precision of the weights."
    )


@watched_command()
def run(args: argparse.Namespace) -> None:
    """Print the answer to the question, or to each line of standard input until it ends."""
    if args.max_new_tokens < 1:
        raise ArgumentError(f"--max_new_tokens is {args.max_new_tokens}: give 1 or more.")
    checkpoint = open_model(args.model, dtype=DTYPES[args.dtype], base=args.base)
    talk = Talk(checkpoint, media=args.media, max_new_tokens=args.max_new_tokens)
    if args.question is not None:
        print(talk.ask(args.question) or NO_ANSWER)
        return
    for answer in talk_over(_lines(), talk):
        print(answer, flush=True)


def _lines() -> Iterator[str]:
    """Yield what is typed or piped in; a person at a terminal is shown where to type."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return
