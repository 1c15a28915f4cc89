"""The page of `flipbook data preview` shows what the model reads, and nothing gets out of it."""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures_html import Element, read_html
from fixtures_model import make_tokenizer
from flipbook.apps.data import preview as preview_module
from flipbook.apps.data.page.frames import contact_sheet, side_of
from flipbook.apps.data.page.pieces import Budget, pieces_of, whole_characters
from flipbook.apps.data.preview import Preview, add_arguments, preview, run
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import Media, Turn
from flipbook.data.shown import read_shown
from flipbook.errors import ArgumentError, CheckpointError, ManifestError, StorageError
from flipbook.evaluate.page.numbers import clock
from flipbook.video.clip import Clip
from flipbook.video.settings import ClipSettings


def _parsed(found: Preview) -> Element:
    return read_html(found.page.decode())


def _row(row_id: str, content: Any, said: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": said}]
    return {"id": row_id, "messages": turns, **more}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def manifest(generated: GeneratedData, tmp_path: Path) -> Path:
    """Rows of every kind about a generated clip, beside a copy of it."""
    rows = json.loads(generated.train.read_text("utf-8"))
    clip = next(generated.folder / row["video"] for row in rows if "video" in row)
    picture = next(generated.folder / row["image"] for row in rows if "image" in row)
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "b.png").write_bytes(picture.read_bytes())
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:900])
    video = {"type": "video", "path": "a.mp4"}
    text = {"type": "text", "text": "What?"}
    return _write(
        tmp_path / "rows.jsonl",
        [
            _row("clip", [video, text], "Übung 猫 👩‍🚀", task="t", kind="open", group="g"),
            _row(
                "when",
                [video | {"start_s": 1.0}, text, {"type": "image", "path": "b.png"}],
                "Then.",
                spans=[[1.2, 2.0]],
            ),
            _row(
                "choice",
                "Which?\nA. <b>\nB. no\nAnswer with the letter.",
                "B",
                kind="multiple_choice",
                options=["<b>", "no"],
                answer="no",
            ),
            _row("gone", [{"type": "video", "path": "gone.mp4"}, text], "So."),
            _row("cut", [{"type": "video", "path": "cut.mp4"}, text], "So."),
            _row("blank", "Why?", " "),
        ],
    )


def _look(manifest: Path, model: Path, **more: Any) -> Element:
    return _parsed(preview(manifest, model=model, **more))


def _record(page: Element, name: str) -> Element:
    (found,) = [r for r in page.all("article") if r.one("h3").text == name]
    return found


def test_the_prompt_is_what_the_model_reads(manifest: Path, fast_vlm_folder: Path) -> None:
    record = _record(_look(manifest, fast_vlm_folder), "clip")
    prompt = record.one("pre")
    assert prompt.text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "4 frames × 4 tokens\nWhat?<|im_end|>\n"
        "<|im_start|>assistant\nÜbung 猫 👩‍🚀<|im_end|>\n"
    )
    assert prompt.one("mark").text == "Übung 猫 👩‍🚀<|im_end|>"
    assert [e.text for e in prompt.all("span", class_="special")] == [
        *("<|im_start|>", "<|im_end|>") * 2,
        "<|im_start|>",
    ]
    num_bytes = len("Übung 猫 👩‍🚀".encode())
    assert f"{num_bytes + 1} answer" in record.one("p", class_="sums").text
    assert [tag.text for tag in record.all("span", class_="tag")] == [
        "task: t",
        "kind: open",
    ]


def test_the_frames_are_those_that_the_model_sees(manifest: Path, fast_vlm_folder: Path) -> None:
    page = _look(manifest, fast_vlm_folder)
    shown = read_shown(
        Media("video", str(manifest.parent / "a.mp4")), ClipSettings(frame_size=128, num_frames=4)
    )
    figures = _record(page, "clip").all("figure")
    assert len(figures) == 4
    for figure, pixels, time_s in zip(figures, shown.frames, shown.times_s.tolist(), strict=True):
        address = figure.one("img").attributes["src"]
        data = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"), validate=True)
        picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert picture.shape == (128, 128, 3)
        assert np.abs(picture - pixels.permute(1, 2, 0).numpy()).mean() < 4
        assert figure.one("figcaption").text == f"{time_s:.2f} s"
        assert figure.one("img").attributes["alt"].endswith(f"at {time_s:.2f} s")


def test_stretches_and_wanted_spans_are_marked(manifest: Path, fast_vlm_folder: Path) -> None:
    record = _record(_look(manifest, fast_vlm_folder), "when")
    clip, picture = record.one(class_="seen").all("section")
    assert "start_s 1" in clip.text
    times = [float(f.one("figcaption").text.split()[0]) for f in clip.all("figure")]
    wanted = ["asked for" in f.text for f in clip.all("figure")]
    assert min(times) >= 0.9
    assert wanted == [1.2 <= time_s <= 2.0 for time_s in times]
    assert any(wanted)
    assert picture.all("figcaption") == []
    assert record.one("pre").text.count("tokens") == 2


