"""Law studies against simulation: what is judged, what is not, and that wrong predictions are found out."""

import copy

import numpy as np
import pytest

from rmtfl.compare import compare_rows
from rmtfl.figures.law import law_figure
from rmtfl.figures.page import save
from rmtfl.laws.compare import ALONE, finite_outlier, limiting_outlier, share_allowance
from rmtfl.laws.predict import build_law
from rmtfl.laws.spec import LawTable
from rmtfl.montecarlo import law as montecarlo
from rmtfl.montecarlo.run import sample
from rmtfl.study import from_document

TWO = {"family": "generalized-marchenko-pastur", "ratio": 0.25, "atoms": [1, 9], "weights": [0.5, 0.5]}
STUDY = {
    "schema": 1,
    "title": "Two bulks",
    "observable": "law",
    "law": {**TWO, "spikes": [25, 4, 9.5], "size": 120},
    "montecarlo": {"trials": 12, "seed": 5},
}
SEMICIRCLE = {"family": "semicircle", "variance": 2.0, "centre": -1.0, "spikes": [4.0], "size": 120}


@pytest.fixture(scope="module")
def drawn():
    """Rows with their predictions and draws, by family."""
    found = {}
    for name, law in (("covariance", STUDY["law"]), ("wigner", SEMICIRCLE)):
        study = from_document({**STUDY, "law": law})
        (row,) = study.rows
        trials = sample("law", row.setup, 12, 5, study.kind.function("trial"))
        found[name] = study, row, study.kind.function("predict")(row.setup).as_json(), trials
    return found


@pytest.mark.parametrize("name", ["covariance", "wigner"])
def test_prediction_and_simulation_agree(drawn, name):
    study, row, prediction, trials = drawn[name]
    results = compare_rows(study, [(row, prediction, trials)])
    verdicts = {c.name: c.verdict for c in results.rows[0].comparisons}
    assert set(verdicts.values()) == {"agrees", "not judged"} and results.agree
    spikes = [outlier["spike"] for outlier in prediction["outliers"] if outlier["location"]]
    assert {f"{q}, spike {s:g}" for s in spikes for q in ("location", "overlap")} <= {
        found for found, verdict in verdicts.items() if verdict == "agrees"
    }
    assert results.judged == 2 * len(spikes) + 3
    assert sum(found.startswith("edge") for found in verdicts) == len(prediction["edges"])
    distance, scale = results.rows[0].findings
    # Eigenvalues are rigid: their distribution function is within a few eigenvalues of the law's.
    assert distance.numbers["distance"] < 5 * scale.numbers["share"]


@pytest.mark.parametrize("name", ["covariance", "wigner"])
@pytest.mark.parametrize(("key", "factor"), [("location", 1.3), ("overlap", 0.7)])
def test_a_wrong_outlier_is_found_out(drawn, name, key, factor):
    study, row, prediction, trials = drawn[name]
    wrong = copy.deepcopy(prediction)
    wrong["outliers"][0][key] *= factor
    results = compare_rows(study, [(row, wrong, trials)])
    assert [c.name.split(",")[0] for c in results.rows[0].comparisons if c.verdict == "disagrees"] == [key]


def test_a_wrong_bulk_is_found_out(drawn):
    study, row, _, trials = drawn["covariance"]
    (other,) = from_document({**STUDY, "law": {**STUDY["law"], "weights": [0.6, 0.4]}}).rows
    wrong = study.kind.function("predict")(other.setup).as_json()
    results = compare_rows(study, [(row, wrong, trials)])
    assert any(c.verdict == "disagrees" for c in results.rows[0].comparisons if c.name.startswith("share"))


def test_shown_edges_lie_inside_by_their_own_scale(drawn):
    """The top of a bulk is below its edge by 1.2 of the Tracy-Widom scale, which is (edge/n)^(2/3)-like here."""
    _, row, prediction, trials = drawn["wigner"]
    table = row.setup.law
    scale = np.sqrt(table.variance) * table.size ** (-2 / 3)
    kind = from_document(STUDY).kind
    edges = [q for q in kind.function("quantities")(row.setup, prediction, trials) if q.name.startswith("edge")]
    for edge, side in zip(edges, (1, -1), strict=True):
        inside = side * (np.array(edge.sample) - edge.prediction) / scale
        # Tracy-Widom at β = 1 has mean -1.21 and standard deviation 1.27.
        assert abs(inside.mean() - 1.21) < 4 * 1.27 / np.sqrt(inside.size) + 0.3


