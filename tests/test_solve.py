"""The engine against equations whose roots are known, and against maps and brackets that cannot work."""

import numpy as np
import pytest

from rmtfl.errors import ToleranceNotMet
from rmtfl.solve import Anderson, Bracketed, Damped, FixedPoint, Newton, Root, Status, continuation, newton, solve

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


def test_bracketed_does_not_bisect_its_way_out_of_rounding():
    # A residual with noise: once Newton meets it, the last iterate is itself an end of the bracket.
    noise = np.random.default_rng(np.random.SeedSequence(2))
    problem = Root(
        lambda x, i: (x - 2 + 1e-12 * noise.standard_normal(x.shape), np.ones_like(x)),
        lower=np.full(50, -9.0),
        upper=np.full(50, 10.0),
    )
    found = solve(problem, Bracketed(), np.linspace(-9, 10, 50), tolerance=1e-15)
    np.testing.assert_allclose(found.value, 2.0, atol=1e-11)


def test_rounding_level_is_a_stall_and_says_how_far_it_came():
    noise = np.random.default_rng(np.random.SeedSequence(1))

    def noisy(x, i):
        return x * x - 2 + 1e-9 * noise.standard_normal(x.shape), 2 * x

    found = solve(Root(noisy), Newton(), np.array([1.4]), tolerance=1e-15)
    assert found.status is Status.STALLED
    assert 1e-13 < found.error[0] < 1e-7


def test_newton_on_floats_says_where_it_fails():
    step = lambda x: (x * x - 2) / (2 * x)  # noqa: E731
    assert newton(step, 1.0, inside=lambda x: x > 0, tolerance=1e-15) == pytest.approx(2**0.5, rel=1e-15)
    assert newton(step, -1.0, inside=lambda x: x > 0, tolerance=1e-15) is None
    assert newton(step, 0.0, inside=lambda x: True, tolerance=1e-15) is None
    # A step that never shrinks runs out of corrections.
    assert newton(lambda x: -1.0, 0.0, inside=lambda x: True, tolerance=1e-15) is None
