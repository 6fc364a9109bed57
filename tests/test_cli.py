"""The command line: what it prints where, and with which exit status."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rmtfl import __version__
from rmtfl.cli import app
from rmtfl.errors import ToleranceNotMet
from rmtfl.montecarlo.run import sample
from rmtfl.observables import OBSERVABLES, Observable
from rmtfl.study import read

TOML = """
schema = 1
title = "Two steps"
observable = "weights"
[network]
activation = "tanh(x + 7/10)"
[data]
target = "tanh(x)"
[sizes]
width_ratio = 1
sample_ratio = 1
width = [40, 60]
[training]
batches = "reused"
alpha = ["3/10", "3/10"]
scale = [2, 6]
[theory]
tolerance = 1e-6
[montecarlo]
trials = 3
seed = 5
"""


@dataclasses.dataclass(frozen=True)
class Document:
    """What `predict` of an observable returns."""

    document: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.document


@dataclasses.dataclass(frozen=True)
class Patched(Observable):
    """An observable with another prediction."""

    other: Callable[[Any], Document] | None = None

    def function(self, role):
        return self.other if role == "predict" else super().function(role)


@pytest.fixture
def predicting(monkeypatch):
    """Put another prediction in the place of the package's."""

    def patch(function):
        fields = {f.name: getattr(OBSERVABLES["weights"], f.name) for f in dataclasses.fields(Observable)}
        monkeypatch.setitem(OBSERVABLES, "weights", Patched(**fields, other=function))

    return patch


def simulated_prediction(shift: float = 1.0) -> Callable[[Any], Document]:
    """A prediction that is the mean of what will be simulated, times a factor."""

    def predict(setup):
        from rmtfl.montecarlo.weights import trial

        draws = sample("weights", setup, 3, 5, trial)
        location = shift * float(draws["singular_values"][:, 0].mean())
        alignment = float(draws["alignments"][:, 0].mean())
        return Document(
            {
                "threshold": 1,
                "critical": False,
                "generic_count": 2,
                "count": 1,
                "bulk": {"lower": 0.0, "upper": 2.0, "top": 2.0},
                "spikes": [{"strength": location, "error": 1e-9}],
                "outliers": [{"location": location, "alignment": alignment, "error": 1e-9}],
                "leading": [1.5 * location],
            }
        )

    return predict


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="rmtfl")


def refused(*arguments):
    """The one message of a command that exits 2 with nothing on stdout."""
    found = run(*arguments)
    assert found.exit_code == 2, found.output
    assert found.stdout == ""
    assert "Traceback" not in found.stderr
    return found.stderr


