"""Symbolic checks of theory/spiked-duals.md: the recurrences and Price's theorem for the first powers."""

import sympy as sp

u = sp.Symbol("u", real=True)
theta = sp.acos(u)


def cut_powers(count):
    """2π E x₊^p y₊^p at unit variances, p < count, by the recurrence."""
    found = [sp.pi - theta, sp.sqrt(1 - u**2) + u * (sp.pi - theta)]
    for p in range(1, count - 1):
        found.append((2 * p + 1) * u * found[p] + p**2 * (1 - u**2) * found[p - 1])
    return found


def vanishes(expression):
    return all(abs(sp.N(expression.subs(u, value), 40)) < 1e-30 for value in (sp.Rational(-2, 3), 0, sp.Rational(5, 7)))


def test_price_theorem_along_the_recurrence():
    found = cut_powers(7)
    for p in range(1, 7):
        assert vanishes(sp.diff(found[p], u) - p**2 * found[p - 1])
        assert sp.simplify(found[p].subs(u, -1)) == 0


def test_point_mass_recurrence():
    f = [(1 - u**2) ** sp.Rational(-1, 2)]
    for _ in range(6):
        f.append(sp.diff(f[-1], u))
    for m in range(1, 6):
        assert vanishes((1 - u**2) * f[m + 1] - (2 * m + 1) * u * f[m] - m**2 * f[m - 1])


def test_generating_equation():
    F = (sp.pi - theta) / sp.sqrt(1 - u**2)
    assert sp.simplify((1 - u**2) * sp.diff(F, u) - u * F - 1) == 0


if __name__ == "__main__":
    test_price_theorem_along_the_recurrence()
    test_point_mass_recurrence()
    test_generating_equation()
