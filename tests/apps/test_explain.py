"""What `flipbook explain` prints is what training reads; faults are printed before they stop it."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from flipbook.apps.explain import (
    add_arguments,
    budget_line,
    explanation_blocks,
    find_record,
    run,
)
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.generated.write import GeneratedData
from flipbook.data.labels.conversation import EncodedConversation
from flipbook.data.proofs.explanation import Budget, Explanation, explain
from flipbook.data.proofs.label_checks import CHECKS
from flipbook.errors import (
    ArgumentError,
    BudgetError,
    DataError,
    LabelError,
    MediaError,
    RecordError,
)
from flipbook.model.words_of import load_words_of

ROWS: list[dict[str, Any]] = [
    {
        "id": "typed",
        "messages": [
            {"role": "system", "content": "Say <|im_end|>."},
            {
                "role": "user",
                "content": [
                    {"type": "video", "path": "a.mp4"},
                    {"type": "text", "text": "Größer  als <image>?\n"},
                    {"type": "image", "path": "b.png"},
                ],
            },
            {"role": "assistant", "content": "Ja, \x1b[31m猫."},
        ],
    },
    {
        "id": "several",
        "messages": [
            [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}],
            [{"role": "user", "content": "c?"}, {"role": "assistant", "content": "d"}],
        ],
    },
    {"id": "open", "messages": [{"role": "user", "content": "Why?"}]},
    {
        "id": "gone",
        "messages": [
            {"role": "user", "content": [{"type": "video", "path": "torn.mp4"}]},
            {"role": "assistant", "content": "b"},
        ],
    },
]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, generated: GeneratedData) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    clip = next((generated.folder / "clips").glob("train-*.mp4"))
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (folder / "torn.mp4").write_bytes(b"torn")
    Image.new("RGB", (60, 40), "red").save(folder / "b.png")
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return path


@pytest.fixture(scope="module")
def encoder() -> ConversationEncoder:
    words = load_words_of("tiny")
    settings = replace(words.settings, num_frames=2)
    return ConversationEncoder(words.tokenizer, settings, words.context_tokens)


@pytest.fixture
def ask(records: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a function: flags -> what the command printed."""

    def printed(*flags: str) -> str:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        run(parser.parse_args(["--data_path", str(records), "--num_video_frames=2", *flags]))
        return capsys.readouterr().out

    return printed


def explained(records: Path, encoder: ConversationEncoder, record_id: str) -> list[Explanation]:
    record = find_record(str(records), image_folder=None, record_id=record_id)
    return [explain(turns, encoder, record_id=record.id) for turns in record.conversations]


