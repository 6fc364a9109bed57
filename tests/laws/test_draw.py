"""Law studies against a user's own matrices."""

import numpy as np
import pytest
from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.errors import BadInput
from rmtfl.laws.draw import draw
from rmtfl.montecarlo import law as montecarlo
from rmtfl.observables import OBSERVABLES
from rmtfl.study import from_document
from rmtfl.workflow import compare_spectrum

LAW = {"family": "generalized-marchenko-pastur", "ratio": 0.25, "atoms": [2, 9], "weights": [0.5, 0.5], "size": 120}
STUDY = {"schema": 1, "title": "", "observable": "law", "law": {**LAW, "spikes": [40.0, 25.0, 0.2]}}


@pytest.fixture(scope="module")
def matrices():
    study = from_document(STUDY)
    seeds = np.random.SeedSequence(8).spawn(12)
    return study, [montecarlo.sample(study.rows[0].setup.law, np.random.default_rng(seed)) for seed in seeds]


def test_matrices_and_their_eigenvalues_agree_with_the_law(matrices):
    study, drawn = matrices
    found = compare_spectrum(study, drawn)
    names = {c.name: c.verdict for c in found.rows[0].comparisons}
    assert found.agree
    assert {names[f"location, spike {s:g}"] for s in (40, 25, 0.2)} == {"agrees"}
    again = compare_spectrum(study, [np.linalg.eigvalsh(matrix)[::-1] for matrix in drawn])
    assert [c.mean for c in again.rows[0].comparisons] == pytest.approx(
        [c.mean for c in found.rows[0].comparisons], nan_ok=True
    )


def test_outliers_are_those_that_simulation_follows_by_their_axes(matrices):
    study, drawn = matrices
    table = study.rows[0].setup.law
    seeds = np.random.SeedSequence(8).spawn(12)
    own = [montecarlo.observe(table, np.random.default_rng(seed))["locations"] for seed in seeds]
    np.testing.assert_allclose(draw(drawn, study.rows[0].setup)["locations"], own, rtol=1e-10)


def test_another_law_is_found_out(matrices):
    _, drawn = matrices
    other = from_document({**STUDY, "law": {**STUDY["law"], "atoms": [2, 5]}})
    assert not compare_spectrum(other, drawn).agree


def test_outliers_between_bulks_are_left_alone():
    study = from_document({**STUDY, "law": {**LAW, "ratio": 0.1, "spikes": [4.5]}})
    table = study.rows[0].setup.law
    drawn = [montecarlo.sample(table, np.random.default_rng(i)) for i in range(8)]
    assert "locations" not in draw(drawn, study.rows[0].setup)
    assert compare_spectrum(study, drawn).agree


def test_what_does_not_fit_is_refused(matrices):
    study, drawn = matrices
    setup = study.rows[0].setup
    for arrays, message in (
        ([drawn[0][:, :-1]], r"shape \(120, 119\); expected \(p, p\) = \(120, 120\)"),
        ([np.triu(drawn[0])], "not symmetric"),
        ([np.ones(7)], "7 eigenvalues; expected all p = 120"),
    ):
        with pytest.raises(BadInput, match=message):
            draw(arrays, setup)


def test_the_command_draws_it_too(matrices, tmp_path):
    _, drawn = matrices
    np.savez(tmp_path / "own.npz", *drawn)
    file = tmp_path / "study.toml"
    file.write_text(
        'schema = 1\ntitle = "Own"\nobservable = "law"\n[law]\nfamily = "generalized-marchenko-pastur"\n'
        "ratio = 0.25\natoms = [2, 9]\nweights = [0.5, 0.5]\nsize = 120\nspikes = [40.0, 25.0, 0.2]\n"
    )
    picture = tmp_path / "own.svg"
    options = ["--spectrum", str(tmp_path / "own.npz"), "--figure", str(picture)]
    result = CliRunner().invoke(app, ["compare", str(file), *options])
    assert result.exit_code == 0, result.output
    assert picture.stat().st_size > 1000


def test_memory_names_the_key_that_helps():
    from rmtfl.montecarlo.memory import fitting_workers

    with pytest.raises(BadInput, match=r"key 'law.size': one trial \(row\) needs"):
        fitting_workers({"row": 2**40}, available=2**30, key=OBSERVABLES["law"].size)
    assert OBSERVABLES["kernel-matrix"].size == "kernel.samples"
