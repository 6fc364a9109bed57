"""The engine against equations whose roots are known, and against maps and brackets that cannot work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtfl.errors import ToleranceNotMet
from rmtfl.solve import Anderson, Bracketed, Damped, FixedPoint, Newton, Root, Status, continuation, solve

RIGHT = np.array([2.0, 3.0, 1e-8])


def square(right):
    return lambda x, i: (x * x - right[i], 2 * x)


def test_newton_finds_every_entry_of_a_batch():
    found = solve(Root(square(RIGHT)), Newton(), np.ones(3))
    assert found.status is Status.CONVERGED and found.converged.all()
    np.testing.assert_allclose(found.value, np.sqrt(RIGHT), rtol=2e-16 * 4)
    # Entries leave the batch as they converge: the total is less than steps x entries.
    assert found.evaluations < 3 * found.steps


def test_newton_stays_in_its_domain():
    # log x from far right: the first Newton step is negative, where log is not real.
    with np.errstate(invalid="raise"):
        found = solve(Root(lambda x, i: (np.log(x), 1 / x), inside=lambda x, i: x > 0), Newton(), np.array([50.0]))
    np.testing.assert_allclose(found.value, 1.0, rtol=1e-15)


def test_complex_newton_keeps_to_the_half_plane():
    found = solve(Root(lambda x, i: (x * x + 1, 2 * x), inside=lambda x, i: x.imag > 0), Newton(), np.array([1 + 0.1j]))
    np.testing.assert_allclose(found.value, 1j, atol=1e-15)


@pytest.mark.parametrize("start", [0.0, 1.0, 30.0])
def test_bracketed_survives_a_flat_function(start):
    # arctan with Newton from 30 diverges; in its bracket it cannot.
    problem = Root(
        lambda x, i: (np.arctan(x - 2), 1 / (1 + (x - 2) ** 2)),
        lower=np.array([-40.0]),
        upper=np.array([31.0]),
    )
    np.testing.assert_allclose(solve(problem, Bracketed(), np.array([start])).value, 2.0, rtol=1e-15)


def test_bisection_alone_goes_all_the_way():
    # Without a slope every step is a bisection, which must not be taken for rounding.
    problem = Root(lambda x, i: (x**3 - 3, np.full(x.shape, np.nan)), lower=np.array([0.0]), upper=np.array([2.0]))
    np.testing.assert_allclose(solve(problem, Bracketed(), np.array([0.1])).value, np.cbrt(3), rtol=1e-14)


def test_bracketed_decreasing():
    problem = Root(lambda x, i: (2 - x * x, -2 * x), lower=np.array([0.0]), upper=np.array([9.0]), increasing=False)
    np.testing.assert_allclose(solve(problem, Bracketed(), np.array([9.0])).value, np.sqrt(2), rtol=1e-15)


def test_bracketed_needs_a_bracket():
    with pytest.raises(TypeError, match="lower and upper"):
        solve(Root(square(RIGHT)), Bracketed(), np.ones(3))


def test_fixed_points_and_the_gain_of_anderson():
    rng = np.random.default_rng(np.random.SeedSequence(5))
    a = rng.standard_normal((8, 8))
    a *= 0.95 / np.abs(np.linalg.eigvals(a)).max()
    b = rng.standard_normal(8)
    exact = np.linalg.solve(np.eye(8) - a, b)
    problem = FixedPoint(lambda x: a @ x + b)
    plain = solve(problem, Damped(), np.zeros(8), tolerance=1e-12, max_steps=5000)
    fast = solve(problem, Anderson(memory=8), np.zeros(8), tolerance=1e-12)
    np.testing.assert_allclose(plain.value, exact, rtol=1e-9)
    np.testing.assert_allclose(fast.value, exact, rtol=1e-9)
    assert fast.steps < plain.steps / 5


def test_continuation_reaches_what_a_cold_start_does_not():
    # The half-plane root of u + 1/u = z on the axis inside (-2, 2), from z far up.
    def problem(eta):
        z = 0.3 + 1j * eta
        return Root(lambda u, i: (u + 1 / u - z, 1 - 1 / u**2), inside=lambda u, i: u.imag > 0)

    found = continuation([problem(e) for e in (4.0, 1.0, 0.2, 0.0)], Newton(), np.array([0.3 + 4j]))
    np.testing.assert_allclose(found.value, 0.15 + 1j * np.sqrt(1 - 0.15**2), rtol=1e-15)


def test_failure_names_solver_and_remedy():
    with pytest.raises(ToleranceNotMet, match=r"Newton ran out of steps after 5 .*use Bracketed"):
        solve(Root(lambda x, i: (x * x + 1, 2 * x)), Newton(), np.array([0.3]), max_steps=5)
    quiet = solve(Root(lambda x, i: (x * x + 1, 2 * x)), Newton(), np.array([0.3]), max_steps=5, throw=False)
    assert quiet.status is Status.EXHAUSTED and not quiet
    with pytest.raises(ToleranceNotMet, match="left the numbers"), np.errstate(over="ignore"):
        solve(FixedPoint(lambda x: x**3), Damped(), np.array([3.0]))


def power(p):
    return lambda d: np.sign(d) * np.abs(d) ** p, lambda d: p * np.abs(d) ** (p - 1)


#: Increasing functions of d = x - root and their derivatives, or what is passed for them.
SHAPES = {
    "linear": (lambda d: d, np.ones_like),
    "cube root": (np.cbrt, lambda d: 1 / (3 * np.cbrt(d) ** 2)),
    "square root": power(0.5),
    "double": power(2),
    "triple": power(3),
    "fivefold": power(5),
    "sevenfold": power(7),
    "saturating": (lambda d: np.tanh(1e4 * d), lambda d: 1e4 / np.cosh(1e4 * d) ** 2),
    "exponential": (lambda d: np.expm1(300 * d), lambda d: 300 * np.exp(300 * d)),
    "cubic": (lambda d: d + 10 * d**3, lambda d: 1 + 30 * d**2),
    "jump": (lambda d: np.where(d >= 0, 1.0, -1.0), np.zeros_like),
    "jump on a slope": (lambda d: d + np.where(d >= 0, 1e-3, -1e-3), np.ones_like),
    "slope too large": (lambda d: d, lambda d: np.full_like(d, 1e6)),
    "slope too small": (lambda d: d, lambda d: np.full_like(d, 1e-6)),
    "slope of the wrong sign": (lambda d: d, lambda d: -np.ones_like(d)),
    "no slope": (lambda d: d, lambda d: np.full_like(d, np.nan)),
}


def bracketed(shape, roots, starts, *, noise=0.0, scale=1.0, increasing=True, tolerance=1e-14, seed=0):
    """Solve one shape for many roots in [0, 1], with noise of that size in each value, and its statement."""
    f, slope = SHAPES[shape]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    sign = scale if increasing else -scale

    def residual(x, i):
        d = x - roots[i]
        off = noise * rng.uniform(-1, 1, x.size)
        with np.errstate(all="ignore"):
            return sign * (f(d) + off), sign * slope(d), scale * noise

    problem = Root(residual, lower=np.zeros(roots.size), upper=np.ones(roots.size), increasing=increasing)
    return solve(problem, Bracketed(), starts, tolerance=tolerance, max_steps=300)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(
    exponents=st.lists(st.floats(-9, 0), min_size=1, max_size=6),
    start=st.floats(0, 1),
    noise=st.sampled_from([0.0, 1e-13, 1e-10, 1e-4]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    increasing=st.booleans(),
    tolerance=st.sampled_from([0.0, 1e-14, 1e-6]),
    seed=st.integers(0, 1000),
)
def test_a_bracketed_root_is_within_its_error(shape, exponents, start, noise, scale, increasing, tolerance, seed):
    roots = np.concatenate([10.0 ** np.array(exponents), [1.0]])
    found = bracketed(
        shape,
        roots,
        np.full(roots.size, start),
        noise=noise,
        scale=scale,
        increasing=increasing,
        tolerance=tolerance,
        seed=seed,
    )
    off = np.abs(found.value - roots)
    assert (off <= found.error).all()
    if noise == 0:
        assert found.status is Status.CONVERGED
        assert (off <= max(tolerance, 1e-15) * roots).all()
    elif not shape.startswith("slope"):
        # No more than a few times the width over which f is less than its noise.
        width = np.geomspace(1e-17, 1, 400)
        with np.errstate(over="ignore"):
            allowed = 20 * width[np.minimum(np.searchsorted(SHAPES[shape][0](width), 2 * noise), 399)]
        assert (found.error <= np.maximum(allowed, max(tolerance, 1e-15) * roots)).all()


@pytest.mark.parametrize("shape", ["linear", "cube root", "square root", "triple", "exponential", "no slope"])
@pytest.mark.parametrize("noise", [0.0, 1e-10])
def test_roots_at_the_ends_of_the_bracket(shape, noise):
    roots = np.array([0.0, 1.0])
    found = bracketed(shape, roots, np.array([0.7, 0.3]), noise=noise)
    assert (np.abs(found.value - roots) <= found.error).all()


def test_the_cube_root_does_not_stall():
    # Newton's steps double away from it.
    found = bracketed("cube root", np.linspace(0.1, 0.9, 9), np.full(9, 0.37))
    assert found.status is Status.CONVERGED and found.steps < 80


def test_a_bracket_costs_newton_two_evaluations():
    cubes = np.linspace(0.1, 0.9, 50)
    problem = Root(lambda x, i: (x**3 - cubes[i], 3 * x**2), lower=np.zeros(50), upper=np.ones(50))
    found = solve(problem, Bracketed(), np.cbrt(cubes) + 0.01)
    assert found.evaluations <= solve(problem, Newton(), np.cbrt(cubes) + 0.01).evaluations + 2 * 50


@pytest.mark.parametrize("increasing", [True, False])
def test_a_bracket_without_a_change_of_sign_is_refused(increasing):
    for offset in (0.1, -1.1):
        sign = 1 if increasing else -1
        problem = Root(
            lambda x, i, c=offset, s=sign: (s * (x + c), np.full(x.shape, s)),
            lower=np.zeros(1),
            upper=np.ones(1),
            increasing=increasing,
        )
        with pytest.raises(ToleranceNotMet, match=r"no change of sign after .* check that the function changes sign"):
            solve(problem, Bracketed(), np.array([0.5]))


def test_what_is_no_number_says_nothing():
    def residual(x, i):
        return np.where(np.abs(x - 0.3) < 1e-4, np.nan, x - 0.3), np.ones_like(x)

    problem = Root(residual, lower=np.zeros(1), upper=np.ones(1))
    found = solve(problem, Bracketed(), np.array([0.9]))
    assert found.status is Status.STALLED and not found.converged.any()
    assert abs(found.value[0] - 0.3) <= found.error[0]
    assert 1e-4 <= found.error[0] < 1e-3


def test_bracketed_does_not_bisect_its_way_out_of_rounding():
    found = bracketed("linear", np.full(50, 0.4), np.linspace(0, 1, 50), noise=1e-12)
    np.testing.assert_allclose(found.value, 0.4, atol=1e-11)
    assert found.status is Status.STALLED
    assert found.evaluations < 12 * 50


def test_rounding_level_is_a_stall_and_says_how_far_it_came():
    noise = np.random.default_rng(np.random.SeedSequence(1))

    def noisy(x, i):
        return x * x - 2 + 1e-9 * noise.standard_normal(x.shape), 2 * x

    found = solve(Root(noisy), Newton(), np.array([1.4]), tolerance=1e-15)
    assert found.status is Status.STALLED
    assert 1e-13 < found.error[0] < 1e-7
