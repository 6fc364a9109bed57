"""Writes the modules' table of ARCHITECTURE.md from the first sentence of each module's docstring.

python docs/architecture.py
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
MARK = "<!-- the rest is written by docs/architecture.py -->\n"


def purposes() -> dict[str, str]:
    """Module name -> its purpose, for every module of the package that has anything in it."""
    found = {}
    for path in sorted((ROOT / "rmtfl").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body:
            first = (ast.get_docstring(tree) or "").split("\n\n")[0]
            found[name] = " ".join(first.split())
    return found


def tables() -> str:
    """One table a package."""
    lines, section = [], None
    for name, purpose in sorted(purposes().items(), key=lambda item: (_package(item[0]), item[0])):
        if _package(name) != section:
            section = _package(name)
            lines += ["", f"### {section}", "", "| module | purpose |", "| --- | --- |"]
        lines.append(f"| `{name}` | {purpose.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _package(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if (ROOT / "rmtfl" / "/".join(parts[1:2])).is_dir() else "rmtfl"


def page() -> str:
    """The page as it should be."""
    return PAGE.read_text(encoding="utf-8").split(MARK)[0] + MARK + tables()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
