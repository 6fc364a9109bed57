"""What is compared in the weights, and what is allowed."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.outliers import RigidBulk
from rmtfl.study import from_document
from rmtfl.weights import compare, own
from rmtfl.weights.statistics import statistics


def only_row(document):
    (row,) = from_document(document).rows
    return row


@pytest.fixture
def row(study_document):
    return only_row(study_document)


def by_name(row, prediction, trials):
    return {quantity.name: quantity for quantity in compare.quantities(row.setup, prediction, trials)}


def test_what_is_judged_and_what_is_shown(row, agreeing):
    found = by_name(row, agreeing.prediction(row), agreeing.trials(row))
    assert {name for name, quantity in found.items() if quantity.judged} == {"outlier 1", "outlier 2", "alignment 1"}
    assert {name for name, quantity in found.items() if not quantity.judged} == {
        "outlier 1, leading order",
        "outlier 2, leading order",
        "alignment 2",
        "bulk edge",
        "outliers observed",
    }
    assert found["outliers observed"].prediction == 2
    assert set(found["outliers observed"].sample) == {2.0}


def test_samples_are_taken_in_order(row, agreeing):
    trials = agreeing.trials(row)
    found = by_name(row, agreeing.prediction(row), trials)
    assert found["outlier 2"].sample == tuple(trials["singular_values"][:, 1])
    assert found["bulk edge"].sample == tuple(trials["singular_values"][:, 2])
    assert found["alignment 1"].sample == tuple(trials["alignments"][:, 0])


def test_the_allowance_grows_with_the_update_s_noise_and_falls_with_the_spike(study_document):
    def allowed(strength, **changes):
        return compare.location_allowance(only_row(study_document | changes).setup, 1, strength)[0]

    setup = only_row(study_document).setup
    assert compare.location_allowance(setup, 0, 20.0)[0] == compare.FIRST_LOCATION
    assert compare.LATER_LOCATION < allowed(8.0) < allowed(4.0) < allowed(2.0) <= compare.LARGEST_LOCATION
    assert allowed(4.0, network={"activation": "relu(x)"}) > allowed(4.0)
    assert allowed(4.0, data={"target": "tanh(x)", "noise": 0.3}) > allowed(4.0)
    assert allowed(1.1, data={"target": "tanh(x)", "noise": 3}) == compare.LARGEST_LOCATION


def test_the_shift_is_that_of_a_bulk_of_larger_variance(study_document):
    setup = only_row(study_document).setup
    found = statistics(setup)
    width = setup.sizes.width
    noise = sum(setup.training.step_size(t, width) ** 2 for t in range(2)) * found.phi * found.m2 * found.v1
    # A bulk of variance v with a spike θ is √v times a bulk of variance 1 with a spike θ/√v.
    scale = np.sqrt(1 + noise)
    moved = scale * RigidBulk(found.psi).location(3.0 / scale)
    expected = moved / RigidBulk(found.psi).location(3.0) - 1
    assert compare.deformation_shift(setup, 3.0) == pytest.approx(expected, rel=1e-12)


def test_a_leading_order_prediction_is_not_shown_twice(study_document, agreeing):
    study_document["theory"]["order"] = "leading"
    row = only_row(study_document)
    assert not [name for name in by_name(row, agreeing.prediction(row), {}) if "leading" in name]


def test_subcritical_leading_strengths_give_no_location(row):
    assert compare.leading_locations({"leading": [3.0, 0.9]}, 1.0) == [pytest.approx(10 / 3)]


def test_fewer_singular_values_than_outliers(study_document, agreeing):
    study_document["sizes"] = {"width_ratio": 1, "sample_ratio": 1, "width": 2}
    row = only_row(study_document)
    trials = {"singular_values": np.full((3, 1), 3.0), "alignments": np.full((3, 1), 0.4)}
    found = by_name(row, agreeing.prediction(row), trials)
    assert found["outlier 1"].judgeable
    assert not found["outlier 2"].judgeable
    assert found["bulk edge"].sample == ()


def test_the_limit_has_constants_and_nothing_simulated(study_document):
    study_document["sizes"]["width"] = "limit"
    row = only_row(study_document)
    spikes = [{"k": 0, "exponent": "3/10", "constant": 2.5, "error": 1e-9, "left": 1, "vanishes": None, "kappa": 0.3}]
    (found,) = compare.quantities(row.setup, {"spikes": spikes}, {})
    assert (found.name, found.prediction, found.sample) == ("constant of N^(3/10), k = 0", 2.5, ())


def test_a_count_that_fills_the_values_kept_is_a_lower_bound(row, agreeing):
    trials = {"singular_values": np.full((2, 8), 5.0)}
    found = by_name(row, agreeing.prediction(row), trials)
    assert found["outliers observed, at least"].sample == (8.0, 8.0)


@pytest.mark.parametrize(
    ("target", "noise", "tail"),
    [("x", 0, 2**0.5), ("x", 3, 2**0.5), ("x**3 - 3*x", 0, (3348 / 36 - 1) ** 0.5), ("sign(x)", 0, 0.0)],
)
def test_the_spread_of_one_draw_grows_with_the_labels_tail(study_document, target, noise, tail):
    study_document["data"] = {"target": target, "noise": noise}
    study_document["sizes"]["sample_ratio"] = "1/2"
    setup = only_row(study_document).setup
    expected = (compare.ONE_DRAW + compare.ONE_DRAW_TAIL * tail) / 30**0.5
    assert compare.one_draw_spread(setup) == pytest.approx(expected)


class TestDraw:
    def test_a_matrix_gives_its_singular_values(self, row):
        matrix = np.random.default_rng(0).normal(size=(60, 60))
        trials = own.draw([matrix], row.setup)
        np.testing.assert_allclose(trials["singular_values"], [np.linalg.svd(matrix, compute_uv=False)])

    def test_a_single_spectrum_is_judged_by_the_spread_of_one_draw(self, row, agreeing):
        prediction = agreeing.prediction(row)
        places = [outlier["location"] for outlier in prediction["outliers"]]
        found = by_name(row, prediction, own.draw([np.array([1.0, *places, 0.5])], row.setup))
        assert found["outlier 1"].sample == (places[0],)
        assert found["outlier 1"].judgeable
        assert "alignment 1" not in found

    def test_several_spectra_have_a_spread_of_their_own(self, row, agreeing):
        trials = own.draw([np.array([3.0, 1.0]), np.array([2.0, 3.1, 0.1])], row.setup)
        assert trials["singular_values"].tolist() == [[3.0, 1.0], [3.1, 2.0]]
        found = by_name(row, agreeing.prediction(row), trials)
        assert found["outlier 1"].spread is None

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.ones((60, 59)), r"\(60, 59\).*expected \(N, d\) = \(60, 60\)"),
            (np.array([2.0, -1.0]), "none below 0"),
            (np.ones(61), "at most"),
        ],
    )
    def test_refusals(self, row, array, words):
        with pytest.raises(BadInput, match=words):
            own.draw([array], row.setup)
