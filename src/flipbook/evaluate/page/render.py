"""How does a template become a page that needs nothing beside it?

    page.html, page.css, page.js of a package, what it shows  ->  HTML with all of them in it

Colours, the switch between light and dark, and what makes a page reachable from a keyboard are in
theme.css and theme.js of this folder, ahead of a page's own.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


def page_of(package: str, **content: Any) -> bytes:
    """Return a page in UTF-8, made from the template of a package.

    Text is escaped wherever the template puts it. The page's policy allows its own script alone,
    by its hash, and no address.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = _read(__package__, "theme.js") + _read(package, "page.js")
    style = _read(__package__, "theme.css") + _read(package, "page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = environment.from_string(_read(package, "page.html")).render(
        **content,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704 - our own files
        policy=(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
    )
    return page.encode("utf-8", "backslashreplace")


def _read(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")
