"""`rmtfl predict`, `threshold` and `phase-diagram`, and how they are called."""

from __future__ import annotations

import json

import pytest

from rmtfl import __version__
from rmtfl.study import read
from tests.cli.command import Document, refused, run, simulated_prediction
from tests.documents import toml


class TestPredict:
    def test_for_a_reader(self, study, predicting):
        predicting(simulated_prediction())
        found = run("predict", study)
        assert found.exit_code == 0
        assert "width = 60" in found.stdout and "threshold K = 1" in found.stdout

    def test_json(self, study, predicting):
        predicting(simulated_prediction())
        document = json.loads(run("predict", study, "--json").stdout)
        assert (document["schema"], document["observable"]) == (1, "weights")
        assert [row["inputs"]["width"] for row in document["rows"]] == [40, 60]
        assert document["rows"][0]["prediction"]["outliers"][0]["error"] == 1e-9

    def test_no_digit_is_lost_in_a_pipe(self, study, predicting, monkeypatch):
        monkeypatch.setenv("COLUMNS", "20")
        digits = "3." + "1415926535" * 12
        document = simulated_prediction()(read(study).rows[0].setup).document
        document["spikes"][0]["strength"] = digits
        predicting(lambda setup: Document(document))
        assert digits in run("predict", study).stdout

    def test_a_number_that_is_not_finite_is_never_printed(self, study, predicting):
        document = simulated_prediction()(read(study).rows[0].setup).document
        document["leading"] = [float("nan")]
        predicting(lambda setup: Document(document))
        found = run("predict", study, "--json")
        assert found.exit_code != 0
        assert "NaN" not in found.stdout


class TestThreshold:
    @pytest.mark.parametrize(
        ("alpha1", "alpha2", "threshold", "critical"),
        [
            ("3/10", "2/5", 2, True),
            ("7/20", "9/20", 3, True),  # doubles give 2
            ("0.35", "0.45", 3, True),
            ("3/10", "3/10", 1, False),
            ("0", "0.4999", 0, False),
            ("49/100", "1/100", 1, True),
            ("0", "0", 0, False),
        ],
    )
    def test_the_count_is_exact(self, alpha1, alpha2, threshold, critical):
        document = json.loads(run("threshold", alpha1, alpha2, "--json").stdout)
        assert document["schema"] == 1
        assert (document["threshold"], document["critical"]) == (threshold, critical)
        assert document["generic_count"] == threshold + 1
        assert [spike["k"] for spike in document["spikes"]] == list(range(threshold + 1))

    def test_more_than_two_steps(self):
        document = json.loads(run("threshold", "2/5", "1/10", "3/10", "--json").stdout)
        assert (document["threshold"], document["critical"]) == (3, True)
        assert "alpha of step 3: value 1/2" in refused("threshold", "2/5", "1/10", "1/2")

    def test_for_a_reader(self):
        found = run("threshold", "3/10", "2/5")
        assert found.exit_code == 0
        assert "threshold K = 2, critical" in found.stdout

    @pytest.mark.parametrize("value", ["-1/10", "-0.1", "1/2", "0.5", "2", "x", "", "1/0", "nan", "-x", "1e400"])
    def test_outside_the_domain(self, value):
        assert "alpha of step 1: value" in refused("threshold", value, "1/10")
        assert "alpha of step 2: value" in refused("threshold", "1/10", value)


class TestUsage:
    def test_version(self):
        found = run("--version")
        assert (found.exit_code, found.stdout) == (0, f"rmtfl {__version__}\n")

    def test_help_of_every_command(self):
        for command in ("predict", "validate", "table", "figure", "compare", "threshold", "phase-diagram"):
            found = run(command, "--help")
            assert found.exit_code == 0 and "Usage" in found.stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            ["unknown"],
            ["predict"],
            ["predict", "a.toml", "--jsn"],
            ["table", "a.toml", "--format", "html"],
            ["figure", "a.toml"],
            ["compare", "a.toml"],
            ["validate", "a.toml", "--workers", "0"],
            ["validate", "a.toml", "--workers", "two"],
            ["threshold", "3/10"],
            ["threshold", "3/10", "2/5", "--jsn"],
        ],
    )
    def test_usage_errors(self, arguments):
        assert refused(*arguments)

    def test_a_study_that_is_missing_or_a_folder(self, tmp_path):
        for command in ("predict", "validate", "table"):
            assert "none.toml" in refused(command, tmp_path / "none.toml")
            assert str(tmp_path) in refused(command, tmp_path)

    def test_a_malformed_study_names_file_key_and_value(self, study):
        study.write_text(toml(target='"__import__(1)"'), encoding="utf-8")
        message = refused("predict", study)
        assert "study.toml" in message and "'data.target'" in message and "__import__" in message

    def test_the_phase_diagram(self, tmp_path):
        output = tmp_path / "phases.pdf"
        found = run("phase-diagram", "-o", output)
        assert (found.exit_code, found.stdout) == (0, "")
        assert output.read_bytes().startswith(b"%PDF")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["table", "a.toml", "--format", "html"], "'--format': value html: expected one of latex, markdown, csv"),
            (
                ["figure", "a.toml", "-o", "a.pdf", "--style", "big"],
                "'--style': value big: expected one of screen, print",
            ),
            (["compare", "a.toml", "--spectrum", "a.npy", "--row", "x"], "'--row': value x: expected a whole number"),
            (["compare", "a.toml", "--spectrum", "a.npy", "--row", "0"], "'--row': value 0: expected a whole number"),
            (
                ["validate", "a.toml", "--workers", "two"],
                "'--workers': value two: expected a whole number of at least 1",
            ),
        ],
    )
    def test_a_wrong_option_is_told_what_would_be_accepted(self, arguments, message):
        assert message in refused(*arguments)
