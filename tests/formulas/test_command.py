"""`rmtfl formula`: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
import sympy as sp
from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.formulas import LABELS

LINKS = ["--activation", "x + He2(x)/3", "--target", "x"]


def run(*arguments):
    return CliRunner().invoke(app, ["formula", *arguments])


def test_text_is_read_back_by_sympy():
    found = run("two-step.constants", *LINKS)
    assert found.exit_code == 0
    line = next(line for line in found.stdout.splitlines() if line.startswith("theta_1"))
    value = sp.sympify(line.split("=")[1].split("    (")[0])
    phi, e1, e2 = sp.symbols("phi e_1 e_2")
    assert sp.simplify(value**2 - e1**2 * e2**2 * phi * (12 * phi**2 + 28 * phi + 12) / 3) == 0


def test_latex_and_json():
    latex = run("two-step.constants", *LINKS, "--latex").stdout
    assert r"\[ \theta_{1} = \frac{2 \sqrt{3}" in latex and latex.count(r"\[") == latex.count(r"\]") == 4
    document = json.loads(run("two-step.gram", *LINKS, "--json").stdout)
    assert document["schema"] == 1 and document["formula"] == "two-step.gram"
    matrix = next(q for q in document["quantities"] if q["name"] == "A")
    assert matrix["value"] == [["1", "0"], ["0", "3"]]


def test_every_label_is_one_of_theory():
    from tests.test_theory import anchors

    assert set(LABELS) <= anchors()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], f"rmtfl: formula: value 'nothing': expected one of {', '.join(LABELS)}"),
        (["two-step.gram"], "--activation is missing; expected --activation, --target, --noise"),
        (["two-step.outliers", "--noise", "1"], "--noise is not read; expected no options"),
        (["two-step.threshold", "--target", "x"], "reads --activation and --target together, or neither"),
        (["two-step.gram", "--activation", "tanh(x)", "--target", "x"], "symbolic answers need a polynomial in x"),
        (["two-step.gram", "--activation", "x**9", "--target", "x"], "is of degree 9; expected a polynomial"),
        (["two-step.gram", "--activation", "2", "--target", "x"], "is constant, so that nothing is trained"),
        (["two-step.gram", "--activation", "x", "--target", "0"], "with no noise nothing is learned"),
        (["two-step.gram", *LINKS, "--noise", "-1"], "--noise: value -1: expected"),
        (["two-step.gram", *LINKS, "--noise", "no"], "--noise: value 'no': expected a rational number"),
        (["two-step.gram", *LINKS, "--orders", "9"], "--orders: value 9: expected 1 to 4"),
        (["two-step.gram", *LINKS, "--batches", "old"], "--batches: value 'old': expected one of reused, independent"),
        (["two-step.gram", *LINKS, "--latex", "--json"], "--latex: with --json"),
        (["generalized-marchenko-pastur.edges", "--atoms", "1", "--weights", "1"], "--ratio is missing"),
        (
            ["generalized-marchenko-pastur.equation", "--atoms", "1,1", "--weights", "1/2,1/2"],
            "--atoms: value 1,1: expected",
        ),
        (
            ["generalized-marchenko-pastur.equation", "--atoms", "1,2", "--weights", "1/2,1/3"],
            "--weights: value 1/2,1/3: expected",
        ),
        (
            ["generalized-marchenko-pastur.edges", "--atoms", "1", "--weights", "1", "--ratio", "0"],
            "--ratio: value 0: expected",
        ),
    ],
)
def test_bad_input_is_one_message(arguments, message):
    found = run(*arguments)
    assert found.exit_code == 2
    assert message in found.stderr and found.stderr.count("\n") == 1
    assert found.stdout == ""
