"""How do cards become one page that asks nothing of a network?

    title, facts, cards -> HTML, with styles, script and pictures in it

All text goes through the template, which escapes it, and the page itself forbids every other
script and every address.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from flipbook.apps.data.page.cards import Card


def page_of(title: str, *, lead: str, facts: Mapping[str, str], cards: Sequence[Card]) -> bytes:
    """Return a page in UTF-8.

    Args:
        lead: a sentence under the title.
        facts: what holds for all records, by name.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    script = _read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.from_string(_read("page.html")).render(
        title=title,
        lead=lead,
        facts=facts,
        cards=cards,
        style=Markup(_read("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=f"sha256-{digest}",
    )
    return page.encode("utf-8", "backslashreplace")


def _read(name: str) -> str:
    return files("flipbook.apps.data.page").joinpath(name).read_text("utf-8")