class TestValidate:
    @pytest.fixture
    def validated(self, study, predicting):
        predicting(simulated_prediction())
        found = run("validate", study, "--workers", 1)
        assert found.exit_code == 0, found.output
        return found

    def test_agreement_exits_0(self, validated):
        assert "outlier 1" in validated.stdout and "all agree" in validated.stdout
        assert "disagree" not in validated.stdout
        assert "MiB of memory each" in validated.stderr and validated.stderr.count("\n") == 1

    def test_disagreement_exits_1(self, study, predicting):
        predicting(simulated_prediction(shift=1.5))
        found = run("validate", study, "--workers", 1, "--json")
        assert found.exit_code == 1
        document = json.loads(found.stdout)
        assert document["agreement"] is False
        verdicts = {c["name"]: c["verdict"] for c in document["rows"][0]["comparisons"]}
        assert verdicts["outlier 1"] == "disagrees"
        assert verdicts["alignment 1"] == "agrees"
        assert verdicts["bulk edge"] == "not judged"

    def test_json_is_one_document(self, study, validated):
        document = json.loads(run("validate", study, "--json").stdout)
        assert (document["schema"], document["observable"], document["agreement"]) == (1, "weights", True)
        first = document["rows"][0]
        assert first["inputs"]["width"] == 40
        assert first["prediction"]["count"] == 1
        assert {"prediction", "error", "mean", "standard_error", "gap", "relative_gap", "z_score", "allowance"} <= set(
            first["comparisons"][0]
        )

    def test_a_store_is_resumed_and_not_drawn_again(self, study, validated):
        store = study.with_suffix(".sqlite")
        before = store.read_bytes()
        again = run("validate", study, "--workers", 1)
        assert again.stdout == validated.stdout
        assert again.stderr == "rmtfl: 6 of 6 trials were already there\n"
        assert len(store.read_bytes()) == len(before)

    def test_force_keeps_the_old_store(self, study, validated):
        found = run("validate", study, "--workers", 1, "--force")
        assert found.exit_code == 0
        assert found.stdout == validated.stdout
        assert "the old store is kept as" in found.stderr
        assert len(list(study.parent.glob("study.sqlite*"))) == 2

    @pytest.mark.parametrize("style", ["markdown", "latex", "csv"])
    def test_tables_come_from_the_store(self, study, validated, predicting, style):
        predicting(lambda setup: pytest.fail("a table predicts nothing"))
        first, second = (run("table", study, "--format", style) for _ in range(2))
        assert (first.exit_code, first.stderr) == (0, "")
        assert first.stdout == second.stdout
        assert "outlier 1" in first.stdout
        assert str(study.parent) not in first.stdout

    def test_csv_columns(self, study, validated):
        lines = list(csv.DictReader(io.StringIO(run("table", study, "--format", "csv").stdout)))
        assert {"width", "quantity", "predicted", "simulated", "simulated standard error", "verdict"} <= set(lines[0])

    @pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
    def test_figures_come_from_the_store(self, study, validated, suffix):
        output = study.parent / f"figure.{suffix}"
        found = run("figure", study, "-o", output)
        assert (found.exit_code, found.stdout) == (0, "")
        assert output.stat().st_size > 5000

    def test_a_figure_for_print_is_another(self, study, validated):
        sizes = []
        for style in ("screen", "print"):
            output = study.parent / f"{style}.svg"
            assert run("figure", study, "-o", output, "--style", style).exit_code == 0
            sizes.append(output.read_text(encoding="utf-8").partition('width="')[2].partition("pt")[0])
        assert [round(float(size)) for size in sizes] == [490, 245]  # points: 6.8 and 3.4 inches

    def test_a_report_comes_from_the_store(self, study, validated, predicting):
        predicting(lambda setup: pytest.fail("a report predicts nothing"))
        folder = study.parent / "report"
        found = run("report", study, "-o", folder)
        assert (found.exit_code, found.stdout) == (0, "")
        page = (folder / "index.html").read_text(encoding="utf-8")
        assert "outlier 1" in page and "data:image/svg" in page and str(study.parent) not in page

    def test_a_hundred_thousand_trials(self, study, validated):
        study.write_text(TOML.replace("trials = 3", "trials = 50000"), encoding="utf-8")
        with sqlite3.connect(study.with_suffix(".sqlite")) as connection:
            # The trials there are, over and over.
            connection.execute("CREATE TEMP TABLE more (trial INTEGER)")
            connection.executemany("INSERT INTO more VALUES (?)", ((trial,) for trial in range(3, 50_000)))
            connection.execute("INSERT INTO trials SELECT settings.id, trial, 1.0 FROM settings, more")
            connection.execute(
                "INSERT INTO numbers SELECT setting, name, more.trial, shape, data FROM numbers, more "
                "WHERE numbers.trial = more.trial % 3 AND name != 'spectrum'"
            )
        start = time.process_time()
        found = run("table", study, "--format", "csv")
        run("figure", study, "-o", study.parent / "figure.pdf")
        assert time.process_time() - start < 5  # seconds
        assert (found.exit_code, found.stderr) == (0, "")
        assert run("table", study, "--diagnostics").stdout.count("50000 of 50000") == 2

    def test_what_is_shown_beside_the_comparisons(self, study, validated):
        assert "Shown, not judged" in validated.stdout and "observed × draws" in validated.stdout
        assert "observed × draws" in run("table", study, "--diagnostics").stdout

    def test_a_table_as_a_document(self, study, validated):
        found = run("table", study, "--format", "latex", "--standalone")
        assert found.stdout.startswith("\\documentclass") and found.stdout.endswith("\\end{document}\n")
        assert "expected --format latex" in refused("table", study, "--standalone")

    def test_a_figure_of_an_unknown_kind(self, study, validated):
        assert "'.xyz'" in refused("figure", study, "-o", study.parent / "figure.xyz")

    def test_no_store(self, study):
        for command in (["table", study], ["figure", study, "-o", "x.png"], ["report", study, "-o", "x"]):
            assert "there is no store" in refused(*command)
        assert not study.with_suffix(".sqlite").exists()

    def test_a_store_of_another_study(self, study, validated):
        study.write_text(TOML.replace("seed = 5", "seed = 6"), encoding="utf-8")
        assert "another study" in refused("table", study)

    def test_a_store_that_is_none(self, study):
        other = study.parent / "other.sqlite"
        other.write_text("not a database", encoding="utf-8")
        assert "other.sqlite" in refused("table", study, "--store", other)
        assert other.read_text(encoding="utf-8") == "not a database"

    def test_the_limit_alone_cannot_be_simulated(self, study):
        study.write_text(TOML.replace("[40, 60]", '"limit"'), encoding="utf-8")
        assert "sizes.width" in refused("validate", study)

    def test_nothing_judged_is_said(self, study, predicting):
        bare = simulated_prediction()

        def predict(setup):
            return Document(bare(setup).document | {"count": 0, "outliers": []})

        predicting(predict)
        found = run("validate", study, "--workers", 1)
        assert found.exit_code == 0
        assert "nothing was judged" in found.stderr

    def test_a_tolerance_out_of_reach_exits_3_and_gives_no_number(self, study, predicting):
        def predict(setup):
            raise ToleranceNotMet("reached 1e-3, asked for 1e-6")

        predicting(predict)
        for command in ("predict", "validate"):
            found = run(command, study)
            assert (found.exit_code, found.stdout) == (3, "")
            assert "reached 1e-3" in found.stderr and "width = 40" in found.stderr
        assert not study.with_suffix(".sqlite").exists()