def test_options_are_listed_with_the_right_one(manifest: Path, fast_vlm_folder: Path) -> None:
    record = _record(_look(manifest, fast_vlm_folder), "choice")
    assert [item.text for item in record.all("li")] == ["<b>", "no right"]
    assert record.all("img") == []


def test_records_that_cannot_be_used_say_why(manifest: Path, fast_vlm_folder: Path) -> None:
    found = preview(manifest, model=fast_vlm_folder)
    assert (found.num_shown, found.num_records, found.num_faulty) == (6, 6, 3)
    page = _parsed(found)
    assert page.one("p", class_="lead").text == "All 6 records; 3 cannot be used"
    faults = {
        record.one("h3").text: record.one("p", class_="fault").text
        for record in page.all("article", class_="has-fault")
    }
    assert faults.keys() == {"gone", "cut", "blank"}
    assert "gone.mp4: does not exist" in faults["gone"]
    assert "cut.mp4: " in faults["cut"]
    assert faults["blank"].startswith("turn 2 is a blank answer")
    assert '"path": "gone.mp4"' in _record(page, "gone").one("pre").text
    assert "user What?" in _record(page, "cut").text


def test_what_is_over_the_limit_is_shown_whole(manifest: Path, fast_vlm_folder: Path) -> None:
    record = _record(_look(manifest, fast_vlm_folder, max_length=40), "choice")
    assert re.match(
        r"needs \d+ tokens, and the limit is 40; it is", record.one("p", class_="fault").text
    )
    assert "over the limit of 40" in record.one("p", class_="sums").text
    assert record.one("mark").text == "B<|im_end|>"