def shown(found: list[Explanation], **how: Any) -> str:
    colour = how.pop("colour", False)
    console = Console(
        file=io.StringIO(),
        width=80,
        highlight=False,
        markup=False,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    for block in explanation_blocks("typed", found, **({"all_tokens": False} | how)):
        console.print(block)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_every_token_has_a_line(records: Path, encoder: ConversationEncoder) -> None:
    (found,) = explained(records, encoder, "typed")
    encoded = encoder.encode(
        find_record(str(records), image_folder=None, record_id="typed").conversations[0],
        frames_per_media=(2, 1),
        record_id="typed",
    )
    assert [token.id for token in found.tokens] == encoded.input_ids.tolist()
    assert [token.position for token in found.tokens] == list(range(len(found.tokens)))
    lines = [cells(line) for line in shown([found], all_tokens=True).splitlines()[2:]]
    by_place = {int(line[0]): line for line in lines if line and line[0].isdigit()}
    assert sorted(by_place) == list(range(len(found.tokens)))
    for token in found.tokens:
        line = by_place[token.position]
        assert line[1:3] == [str(token.id), token.role]
        assert ("learned" in line[4:5]) == token.is_learned
        assert line[3] == ("visual" if token.is_visual else "text")


def test_it_is_read_as_a_table(records: Path, encoder: ConversationEncoder) -> None:
    found = explained(records, encoder, "typed")
    text = shown(found)
    lines = [cells(line) for line in text.splitlines()]
    start = next(n for n, token in enumerate(found[0].tokens) if token.is_visual)
    number = str(found[0].tokens[start].id)
    first = [
        f"{start}-{start + 3}",
        f"4 x {number}",
        "user",
        "visual",
        "frame 1 at 0.00 s of a.mp4",
    ]
    assert first in lines
    second = [f"{start + 5}-{start + 8}", f"4 x {number}", "user", "visual"]
    assert any(line[:4] == second and line[4].startswith("frame 2 at ") for line in lines)
    assert any(line[3:] == ["visual", "frame 3 of b.png"] for line in lines)
    assert any(line[2:] == ["assistant", "text", "learned", r"'\x1b'"] for line in lines)
    assert any(line[2:] == ["assistant", "text", "learned", "'<|im_end|>'"] for line in lines)
    assert any(line[2:] == ["system", "text", "'<'"] for line in lines)
    assert any(line[2:] == ["user", "text", r"'\n'"] for line in lines)
    assert "\x1b" not in text
    assert max(map(len, map(str.rstrip, text.splitlines()))) <= 80
    for name in CHECKS:
        assert f"holds  {name}" in text
    assert "FAILS" not in text
    assert text.splitlines()[0] == "record typed"


def test_learned_tokens_are_green_on_a_terminal(
    records: Path, encoder: ConversationEncoder
) -> None:
    text = shown(explained(records, encoder, "typed"), colour=True)
    is_green = {line: "\x1b[32m" in line for line in text.splitlines()}
    learned = {line: "\x1b[32mlearned" in line for line in is_green}
    assert sum(learned.values()) > 5
    assert is_green == {line: learned[line] or "holds" in line for line in is_green}


def test_the_budget_is_a_sum() -> None:
    budget = Budget(2, (16,), 32, 1000, 4, limit=1000)
    line = "2 frames x 16 + 1,000 of text + 4 of answers = 1,036 tokens"
    assert budget_line(budget) == f"{line} of 1,000: 36 TOO MANY"
    assert budget_line(replace(budget, limit=1036)) == f"{line} of 1,036"
    assert budget_line(replace(budget, limit=None)) == line
    mixed = replace(budget, num_frames=3, tokens_per_frame=(4, 16), num_visual=36, limit=None)
    assert budget_line(mixed).startswith("3 frames x 4 or 16 (36) + 1,000 of text")
    bare = replace(budget, num_frames=0, tokens_per_frame=(), num_visual=0, limit=None)
    assert budget_line(bare).startswith("0 frames + 1,000 of text + 4 of answers = 1,004")


def test_all_conversations_of_a_record_are_shown(ask: Callable[..., str]) -> None:
    text = ask("--record", "several")
    assert "record several, conversation 1 of 2" in text
    assert "record several, conversation 2 of 2" in text
    assert text.count("0 frames + ") == 2


def test_without_a_name_it_is_the_first_record(ask: Callable[..., str]) -> None:
    assert ask().startswith("record typed\n")
    assert ask("--record", "typed") == ask()


def test_json_holds_the_same(ask: Callable[..., str]) -> None:
    told = json.loads(ask("--json"))
    assert (told["record"], told["model"]) == ("typed", "tiny")
    (one,) = told["conversations"]
    learned = [token["text"] for token in one["tokens"] if token["learned"]]
    assert "".join(learned[:4]).startswith("Ja")
    assert learned[-1] == "<|im_end|>"
    assert r"\xe7" in learned
    assert [frame["num_tokens"] for frame in one["frames"]] == [4, 4, 4]
    assert one["budget"]["total"] == len(one["tokens"])
    assert one["budget"]["limit"] == 8192
    assert [proof["name"] for proof in one["proofs"]] == list(CHECKS)
    kinds = {token["kind"] for token in one["tokens"] if token["frame"] is not None}
    assert kinds == {"visual"}


def test_flags_change_what_the_model_saved(ask: Callable[..., str]) -> None:
    assert "9 frames x 16 + " in ask("--num_video_frames=8", "--frame_size=256")
    with pytest.raises(ArgumentError, match="frame_size is 100 px, which is no multiple of 64"):
        ask("--frame_size=100")


def test_an_unknown_record_is_answered_with_a_known_one(ask: Callable[..., str]) -> None:
    with pytest.raises(
        DataError, match=r"holds no record 'severel'\. Did you mean 'several'\? .* its 4 ids"
    ):
        ask("--record", "severel")


def test_a_record_that_cannot_be_used_says_why(ask: Callable[..., str]) -> None:
    with pytest.raises(RecordError, match="record open: the last user turn has no answer"):
        ask("--record", "open")
    with pytest.raises(MediaError, match=r"torn\.mp4: "):
        ask("--record", "gone")


def test_without_a_sound_record_the_first_fault_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS[2]) + "\n")
    with pytest.raises(RecordError, match="record open: "):
        find_record(str(path), image_folder=None, record_id=None)


def test_a_failed_proof_is_printed_and_stops(
    ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode = ConversationEncoder.encode

    def shifted(self: ConversationEncoder, *args: Any, **how: Any) -> EncodedConversation:
        encoded = encode(self, *args, **how)
        return replace(encoded, labels=encoded.labels.roll(-1))

    monkeypatch.setattr(ConversationEncoder, "encode", shifted)
    with pytest.raises(LabelError, match="record typed: there is no proof that the token that en"):
        ask()
    text = capsys.readouterr().out
    assert "FAILS  the token that ends an answer is learned" in text
    assert "holds  every placeholder has its feature" in text
    assert "tokens of 8,192" in text


def test_a_record_that_is_too_long_is_printed_and_refused(
    ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = replace(load_words_of("tiny"), context_tokens=60)
    monkeypatch.setattr("flipbook.apps.explain.load_words_of", lambda *_, **__: words)
    with pytest.raises(BudgetError, match=r"record typed: 3 frames x 4 .* the limit is 60"):
        ask()
    assert "TOO MANY" in capsys.readouterr().out


def test_names_that_would_move_the_cursor_are_quoted(
    records: Path, encoder: ConversationEncoder
) -> None:
    console = Console(file=io.StringIO(), markup=False)
    for block in explanation_blocks(
        "a\x1b[2Jb", explained(records, encoder, "several")[:1], all_tokens=True
    ):
        console.print(block)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith(r"record 'a\x1b[2Jb'")
