"""The report: what is in it, that it asks for nothing from outside, and that a browser shows it."""

from __future__ import annotations

import base64
import re
import subprocess
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from rmtfl.compare import compare_rows
from rmtfl.errors import BadInput
from rmtfl.figures import page
from rmtfl.report import report, write
from rmtfl.study import from_document

VOID = {"meta", "link", "img", "br", "hr", "input"}
SOURCE = 'schema = 1\ntitle = "<script>alert(1)</script> & more"\n'


class Page(HTMLParser):
    """Every element with its attributes, and that all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.text[tag] = self.text.get(tag, "") + data

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def made(study_document, agreeing):
    """A function that makes the page of a study whose theory is off by a factor."""

    def make(shift=1.0, simulated=True):
        study_document["title"] = "<b>Two</b> steps"
        study_document["sizes"]["width"] = [60, 80, 100]
        study = from_document(study_document, Path("folder/own.toml"))
        trials = [agreeing.trials(row, shift=shift) if simulated else {} for row in study.rows]
        rows = [(row, agreeing.prediction(row), draws) for row, draws in zip(study.rows, trials, strict=True)]
        return report(study, compare_rows(study, rows), trials, SOURCE)

    return make


def test_what_is_in_it(made):
    page = Page(made())
    headings = re.findall(r"<h2>(.*?)</h2>", made())
    assert headings == [
        "Setup",
        "Statement",
        "Verdicts",
        "Figure",
        "Predicted and simulated",
        "Shown, not judged",
        "Predictions",
        "How to reproduce it",
    ]
    text = page.text["body"]
    for words in ("agree, in all of 9 numbers", "tanh(x + 7/10)", "60; 80; 100", "outlier 1, leading order", "√ψ"):
        assert words in text
    for words in (
        "rmtfl validate own.toml",
        "allowance of outlier 1",
        "6 of 6, 54.1% to 100.0%",
        "claimed at most N^(-0.5)",
    ):
        assert words in text


def test_a_disagreement_is_named(made):
    text = Page(made(shift=1.3)).text
    assert "disagree, in 6 of 9 numbers" in text["header"]
    assert "disagrees: outlier 1, outlier 2" in text["main"]


def test_nothing_is_asked_for_from_outside(made):
    page = Page(made())
    places = [a[key] for _, a in page.elements for key in ("src", "href", "srcset", "action", "data") if a.get(key)]
    assert places and all(place.startswith("data:") for place in places)
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "iframe", "object", "embed", "form", "base"})
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]
    assert "url(" not in page.text["style"] and "@import" not in page.text["style"]
    policies = [meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies and policies[0].startswith("default-src 'none'")


def test_the_picture_is_embedded_and_described(made):
    (image,) = Page(made()).named("img")
    head, _, content = image["src"].partition(",")
    assert head == "data:image/svg+xml;base64"
    assert b"<svg" in base64.b64decode(content, validate=True)
    assert image["alt"]


def test_what_a_user_wrote_is_shown_and_not_run(made):
    text = made()
    assert "<b>Two" not in text and "<script" not in text
    assert SOURCE in Page(text).text["pre"]


def test_equal_results_give_equal_pages(made):
    assert made() == made()


def test_nothing_simulated_yet(made):
    page = Page(made(simulated=False))
    assert page.named("img") == []
    assert "Nothing was judged." in page.text["header"]


def test_the_folder_is_made(made, tmp_path):
    place = write(made(), tmp_path / "a" / "b")
    assert place.name == "index.html" and place.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(BadInput, match="expected a folder"):
        write("", place)


@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_it(made, tmp_path, width, browser):
    place, picture = write(made(), tmp_path), tmp_path / "page.png"
    command = [
        *browser,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},2400",
        f"--screenshot={picture}",
        "--enable-logging=stderr",
    ]
    found = subprocess.run([*command, place.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    # A blocked request or a broken part of the page is a message on the console.
    assert "CONSOLE" not in found.stderr
    pixels = imread(picture)
    assert pixels.shape[:2] == (2400, width)
    predicted = [int(page.PREDICTED[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    assert (abs(pixels[..., :3] - predicted).max(axis=-1) < 0.1).sum() > 100  # the embedded figure is drawn


def test_a_phone_shows_it_unclipped(made, tmp_path, browser):
    # A browser's own window is not as narrow as that.
    probe = """<iframe id="page" style="width: 360px; height: 800px; border: 0" srcdoc="{}"></iframe><script>
    onload = () => {{
      const page = document.getElementById("page").contentDocument.documentElement;
      const whole = [...page.querySelectorAll("table.words, img")];
      const fitting = whole.filter(part => part.scrollWidth <= part.parentElement.clientWidth);
      document.body.dataset.found = [page.scrollWidth, whole.length, fitting.length].join(" ");
    }}</script>"""
    place = tmp_path / "probe.html"
    place.write_text(probe.format(escape(made())), encoding="utf-8")
    command = [*browser, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    found = subprocess.run([*command, place.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    width, parts, fitting = map(int, re.search(r'data-found="(.*?)"', found.stdout)[1].split())
    assert width <= 360
    assert fitting == parts == 3


def test_what_is_not_judged_and_looks_wrong_is_beside_the_verdict(study_document, agreeing):
    study = from_document(study_document)
    trials = [agreeing.trials(row) for row in study.rows]
    for draws in trials:
        draws["singular_values"] = np.hstack([draws["singular_values"][:, :2], np.full((6, 6), 3.0)])
    rows = [(row, agreeing.prediction(row), draws) for row, draws in zip(study.rows, trials, strict=True)]
    page = report(study, compare_rows(study, rows), trials, SOURCE)
    assert '<p class="verdict agrees">Prediction and simulation agree' in page
    assert '<p class="caution">Not judged: 8 or more values beyond the edge of the bulk where 2 are predicted' in page


def test_a_swept_entry_of_a_list_is_not_shown_as_the_setting(study_document, made):
    study_document["sweep"] = {"training.alpha.1": ["1/10", "1/5"]}
    page = made(simulated=False)
    assert "3/10, (swept)" in page
    assert "1/10; 1/5" in page