class TestOneStep:
    """From the study file to the verdict with nothing replaced."""

    @pytest.fixture
    def study(self, tmp_path):
        path = tmp_path / "study.toml"
        text = TOML.replace("[40, 60]", '[300, "limit"]').replace("trials = 3", "trials = 6")
        text = text.replace('alpha = ["3/10", "3/10"]\nscale = [2, 6]', 'alpha = ["3/10"]\nscale = [2]')
        path.write_text(text, encoding="utf-8")
        return path

    def test_prediction_and_simulation_agree(self, study):
        found = run("validate", study, "--workers", 2, "--json")
        assert found.exit_code == 0, found.output
        finite, limit = json.loads(found.stdout)["rows"]
        verdicts = {c["name"]: c["verdict"] for c in finite["comparisons"]}
        assert verdicts["outlier 1"] == verdicts["alignment 1"] == "agrees"
        assert limit["verdict"] == "not judged"
        assert limit["comparisons"][0]["prediction"] == pytest.approx(limit["prediction"]["spikes"][0]["constant"])

    def test_the_document_of_a_prediction(self, study):
        finite, limit = (row["prediction"] for row in json.loads(run("predict", study, "--json").stdout)["rows"])
        assert (finite["threshold"], finite["critical"], finite["generic_count"], finite["count"]) == (0, False, 1, 1)
        assert finite["bulk"] == {"lower": 0.0, "upper": 2.0, "top": 2.0}
        strength, location = finite["spikes"][0]["strength"], finite["outliers"][0]["location"]
        assert location == pytest.approx((1 + strength**2) / strength)
        spike = limit["spikes"][0]
        assert (spike["k"], spike["exponent"], spike["left"], spike["vanishes"]) == (0, "3/10", 1, None)
        assert strength == pytest.approx(spike["constant"] * 300**0.3)

    def test_for_a_reader(self, study):
        text = run("predict", study).stdout
        assert "width = 300" in text and "width = limit" in text and "information exponent of the target: 1" in text

    @pytest.mark.parametrize(("key", "link"), [("activation", "exp(x**2)"), ("target", "exp(x**2)"), ("target", "1/x")])
    def test_links_without_moments_are_bad_input(self, study, key, link):
        old = "tanh(x + 7/10)" if key == "activation" else "tanh(x)"
        study.write_text(study.read_text(encoding="utf-8").replace(f'"{old}"', f'"{link}"'), encoding="utf-8")
        for command in ("predict", "validate"):
            message = refused(command, study)
            assert f".{key}'" in message and link in message and "study.toml" in message


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


