"""Kernel matrices, learning curves and projections against sampling, and the samplers against closed duals."""

import math

import numpy as np
import pytest

from rmtfl.gaussian import expectation
from rmtfl.kernel.duals import Pair, closed_dual
from rmtfl.kernel.fluctuations import Fluctuations
from rmtfl.kernel.learning import Regression, learning_curve, regression
from rmtfl.kernel.matrices import kernel_matrix
from rmtfl.kernel.mercer import mercer
from rmtfl.kernel.projections import Projections, projections
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled

TRIALS = 12


def spiked(text, d=30, spike=15.0, isotropic=1.0, inputs="sphere"):
    return SpikedKernel(parse(text), d, isotropic, spike, inputs)


def draw(it, n, rng):
    x = sampled.inputs(it.inputs, n, it.dimension, rng)
    return x, sampled.kernel(it.activation, x, x, it.isotropic, it.spike)


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "sign(x)", "cos(x + 1)", "x**2 + x"])
def test_sampled_kernel_is_the_closed_one(text):
    it = spiked(text, 20, 9.0, inputs="gaussian")
    x, gram = draw(it, 60, np.random.default_rng(np.random.SeedSequence(2)))
    scale = np.array([math.sqrt(10.0 / 20)] + [math.sqrt(1 / 20)] * 19)
    c = (x * scale) @ (x * scale).T
    q = np.diag(c)
    exact = closed_dual(parse(text)).derivative(0, Pair.of(q[:, None], q[None, :], c))
    # The diagonal of Pair.of is cancellation; relu's series converges like K^{-3/2} near ρ = 1.
    off = ~np.eye(60, dtype=bool)
    tolerance = {"relu(x)": 1e-6, "sign(x)": 1e-4}.get(text, 1e-11)
    np.testing.assert_allclose(gram[off], exact[off], atol=tolerance * np.abs(exact).max())
    np.testing.assert_allclose(np.diag(gram), closed_dual(parse(text)).variance(q), rtol=1e-12)


# ------------------------------------------------------------------------------------------------ matrices


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "tanh(x)"])
@pytest.mark.parametrize(("n", "relative"), [(100, 0.05), (300, 0.01)])
def test_outliers_and_bulk_of_sampled_matrices(text, n, relative):
    it = spiked(text)
    matrix = kernel_matrix(it, n)
    rng = np.random.default_rng(np.random.SeedSequence([11, n]))
    values = np.array([np.linalg.eigvalsh(draw(it, n, rng)[1] / n)[::-1] for _ in range(TRIALS)])
    top, count = matrix.intervals[-1][1], 0
    for outlier in matrix.outliers:
        if outlier.location > top:
            sample = values[:, count]
            error = np.std(sample) / math.sqrt(TRIALS)
            assert np.mean(sample) == pytest.approx(outlier.location, abs=3 * error + relative * outlier.location)
            count += 1
    assert count == {"erf(x)": 1, "tanh(x)": 1, "relu(x)": 2}[text]
    # All eigenvalues together: their sum is the trace.
    sums = values.sum(axis=1)
    assert sums.mean() == pytest.approx(matrix.population.spectrum.trace, abs=4 * np.std(sums) / math.sqrt(TRIALS))


def test_density_holds_the_bulk_and_the_trace():
    matrix = kernel_matrix(spiked("erf(x)"), 200)
    total = mean = 0.0
    for low, high in matrix.intervals:
        theta = (np.arange(400) + 0.5) * np.pi / 400
        x = (low + high) / 2 - (high - low) / 2 * np.cos(theta)
        weights = (high - low) / 2 * np.sin(theta) * np.pi / 400
        total += weights @ matrix.density(x)
        mean += weights @ (x * matrix.density(x))
    assert total == pytest.approx(1, abs=1e-4)
    # All of the trace but the simple eigenvalues is in the bulk, the unresolved rest included.
    population = matrix.population
    expected = (population.spectrum.trace - population.eigenvalues[population.simple >= 0].sum()) / 200
    assert mean == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "tanh(x)"])
