"""A user's own arrays, straight from a training loop."""

from __future__ import annotations

import io
import pickle
from zipfile import ZipFile

import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.sheets import comparison_sheet
from rmtfl.spectra import as_arrays, read_arrays
from rmtfl.study import from_document
from rmtfl.weights.own import draw
from rmtfl.workflow import compare_spectrum
from tests.test_arrays import array_file


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


@pytest.mark.parametrize(
    "stack",
    [
        np.ones((4, 2, 3)),
        Tensor(np.ones((4, 2, 3))),
        [np.ones((2, 3))] * 4,
        [np.ones((1, 2, 3)), Tensor(np.ones((3, 2, 3)))],
        np.asfortranarray(np.ones((4, 2, 3), dtype=np.float32)),
        np.ones((8, 2, 3), dtype=np.int8)[::-2],
    ],
)
def test_several_draws(stack):
    assert [(array.shape, array.dtype) for array in as_arrays(stack)] == [((2, 3), np.float64)] * 4


def test_draws_of_several_shapes(tmp_path):
    layers = {"first": np.ones((4, 3)), "second": np.ones((1, 4))}
    with pytest.raises(BadInput, match=r"array 2 has shape \(1, 4\) where array 1 has \(4, 3\)"):
        as_arrays(list(layers.values()))
    np.savez(tmp_path / "own.npz", **layers)
    with pytest.raises(BadInput, match=r"own\.npz.*'second' has shape \(1, 4\) where .*'first' has \(4, 3\)"):
        read_arrays(tmp_path / "own.npz")


def test_nothing_but_numbers_is_read_from_a_file(tmp_path):
    place = tmp_path / "own.npz"
    with ZipFile(place, "w") as archive:
        archive.writestr("notes.txt", "not an array")
    with pytest.raises(BadInput, match=r"notes\.txt' is no array"):
        read_arrays(place)
    np.savez_compressed(place, numbers=np.arange(1000.0))
    broken = bytearray(place.read_bytes())
    broken[80:120] = bytes(40)
    place.write_bytes(broken)
    with pytest.raises(BadInput, match=r"is not a numeric \.npz file"):
        read_arrays(place)
    pickled = tmp_path / "own.npy"
    for content in (pickle.dumps([1.0, 2.0]), array_file("{'descr': '<f8', 'shape': (3,")):
        pickled.write_bytes(content)
        with pytest.raises(BadInput, match=r"is not a numeric \.npy file"):
            read_arrays(pickled)


def test_a_header_that_claims_more_than_there_is(tmp_path):
    place = tmp_path / "own.npy"
    with place.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
        file.write(bytes(64))
    with pytest.raises(BadInput, match=r"own\.npy"):
        read_arrays(place)


@pytest.mark.parametrize(
    "spectrum",
    [
        None,
        "text",
        3.0,
        [],
        np.ones((2, 2, 2, 2)),
        [np.nan, 1.0],
        np.array([1j]),
        [[1], 2],
        [[[1, 2], [3]], [1, 2]],
        io.BytesIO(b"1, 2"),
        np.array([True]),
        [{}, {}],
        np.ma.array([1.0, 2.0], mask=[0, 1]),
    ],
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


def test_equal_draws_are_no_draws_of_their_own(study):
    with pytest.raises(BadInput, match="some are equal"):
        compare_spectrum(study, [matrix(study.rows[1])] * 2)


@pytest.mark.parametrize("row", [0, -1, 3])
def test_rows_are_counted_from_one(study, row):
    with pytest.raises(BadInput, match="expected 1 to 2"):
        compare_spectrum(study, np.ones(5), row=row)


def test_part_of_a_spectrum_is_not_the_whole(study):
    row = study.rows[1]
    assert "spectrum" not in draw([np.array([5.0, 2.0])], row.setup)
    assert draw([matrix(row)], row.setup)["spectrum"].shape == (1, 150)


def test_a_stack_is_several_draws(study):
    row = study.rows[1]
    stack = np.stack([matrix(row, seed) for seed in range(3)])
    apart, together = compare_spectrum(study, list(stack)), compare_spectrum(study, stack)
    assert together.as_json() == apart.as_json()
    assert together.rows[0].comparisons[0].trials == 3
    with pytest.raises(BadInput, match=r"no row has the sizes of the matrix.*transposed it would fit"):
        compare_spectrum(study, stack.transpose(0, 2, 1))


class TestHint:
    """What a spectrum is taken for, and what it is."""

    @pytest.fixture
    def values(self, study):
        """Singular values as predicted: an outlier and a bulk."""
        outlier = compare_spectrum(study, matrix(study.rows[1])).rows[0].prediction["outliers"][0]["location"]
        return np.array([outlier, *np.linalg.svd(matrix(study.rows[1]), compute_uv=False)[1:]])

    def test_nothing_is_hinted_where_it_matches(self, study, values):
        for array, eigenvalues in ((values, False), (values**2, True), (values * 1.1, False)):
            assert compare_spectrum(study, array, row=2, eigenvalues=eigenvalues).hint is None

    @pytest.mark.parametrize(
        ("power", "eigenvalues", "words"), [(2, False, "as eigenvalues"), (1, True, "as singular values")]
    )
    def test_squares_and_roots(self, study, values, power, eigenvalues, words):
        found = compare_spectrum(study, values**power, row=2, eigenvalues=eigenvalues)
        assert not found.agree
        assert words in found.hint
        assert found.hint in comparison_sheet(found).notes[0] and found.as_json()["hint"] == found.hint

    @pytest.mark.parametrize(("factor", "words"), [(150**0.5, "variance 1 before"), (0.5**0.5, "variance 1/N before")])
    def test_another_normalisation(self, study, values, factor, words):
        assert words in compare_spectrum(study, values * factor, row=2).hint

    def test_what_fits_no_scale_is_not_hinted_at(self, study, values):
        assert compare_spectrum(study, values * 3, row=2).hint is None
        assert compare_spectrum(study, np.zeros(5), row=2).hint is None

    def test_refusals_name_the_option(self, study):
        for array in (np.ones(300), np.array([1.0, -1e-12])):
            with pytest.raises(BadInput, match="--eigenvalues"):
                compare_spectrum(study, array, row=2)
