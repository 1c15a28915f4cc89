"""A chat template written to do harm ends in an error at once; one of good faith gives its text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from flipbook.data.templates.limits import render_limited
from flipbook.data.templates.template import choose_template
from flipbook.data.templates.texts import BROUGHT_ALONG
from flipbook.errors import CheckpointError

pytestmark = pytest.mark.guarantee(7)
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": 'Why <b>"is"</b> it \\ wet?\n'},
    {"role": "assistant", "content": "Rain.", "tool_calls": [{"name": "look", "at": [1, 2]}]},
]
ROUND = "{% for a in range(99999) %}"
END = "{% endfor %}"
GROWING = "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set n.s = GROWN %}{% endfor %}"
HARMFUL: dict[str, str] = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes by filter": "{{ ''|attr('__class__') }}",
    "globals": "{{ raise_exception.__globals__['os'].system('touch harm') }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('touch harm').read() }}",
    "cycler": "{{ cycler.__init__.__globals__.os.system('touch harm') }}",
    "self": "{{ self._TemplateReference__context.eval_ctx.environment }}"
    "{{ self.__init__.__globals__ }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(messages) }}",
    "changes": "{{ messages.append(1) }}",
    "namespace": "{% set n = namespace() %}{{ n.__class__.__mro__ }}",
    "rounds": ROUND * 3 + END * 3,
    "rounds of words": ROUND * 2 + "words " * 1000 + END * 2,
    "rounds kept": "{% set kept %}" + ROUND * 2 + "words " * 1000 + END * 2 + "{% endset %}",
    "calls": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "calls of blocks": "{% block b %}{{ self.b() }}{% endblock %}",
    "wide recursion": "{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}",
    "times": "{{ 'x' * 10 ** 10 }}",
    "list times": "{% set l = [0] * 10 ** 10 %}",
    "power": "{{ 9 ** 9999999 }}",
    "number": GROWING.replace("'x'", "9").replace("GROWN", "n.s * n.s"),
    "percent": "{{ '%10000000000d' % 1 }}",
    "width": "{{ '{:10000000000}'.format(1) }}",
    "centre": "{{ 'x'.center(10 ** 10) }}{{ 'x' | center(10 ** 10) }}",
    "centre by map": "{{ ['x'] | map('center', 9999999999) | list }}",
    "indent": "{{ 'x\n' * 1000000 | indent(9999999) }}",
    "zeros": "{{ '1'.zfill(9999999999) }}",
    "bytes": "{{ (1).to_bytes(9999999999, 'big') }}",
    "lorem": "{{ lipsum(n=9999999) }}",
    "doubled": GROWING.replace("GROWN", "n.s ~ n.s"),
    "doubled by plus": GROWING.replace("GROWN", "n.s + n.s"),
    "replaced": GROWING.replace("GROWN", "n.s.replace('x', 'xx')"),
    "replaced by filter": GROWING.replace("GROWN", "n.s | replace('x', 'xx')"),
    "joined": GROWING.replace("GROWN", "n.s.join(['a', n.s, 'b'])"),
    "joined by filter": GROWING.replace("GROWN", "[n.s, n.s] | join(n.s)"),
    "escaped": GROWING.replace("'x'", "'\"'").replace("GROWN", "n.s | tojson"),
    "kept": "{% set n = namespace(s='x') %}{% for a in range(99) %}{% set k %}{{ n.s }}{{ n.s }}"
    "{% endset %}{% set n.s = k %}{% endfor %}",
    "lists": GROWING.replace("GROWN", "[n.s, n.s]") + "{{ n.s }}",
    "objects": GROWING.replace("GROWN", "{'a': n.s, 'b': n.s}") + "{{ n.s | tojson }}",
    "division": "{{ 1 / 0 }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "long": "{{ " + "1+" * 5_000 + "1 }}",
    "huge": "x" * (1 << 21),
    "nested loops": "{% for a in b %}" * 60 + "{% endfor %}" * 60,
    "broken": "{% for",
}
SOUND = {
    **{name: known.text for name, known in BROUGHT_ALONG.items()},
    "loops": "{% for m in messages[::-1] %}{{ loop.index0 }}{{ m.role | upper }}{% if loop.last %}."
    "{% endif %}{% endfor %}",
    "tools": "{% for m in messages if m.tool_calls %}{% for c in m.tool_calls %}{{ c | tojson }}"
    "{{ c | tojson(indent=2) }}{{ c['name'].split('o') | join('-') }}{% endfor %}{% endfor %}",
    "namespace": "{% set n = namespace(last=-1, seen=[]) %}{% for m in messages %}{% set n.last ="
    " loop.index0 * 2 + 1 %}{% set n.seen = n.seen + [m.role] %}{% endfor %}"
    "{{ n.last }}{{ n.seen }}",
    "words": "{% macro say(m) %}{{ m.content | trim }}|{{ m.content.strip().replace('i', '11') }}"
    "{% endmacro %}{% for m in messages %}{{ say(m) }}\n{% generation %}\n  {{ m.role ~ '!' }}"
    "{% endgeneration %}\n{% if loop.first %}{% continue %}{% endif %}{% endfor %}",
    "items": "{% for key, value in messages[1].items() %}{{ key }}={{ value }};{% endfor %}"
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
    "spaces": "a\n  {% if add_generation_prompt %}\n b {%- endif %}\n{{ tools is none }}{{ x is "
    "defined }}{{ eos_token }}{{ 'ab' in messages[1].content }}{{ (1, 2)[0] }}{{ 7 // 2 % 3 }}",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_harm_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        text = render_limited(HARMFUL[name], {"messages": MESSAGES})
    except TemplateError as error:
        assert str(error)
    else:
        assert text in ("", "<namespace>") or name == "self" and "function" in text
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["classes", "calls", "times", "doubled", "division", "broken"])
def test_no_labels_are_made_with_it(name: str, qwen_tokenizer: Any) -> None:
    with pytest.raises(CheckpointError, match="the chat template cannot be used for training"):
        choose_template(qwen_tokenizer, HARMFUL[name])


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("name", SOUND)
def test_good_faith_gives_what_transformers_makes(
    name: str, prompt: bool, qwen_tokenizer: Any
) -> None:
    text = SOUND[name]
    names = {"messages": MESSAGES, "tools": None, "add_generation_prompt": prompt}
    expected = qwen_tokenizer.apply_chat_template(
        MESSAGES, chat_template=text, tokenize=False, add_generation_prompt=prompt
    )
    assert render_limited(text, qwen_tokenizer.special_tokens_map | names) == expected


def test_long_conversations_are_no_harm() -> None:
    messages = [{"role": "user", "content": "word " * 100_000}] * 20
    text = render_limited(BROUGHT_ALONG["qwen_2"].text, {"messages": messages})
    assert len(text) > 10_000_000
