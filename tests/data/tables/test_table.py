"""A table of conversations: what is known of each without decoding, read back from disk."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures_table import MIXED, encoder, row, say, write
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.data.labels.joining import shared_head
from flipbook.data.media import expected_frames, media_of
from flipbook.data.records import read_records
from flipbook.data.tables.opening import open_table
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import BudgetError, LabelError, ManifestError

Open = Callable[..., ConversationTable]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mov", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> Open:
    """Return a function: rows -> their table, kept in a folder of the test."""

    def open_rows(rows: list[dict[str, Any]], **words: Any) -> ConversationTable:
        manifest = write(folder / "rows.json", rows)
        settings = {"encoder": encoder(), "image_folder": None, "cache_folder": folder / "cache"}
        return open_table(manifest, **(settings | words))

    return open_rows


def test_a_table_holds_what_the_manifest_says(opened: Open, folder: Path) -> None:
    table = opened(MIXED)
    records = read_records(folder / "rows.json").records
    expected = [(r.id, turns, r.task) for r in records for turns in r.conversations]
    assert [tuple(conversation) for conversation in table] == expected
    assert len(table) == len(expected) == 10
    assert table[-1] == table[9]
    assert table[np.int64(3)].record_id == "other"
    with pytest.raises(IndexError):
        table[10]


def test_lengths_and_heads_are_those_of_encoding(opened: Open) -> None:
    made = encoder()
    table = opened(MIXED)
    supervised = 0
    for index, (record_id, turns, _) in enumerate(table):
        frames = expected_frames(media_of(turns), made.settings)
        encoded = made.encode(turns, frames_per_media=frames, record_id=record_id)
        assert table.num_tokens[index] == len(encoded.input_ids)
        head = shared_head(encoded, image_token_id=made.image_token_id)
        assert table.head_tokens[index] == head
        supervised += int((encoded.labels != IGNORE_INDEX).sum())
    assert table.check.total_supervised_tokens == supervised
    assert table.check.total_tokens == table.num_tokens.sum()
    assert table.check.longest_id == table[int(table.num_tokens.argmax())].record_id
    assert (table.num_tokens.dtype, table.head_tokens.dtype) == (np.int32, np.int32)


def test_conversations_with_one_beginning_have_one_number(opened: Open) -> None:
    table = opened(MIXED)
    # The third learns something before its clip, the texts have none, the pair is turned round.
    assert table.clips.tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 0, 0]
    assert [name == 0 for name in table.head_tokens] == [i in (2, 4, 5) for i in range(10)]
    names = [table.clip_name(index) for index in range(10)]
    assert names[:4] == ["one", "one", "one", "other"]
    assert names[6:] == ["both", "turned", "one", "one"]


def test_other_words_before_a_clip_make_another_number(opened: Open) -> None:
    brief = row("brief", "<video>\nWhat moves?", "A ball.", video="a.mp4")
    brief["conversations"].insert(0, {"from": "system", "value": "Be brief."})
    table = opened([MIXED[0], brief])
    assert table.clips.tolist() == [0, 1]
    assert table.clip_name(1) == "one"


def test_records_that_cannot_be_used_are_named_in_their_order(opened: Open) -> None:
    rows = [
        row("gone", "<video>\nWhat?", "That.", video="gone.mp4"),
        row("long", "What?", "word " * 300),
        MIXED[0],
        {"id": "odd", "conversation": []},
        row("blank", "What?", " "),
    ]
    table = opened(rows, encoder=encoder(max_length=200))
    assert [conversation.record_id for conversation in table] == ["one"]
    rejected = table.check.rejected
    assert [error.record_id for error in rejected] == ["gone", "long", "odd", "blank"]
    assert [type(error) is BudgetError for error in rejected] == [False, True, False, False]
    assert "does not exist" in str(rejected[0])
    assert "the limit is 200" in str(rejected[1])
    assert "Did you mean 'conversations'?" in str(rejected[2])
    assert table.check.num_records == 5


def test_a_record_is_left_out_as_a_whole(opened: Open) -> None:
    several = MIXED[-1] | {
        "conversations": [say("<video>\nWhy?", "So."), say("<video>\nWho?", "he " * 300)]
    }
    table = opened([several, MIXED[0]], encoder=encoder(max_length=200))
    assert [conversation.record_id for conversation in table] == ["one"]
    assert [error.record_id for error in table.check.rejected] == ["several"]


def test_errors_of_labels_keep_their_kind(opened: Open) -> None:
    made = encoder()
    made.tokenizer.chat_template = (
        "{% for m in messages %}{% if 'no' in m['content'] %}{{ raise_exception('never') }}"
        "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    table = opened([row("bad", "no", "Yes."), MIXED[0]], encoder=made)
    (error,) = table.check.rejected
    assert isinstance(error, LabelError)
    assert "never" in str(error)


def test_a_manifest_of_bad_records_makes_an_empty_table(opened: Open) -> None:
    table = opened([row("blank", "What?", "")])
    assert len(table) == 0
    assert (table.check.num_records, table.check.longest_id) == (1, "")
    with pytest.raises(ManifestError, match="holds no records"):
        opened([])


def test_several_manifests_follow_one_another(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "d.mp4").write_bytes(b"x")
    first = write(folder / "first.json", [MIXED[0], MIXED[3]])
    reaching = [
        row("own", "<video>\nWhat?", "That.", video="d.mp4"),
        row("out", "<video>\nWhat?", "That.", video="../a.mp4"),
    ]
    second = write(other / "second.json", reaching)
    table = open_table(
        [first, second], image_folder=None, encoder=encoder(), cache_folder=folder / "cache"
    )
    assert [conversation.record_id for conversation in table] == ["one", "other", "own"]
    # The clip is good where the first manifest names it, and out of reach for the second.
    (error,) = table.check.rejected
    assert (error.record_id, "leads outside" in str(error)) == ("out", True)


def test_ids_of_all_forms_and_doubles_have_names_of_their_own(opened: Open) -> None:
    ids = ["7", 7, 7, "7#2", None, "", "rows.json:5", "猫"]
    names = [c.record_id for c in opened([row(one, "What?", "That.") for one in ids])]
    assert names == [
        "7",
        "7#2",
        "7#3",
        "7#2#2",
        "rows.json:5",
        "rows.json:6",
        "rows.json:5#2",
        "猫",
    ]


def test_file_names_that_are_no_text_are_kept(opened: Open, folder: Path) -> None:
    name = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    (folder / name).write_bytes(b"x")
    rows = [
        row("latin", "<video>\nWhat?", "That.", video=name),
        row("gone", "<video>\nWhat?", "That.", video=f"x{name}"),
    ]
    table = opened(rows)
    assert media_of(table[0].turns)[0].path == str(folder / name)
    assert "does not exist" in str(table.check.rejected[0])


def test_a_table_goes_to_another_process(opened: Open) -> None:
    table = opened(MIXED)
    copy = pickle.loads(pickle.dumps(table))  # noqa: S301 - it was made on the line itself
    assert list(copy) == list(table)
    assert copy.check.total_tokens == table.check.total_tokens
