"""Which words does each measure compare?"""

from __future__ import annotations

import pytest

from flipbook.score.metrics.words import answer_words, is_other_script, plain_words, rouge_words


def test_short_answers_lose_case_punctuation_and_articles() -> None:
    assert answer_words("The cat's 2 PAWS, an ox!") == ["cats", "2", "paws", "ox"]
    assert answer_words("Theatre and an-other") == ["theatre", "and", "another"]
    assert answer_words(" A. ") == []


def test_rouge_knows_letters_from_a_to_z() -> None:
    assert rouge_words("The café's 2 cats", any_script=False) == ["the", "caf", "s", "2", "cats"]
    assert rouge_words("The café's", any_script=True) == ["the", "café", "s"]


def test_plain_words_lose_the_punctuation_of_all_scripts() -> None:
    assert plain_words("“Left–right”, ¿no? it's") == ["leftright", "no", "its"]
    assert plain_words("1 + 1") == ["1", "+", "1"]


def test_letters_of_short_answers_are_the_same_however_they_are_written() -> None:
    assert answer_words("cafe\u0301") == answer_words("caf\u00e9")
    assert answer_words("红色。") == ["红", "色"]
    assert answer_words("“Red”, $5!") == ["red", "5"]


@pytest.mark.parametrize("words", [answer_words, plain_words])
def test_where_no_spaces_are_written_each_character_is_a_word(words) -> None:  # type: ignore[no-untyped-def]
    assert words("猫 cat 走る") == ["猫", "cat", "走", "る"]


def test_a_script_is_told_by_most_of_the_letters() -> None:
    assert is_other_script(["человек бежит"]) and is_other_script(["猫が3匹"])
    assert not is_other_script(["über den Zaun"]) and not is_other_script(["", "?!"])
