"""Symbolic checks of theory/spiked-spectrum.md: Rodrigues' form of a block, and the determinant as a sum of squares."""

import sympy as sp

t, p, q, s, r = sp.symbols("t p q s r", real=True)


def gegenbauer(degree, N):
    before, now = sp.Integer(1), t
    if degree == 0:
        return before
    for k in range(1, degree):
        before, now = now, sp.expand(((2 * k + N - 2) * t * now - k * before) / (k + N - 2))
    return now


def mean(expression, N):
    """The mean over a cosine in N ≥ 4 dimensions, even N kept rational by the beta function's ratio."""
    polynomial = sp.Poly(sp.expand(expression), t)
    total = sp.Integer(0)
    for (power,), coefficient in polynomial.terms():
        if power % 2 == 0:
            moment = sp.prod([sp.Rational(2 * j + 1, N + 2 * j) for j in range(power // 2)])
            total += coefficient * moment
    return sp.expand(total)


def test_rodrigues():
    for N in (2, 3, 7):
        for degree in range(5):
            for power in range(degree, degree + 5):
                k = (p + s * t) ** power
                direct = mean(k * gegenbauer(degree, N), N)
                factor = sp.prod([N + 2 * j for j in range(degree)])
                rodrigues = mean(sp.diff(k, t, degree), N + 2 * degree) / factor
                assert sp.expand(direct - rodrigues) == 0


def test_determinant():
    # v = (p, s e), v' = (q, r (t e + √(1 − t²) e⊥))
    gram = (p**2 + s**2) * (q**2 + r**2) - (p * q + s * r * t) ** 2
    squares = (p * r - q * s) ** 2 + 2 * p * q * s * r * (1 - t) + s**2 * r**2 * (1 - t**2)
    assert sp.expand(gram - squares) == 0


if __name__ == "__main__":
    test_rodrigues()
    test_determinant()