def test_outliers_are_those_of_perturbation_theory_to_second_order(text):
    # λ + Σ λ λ_k/(λ − λ_k) E e² e_k²/n over all else, and 1 − Σ (λ_k/(λ − λ_k))² E e² e_k²/n: what is left is O(1/n²).
    gaps = []
    for n in (3000, 30_000):
        matrix = kernel_matrix(spiked(text), n)
        population = matrix.population
        index = int(np.flatnonzero(population.simple == matrix.outliers[0].mode)[0])
        others = np.arange(population.eigenvalues.size) != index
        at, value = population.eigenvalues[index], population.eigenvalues[others]
        moments = Fluctuations(population).joint(index)
        mass = (population.multiplicities * moments)[others] / n
        nodes = population.nodes
        everything = float((nodes.weights * nodes.functions[index] ** 2) @ nodes.diagonal)
        rest = (everything - (population.multiplicities * population.eigenvalues) @ moments) / n
        location = at + rest + mass @ (value * at / (at - value))
        alignment = 1 - mass @ (value / (at - value)) ** 2
        outlier = matrix.outliers[0]
        gaps.append((outlier.location / location - 1, outlier.alignment / alignment - 1))
    assert np.abs(gaps[0]).max() < 1e-4
    assert np.abs(gaps[1]).max() < 0.02 * np.abs(gaps[0]).max() + 1e-9


def test_alignment_with_the_eigenfunction_and_with_y1():
    it = spiked("erf(x)", spike=2.0)
    n, rng = 60, np.random.default_rng(np.random.SeedSequence(5))
    matrix = kernel_matrix(it, n)
    first = matrix.outliers[0]
    share = first.alignment * matrix.population.spectrum.mixing[0, 1]
    sample = []
    for _ in range(60):
        x, gram = draw(it, n, rng)
        vector = np.linalg.eigh(gram)[1][:, -1]
        sample.append((vector @ x[:, 0]) ** 2 / (x[:, 0] @ x[:, 0]))
    error = np.std(sample) / math.sqrt(len(sample))
    assert first.alignment < 0.9  # finite n costs overlap: the formula is tested away from one
    assert np.mean(sample) == pytest.approx(share, abs=3 * error + 0.03)


def test_population_leaves_out_what_it_says():
    population = mercer(spiked("relu(x)"), 100)
    total = population.multiplicities @ population.eigenvalues + population.rest
    assert total == pytest.approx(population.spectrum.trace, rel=1e-13)
    assert 0 < population.rest < 0.01 * population.spectrum.trace
    assert population.eigenvalues.min() > 0


# ------------------------------------------------------------------------------------------------ projections


@pytest.mark.parametrize("d", [5, 24, 25, 300])
@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_projections_reassemble_the_target(d, inputs):
    found = spectrum(spiked("erf(x)", d, 0.5 * d, inputs=inputs), (0,), 12, 1e-7)
    for text in ("x", "2*x**2 + 3*x", "heaviside(x - 1/2)", "relu(x)"):
        target = projections(found, parse(text))
        norm = float(expectation(parse(text), parse(text)).value)
        if inputs == "gaussian":
            assert target.norm == pytest.approx(norm, rel=1e-4)  # few radial nodes, for a jump
        assert 0 <= target.rest_beyond(np.arange(12)) <= target.norm
    if inputs == "sphere":
        # An eigenfunction of the isotropic kernel is the target: x is Y_1, with nothing left over.
        pure = projections(spectrum(spiked("erf(x)", d, 0.0), (0,), 3), parse("x"))
        assert pure.coefficients[0] ** 2 == pytest.approx(1, rel=1e-9)
        assert pure.rest_beyond(np.arange(3)) < 1e-9