@pytest.mark.parametrize(
    "law", [{**TWO, "spikes": [25.0, 3.0], "size": 400}, {**SEMICIRCLE, "spikes": [4.0, -3.0]}], ids=["sum", "wigner"]
)
def test_the_matrix_at_hand_tends_to_the_limit(law):
    gaps = []
    for size in (200, 1600):
        table = LawTable(**{**law, "size": size})
        found = [(build_law(table).outlier(s), finite_outlier(table, i)) for i, s in enumerate(table.spikes)]
        assert all(finite.sensitivity < ALONE for _, finite in found)
        for i, (own, _) in enumerate(found):
            limit = limiting_outlier(table, i)
            assert [limit.location, limit.overlap] == pytest.approx([own.location, own.overlap], rel=1e-12)
        gaps.append([(abs(f.location - o.location), abs(f.overlap - o.overlap)) for o, f in found])
    # Both are O(1/p).
    ratio = np.array(gaps[0]) / np.array(gaps[1])
    assert (ratio > 4).all() and (ratio < 16).all()


def test_fluctuations_of_an_outlier_are_those_of_its_spread(drawn):
    for name in drawn:
        _, row, _, trials = drawn[name]
        seen, spread = trials["locations"][:, 0].std(ddof=1), finite_outlier(row.setup.law, 0).spread
        # The standard deviation of 12 draws is known to about 1/sqrt(22).
        assert abs(seen / spread - 1) < 4 / np.sqrt(22)


@pytest.mark.parametrize(
    ("spikes", "alone"),
    [
        ([25.0], [True]),
        ([25.0, 25.0], [False, False]),  # the two share two eigenvectors in any way
        ([25.0, 25.5], [False, False]),
        ([12.5], [False]),  # the threshold is 12.2
    ],
)
def test_outliers_that_do_not_stand_alone_are_not_judged(spikes, alone):
    table = LawTable(**TWO, spikes=spikes, size=200)
    assert [finite_outlier(table, i).sensitivity < ALONE for i in range(len(spikes))] == alone
    study = from_document({**STUDY, "law": {**TWO, "spikes": spikes, "size": 200}})
    (row,) = study.rows
    prediction = study.kind.function("predict")(row.setup).as_json()
    found = list(study.kind.function("quantities")(row.setup, prediction, {}))
    assert [q.judged for q in found if q.name.startswith("location")] == alone


def test_the_allowance_of_shares_counts_what_cannot_be_dealt():
    assert share_allowance(LawTable(**TWO, size=100)) == pytest.approx(2 / 100)
    assert share_allowance(LawTable(**TWO, size=101)) == pytest.approx(2 / 101 + 0.5 / 101)
    # An atom too light for any dimension moves a share by its weight.
    light = {**TWO, "weights": [0.999, 0.001]}
    assert share_allowance(LawTable(**light, size=100)) == pytest.approx(2 / 100 + 0.001)


def test_matrices_of_smaller_rank():
    study = from_document({**STUDY, "law": {"family": "marchenko-pastur", "ratio": 2, "spikes": [9], "size": 120}})
    (row,) = study.rows
    trials = sample("law", row.setup, 6, 1, study.kind.function("trial"))
    results = compare_rows(study, [(row, study.kind.function("predict")(row.setup).as_json(), trials)])
    assert results.agree
    lowest = next(c for c in results.rows[0].comparisons if c.name == "edge 1")
    assert lowest.mean == pytest.approx(lowest.prediction, rel=0.3)
    assert results.rows[0].findings[0].numbers["distance"] < 5 / 60
    assert law_figure(results, [trials]).axes[0].patches


def test_the_figure_shows_predicted_and_simulated(drawn, tmp_path):
    study, row, prediction, trials = drawn["covariance"]
    results = compare_rows(study, [(row, prediction, trials)])
    (axes,) = law_figure(results, [trials]).axes
    vertical = {line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1}
    assert vertical == {o["location"] for o in prediction["outliers"] if o["location"]}
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == trials["locations"][0, :2].tolist()
    # The histogram holds all mass, and the density all but the outliers'.
    assert sum(p.get_height() * p.get_width() for p in axes.patches if p.get_height() < 1) == pytest.approx(1, abs=0.01)
    save(law_figure(results, [trials], "print"), tmp_path / "law.pdf")


def test_memory_covers_data_and_eigenvectors():
    (row,) = from_document(STUDY).rows
    p, n = 120, montecarlo.samples(120, 0.25)
    assert montecarlo.memory(row.setup) >= 8 * (p * n + 3 * p * p)
