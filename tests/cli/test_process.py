"""The command line as a process: closed pipes, interrupts, defects."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmtfl import __version__

STUDY = Path(__file__).parents[2] / "validation" / "quickstart" / "study.toml"


@pytest.fixture
def study(tmp_path):
    return Path(shutil.copy(STUDY, tmp_path))


class TestProcess:
    """What only a process of its own shows."""

    def start(self, *arguments):
        # Predictions are not what is looked at here.
        # A shell that starts this in the background has interrupts ignored, which a process inherits.
        script = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "import rmtfl.workflow as w, rmtfl.cli as c\n"
            "w.predict_rows = c.predict_rows = lambda study, **_: [{} for _ in study.rows]\n"
            "c.main()"
        )
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_the_module_is_the_command(self):
        found = subprocess.run([sys.executable, "-m", "rmtfl", "--version"], capture_output=True, text=True, check=True)
        assert found.stdout == f"rmtfl {__version__}\n"

    def test_a_defect_is_no_disagreement(self, study):
        with self.start("predict", study) as process:  # an empty prediction has no summary
            out, message = process.communicate(timeout=20)
        assert (process.returncode, out) == (70, "")
        assert "Traceback" in message

    @pytest.mark.parametrize("arguments", [("threshold", "3/10", "2/5"), ("threshold", "3/10", "2/5", "--json")])
    def test_a_reader_that_leaves(self, arguments):
        with self.start(*arguments) as process:
            process.stdout.close()
            message = process.stderr.read()
        assert (process.returncode, message) == (141, "")

    def test_an_interrupt(self, study):
        study.write_text(STUDY.read_text(encoding="utf-8").replace("trials = 8", "trials = 100000"), encoding="utf-8")
        with self.start("validate", study, "--workers", 1) as process:
            deadline = time.monotonic() + 20
            while not study.with_suffix(".sqlite").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.5)
            os.kill(process.pid, signal.SIGINT)
            try:
                out, message = process.communicate(timeout=20)
            finally:
                process.kill()
        assert (process.returncode, out, message) == (130, "", "rmtfl: interrupted\n")