@pytest.mark.parametrize("d", [10, 100])
def test_projection_of_a_jump_against_a_fine_sum(d):
    # With the kernel of σ = x + x²/2 the eigenfunctions of degree 0 are polynomials of degree at most two.
    found = spectrum(spiked("x + x**2/2", d, 0.3 * d), (0,), 3)
    target = projections(found, parse("heaviside(x - 1/2)"))
    theta = (np.arange(400_000) + 0.5) * np.pi / 400_000
    z, weights = math.sqrt(d) * np.cos(theta), np.sin(theta) ** (d - 2)
    weights /= weights.sum()
    jump = z >= 0.5
    linear = float(weights @ (jump * z))
    assert np.min(np.abs(np.abs(target.coefficients) - abs(linear))) < 1e-5
    even = np.array([np.ones_like(z), (z**2 - 1) / math.sqrt(weights @ (z**2 - 1) ** 2)])
    square = float(np.sum((even @ (weights * jump)) ** 2)) + linear**2
    assert float(target.coefficients @ target.coefficients) == pytest.approx(square, abs=1e-5)


# ------------------------------------------------------------------------------------------------ regression


@pytest.mark.parametrize(
    ("text", "target", "d", "spike", "inputs"),
    [
        ("relu(x)", "2*x**2 + 3*x + 4*sin(2*x)", 60, 12.0, "gaussian"),
        ("erf(x)", "heaviside(x - 1/2)", 20, 10.0, "sphere"),
        ("tanh(x)", "x", 40, 0.0, "sphere"),
    ],
)
def test_test_errors_of_sampled_regressions(text, target, d, spike, inputs, monkeypatch):
    monkeypatch.setattr(sampled, "TESTS", 600)
    it, noise, ridges = spiked(text, d, spike, inputs=inputs), 0.5, (0.1, 1.0)
    sizes = (50, 200)
    found = regression(it, parse(target), noise, max(sizes))

    class Row:
        spiked = it

        class kernel:  # noqa: N801
            samples = sizes
            ridge = ridges
            ridge_choice = "best"

        class data:  # noqa: N801
            target = None

    Row.data.target, Row.data.noise = parse(target), noise
    seeds = np.random.SeedSequence(3).spawn(TRIALS)
    errors = np.array([sampled.regression_trial(Row, seed)["mse"] for seed in seeds])
    for i, n in enumerate(sizes):
        for j, ridge in enumerate(ridges):
            mse, _ = found.error(n, ridge)
            error = np.std(errors[:, i, j]) / math.sqrt(TRIALS)
            assert errors[:, i, j].mean() == pytest.approx(mse, abs=3 * error + (0.08 if n < 100 else 0.03) * mse)


def test_effective_ridge_solves_its_equation():
    found = regression(spiked("relu(x)"), parse("x"), 0.0, 400)
    population = found.population
    for n in (1, 30, 400):
        for ridge in (0.0, 1e-6, 1.0, 1e6):
            kappa = found.effective_ridge(n, ridge)
            share = population.eigenvalues / (population.eigenvalues + kappa)
            total = population.multiplicities @ share + (ridge + population.rest) / kappa
            assert total == pytest.approx(n, rel=1e-12)


def test_a_large_ridge_learns_nothing_and_the_best_is_taken():
    found = regression(spiked("relu(x)"), parse("x"), 0.3, 100)
    lazy, _ = found.error(100, 1e9)
    assert lazy == pytest.approx(1.09, rel=1e-4)
    curve = learning_curve(found, (10, 100), (1e9, 0.1, 1.0))
    assert all(ridge != 1e9 for ridge in curve.ridge)
    assert all(
        mse <= min(found.error(n, r)[0] for r in (0.1, 1.0)) for n, mse in zip((10, 100), curve.mse, strict=True)
    )


def test_a_finite_kernel_with_samples_enough_and_no_ridge_is_least_squares():
    # σ = x in d dimensions: linear regression, whose error without a ridge is noise² n/(n − d) (exact: n − d − 1).
    d, n, noise = 20, 200, 0.5
    found = regression(spiked("x", d, 0.0), parse("x"), noise, n)
    mse, kappa = found.error(n, 0.0)
    assert kappa < 1e-12
    assert mse == pytest.approx(noise**2 * n / (n - d), rel=1e-6)


def test_reported_error_bounds_that_of_coarser_lumping():
    it = spiked("relu(x)", 30, 15.0)
    target, fine = parse("x + x**2"), mercer(it, 200, degrees=9)
    exact = Regression(fine, projections(fine.spectrum, target), 0.1)
    coarse = regression(it, target, 0.1, 200)
    for n in (50, 200):
        mse, _ = coarse.error(n, 0.1)
        assert abs(mse - exact.error(n, 0.1)[0]) <= coarse.numerical_error(n, 0.1, mse)


