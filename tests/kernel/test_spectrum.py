"""The exact spectrum against closed results, the other kind of blocks, sampled matrices and its own error."""

import math

import mpmath
import numpy as np
import pytest

from rmtfl.errors import BadInput
from rmtfl.kernel.funk_hecke import ClosedBlocks, FeatureBlocks, gegenbauer
from rmtfl.kernel.rules import cosines
from rmtfl.kernel.spectrum import SpikedKernel, harmonic_dimension, line, spectrum, zonal_harmonics
from rmtfl.links import parse

DEGREES, MODES = (0, 1, 2, 3, 4), 6
DIMENSIONS = [3, 4, 7, 30, 300, 3000, 10**6]


def kernel(text, d, spike, isotropic=1.2, inputs="sphere"):
    return SpikedKernel(parse(text), d, isotropic, spike, inputs)


def nearest(values, target):
    return values[np.argmin(np.abs(values - target))]


# ------------------------------------------------------------------------------------------------ closed results


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("ratio", [0.0, 0.3, 10.0, 100.0])
def test_relu_linear_modes_are_exact(d, ratio):
    A, B = 1.2, ratio * d
    found = spectrum(kernel("relu(x)", d, B, A), (0, 1), MODES, 1e-8)
    along = nearest(found.blocks[0].eigenvalues, (A + B) / (4 * d))
    across = nearest(found.blocks[1].eigenvalues, A / (4 * d))
    assert along == pytest.approx((A + B) / (4 * d), rel=1e-12)
    assert across == pytest.approx(A / (4 * d), rel=1e-12)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_relu_top_eigenvalue_without_a_spike(d):
    # λ_0 = E_w (E_x relu(<w, x>))² = A (E|z|)²/4 for z a coordinate on √d S^{d−1}.
    with mpmath.workdps(30):
        mean = float(mpmath.sqrt(d / mpmath.pi) * mpmath.gamma(mpmath.mpf(d) / 2) / mpmath.gamma(mpmath.mpf(d + 1) / 2))
    found = spectrum(kernel("relu(x)", d, 0.0), (0,), 3, 1e-8).blocks[0]
    exact = 1.2 * mean**2 / 4
    assert found.eigenvalues[0] == pytest.approx(exact, abs=found.error)


@pytest.mark.parametrize("d", [3, 8, 30, 3000])
@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "cos(x + 1)"])
def test_without_a_spike_the_blocks_are_those_of_the_whole_sphere(d, text):
    # Y_m of R^d holds one eigenfunction in each block ℓ ≤ m; its eigenvalue is an integral over one cosine.
    found = spectrum(kernel(text, d, 0.0), DEGREES, 3, 1e-8)
    rule = cosines(d, 2.0)
    q = np.full(rule.t.size, 1.2)
    from rmtfl.kernel.duals import Pair, closed_dual

    values = closed_dual(parse(text)).derivative(0, Pair(q, q, 1.2 * rule.t, 1.44 * rule.complement))
    whole = [rule.weights @ (values * gegenbauer(m, d, rule.t)) for m in range(12)]
    for block in found.blocks:
        exact = sorted((value for value in whole[block.degree :]), reverse=True)[:3]
        np.testing.assert_allclose(block.eigenvalues, exact, atol=block.error + 1e-15)


@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_polynomial_kernel_in_closed_form(inputs):
    # σ = x: k = <x, Γx'>/d, so that the eigenvalues are (A + B)/d and A/d, times E ρ² = 1.
    d, A, B = 17, 0.7, 5.0
    found = spectrum(kernel("x", d, B, A, inputs), (0, 1, 2), 3)
    np.testing.assert_allclose(found.blocks[0].eigenvalues, [(A + B) / d, 0, 0], atol=1e-14)
    np.testing.assert_allclose(found.blocks[1].eigenvalues, [A / d, 0, 0], atol=1e-14)
    assert found.trace == pytest.approx(A + B / d, rel=1e-13)
    assert abs(found.remainder) < 1e-13
    np.testing.assert_allclose(found.mixing[0, :3], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("d", [3, 5, 30])
def test_trace_identity_closes(d):
    found = spectrum(kernel("erf(x)", d, 1.0 * d), tuple(range(0, 26)), 2)
    # At d = 30 the tail falls like (2q/(1 + 2q))^ℓ, more slowly than in few dimensions.
    assert abs(found.remainder) < (2e-6 if d == 30 else 1e-10) * found.trace
    fewer = spectrum(kernel("erf(x)", d, 1.0 * d), (0, 1), 2)
    assert fewer.remainder > 1e-3 * fewer.trace


# ------------------------------------------------------------------------------------------------ two ways


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "cos(x + 1)"])
@pytest.mark.parametrize(("N", "tolerance"), [(2, 3e-5), (6, 3e-9), (29, 1e-10), (999, 1e-10)])
def test_blocks_of_the_dual_are_blocks_of_the_features(text, N, tolerance):
    rng = np.random.default_rng(np.random.SeedSequence(4))
    z = rng.uniform(0.1, 2, 5)
    along, across = z * 0.8, rng.uniform(0.6, 1.1, 5)
    for degree in (0, 1, 2, 3):
        closed = ClosedBlocks(parse_dual(text), 1.5).pairs(degree, N, along, across)
        features = FeatureBlocks(parse(text), 1.0 if N == 2 else 2.0).pairs(degree, N, along, across)
        for one, other in zip(closed, features, strict=True):
            np.testing.assert_allclose(one, other, atol=tolerance)


