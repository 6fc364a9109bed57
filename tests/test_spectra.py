"""A user's own arrays, straight from a training loop."""

from __future__ import annotations

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.spectra import as_arrays
from rmtfl.study import from_document
from rmtfl.weights.compare import draw
from rmtfl.workflow import compare_spectrum


class Tensor:
    """What a PyTorch tensor does: numpy reads it only outside the graph and on the host."""

    def __init__(self, array, place="graph"):
        self.array, self.place = array, place

    def detach(self):
        return Tensor(self.array, "device")

    def cpu(self):
        assert self.place == "device"
        return Tensor(self.array, "host")

    def __array__(self, dtype=None, copy=None):
        if self.place != "host":
            raise TypeError("call detach() and cpu() first")
        return np.asarray(self.array, dtype=dtype)


@pytest.fixture
def study(study_document):
    """One step, whose prediction takes no time."""
    study_document["sizes"] |= {"width": [40, 300], "width_ratio": 2}
    study_document["training"] |= {"alpha": ["3/10"], "scale": [2]}
    return from_document(study_document)


def matrix(row, seed=0):
    sizes = row.setup.sizes
    return np.random.default_rng(seed).normal(size=(sizes.width, sizes.dimension)) / sizes.dimension**0.5


@pytest.mark.parametrize("wrap", [np.asarray, np.float32, Tensor, np.ndarray.tolist])
def test_arrays_of_other_libraries(wrap):
    array = np.array([3.0, 1.0, 0.5])
    (found,) = as_arrays(wrap(array))
    assert found.dtype == np.float64
    assert found.tolist() == array.tolist()


def test_several_draws():
    found = as_arrays([Tensor(np.array([3.0, 1.0])), np.ones((2, 3))])
    assert [array.shape for array in found] == [(2,), (2, 3)]


@pytest.mark.parametrize(
    "spectrum", [None, "text", 3.0, [], np.ones((2, 2, 2)), [np.nan, 1.0], np.array([1j]), [[1], 2]]
)
def test_what_is_no_spectrum(spectrum):
    with pytest.raises(BadInput, match="expected"):
        as_arrays(spectrum)


def test_a_matrix_a_spectrum_and_eigenvalues_are_the_same(study):
    weights = matrix(study.rows[1])
    values = np.linalg.svd(weights, compute_uv=False)
    found = [
        compare_spectrum(study, Tensor(weights)),
        compare_spectrum(study, values, row=2),
        compare_spectrum(study, values**2, row=2, eigenvalues=True),
        compare_spectrum(study, np.linalg.eigvalsh(weights @ weights.T), row=2, eigenvalues=True),
    ]
    first = [comparison.mean for comparison in found[0].rows[0].comparisons]
    for other in found[1:]:
        assert [comparison.mean for comparison in other.rows[0].comparisons] == pytest.approx(first)
    assert not found[0].agree  # nothing was trained
    assert {finding.name for finding in found[3].rows[0].findings} >= {"bulk to law of W0"}


def test_the_study_may_be_a_file(study, tmp_path):
    with pytest.raises(BadInput, match=r"none\.toml"):
        compare_spectrum(tmp_path / "none.toml", [1.0, 2.0])


def test_an_observable_without_spectra_of_ones_own():
    kernel = {"inputs": "sphere", "dimension": 5, "isotropic": 1, "spike": 1, "degrees": 1, "modes": 1}
    study = from_document({"schema": 1, "observable": "kernel", "network": {"activation": "erf(x)"}, "kernel": kernel})
    with pytest.raises(BadInput, match="expected weights"):
        compare_spectrum(study, np.ones((3, 3)))


def test_several_draws_are_judged_on_their_own_scatter(study):
    row = study.rows[1]
    outlier = compare_spectrum(study, matrix(row)).rows[0].prediction["outliers"][0]["location"]
    scattered = [np.array([outlier * factor, 1.0]) for factor in (0.99, 1.0, 1.01)]
    comparison = compare_spectrum(study, scattered, row=2).rows[0].comparisons[0]
    assert comparison.trials == 3 and comparison.verdict == "agrees"
    assert comparison.standard_error == pytest.approx(0.01 * outlier / 3**0.5)


def test_part_of_a_spectrum_is_not_the_whole(study):
    row = study.rows[1]
    assert "spectrum" not in draw([np.array([5.0, 2.0])], row.setup)
    assert draw([matrix(row)], row.setup)["spectrum"].shape == (1, 150)