def test_text_of_the_data_stays_text(tmp_path: Path, fast_vlm_folder: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'&lt;"
    rows = [
        _row(evil, evil, evil, task=evil, group=evil, references=[evil], answer=evil),
        {"id": f"{evil} bad", "messages": [{"role": evil, "content": evil}]},
    ]
    path = tmp_path / "<rows>.jsonl"
    found = preview(_write(path, rows), model=fast_vlm_folder)
    page = _parsed(found)
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert page.all("img") == []
    assert page.one("h1").text == path.name
    record = _record(page, evil)
    assert evil in record.one("pre").text
    assert record.one("mark").text == f"{evil}<|im_end|>"
    assert f"answer{evil}" in record.one("dl").text.replace("\n", "")
    assert json.dumps(evil) in _record(page, f"{evil} bad").one("pre").text
    assert evil not in found.page.decode()


def test_nothing_is_loaded_from_anywhere(manifest: Path, fast_vlm_folder: Path) -> None:
    page = _look(manifest, fast_vlm_folder)
    script = page.one("script").text
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [
        meta.attributes["content"]
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy
    assert page.all("link") == []
    assert all(image.attributes["src"].startswith("data:image/") for image in page.all("img"))
    assert all("src" not in element.attributes for element in page.all("script"))
    for name in ("page.css", "page.js"):
        text = files("flipbook.apps.data.page").joinpath(name).read_text("utf-8")
        assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp|</", text)


def test_the_page_can_be_used_with_keys_and_readers(manifest: Path, fast_vlm_folder: Path) -> None:
    page = _look(manifest, fast_vlm_folder)
    ids = [e.attributes["id"] for e in page.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert page.one("a", class_="skip").attributes["href"] == "#records"
    assert page.one("label").attributes["for"] == page.one("input").attributes["id"]
    for record in page.all("article"):
        assert record.attributes["tabindex"] == "-1"
        assert record.attributes["aria-labelledby"] == record.one("h3").attributes["id"]
        for bar in record.all("div", role="img"):
            assert bar.attributes["aria-label"].endswith("tokens")
    assert all(image.attributes["alt"] for image in page.all("img"))
    assert all(button.attributes.get("aria-label") or button.text for button in page.all("button"))


def test_records_are_drawn_with_the_seed_in_their_order(
    tmp_path: Path, fast_vlm_folder: Path
) -> None:
    path = _write(tmp_path / "rows.jsonl", [_row(f"r{n}", "Why?", "So.") for n in range(30)])

    def names(**more: Any) -> list[str]:
        page = _look(path, fast_vlm_folder, num_records=5, **more)
        assert "5 of 30 records, drawn with seed" in page.one("p", class_="lead").text
        return [heading.text for heading in page.all("h3")]

    first = names()
    assert first == names(seed=0)
    assert first != names(seed=1)
    assert first == sorted(first, key=lambda name: int(name[1:]))


def test_several_conversations_of_a_record_are_all_shown(
    tmp_path: Path, fast_vlm_folder: Path
) -> None:
    row = _row("two", "Why?", "So.")
    row["messages"] = [row["messages"], _row("", "Who?", "He.")["messages"]]
    page = _look(_write(tmp_path / "rows.jsonl", [row]), fast_vlm_folder)
    assert [mark.text for mark in page.all("article")[0].all("mark")] == [
        "So.<|im_end|>",
        "He.<|im_end|>",
    ]
    assert "Conversation 2 of 2" in page.one("article").text


def test_characters_of_several_tokens_stay_whole() -> None:
    letters = [bytes([byte]) for byte in "a猫é".encode()]
    assert whole_characters(letters) == ["a", "猫", "é"]
    assert whole_characters([b"a", b"\xff", b"b", b"\xe7"]) == ["a", "\ufffd", "b", "\ufffd"]


def test_frames_of_each_clip_are_counted_alone() -> None:
    encoder = ConversationEncoder(make_tokenizer(), ClipSettings(frame_size=128, num_frames=2))
    clips = [Media("video", f"/{name}.mp4") for name in "ab"]
    turns = (Turn("user", (clips[0], clips[1], "and", clips[0], "?")), Turn("assistant", ("x",)))
    encoded = encoder.encode(turns, frames_per_media=(2, 1, 3), record_id="r")
    pieces = pieces_of(
        encoded,
        encoder.tokenizer,
        image_token_id=encoder.image_token_id,
        frames_per_media=(2, 1, 3),
    )
    visual = [piece.texts for piece in pieces if piece.kind == "visual"]
    assert visual == [
        ("2 frames × 4 tokens", "1 frame × 4 tokens"),
        ("3 frames × 4 tokens",),
    ]
    assert sum(piece.num_tokens for piece in pieces) == len(encoded.input_ids)


def test_the_bar_is_as_long_as_the_limit_or_the_conversation() -> None:
    fits = Budget(visual=50, text=20, answer=5, limit=100)
    assert (fits.total, fits.free, fits.share(50)) == (75, 25, 50.0)
    long = Budget(visual=150, text=40, answer=10, limit=100)
    assert (long.free, long.share(150), long.share(long.limit)) == (-100, 75.0, 50.0)


def test_sheets_of_long_clips_are_small_and_repeats_are_told() -> None:
    assert [side_of(number) for number in (1, 8, 9, 32, 33, 500)] == [256, 256, 192, 144, 96, 96]
    frames = torch.zeros((3, 3, 512, 512), dtype=torch.uint8)
    clip = Clip("x", frames, torch.tensor([0.0, 0.0, 3725.5], dtype=torch.float64), (0, 0, 9), 1)
    sheet = contact_sheet(clip, is_still=False, spans=())
    assert [frame.repeats for frame in sheet] == [False, True, False]
    assert sheet[0].uri == sheet[1].uri
    data = base64.b64decode(sheet[0].uri.partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (256, 256)
    assert [clock(time_s) for time_s in (0, 59.999, 62.75, 3725.5)] == [
        "0.00 s",
        "1:00.00",
        "1:02.75",
        "1:02:05.50",
    ]


def _run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(words))


def test_the_command_writes_the_page_and_says_what_is_on_it(
    manifest: Path,
    fast_vlm_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preview_module, "LARGE_BYTES", 1000)
    out = tmp_path / "page.html"
    _run(
        *(str(manifest), "--out", str(out), "--model", str(fast_vlm_folder)),
        *("--num_video_frames", "3", "--frame_size", "64", "--frame_sampler", "segments"),
        *("--num_records", "6", "--seed", "4", "--model_max_length", "500"),
    )
    shown = capsys.readouterr().out.replace("\n", "")
    assert "6 of 6 records, 3 of them cannot be used, on one page of" in shown
    assert "The page is large; --num_records makes it smaller." in shown
    page = out.read_text("utf-8")
    assert "3 frames of 64 × 64 px" in page
    assert "3 (segments); training draws other instants each time" in page
    assert "500 tokens" in page


def test_mistakes_are_told(manifest: Path, fast_vlm_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="--out page is no page; give a name that ends in .h"):
        _run(str(manifest), "--out", "page")
    with pytest.raises(ArgumentError, match="--num_records is 0: give 1 or more"):
        preview(manifest, model=fast_vlm_folder, num_records=0)
    with pytest.raises(ArgumentError, match="--model_max_length is -1: give 1 or more"):
        preview(manifest, model=fast_vlm_folder, max_length=-1)
    with pytest.raises(ArgumentError, match="sampler 'uniforn' is unknown"):
        preview(manifest, model=fast_vlm_folder, sampler="uniforn")
    with pytest.raises(ManifestError, match="does not exist"):
        preview(tmp_path / "none.jsonl", model=fast_vlm_folder)
    with pytest.raises(CheckpointError):
        preview(manifest, model=tmp_path / "no model")
    (tmp_path / "file").touch()
    for place, reason in (("no", "No such file or directory"), ("file", "Not a directory")):
        out = str(tmp_path / place / "page.html")
        with pytest.raises(StorageError, match=f"cannot be written .{reason}.; name"):
            _run(str(manifest), "--out", out, "--model", str(fast_vlm_folder))


def test_words_of_a_llama_are_whole_too(tmp_path: Path, llava_llama_folder: Path) -> None:
    row = _row("llama", "Why 猫?", "It is a cat, 猫.")
    page = _look(_write(tmp_path / "rows.jsonl", [row]), llava_llama_folder)
    prompt = page.one("article").one("pre")
    assert prompt.text.endswith("USER: Why 猫? ASSISTANT: It is a cat, 猫.</s>")
    assert prompt.one("mark").text.strip() == "It is a cat, 猫.</s>"
