"""`rmtfl compare`: files that can be used, and those that are refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from rmtfl.montecarlo.run import sample
from rmtfl.study import read
from tests.cli.command import refused, run, simulated_prediction


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

    def test_one_draw_is_said_to_be_judged_generously(self, study, spectrum):
        one, three = (run("compare", study, "--spectrum", spectrum(n), "--row", 2) for n in ("own.npy", "own.npz"))
        assert re.search(r"a gap of up to 4\d% agrees: one draw is judged on a bound of its scatter", one.stderr)
        assert "one draw ± a bound on its scatter" in one.stdout and "mean ± standard error" in three.stdout
        margins = [c["margin"] / c["prediction"] for c in self.comparisons(study, spectrum("own.npz")) if c["judged"]]
        assert f"a gap of up to {max(margins):.0%} agrees: the draws are judged on their own scatter" in three.stderr

    def comparisons(self, study, path):
        return json.loads(run("compare", study, "--spectrum", path, "--row", 2, "--json").stdout)["rows"][0][
            "comparisons"
        ]

    def test_many_values_beyond_the_edge_are_in_the_line_of_the_verdict(self, study, spectrum):
        path = spectrum("own.npy")
        own = np.sort(np.append(np.load(path)[:1], np.linspace(3.0, 1.0, 40)))
        np.save(path, own)
        found, document = (run("compare", study, "--spectrum", path, "--row", 2, *how) for how in ([], ["--json"]))
        assert found.exit_code == 0 and "all agree" not in found.stdout
        (line,) = (line for line in found.stdout.splitlines() if "judged at" in line or "judged together" in line)
        assert "values beyond the edge of the bulk where 1 is predicted" in line and "rigid bulk does not" in line
        assert json.loads(document.stdout)["caution"] in line and "rigid bulk does not" in document.stderr

    def test_a_stack_is_several_draws(self, study, spectrum):
        path = study.parent / "stack.npy"
        np.save(path, np.random.default_rng(0).normal(size=(3, 60, 60)).astype(np.float32) / 60**0.5)
        found = run("compare", study, "--spectrum", path, "--json")
        assert next(c["trials"] for c in json.loads(found.stdout)["rows"][0]["comparisons"] if c["judged"]) == 3

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
        "array", [np.ones((2, 2, 2, 2)), np.array(3.0), np.array(["a"]), np.array([1j]), np.array([{}], dtype=object)]
    )
    def test_arrays_that_cannot_be_used(self, study, array):
        path = study.parent / "own.npy"
        np.save(path, array, allow_pickle=True)
        assert "own.npy" in refused("compare", study, "--spectrum", path, "--row", 1)
