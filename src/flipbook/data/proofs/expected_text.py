"""What should the model read of a conversation, by transformers' rendering alone?

    turns, tokens of each frame  ->  ExpectedText: the whole, and each answer behind its prompt

    prompt   <|im_start|>user\\n<image><image>\\nWhy?<|im_end|>\\n<|im_start|>assistant\\n
    answer                                                                   Because.<|im_end|>

Nothing here knows how training makes its ids, so that these can be held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flipbook.data.budget import TokensPerFrame
from flipbook.data.placeholders import IMAGE_TOKEN, said_time
from flipbook.data.templates.template import Template, choose_template, render
from flipbook.data.turns import Role, Turn

Said = tuple[Role, str]


@dataclass(frozen=True)
class ExpectedAnswer:
    """An answer as transformers renders it.

    Attributes:
        turn: its number in the conversation, from 1.
        prompt: all that is read before the model answers.
        words: what the model writes, with the spaces before it where the prompt has none.
        end: what ends it, up to the token at which generation stops; empty where the template
            writes no such token.
    """

    turn: int
    prompt: str
    words: str
    end: str


@dataclass(frozen=True)
class ExpectedText:
    """A conversation as transformers renders it, with one `<image>` for each token of a frame.

    `bare` is the same with one letter in place of all that is said, so it holds the template's
    special tokens alone.
    """

    whole: str
    bare: str
    answers: tuple[ExpectedAnswer, ...]


def expected_text(
    turns: Sequence[Turn],
    *,
    tokenizer: Any,
    frames_per_media: Sequence[int],
    tokens_per_frame: Sequence[TokensPerFrame],
    system_prompt: str | None,
    times_per_media: Sequence[Sequence[float]] | None = None,
) -> ExpectedText:
    """Return what the model should read of a conversation that ends with an answer.

    Args:
        turns: of a conversation that the chat template does not refuse.
        frames_per_media: of every picture and clip, in order.
        tokens_per_frame: of each of them, a number, or one for each of its places.
        system_prompt: of the model, for conversations without a system turn of their own.
        times_per_media: seconds said before each frame; None says none.
    """
    template = choose_template(tokenizer, None)
    times = times_per_media or [()] * len(frames_per_media)
    said = list(_say(turns, zip(frames_per_media, tokens_per_frame, times, strict=True)))
    num_added = 0
    if system_prompt is not None and turns[0].role != "system":
        said.insert(0, ("system", system_prompt))
        num_added = 1
    return ExpectedText(
        whole=render(tokenizer, template, said),
        bare=render(tokenizer, template, [(role, "x") for role, _ in said]),
        answers=tuple(
            _answer(said[: place + 1], tokenizer, template, turn=place + 1 - num_added)
            for place, (role, _) in enumerate(said)
            if role == "assistant"
        ),
    )


def _say(
    turns: Sequence[Turn], media: Iterator[tuple[int, TokensPerFrame, Sequence[float]]]
) -> Iterator[Said]:
    """Yield roles and words, with instants, `<image>` and a line break for each frame.

    `media` tells of each how many frames it has, of how many tokens, and at which seconds.
    """
    for turn in turns:
        text = ""
        for part in turn.parts:
            if isinstance(part, str):
                text += part
            else:
                num_frames, num_tokens, times_s = next(media)
                for number in range(num_frames):
                    text += said_time(times_s[number]) if times_s else ""
                    each = num_tokens if isinstance(num_tokens, int) else num_tokens[number]
                    text += IMAGE_TOKEN * each + "\n"
        yield turn.role, text


def _answer(
    said: Sequence[Said], tokenizer: Any, template: Template, *, turn: int
) -> ExpectedAnswer:
    """Return the last thing said, which is an answer, behind its prompt.

    What the template renders otherwise than it prompts for stays with the words, where it differs
    from what training reads.
    """
    prompt = render(tokenizer, template, said[:-1], with_prompt=True)
    rest = render(tokenizer, template, said).removeprefix(prompt)
    answer = said[-1][1]
    place = rest.find(answer)
    if place < 0:  # templates may trim what is said
        answer = answer.strip()
        place = rest.find(answer)
    behind = max(place, 0) + len(answer)
    end_token = str(tokenizer.eos_token)
    before, found, _ = rest[behind:].partition(end_token)
    is_end = bool(found) and not before.strip()
    return ExpectedAnswer(turn, prompt, rest[:behind], before + found if is_end else "")
