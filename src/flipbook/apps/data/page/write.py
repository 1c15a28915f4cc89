"""How do cards become one page that asks nothing of a network?

    title, facts, cards -> HTML, with styles, script and pictures in it

All text goes through the template, which escapes it, and the page itself forbids every other
script and every address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flipbook.apps.data.page.cards import Card
from flipbook.evaluate.page import render


def page_of(title: str, *, lead: str, facts: Mapping[str, str], cards: Sequence[Card]) -> bytes:
    """Return a page in UTF-8.

    Args:
        lead: a sentence under the title.
        facts: what holds for all records, by name.
    """
    return render.page_of(__package__, title=title, lead=lead, facts=facts, cards=cards)