class TestCompare:
    @pytest.fixture
    def spectrum(self, study, predicting):
        """A function that writes what was drawn at width 60, in one of the formats."""
        predicting(simulated_prediction())
        from rmtfl.montecarlo.weights import trial

        values = sample("weights", read(study).rows[1].setup, 3, 5, trial)["singular_values"]

        def write(name, factor=1.0):
            path = study.parent / name
            if path.suffix == ".npz":
                np.savez(path, *(factor * values))
            elif path.suffix == ".npy":
                np.save(path, factor * values.mean(axis=0))
            else:
                np.savetxt(path, factor * values.mean(axis=0), header="singular value", comments="")
            return path

        return write

    @pytest.mark.parametrize("name", ["own.npz", "own.npy", "own.csv"])
    def test_agreement(self, study, spectrum, name):
        found = run("compare", study, "--spectrum", spectrum(name), "--row", 2)
        assert found.exit_code == 0, found.output
        assert "outlier 1" in found.stdout and "alignment" not in found.stdout

    @pytest.mark.parametrize("name", ["own.npz", "own.npy"])
    def test_disagreement(self, study, spectrum, name):
        found = run("compare", study, "--spectrum", spectrum(name, 2.0), "--row", 2, "--json")
        assert found.exit_code == 1
        assert json.loads(found.stdout)["agreement"] is False

    def test_a_matrix_finds_its_row(self, study, spectrum):
        path = study.parent / "matrix.npy"
        np.save(path, np.random.default_rng(0).normal(size=(60, 60)) / 60**0.5)
        found = run("compare", study, "--spectrum", path, "--json")
        assert json.loads(found.stdout)["rows"][0]["inputs"]["width"] == 60

    def test_eigenvalues_are_squares(self, study, spectrum):
        path = spectrum("own.npy")
        eigenvalues = study.parent / "eigenvalues.csv"
        np.savetxt(eigenvalues, np.load(path) ** 2)
        first, second = (
            run("compare", study, "--spectrum", *arguments, "--row", 2, "--json")
            for arguments in ([path], [eigenvalues, "--eigenvalues"])
        )
        assert first.exit_code == second.exit_code == 0, second.output
        values = [[c["mean"] for c in json.loads(found.stdout)["rows"][0]["comparisons"]] for found in (first, second)]
        assert values[0] == pytest.approx(values[1])
        np.savetxt(eigenvalues, [3.0, -1.0])
        assert "an eigenvalue of -1" in refused(
            "compare", study, "--spectrum", eigenvalues, "--eigenvalues", "--row", 2
        )

    def test_a_picture(self, study, spectrum):
        matrix, picture = study.parent / "matrix.npy", study.parent / "own.svg"
        np.save(matrix, np.random.default_rng(0).normal(size=(60, 60)) / 60**0.5)
        found = run("compare", study, "--spectrum", matrix, "--figure", picture, "--json")
        json.loads(found.stdout)
        assert f"wrote {picture}" in found.stderr and "<svg" in picture.read_text(encoding="utf-8")

    def test_rows_that_do_not_fit(self, study, spectrum):
        values, matrix = spectrum("own.npy"), study.parent / "matrix.npy"
        np.save(matrix, np.ones((60, 59)))
        assert "more than one row fits" in refused("compare", study, "--spectrum", values)
        assert "no row has the sizes" in refused("compare", study, "--spectrum", matrix)
        assert "expected 1 to 2" in refused("compare", study, "--spectrum", values, "--row", 3)
        assert "expected (N, d) = (40, 40)" in refused("compare", study, "--spectrum", matrix, "--row", 1)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("none.npy", None),
            ("bad.npy", b"nothing"),
            ("bad.npz", b"PK\x03\x04nothing"),
            ("empty.csv", b""),
            ("header.csv", b"singular value\n"),
            ("ragged.csv", b"1,2\n3\n"),
            ("nan.csv", b"1\nnan\n"),
            ("words.csv", b"value\n1\ntwo\n"),
            ("latin.csv", b"\xe9\xff\n1\n"),
            ("own.txt", b"1\n2\n"),
        ],
    )
    def test_files_that_cannot_be_used(self, study, name, content):
        path = study.parent / name
        if content is not None:
            path.write_bytes(content)
        message = refused("compare", study, "--spectrum", path, "--row", 1)
        assert name in message and ".npz" in message

    @pytest.mark.parametrize(
        "array", [np.ones((2, 2, 2)), np.array(3.0), np.array(["a"]), np.array([1j]), np.array([{}], dtype=object)]
    )
    def test_arrays_that_cannot_be_used(self, study, array):
        path = study.parent / "own.npy"
        np.save(path, array, allow_pickle=True)
        assert "own.npy" in refused("compare", study, "--spectrum", path, "--row", 1)


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

    def test_for_a_reader(self):
        found = run("threshold", "3/10", "2/5")
        assert found.exit_code == 0
        assert "threshold K = 2, critical" in found.stdout

    @pytest.mark.parametrize("value", ["-1/10", "-0.1", "1/2", "0.5", "2", "x", "", "1/0", "nan", "-x", "1e400"])
    def test_outside_the_domain(self, value):
        assert "alpha 1: value" in refused("threshold", value, "1/10")
        assert "alpha 2: value" in refused("threshold", "1/10", value)


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
        study.write_text(TOML.replace('"tanh(x)"', '"__import__(1)"'), encoding="utf-8")
        message = refused("predict", study)
        assert "study.toml" in message and "'data.target'" in message and "__import__" in message

    def test_the_phase_diagram(self, tmp_path):
        output = tmp_path / "phases.pdf"
        found = run("phase-diagram", "-o", output)
        assert (found.exit_code, found.stdout) == (0, "")
        assert output.read_bytes().startswith(b"%PDF")
