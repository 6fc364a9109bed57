"""What the site adds to the pages of docs/: derivations, recorded studies, and typeset mathematics.

theory/, validation/ and ARCHITECTURE.md stay where they are and are taken into the site as they stand; links that lead
out of it (to code, to study files) become plain text. Formulas between dollars are turned into MathML while the site is
built, and what is written in Unicode (N^{−1/2}, x_j) gets its indices raised and lowered: a page needs no script and no
other host to show them.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
PLAIN = re.compile(r"<(code|math|pre|h1|title)\b.*?</\1>|<[^>]+>", re.DOTALL)  # what is left as it is
SHORT = re.compile(r"(?<=[^\s_^])([_^])(\d+|[A-Zℓα-ωāã∞⋆∗⊥∘']|[a-z]{1,2}(?![A-Za-z]))")
BRACED = re.compile(r"(?<=[^\s_^])([_^])\{([^{}]*)\}")
LABEL = re.compile(r'<a id="([\w.-]+)"></a>\s*\n\s*\n(## .+)')


def on_config(config: Any) -> Any:
    """Every page of theory/ in the navigation."""
    pages = sorted(path.name for path in (ROOT / "theory").glob("*.md") if path.stem != "README")
    for entry in config.nav:
        if isinstance(entry, dict) and "Theory" in entry:
            entry["Theory"] = ["theory/index.md", *(f"theory/{name}" for name in pages)]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that live elsewhere in the repository."""
    pages = {
        "architecture.md": (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"),
        "theory/index.md": (ROOT / "theory" / "README.md").read_text(encoding="utf-8"),
        "validation/index.md": recorded_studies(),
    }
    for page in sorted((ROOT / "theory").glob("*.md")):
        if page.stem != "README":
            pages[f"theory/{page.name}"] = page.read_text(encoding="utf-8")
    for name, text in pages.items():
        files.append(File.generated(config, name, content=anchored(text)))
    for picture in sorted((ROOT / "validation").rglob("*.png")):
        name = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to what is not part of the site become text; README.md is a folder's index; ∂_z is no emphasis."""
    folder = posixpath.dirname(page.file.src_uri)
    recorded = ROOT / "validation" / "mutants" / "table.md"
    if page.file.src_uri == "mutants.md" and recorded.exists():
        markdown += "\n" + recorded.read_text(encoding="utf-8")

    def resolve(match: re.Match[str]) -> str:
        text, target = match.groups()
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return match.group(0)
        path, _, anchor = target.partition("#")
        inside = posixpath.normpath(posixpath.join(folder, path.replace("README.md", "index.md")))
        if files.get_file_from_path(inside) is None:
            if not (ROOT / inside).exists() and not (ROOT / "docs" / inside).exists():
                return match.group(0)  # a broken link, which a strict build refuses
            return text
        relative = posixpath.relpath(inside, folder or ".")
        return f"[{text}]({relative}{'#' + anchor if anchor else ''})"

    return LINK.sub(resolve, markdown.replace("∂_", r"∂\_"))  # an index, and no emphasis


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Formulas as MathML; indices in the prose of derivations and guides."""

    def render(match: re.Match[str]) -> str:
        block = match.group(2) == "["
        formula = convert(html.unescape(match.group(3)).strip(), display="block" if block else "inline")
        return f'<div class="formula">{formula}</div>' if block else formula

    content = FORMULA.sub(render, content)
    return (
        indexed(content)
        if page.file.src_uri.startswith(("theory/", "validation/", "how-to/", "tour", "limits"))
        else content
    )


def indexed(content: str) -> str:
    """HTML with the indices and exponents of its Unicode formulas lowered and raised."""
    parts, position = [], 0
    for match in PLAIN.finditer(content):
        parts += [_raised(content[position : match.start()]), match.group(0)]
        position = match.end()
    return "".join([*parts, _raised(content[position:])])


def _raised(text: str) -> str:
    for pattern in (SHORT, BRACED, BRACED):  # braces once nested
        text = pattern.sub(lambda m: f"<su{'b' if m[1] == '_' else 'p'}>{m[2]}</su{'b' if m[1] == '_' else 'p'}>", text)
    return text


def anchored(text: str) -> str:
    """A section's own label as its heading's id, instead of an empty link before it."""
    return LABEL.sub(r"\2 { #\1 }", text)


def recorded_studies() -> str:
    """The validation page: its index, then every recorded table with the study that makes it and its figure."""
    parts = [(ROOT / "validation" / "README.md").read_text(encoding="utf-8"), "\n## Tables as recorded\n"]
    for study in sorted((ROOT / "validation").rglob("*.toml")):
        table = study.with_name("table.md") if study.stem == "study" else study.with_suffix(".md")
        if not table.exists():
            continue
        name = study.relative_to(ROOT / "validation").as_posix()
        figure = study.with_name("figure.png") if study.stem == "study" else study.with_suffix(".png")
        parts.append(f"\n### {name.removesuffix('/study.toml').removesuffix('.toml')}\n")
        if figure.exists():
            parts.append(f"![]({figure.relative_to(ROOT / 'validation').as_posix()})\n")
        parts.append(f'??? note "validation/{name}"\n')
        parts.append(indented(f"```toml\n{study.read_text(encoding='utf-8').rstrip()}\n```") + "\n")
        parts.append(table.read_text(encoding="utf-8").rstrip() + "\n")
    return "\n".join(parts)


def indented(text: str) -> str:
    """Four spaces before every line, as the body of an admonition."""
    return "\n".join("    " + line if line else "" for line in text.splitlines())
