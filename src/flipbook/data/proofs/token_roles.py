"""What does each token of a conversation spell, and who says it?

    ids                    ->  bytes of each token; one may hold half of a character
    turns, what it spells  ->  for each token: system, user, assistant, or template

Bytes are read off the vocabulary, so they show what training reads whatever made the ids. A
tokenizer of sentencepiece's kind (Llama) puts spaces after special tokens that are in no text;
there they are left out of every comparison, on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from transformers.convert_slow_tokenizer import bytes_to_unicode

from flipbook.data.budget import TokensPerFrame, tokens_of_places
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.instants import times_of
from flipbook.data.labels.runs import write_script
from flipbook.data.labels.stretches import word_starts
from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.shown import tokens_per_frame
from flipbook.data.templates.template import choose_template, special_pattern, split_end
from flipbook.data.turns import Turn

TokenRole = Literal["system", "user", "assistant", "template", "?"]
UNKNOWN: TokenRole = "?"  # of tokens that spell another text than transformers renders

_MARK = "\u2581"  # of sentencepiece, for a space
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_LETTERS = bytes_to_unicode()  # type: ignore[no-untyped-call]
_BYTE_OF: dict[str, int] = {letter: byte for byte, letter in _LETTERS.items()}


def bytes_of_tokens(ids: Sequence[int], tokenizer: Any) -> list[bytes]:
    """Return what each token spells. An id that is no word of the tokenizer spells `[ID]`."""
    added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items()}
    is_byte_level = _is_byte_level(tokenizer)
    known: dict[int, bytes] = {}
    for number in set(ids):
        word = added[number] if number in added else tokenizer.convert_ids_to_tokens(number)
        if word is None:
            known[number] = f"[{number}]".encode()
        elif number in added:
            known[number] = word.encode()
        else:
            known[number] = _spell_level(word) if is_byte_level else _spell_marked(word)
    return [known[number] for number in ids]


def spell_tokens(words: Sequence[bytes], tokenizer: Any) -> bytes:
    """Return what tokens spell together, each by its bytes; to be compared with `spell_text`."""
    return _without_marks(b"".join(words), tokenizer)


def spell_text(text: str, tokenizer: Any) -> bytes:
    """Return what the tokens of a text must spell together: the text as the tokenizer takes it."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    taken = text if normalizer is None else normalizer.normalize_str(text)
    return _without_marks(taken.encode("utf-8", "surrogatepass"), tokenizer)


def readable(data: bytes) -> str:
    """Return bytes as a quoted text in which spaces and line breaks are seen."""
    try:
        return repr(data.decode())
    except UnicodeDecodeError:
        return repr(data)


def roles_of_tokens(
    ids: Sequence[int],
    turns: Sequence[Turn],
    encoder: ConversationEncoder,
    *,
    frames_per_media: Sequence[int],
    record_id: str,
) -> list[TokenRole]:
    """Return who says each token; frames are the user's, the end of an answer the assistant's.

    A token that is partly the template's is another's. Where tokens spell something else than the
    conversation, the places between what still agrees at both ends are `UNKNOWN`.

    Raises:
        LabelError: the template does not suit the conversation.
    """
    tokenizer = encoder.tokenizer
    parts = list(_parts(turns, encoder, frames_per_media=frames_per_media, record_id=record_id))
    texts = [spell_text(text, tokenizer) for text, _ in parts]
    names = [role for (_, role), text in zip(parts, texts, strict=True) for _ in range(len(text))]
    words = bytes_of_tokens(ids, tokenizer)
    wanted, found = _letters(b"".join(texts)), _letters(b"".join(words))
    is_kept = [np.ones(len(one), dtype=bool) for one in (wanted, found)]
    if not _is_byte_level(tokenizer):
        is_kept = [one != ord(" ") for one in (wanted, found)]
    aligned = _align(wanted[is_kept[0]], found[is_kept[1]])
    places = np.flatnonzero(is_kept[0])
    letters: list[TokenRole] = [
        names[places[place]] if place >= 0 else UNKNOWN for place in aligned
    ]
    first = np.concatenate([[0], np.cumsum(is_kept[1])])  # of what is kept, by place in `found`
    starts = np.cumsum([0, *map(len, words)])
    return [
        # A space that is left out goes with what comes next, as its mark does.
        _role_of(letters[first[start] : max(first[end], first[start] + 1)])
        for start, end in pairwise(starts)
    ]


