"""Code and derivations name each other: cited labels exist, and so does everything that a page names."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "theory").glob("*.md")}
INDEX = PAGES.pop("README")
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "rmtfl").rglob("*.py")}
TESTS = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

ANCHOR = re.compile(r'<a id="([a-z-]+\.[a-z-]+)"></a>')
LABEL = re.compile(r"`([a-z]+(?:-[a-z]+)+\.(?!md|py|toml)[a-z-]+)`")  # hyphenated, so that no module is meant
PAGE = re.compile(r"theory/([a-z-]+)\.md")
PARTS = ("**Statement.**", "**Used by**", "**Checked by**")


def anchors() -> set[str]:
    return {label for text in PAGES.values() for label in ANCHOR.findall(text)}


def sections() -> dict[str, str]:
    """Label -> text of its section."""
    found = {}
    for text in PAGES.values():
        _, *rest = re.split(r'<a id="(.*)"></a>', text)
        found.update(zip(rest[::2], rest[1::2], strict=True))
    return found


def cited(pattern: re.Pattern[str], texts: dict[Path, str]) -> set[str]:
    return {found for text in texts.values() for found in pattern.findall(text)}


def missing_names(text: str) -> list[str]:
    """What a page names in backticks and is not there: objects, tests, files."""
    names = set(re.findall(r"`([^`\s]+)`", text))
    objects = {name for name in names if re.fullmatch(r"(rmtfl|theory)(\.\w+)+", name)}
    tests = {name for name in names if re.fullmatch(r"test_\w+", name)}
    files = {name for name in names if re.fullmatch(r"(rmtfl|theory|tests|validation)/[\w./-]*", name)}
    return [
        *(name for name in objects if not _resolves(name)),
        *(name for name in tests if f"def {name}(" not in TESTS),
        *(name for name in files if not (ROOT / name).exists()),
        *(label for label in LABEL.findall(text) if label not in anchors()),
    ]


def _resolves(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_labels_cited_in_the_package_exist():
    found = cited(LABEL, SOURCES)
    assert {"two-step.gram", "two-step.kinks"} <= found
    assert found - anchors() == set()


def test_every_page_has_labels():
    assert [page for page, text in PAGES.items() if not ANCHOR.search(text)] == []


def test_every_script_is_run_by_a_test():
    """A script that derives and that no test imports or runs would say nothing."""
    scripts = {path.stem for path in (ROOT / "theory").glob("*.py")}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    assert [name for name in scripts if not any(re.search(rf"theory\b.*\b{name}\b", text) for text in texts)] == []


def test_pages_cited_in_the_package_exist():
    assert cited(PAGE, SOURCES) - set(PAGES) == set()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_what_a_page_names_exists(page):
    assert missing_names(PAGES[page]) == []


@pytest.mark.parametrize("label", sorted(sections()))
def test_a_labelled_section_is_complete(label):
    section = " ".join(sections()[label].split())
    assert section.startswith(f"## {label} ")
    assert [part for part in PARTS if part not in section] == []
    assert "**Derivation.**" in section or "**Proof.**" in section
    assert "**Rigorous" in section or "**Error terms.**" in section


def test_the_index_lists_every_page_and_label():
    assert [page for page in PAGES if f"[{page}.md]({page}.md)" not in INDEX] == []
    for label in anchors():
        page, _ = label.split(".")
        assert f"[{label}]({page}.md#{label})" in INDEX
        assert f"[{label}](#{label})" in PAGES[page]
    for target in re.findall(r"\]\(([\w-]+\.md)[)#]", INDEX):
        assert (ROOT / "theory" / target).exists()
    for script in re.findall(r"`(\w+\.py)`", INDEX):
        assert (ROOT / "theory" / script).exists()


# What Markdown takes for markup: indented lines, lines that begin a list or a quotation, angles read as tags.
MARKUP = re.compile(r"^ {4,}\S|^[+>] |<(?!/?a\b)\w[^<>{}\n]*>", re.MULTILINE)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_formulas_are_typeset_and_nothing_else_is_taken_for_markup(page):
    text = re.sub(r"^ *\$\$\n.*?^ *\$\$$", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)  # displayed formulas
    text = re.sub(r"`[^`\n]*`|^\d\. (?:.*\n)+|^    (?=[A-Z])", "", text, flags=re.MULTILINE)  # code; items of lists
    assert MARKUP.findall(text) == []


def test_what_is_taken_for_markup_is_seen():
    assert len(MARKUP.findall("so that\n\n    E x = 0\n\nas i\n> 0, x\n+ y, and <w, x> is")) == 4


def test_a_missing_name_is_seen():
    wrong = "`rmtfl.outliers.Rigid`, `theory.two_steps.gram`, `test_nothing`, `rmtfl/nothing.py`, `two-step.grams`"
    assert len(missing_names(wrong)) == 5
