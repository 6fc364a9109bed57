"""Programs outside Python that some tests need, where they are installed and do their work."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COMPILERS = {"pdflatex": ("-interaction=nonstopmode", "-halt-on-error"), "tectonic": ("--only-cached",)}
HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu")
# What rmtfl's own documents ask for.
PROBE = r"\documentclass{article}\usepackage{geometry, booktabs, siunitx, amsmath}\begin{document}\num{1}\end{document}"


@cache
def latex() -> tuple[str, ...]:
    """The command that compiles a LaTeX file with the packages that tables need, or an empty one."""
    for name, options in COMPILERS.items():
        command = (shutil.which(name) or "", *options)
        with TemporaryDirectory() as folder:
            (Path(folder) / "probe.tex").write_text(PROBE, encoding="utf-8")
            if command[0] and _succeeds((*command, "probe.tex"), folder):
                return command
    return ()


@cache
def browser() -> tuple[str, ...]:
    """The command that opens a page in a browser without a window, or an empty one."""
    for name in BROWSERS:
        command = (shutil.which(name) or "", *HEADLESS)
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            probe = (*command, f"--user-data-dir={folder}", "--dump-dom", "about:blank")
            if command[0] and _succeeds(probe, folder):
                return command
    return ()


def _succeeds(command: Sequence[str], folder: str) -> bool:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