def parse_dual(text):
    from rmtfl.kernel.duals import closed_dual

    return closed_dual(parse(text))


@pytest.mark.parametrize("text", ["relu(x)", "sign(x)", "relu(x)**2"])
@pytest.mark.parametrize("d", [8, 100])
def test_homogeneous_shortcut_is_the_two_dimensional_rule(text, d):
    inputs = kernel(text, d, 0.4 * d, inputs="gaussian")
    short, full = spectrum(inputs, (0, 1, 2), 4, 1e-7), spectrum(inputs, (0, 1, 2), 4, 1e-7, shortcut=False)
    sphere = spectrum(kernel(text, d, 0.4 * d), (0, 1, 2), 4, 1e-7)
    ratio = {"relu(x)": 1.0, "sign(x)": 1.0, "relu(x)**2": (d + 2) / d}[text]
    for one, two, three in zip(short.blocks, full.blocks, sphere.blocks, strict=True):
        np.testing.assert_allclose(one.eigenvalues, two.eigenvalues, atol=one.error + two.error)
        np.testing.assert_allclose(one.eigenvalues, ratio * three.eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(short.mixing[:2, :4], full.mixing[:2, :4], atol=1e-7)


def test_gaussian_inputs_differ_from_the_sphere_for_tanh():
    sphere = spectrum(kernel("tanh(x)", 30, 10.0), (0, 1), 3, 1e-8)
    gaussian = spectrum(kernel("tanh(x)", 30, 10.0, inputs="gaussian"), (0, 1), 3, 1e-8)
    gap = abs(gaussian.blocks[0].eigenvalues[0] / sphere.blocks[0].eigenvalues[0] - 1)
    assert gap > 1e-3


# ------------------------------------------------------------------------------------------------ honest errors


@pytest.mark.parametrize(
    ("text", "d", "ratio", "inputs", "bound"),
    [
        ("erf(x)", 3, 100.0, "sphere", 1e-10),
        ("erf(x)", 30, 1.0, "sphere", 1e-10),
        ("erf(x)", 10**6, 100.0, "sphere", 1e-10),
        ("tanh(x)", 30, 1.0, "sphere", 1e-10),
        ("tanh(x)", 300, 100.0, "sphere", 1e-10),
        ("erf(x)", 300, 1.0, "gaussian", 1e-10),
        ("relu(x)", 3, 0.5, "sphere", 1e-8),
        ("relu(x)", 3, 100.0, "sphere", 1e-8),
        ("relu(x)", 30, 100.0, "sphere", 1e-8),
        ("relu(x)", 10**6, 1.0, "gaussian", 1e-8),
        ("clip(x, -1, 1)", 30, 1.0, "sphere", 1e-8),
    ],
)
def test_errors_bound_the_difference_to_a_finer_rule(text, d, ratio, inputs, bound, monkeypatch):
    it = kernel(text, d, ratio * d, inputs=inputs)
    found = spectrum(it, (0, 1, 2), 4, bound)
    from rmtfl.kernel import spectrum as module

    monkeypatch.setattr(module, "COARSER", 1.31)
    monkeypatch.setattr(module, "REFINEMENTS", (1.83,))
    fine = spectrum(it, (0, 1, 2), 4, bound)
    top = fine.blocks[0].eigenvalues[0]
    for block, better in zip(found.blocks, fine.blocks, strict=True):
        assert np.max(np.abs(block.eigenvalues - better.eigenvalues)) <= block.error + better.error
        assert block.error <= bound * top


def test_a_steep_activation_is_refined_or_refused():
    from rmtfl.errors import ToleranceNotMet

    found = spectrum(kernel("tanh(4*x)", 30, 3.0), (0,), 2, 1e-6)
    near = spectrum(kernel("erf(4*x*sqrt(pi)/2)", 30, 3.0), (0,), 2)
    assert found.blocks[0].eigenvalues[0] == pytest.approx(near.blocks[0].eigenvalues[0], rel=0.02)
    with pytest.raises(ToleranceNotMet, match="scale well below 1"):
        spectrum(kernel("tanh(400*x)", 30, 3.0), (0,), 2, 1e-8)


@pytest.mark.parametrize(("d", "inputs"), [(10**6, "sphere"), (30, "gaussian")])
def test_a_kernel_without_a_finite_mean_is_refused_by_name(d, inputs):
    # E exp(2 B z²/d) is infinite for B/d ≥ 1/4.
    with pytest.raises(BadInput, match=r"exp\(x\).*finite"):
        spectrum(kernel("exp(x)", d, 1.0 * d, inputs=inputs), (0,), 2)


# ------------------------------------------------------------------------------------------------ against sampling


@pytest.mark.parametrize("text", ["erf(x)", "relu(x)", "tanh(x)"])
@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_rayleigh_quotients_of_the_eigenfunctions_on_samples(text, inputs):
    # E f(x) f(x') k(x, x') = λ for a unit eigenfunction, with k by features w ~ N(0, Γ/d): three averages, no rule.
    d, A, B = 12, 1.2, 9.0
    found = spectrum(kernel(text, d, B, A, inputs), (0, 1), 3, 1e-8)
    rng = np.random.default_rng(np.random.SeedSequence([7, len(text)]))
    functions = {1.0: found.blocks[0]}
    sample = []
    for _ in range(200):
        x = rng.standard_normal((400, d))
        if inputs == "sphere":
            x *= np.sqrt(d) / np.linalg.norm(x, axis=1, keepdims=True)
        w = rng.standard_normal((400, d)) * np.sqrt(A / d)
        w[:, 0] *= np.sqrt((A + B) / A)
        values = leading_function(found, functions[1.0], x, inputs)
        projected = parse(text).numpy()(w @ x.T) @ values / 400
        diagonal = np.mean(parse(text).numpy()(w @ x.T) ** 2 @ values**2) / 400**2
        sample.append(np.mean(projected**2) - diagonal)
    error = np.std(sample) / math.sqrt(len(sample))
    # The diagonal terms taken off leave a factor 1 − 1/400.
    assert np.mean(sample) / (1 - 1 / 400) == pytest.approx(found.blocks[0].eigenvalues[0], abs=4 * error)
    assert error < 0.05 * found.blocks[0].eigenvalues[0]


def leading_function(found, block, x, inputs):
    """The leading eigenfunction of degree 0 at samples, by polynomial regression on the rule's nodes."""
    d = x.shape[1]
    radius = np.linalg.norm(x, axis=1) / np.sqrt(d)
    z = x[:, 0] / radius
    grid, parity = found.grid, block.parities[0]
    nodes, at = grid.line.z, np.abs(z)
    rows = np.array([np.interp(at, nodes, row) for row in block.functions[0]])
    sign = np.where(z < 0, parity, 1.0)
    if grid.rho.size == 1:
        power = 1 if inputs == "gaussian" else 0  # relu: the radial factor that the shortcut leaves out
        return sign * rows[0] * radius**power
    coefficients = np.polynomial.polynomial.polyfit(grid.rho, rows, 5)
    return sign * np.polynomial.polynomial.polyval(radius, coefficients, tensor=False)


# ------------------------------------------------------------------------------------------------ eigenfunctions


def test_harmonics_are_orthonormal_and_counted():
    for d in (3, 10, 10**6, math.inf):
        half = line(d, 2.0)
        zonal = zonal_harmonics(half, 7)
        gram = 2 * (zonal * half.weights) @ zonal.T
        parity = np.add.outer(np.arange(7), np.arange(7)) % 2 == 0
        np.testing.assert_allclose(gram * parity, np.eye(7), atol=1e-11)
    assert [harmonic_dimension(k, 2) for k in range(4)] == [1, 2, 2, 2]
    assert [harmonic_dimension(k, 3) for k in range(4)] == [1, 3, 5, 7]


@pytest.mark.parametrize("inputs", ["sphere", "gaussian"])
def test_mixing_rows_sum_to_one_and_start_pure(inputs):
    pure = spectrum(kernel("erf(x)", 50, 0.0, inputs=inputs), (0,), 3).mixing
    np.testing.assert_allclose(pure[0], [0, 1, 0, 0, 0, 0], atol=1e-9)
    mixed = spectrum(kernel("relu(x)", 50, 60.0, inputs=inputs), (0,), 6).mixing[:3]
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-3)
    assert 0.01 < mixed[0, 2] < mixed[0, 0] < 0.99
    assert mixed[0, 1] == 0
    assert mixed[1, 1] == pytest.approx(1, rel=1e-10)
