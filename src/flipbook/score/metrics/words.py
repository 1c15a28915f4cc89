"""Which words does a text consist of, where texts are compared?

    "The cat's 2 paws!"  ->  answer_words  cats 2 paws
                         ->  rouge_words   the cat s 2 paws
                         ->  plain_words   the cats 2 paws

Each measure has its own words, because published values do. Chinese and Japanese are written
without spaces: there, every character counts as a word.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

_WITHOUT_SPACES = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LATIN_WORD = re.compile(r"[a-z0-9]+")
_ANY_WORD = re.compile(r"[^\W_]+")


def answer_words(text: str) -> list[str]:
    """Return the words of a short answer: lower case, without punctuation and articles.

    Source: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016,
    section 6.1, as its evaluation script does it. That knows ASCII only; here punctuation of any
    script goes, and letters are the same however their marks are written (NFC).
    """
    bare = _unpunctuated(unicodedata.normalize("NFC", text.lower())).translate(_NO_PUNCTUATION)
    return _apart(_ARTICLES.sub(" ", bare)).split()


def rouge_words(text: str, *, any_script: bool) -> list[str]:
    """Return the words that ROUGE compares: runs of a to z and digits, in lower case.

    Args:
        any_script: let letters of all scripts be words; see `is_other_script`.

    Source: Lin, "ROUGE: a package for automatic evaluation of summaries", 2004.
    """
    lower = text.lower()
    return _ANY_WORD.findall(_apart(lower)) if any_script else _LATIN_WORD.findall(lower)


def is_other_script(texts: Sequence[str]) -> bool:
    """Return whether most letters of some texts are none of a to z, nor digits."""
    letters = [letter for text in texts for letter in text if letter.isalnum()]
    return sum(letter.isascii() for letter in letters) * 2 < len(letters)


def plain_words(text: str) -> list[str]:
    """Return the words in lower case, what is punctuation in any script taken out."""
    return _apart(_unpunctuated(text.lower())).split()


def _unpunctuated(text: str) -> str:
    return "".join(letter for letter in text if not unicodedata.category(letter).startswith("P"))


def _apart(text: str) -> str:
    return _WITHOUT_SPACES.sub(r" \1 ", text)
