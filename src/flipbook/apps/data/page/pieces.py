"""How does a page show what the model reads, so that what is learned can be seen?

    ids, labels -> Piece("special", "<|im_start|>"), Piece("words", "user\\n"), Piece("visual", ...)
                -> Budget: visual, text and answer tokens, and what is free below the limit

Pieces are of whole characters: of a character that is several tokens, all of them are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any, Literal

from flipbook.data.labels.conversation import IGNORE_INDEX, EncodedConversation
from flipbook.data.proofs.token_roles import bytes_of_tokens

PieceKind = Literal["words", "special", "visual", "learned"]
_LINE_BREAK = b"\n"


@dataclass(frozen=True)
class Piece:
    """Some tokens of one kind, in order.

    Attributes:
        kind: "learned" are those that are supervised; "special" the template's own tokens.
        texts: the texts of single tokens, or of several that make a character; of visual tokens,
            how many frames and tokens each video or image has.
        num_tokens: how many tokens they are.
    """

    kind: PieceKind
    texts: tuple[str, ...]
    num_tokens: int

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.texts)


@dataclass(frozen=True)
class Budget:
    """What a conversation needs of what the model may read, in tokens.

    Attributes:
        text: neither visual nor learned: the question, and the words of the template.
        limit: the most that may be read.
    """

    visual: int
    text: int
    answer: int
    limit: int

    @property
    def total(self) -> int:
        """All tokens of the conversation."""
        return self.visual + self.text + self.answer

    @property
    def free(self) -> int:
        """How many could still be read; below 0 where there are too many."""
        return self.limit - self.total

    def share(self, num_tokens: int) -> float:
        """Return a number of tokens as percent of the bar."""
        return 100 * max(num_tokens, 0) / max(self.limit, self.total)


def budget_of(encoded: EncodedConversation, *, image_token_id: int, limit: int) -> Budget:
    """Return what a conversation needs."""
    visual = int((encoded.input_ids == image_token_id).sum())
    answer = int((encoded.labels != IGNORE_INDEX).sum())
    return Budget(visual, len(encoded.input_ids) - visual - answer, answer, limit)


def pieces_of(
    encoded: EncodedConversation,
    tokenizer: Any,
    *,
    image_token_id: int,
    frames_per_media: Sequence[int],
) -> tuple[Piece, ...]:
    """Return what the model reads, in pieces."""
    ids = encoded.input_ids.tolist()
    words = bytes_of_tokens(ids, tokenizer)
    kinds = list(_kinds(ids, encoded.labels.tolist(), tokenizer, image_token_id=image_token_id))
    _join_frames(kinds, words)
    pieces: list[Piece] = []
    start, waiting = 0, list(frames_per_media)
    for kind, run in groupby(kinds):
        end = start + len(list(run))
        if kind == "visual":
            texts = list(_media_in_words(ids[start:end], image_token_id, waiting))
        else:
            texts = whole_characters(words[start:end])
        pieces.append(Piece(kind, tuple(texts), end - start))
        start = end
    return tuple(pieces)


def whole_characters(words: Sequence[bytes]) -> list[str]:
    """Return the texts of tokens, those that share a character together.

    Bytes that are no text come out as U+FFFD.
    """
    texts, waiting = [], b""
    for word in words:
        waiting += word
        try:
            texts.append(waiting.decode())
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue
            texts.append(waiting.decode(errors="replace"))
        waiting = b""
    return texts + ([waiting.decode(errors="replace")] if waiting else [])


def _kinds(
    ids: Sequence[int], labels: Sequence[int], tokenizer: Any, *, image_token_id: int
) -> Iterator[PieceKind]:
    added = tokenizer.added_tokens_decoder
    for token_id, label in zip(ids, labels, strict=True):
        if token_id == image_token_id:
            yield "visual"
        elif label != IGNORE_INDEX:
            yield "learned"
        else:
            yield "special" if token_id in added else "words"


def _join_frames(kinds: list[PieceKind], words: Sequence[bytes]) -> None:
    """Take the line break between two frames for a part of them."""
    for place in range(1, len(kinds) - 1):
        neighbours = kinds[place - 1], kinds[place + 1]
        if words[place] == _LINE_BREAK and neighbours == ("visual", "visual"):
            kinds[place] = "visual"


def _media_in_words(ids: Sequence[int], image_token_id: int, waiting: list[int]) -> Iterator[str]:
    """Yield what the next videos and images in a run have: `8 frames x 16 tokens`.

    Args:
        waiting: how many frames each of those has that are still to come; shortened by this.
    """
    runs = groupby(token_id == image_token_id for token_id in ids)
    lengths = [len(list(run)) for is_frame, run in runs if is_frame]
    while lengths:
        whole, each = waiting.pop(0), lengths[0]
        # Fewer where words stand between the frames, or others follow of another side.
        num_frames = sum(1 for _ in takewhile(each.__eq__, lengths[:whole]))
        if num_frames < whole:
            waiting.insert(0, whole - num_frames)
        del lengths[:num_frames]
        counted = "1 frame" if num_frames == 1 else f"{num_frames} frames"
        yield f"{counted} \u00d7 {each} tokens"
