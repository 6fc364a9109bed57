"""README and the site: code blocks run and print what is shown, links resolve, and no page asks another host."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import pydoc
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from numpy.random import SeedSequence

from rmtfl.montecarlo.weights import train
from rmtfl.study import read

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r'(<!-- not run: [^\n]*-->\n)?^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)
# Commands of a shell block that set up an environment or take minutes: the Makefile's targets run elsewhere.
NOT_RUN = ("make ", "pip install ", "OMP_NUM_THREADS=1 ", "python benchmarks/")


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, but for those marked as not run with a reason."""
    return [
        Block(language, title or None, text)
        for skipped, language, title, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if not skipped
    ]


def run_shell(text: str, folder: Path) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(NOT_RUN)]
    assert all(line.startswith("rmtfl ") for line in lines), lines
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    result = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


NUMBER = r"\d+\.\d+(?:e[-+]?\d+)?"


def matches(shown: str, printed: str) -> bool:
    """Whether output is as shown, numbers to 1e-3; "..." stands for any lines, or for anything in one."""
    pattern, numbers = "", []
    for line in shown.splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
            continue
        for part in re.split(rf"({NUMBER}|\.\.\.| +)", line.rstrip()):
            if re.fullmatch(NUMBER, part):
                numbers.append(float(part))
                pattern += f"({NUMBER})"
            else:
                pattern += r"[^\n]*?" if part == "..." else " +" if part.startswith(" ") else re.escape(part)
        pattern += r"\n"
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    found = re.fullmatch(pattern, "\n".join(lines) + "\n")
    return found is not None and [float(group) for group in found.groups()] == pytest.approx(numbers, rel=1e-3)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_the_code_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed, namespace = "", {"__name__": "page"}
    if page.name == "README.md":
        namespace["model"] = trained_model_of_the_readme(page, tmp_path)
    for block in blocks(page):
        if block.language == "toml":
            file = tmp_path / (block.title or "untitled.toml")
            file.write_text(block.text, encoding="utf-8")
            assert read(file).rows
        elif block.language == "sh":
            printed = run_shell(block.text, tmp_path)
        elif block.language == "python":
            exec(compile(block.text, page.name, "exec"), namespace)
        elif block.title == "output":
            assert matches(block.text, printed), f"shown:\n{block.text}\nprinted:\n{printed}"


def trained_model_of_the_readme(page, folder):
    """A model trained in the README's own setting, at one width and without its sweep, with the study beside it."""
    text = next(block.text for block in blocks(page) if block.language == "toml")
    text = re.sub(r"\[sweep\].*", "", text, flags=re.DOTALL)
    text = re.sub(r"width = \[.*", "width = 500", text)
    (folder / "study.toml").write_text(text, encoding="utf-8")
    weights = train(read(folder / "study.toml").rows[0].setup, SeedSequence(1))
    return SimpleNamespace(first=SimpleNamespace(weight=weights))


def test_studies_shown_are_those_that_made_the_pictures():
    tour = next(b for b in blocks(ROOT / "docs" / "tour.md") if b.title == "study.toml")
    assert tour.text == (ROOT / "docs" / "studies" / "tour.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_files_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        path = target.partition("#")[0].replace("/index.md", "/README.md" if "docs" in str(page) else "/index.md")
        places = [
            page.parent / path,
            ROOT / path.removeprefix("../"),
            ROOT / path,
        ]  # the site takes in theory/ and others
        assert any(place.exists() for place in places) or path == "architecture.md", target


def test_figures_of_the_gallery_name_their_study():
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    for section in sections:
        assert (ROOT / re.search(r"!\[\]\(([^)]+)\)", section)[1].replace("pictures/", "docs/pictures/")).exists()
        study = re.search(r"rmtfl figure (\S+)", section)
        assert "rmtfl phase-diagram" in section or (ROOT / study[1]).exists()


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]*)"|<link[^>]*\shref="([^"]*)"', text)
        assert [url for pair in fetched for url in pair if url.startswith(("http:", "https:", "//"))] == [], page
        assert 'class="arithmatex"' not in text, page  # every formula was typeset
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style
    typeset = (tmp_path / "site" / "theory" / "spiked-covariance.html").read_text(encoding="utf-8")
    assert "<math" in typeset and "<sub>" in typeset
    recorded = (tmp_path / "site" / "validation" / "index.html").read_text(encoding="utf-8")
    assert "??? " not in recorded and "<details" in recorded  # studies are folded, and stay code


EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "rmtfl").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_docstrings(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted and not found.failed


def test_the_readme_lists_what_the_api_page_documents():
    documented = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## From Python")[1].split("\n\n")[2]
    listed = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", table)}
    assert listed == {name.rpartition(".")[2] for name in documented}
    assert [name for name in documented if pydoc.locate(name) is None] == []


def test_architecture_lists_every_module():
    specification = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    architecture = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(architecture)
    assert all(architecture.purposes().values()), "a module without a docstring"
    written = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert written == architecture.page(), "run: python docs/architecture.py"


def test_output_that_is_not_as_shown_is_seen():
    assert matches("a  1\n...\nz 2...\n", "a  1\nb\nc\nz 2.5\n")
    assert not matches("a  1\n", "a  2\n")
    assert not matches("a  1\n", "a  1\nb\n")