def test_projections_say_what_is_left():
    rest = Projections(np.array([3.0, 4.0]), 30.0, 0.0)
    assert rest.rest_beyond(np.array([0])) == 21.0
    assert rest.rest_beyond(np.array([0, 1])) == 5.0


@pytest.mark.parametrize(("activation", "spike"), [("relu(x)", 60), ("relu(x)", 160), ("gelu(x)", 20)])
def test_close_simple_eigenvalues_exchange_no_more_than_they_have(activation, spike):
    # Perturbation theory has them repel by up to 1.3 here, and take up to 20 times each other's eigenvector.
    samples, draws = 143, 400
    matrix = kernel_matrix(SpikedKernel(parse(activation), 20, 1.0, float(spike)), samples)
    population, nodes = matrix.population, matrix.population.nodes
    simple = np.flatnonzero(population.simple >= 0)[:6]
    half, parities = nodes.functions[simple], nodes.parities[simple]
    functions = np.concatenate([half, parities[:, None] * half], axis=1)
    root, rng = np.sqrt(population.eigenvalues[simple]), np.random.default_rng(np.random.SeedSequence(40))
    moves, cosines = np.empty((draws, 2)), np.empty((draws, 2))
    for draw in range(draws):
        seen = rng.multinomial(samples, np.tile(nodes.weights / 2, 2)) / samples
        gram = (functions * seen) @ functions.T
        values, vectors = np.linalg.eigh(root[:, None] * gram * root)
        values, vectors = values[:-3:-1], vectors[:, :-3:-1]
        moves[draw] = values - root[:2] ** 2
        cosines[draw] = values * np.diag(vectors) ** 2 / (root**2 * np.diag(gram))[:2]
    assert len(matrix.outliers) == 2
    for k, outlier in enumerate(matrix.outliers):
        moved, left = matrix._fluctuations.exchange(int(simple[k]), samples)
        scatter = moves[:, k].std(ddof=1) / np.sqrt(draws)
        assert abs(moved - moves[:, k].mean()) < 4 * scatter + 0.01 * outlier.eigenvalue
        assert abs(left - cosines[:, k].mean()) < 4 * cosines[:, k].std(ddof=1) / np.sqrt(draws) + 0.02
        assert 0 < outlier.alignment < 1
        shares = matrix.harmonic_overlaps(outlier, 3)
        assert np.all((shares >= 0) & (shares <= 1))
        assert shares == pytest.approx(_sampled_shares(matrix, k, functions, root), abs=0.06)


def _sampled_shares(matrix, mode, functions, root):
    """Mean squared cosines of an eigenvector of drawn Gram matrices with Y_0, Y_1, Y_2."""
    nodes, rng = matrix.population.nodes, np.random.default_rng(np.random.SeedSequence(41))
    z = np.tile(nodes.spectrum.grid.line.z, 2) * np.repeat([1.0, -1.0], nodes.weights.size)
    weights = np.tile(nodes.weights / 2, 2)
    harmonics = np.array([np.ones_like(z), z, z**2 - weights @ z**2])
    found = []
    for _ in range(400):
        seen = rng.multinomial(matrix.samples, weights) / matrix.samples
        _, vectors = np.linalg.eigh(root[:, None] * ((functions * seen) @ functions.T) * root)
        vector = (root * vectors[:, -1 - mode]) @ functions
        found.append((harmonics @ (seen * vector)) ** 2 / (seen @ vector**2) / (harmonics**2 @ seen))
    return np.mean(found, axis=0)


def test_an_outlier_is_found_where_the_edge_is_badly_known():
    # Of z³ − 3z at 35 samples the edge is known to 5 %, and the outlier is forty times as far.
    matrix = kernel_matrix(SpikedKernel(parse("x**3 - 3*x"), 654, 0.5, 6540.0), 35)
    (outlier,) = matrix.outliers
    assert matrix.edges[0].error > 0.01 * matrix.edges[0].location
    assert outlier.location > 30 * matrix.edges[0].location
