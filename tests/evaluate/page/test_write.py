"""The page of a report shows everything, needs nothing, and lets nothing get out of it."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

from fixtures_html import Element, read_html
from fixtures_report import HOSTILE, write_report_files
from flipbook.evaluate.page.write import write_report_page

SECTIONS = [
    "verdict",
    "scores",
    "tasks",
    "kinds",
    "training",
    "followed",
    "gallery",
    "cost",
    "sweep",
    "data",
    "made",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files, and its page."""
    folder = write_report_files(tmp_path_factory.mktemp("report"), num_of_task=8)
    write_report_page(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Element:
    """The page of all files."""
    return read_html((folder / "report.html").read_text("utf-8"))


def _least(folder: Path, page_folder: Path) -> Element:
    """Return the page of the files that must be there alone."""
    for name in ("scores.json", "predictions.jsonl"):
        (page_folder / name).write_bytes((folder / name).read_bytes())
    return read_html(write_report_page(page_folder).read_text("utf-8"))


def test_the_sections_stand_in_their_order(page: Element) -> None:
    assert [part.attributes["id"] for part in page.one("main").all("section")] == SECTIONS
    links = [link.attributes["href"] for link in page.one("nav").all("a")]
    assert links == [f"#{name}" for name in SECTIONS]


def test_a_section_without_its_file_is_left_out(folder: Path, tmp_path: Path) -> None:
    page = _least(folder, tmp_path)
    shown = [part.attributes["id"] for part in page.one("main").all("section")]
    assert shown == ["verdict", "scores", "tasks", "kinds", "made"]
    assert not page.all("img")


def test_the_verdict_comes_first_with_its_numbers(page: Element) -> None:
    verdict = page.one("section", id="verdict")
    assert "it uses the order of frames" in verdict.text
    names = [name.text for name in verdict.all("dt")]
    assert names == ["score", "gain by tuning", "temporal gain", "questions"]


def test_nothing_gets_out_of_the_data(folder: Path, page: Element) -> None:
    assert len(page.all("script")) == 1
    assert not [part for part in page.all() if any(n.startswith("on") for n in part.attributes)]
    assert all(
        image.attributes["src"].startswith("data:image/jpeg;base64,") for image in page.all("img")
    )
    for text in HOSTILE:
        if "\n" not in text:
            assert text in page.text
    raw = (folder / "report.html").read_text("utf-8")
    assert "<script>document" not in raw
    assert "<img src=x" not in raw


def test_the_page_forbids_every_other_script_and_all_addresses(page: Element) -> None:
    (meta,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    policy = meta.attributes["content"]
    digest = base64.b64encode(hashlib.sha256(page.one("script").text.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy
    addressed = [part for part in page.all() if {"src", "href", "action"} & part.attributes.keys()]
    for part in addressed:
        address = part.attributes.get("src") or part.attributes["href"]
        assert address.startswith(("#", "data:image/jpeg;base64,"))


def test_the_page_can_be_found_through_without_eyes_or_mouse(page: Element) -> None:
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("a", class_="skip").attributes["href"] == "#verdict"
    for name in ("header", "nav", "main"):
        assert page.all(name)
    for table in page.all("table"):
        assert table.one("caption").text.strip()
        for cell in table.all("th"):
            assert cell.attributes["scope"] in ("col", "row")
    for drawing in page.all("svg", class_="chart"):
        assert drawing.attributes["role"] == "img"
        assert drawing.children[0].text.strip()  # type: ignore[union-attr]
        assert drawing.one("desc").text.strip()
    for part in page.all(class_="scroll"):
        assert part.attributes["tabindex"] == "0"
        assert part.attributes["aria-label"]
    ids = [part.attributes["id"] for part in page.all() if "id" in part.attributes]
    assert len(ids) == len(set(ids))


def test_pictures_say_their_size_and_instant(page: Element) -> None:
    images = page.one(id="cards").all("img")
    assert images
    assert all({"width", "height", "alt"} <= image.attributes.keys() for image in images)
    assert images[1].attributes["alt"] == "Frame 2 at 0.37 s"


def test_every_card_has_the_answers_of_all_rows(page: Element) -> None:
    cards = page.one(id="cards").all("article")
    assert len(cards) == 24
    for card in cards:
        rows = card.one("table", class_="answers").one("tbody").all("tr")
        assert len(rows) == 8
        assert {row.attributes["data-verdict"] for row in rows} <= {"right", "partly", "wrong"}
    offered = [option.attributes["value"] for option in page.one(id="row").all("option")]
    assert offered[:3] == ["untuned", "tuned", "shuffled"]


def test_the_matrix_of_classes_names_its_columns(page: Element) -> None:
    heat = page.one("table", class_="heat")
    assert [name.attributes["title"] for name in heat.all("abbr")][:2] == ["wave", "swipe left"]
    assert heat.all("td")[0].attributes["style"].startswith("--heat:")


def test_predictions_beyond_the_gallery_are_not_in_the_page(folder: Path, page: Element) -> None:
    told = {card.one("h3").text for card in page.all("article")}
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    beyond = [line for line in lines if line["question"] == "What of gesture 7?"]
    assert beyond
    assert "What of gesture 7?" not in told
    assert "gesture-0007" not in page.text


def test_halves_of_characters_are_written_as_their_codes(folder: Path, tmp_path: Path) -> None:
    scores = json.loads((folder / "scores.json").read_text())
    (tmp_path / "scores.json").write_text(json.dumps({**scores, "verdict": "half \ud83d."}))
    (tmp_path / "predictions.jsonl").write_bytes((folder / "predictions.jsonl").read_bytes())
    assert "half \\ud83d." in write_report_page(tmp_path).read_text("utf-8")


def test_the_page_is_written_whole_beside_the_scores(folder: Path) -> None:
    path = folder / "report.html"
    before = path.read_bytes()
    assert write_report_page(folder) == path
    assert path.read_bytes() == before
    assert not [name for name in folder.iterdir() if name.name.startswith(".")]


@pytest.mark.parametrize("name", ["page.html", "page.css", "page.js", "theme.css", "theme.js"])
def test_its_parts_are_in_the_package(name: str) -> None:
    text = files("flipbook.evaluate.page").joinpath(name).read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
