"""How is a chat template rendered that somebody may have written to do harm?

    text of a template, names it may use -> text, or a TemplateError

A template comes with a checkpoint, and is a program. The sandbox of jinja keeps it from files and
from Python's insides; here it is kept from taking all time and memory, too. Every round of a loop,
every call and all that is written is counted; a list, a text or a number that grows is measured
before it is made; filters and methods are those of the lists below. What a template of good faith
renders is what `transformers` makes of it. To allow another filter: a name in `_FILTERS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from flipbook.data.templates.filters import GUARDED, measure, refuse_growth

MOST_STEPS = 1_000_000  # rounds of loops, and calls
MOST_CPU_S = 10.0  # of this thread alone, so that a busy machine stops nothing
MOST_SOURCE_LETTERS = 1 << 20
ROOM_LETTERS = 1 << 21  # that a template may write beside what the conversation holds

_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int",
    "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "title", "trim",
    "unique", "upper",
})  # fmt: skip
_TEXT_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
    "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "join",
    "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
    "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
    "swapcase", "title", "upper",
})  # fmt: skip
_OF_JINJA = ("_loop_vars", "_block_vars")  # which it gives to every call inside of a loop
# What may go wrong in a program that a stranger wrote, when it is compiled and when it runs.
TEMPLATE_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


@dataclass
class _Budget:
    """What one rendering may still take."""

    letters: int
    most_letters: int
    steps: int = MOST_STEPS
    deadline_s: float = field(default_factory=lambda: time.thread_time() + MOST_CPU_S)

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0 or (self.steps % 64 == 0 and time.thread_time() > self.deadline_s):
            raise SecurityError("it goes on and on: it has too many rounds and calls")

    def write(self, num_letters: int) -> None:
        self.letters -= num_letters
        if self.letters < 0:
            raise SecurityError(f"it writes more than {self.most_letters:,} letters")


_budget: ContextVar[_Budget] = ContextVar("budget")


def render_limited(text: str, names: Mapping[str, Any]) -> str:
    """Return what a template makes of some names.

    Raises:
        TemplateError: it cannot be rendered, or takes too much.
    """
    most = ROOM_LETTERS + 4 * measure(names, most=1 << 40)
    token = _budget.set(_Budget(most, most))
    try:
        return str(_compiled(text).render(names))
    except TemplateError:
        raise
    except TEMPLATE_ERRORS as error:
        raise TemplateError(f"{type(error).__name__}: {error}") from error
    finally:
        _budget.reset(token)


@lru_cache(maxsize=64)
def _compiled(text: str) -> Any:
    if len(text) > MOST_SOURCE_LETTERS:
        raise SecurityError(f"it is {len(text):,} letters long, and {MOST_SOURCE_LETTERS:,} may be")
    return _LimitedEnvironment().from_string(text)


class _Generation(Extension):
    """Reads `{% generation %}`, which marks answers for other trainers and writes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own way

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _OpaqueNamespace(Namespace):
    """Shows nothing of what it holds, which may hold it again and again."""

    def __repr__(self) -> str:
        return "<namespace>"


class _LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox that counts; see the module's words."""

    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_written,
            extensions=[_Generation, LoopControlExtension],
        )
        known = {name: self.filters[name] for name in _FILTERS}
        self.filters = {**known, **GUARDED, "counted": _counted, "measured": _measured}
        self.globals = {
            "range": self.globals["range"],
            "dict": lambda *words, **values: dict(*words, **values),
            "namespace": _OpaqueNamespace,
            "raise_exception": _raise_exception,
            "strftime_now": lambda form: datetime.now().strftime(form),
        }

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = _through("counted", loop.iter)
        for output in tree.find_all(nodes.Output):
            output.nodes = [
                _through("measured", nodes.Const(part.data, lineno=part.lineno))
                if isinstance(part, nodes.TemplateData)
                else part
                for part in output.nodes
            ]
        for joined in tree.find_all(nodes.Concat):
            joined.nodes = [_through("measured", part) for part in joined.nodes]
        made: Any
        for made in tree.find_all((nodes.List, nodes.Tuple)):
            if getattr(made, "ctx", "load") == "load":
                made.items = [_through("measured", part) for part in made.items]
        for pair in tree.find_all(nodes.Pair):
            pair.value = _through("measured", pair.value)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in _TEXT_METHODS
        if isinstance(obj, (bytes, int, float)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        return None  # `is_safe_attribute` refuses it

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        refuse_growth(operator, left, right, most=_most_letters())
        return super().call_binop(context, operator, left, right)

    def call(*words: Any, **values: Any) -> Any:  # noqa: N805 - a template may name any keyword
        environment, context, called, *given = words
        _step()
        named = {name: values[name] for name in values if name not in _OF_JINJA}
        for value in (*given, *named.values()):
            measure(value, most=_most_letters())
        owner = getattr(called, "__self__", None)
        if isinstance(owner, str) and called.__name__ in GUARDED:
            return GUARDED[called.__name__](*_in_order(called.__name__, owner, given), **named)
        return super(_LimitedEnvironment, environment).call(context, called, *given, **values)


def _in_order(name: str, owner: str, given: Iterable[Any]) -> tuple[Any, ...]:
    """Return the words of a method as those of the filter: `", ".join(x)` is `x | join(", ")`."""
    return (*given, owner) if name == "join" else (owner, *given)


def _through(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _step() -> None:
    budget = _budget.get(None)
    if budget is not None:
        budget.step()


def _most_letters() -> int:
    budget = _budget.get(None)
    return ROOM_LETTERS if budget is None else budget.most_letters


@pass_context  # so that it never runs before there is a budget
def _counted(_context: Context, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step()
        yield value


@pass_context
def _measured(_context: Context, value: Any) -> Any:
    measure(value, most=_most_letters())
    return value


@pass_context
def _written(_context: Context, value: Any) -> Any:
    _budget.get().write(measure(value, most=_most_letters()))
    return value


def _raise_exception(message: str) -> None:
    raise TemplateError(message)