def tokens_per_frame_of(
    turns: Sequence[Turn], encoder: ConversationEncoder
) -> tuple[TokensPerFrame, ...]:
    """Return how many tokens a frame of each video or image of a conversation has."""
    media = [item for turn in turns for item in turn.media]
    return tokens_per_frame(media, encoder.settings)


def times_per_media_of(
    turns: Sequence[Turn], encoder: ConversationEncoder
) -> tuple[tuple[float, ...], ...]:
    """Return the seconds that are said before the frames of each video or image."""
    return times_of([item for turn in turns for item in turn.media], encoder.settings)


def with_system(turns: Sequence[Turn], system_prompt: str | None) -> tuple[Turn, ...]:
    """Return turns with the system prompt of a model, where they have none of their own."""
    if system_prompt is None or turns[0].role == "system":
        return tuple(turns)
    return (Turn("system", (system_prompt,)), *turns)


def _parts(
    turns: Sequence[Turn],
    encoder: ConversationEncoder,
    *,
    frames_per_media: Sequence[int],
    record_id: str,
) -> Iterator[tuple[str, TokenRole]]:
    """Yield the text of a conversation in pieces, each with who says it."""
    per_media = tokens_per_frame_of(turns, encoder)
    widths = chain.from_iterable(map(tokens_of_places, frames_per_media, per_media))
    script = write_script(
        with_system(turns, encoder.settings.system_prompt),
        tokenizer=encoder.tokenizer,
        template=choose_template(encoder.tokenizer, None),
        frames_per_media=frames_per_media,
        times_per_media=times_per_media_of(turns, encoder),
        record_id=record_id,
    )
    segments, leads = script.skeleton.segments, script.skeleton.leads
    rest = segments[0]
    for number, (role, content) in enumerate(zip(script.roles, script.contents, strict=True)):
        yield rest, "template"
        yield leads[number], role
        for part in content:
            yield part if isinstance(part, str) else IMAGE_TOKEN * next(widths), role
        rest = segments[number + 1]
        if role == "assistant":
            end, rest = split_end(rest, special_pattern(encoder.tokenizer))
            yield end, role
    yield rest, "template"


def _role_of(letters: Sequence[TokenRole]) -> TokenRole:
    others = [role for role in letters if role != "template"]
    return others[0] if others else "template"


def _align(wanted: NDArray[np.uint8], found: NDArray[np.uint8]) -> list[int]:
    """Return which place of `wanted` each one of `found` is, -1 where the two differ."""
    shorter = min(len(wanted), len(found))
    differs = np.flatnonzero(wanted[:shorter] != found[:shorter])
    if not len(differs) and len(wanted) == len(found):
        return list(range(len(found)))
    num_first = int(differs[0]) if len(differs) else shorter
    left = shorter - num_first
    differs = np.flatnonzero(wanted[::-1][:left] != found[::-1][:left])
    num_last = int(differs[0]) if len(differs) else left
    num_between = len(found) - num_first - num_last
    last = range(len(wanted) - num_last, len(wanted))
    return [*range(num_first), *[-1] * num_between, *last]


def _letters(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _without_marks(data: bytes, tokenizer: Any) -> bytes:
    if _is_byte_level(tokenizer):
        return data
    spaced = data.replace(_MARK.encode(), b" ")
    return _space_after_token(tokenizer, len(tokenizer)).sub(rb"\1", spaced)


@lru_cache(maxsize=64)
def _space_after_token(tokenizer: Any, _num_tokens: int) -> re.Pattern[bytes]:
    return re.compile(f"(^|{special_pattern(tokenizer).pattern}) +".encode())


@lru_cache(maxsize=64)
def _is_byte_level(tokenizer: Any) -> bool:
    return not word_starts(tokenizer).at_start


def _spell_level(word: str) -> bytes:
    return bytes(_BYTE_OF[letter] for letter in word)


def _spell_marked(word: str) -> bytes:
    byte = _BYTE.fullmatch(word)
    return bytes.fromhex(byte[1]) if byte else word.replace(_MARK, " ").encode()
