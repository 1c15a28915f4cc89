"""Which ids does a stretch of text become in the place where it stands?

    Pieces  ->  for each piece of text its ids, in order

A byte-level tokenizer (Qwen2) gives a text the same ids wherever it stands. A tokenizer of
sentencepiece's kind (Llama) puts a mark before a text that it is given, as if a word began there,
so a stretch that is tokenised alone would get a mark that the whole text does not have:

    whole    ▁ASS ISTANT : ▁A ▁cat </s>          the prompt  ▁ASS ISTANT :
    alone    ▁ASS ISTANT : | ▁▁A ▁cat </s>       the answer " A cat", with one mark too many
    here     ▁ASS ISTANT : | ▁A ▁cat </s>        tokenised behind its prompt, whose ids are cut off

So for such a tokenizer a stretch is tokenised with what it follows. The prompt's own ids are kept
as generation has them, whatever the answer is. After a special token some of these tokenizers put
a mark (those called legacy) and some do not; which of the two is found out by asking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from flipbook.data.labels.runs import Piece

_MARK = "\u2581"  # of sentencepiece, for the space before a word
_ANCHORS = ("\n", "\0", "")  # words that seldom join what follows; nothing is the last resort


class WordStarts(NamedTuple):
    """Where a tokenizer puts a mark that is not in the text."""

    at_start: bool  # of every text that it is given
    after_token: bool  # where a special token stands inside a text


def word_starts(tokenizer: Any) -> WordStarts:
    """Return where `tokenizer`, which has special tokens, begins a word of its own accord."""
    return _word_starts(tokenizer, len(tokenizer))


@lru_cache(maxsize=64)
def _word_starts(tokenizer: Any, _num_tokens: int) -> WordStarts:
    alone = "".join(tokenizer.tokenize("x"))
    token = next(iter(tokenizer.added_tokens_decoder.values())).content
    behind = "".join(tokenizer.tokenize(f"{token}x")).removeprefix(token)
    return WordStarts(alone.startswith(_MARK), behind.startswith(_MARK))


def tokenize_texts(
    pieces: Sequence[Piece], *, tokenizer: Any, image_token_id: int
) -> list[list[int]]:
    """Return the ids of each piece that is text. No special token is recognised in it."""
    literal = _Literal(tokenizer, image_token_id)
    starts = word_starts(tokenizer)
    texts = [piece.text for piece in pieces if not piece.is_token]
    if not starts.at_start:
        different = list(dict.fromkeys(texts))  # the line break after a frame comes once for each
        known = dict(zip(different, literal.ids_of(different), strict=True))
        return [known[text] for text in texts]
    heads = list(_heads(pieces, starts))
    joined = [head + text for head, text in zip(heads, texts, strict=True)]
    ids = literal.ids_of([*heads, *joined])
    found = []
    for text, head, whole in zip(texts, ids[: len(texts)], ids[len(texts) :], strict=True):
        is_kept = whole[: len(head)] == head
        found.append(whole[len(head) :] if is_kept else literal.ids_inside(text))
    return found


def _heads(pieces: Sequence[Piece], starts: WordStarts) -> Iterator[str]:
    """Return what each text is to be tokenised behind."""
    head = ""
    for number, piece in enumerate(pieces):
        if piece.is_token:
            continue
        if number and pieces[number - 1].is_token:
            head = "" if starts.after_token else _ANCHORS[0]
        yield head
        head += piece.text


class _Literal:
    """A tokenizer to which a typed special token is nothing but text."""

    def __init__(self, tokenizer: Any, image_token_id: int) -> None:
        self.tokenizer = tokenizer
        self.image_token_id = image_token_id

    def ids_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of texts, each alone."""
        encoded = self._encode(texts)
        for number, ids in enumerate(encoded):
            if self.image_token_id in ids:  # the tokenizer holds `<image>` for an ordinary word
                first, *others = re.split("(?<=<)(?=image>)", texts[number])
                halves = [*self._encode([first]), *map(self.ids_inside, others)]
                encoded[number] = [token_id for half in halves for token_id in half]
        return encoded

    def ids_inside(self, text: str) -> list[int]:
        """Return the ids of a text inside another one, where no word need begin."""
        if not word_starts(self.tokenizer).at_start:
            return self._encode([text])[0]
        for anchor in _ANCHORS:
            head, whole = self._encode([anchor, anchor + text])
            if whole[: len(head)] == head:
                break
        return whole[len(head) :]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded: list[list[int]] = self.tokenizer(
            list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return encoded
