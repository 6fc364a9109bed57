"""Eigenvalues of a spiked kernel to any number of digits: the same blocks and rules, in mpmath.

For inputs whose radial part factors out (the sphere, or a homogeneous activation) and a closed dual. The steps follow
from the digits by the same strips as in `rmtfl.kernel.rules`; the error is the difference of two rules and rounding at
the working precision, and what is returned has met the digits asked for. A block in 20 digits takes about ten seconds.
Relu's kernel, singular at ρ = 1, converges algebraically in few dimensions: digits out of reach there are refused,
after the finer rule has shown it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
from mpmath import mp

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.kernel.duals import Cosine, CutPower, Dual, Exponential, Polynomial
from rmtfl.kernel.spectrum import SpikedKernel

GUARD = 12  # digits carried beyond those asked for
FINER = "0.78"  # step ratio of the two rules compared


@dataclass(frozen=True)
class PreciseBlock:
    """Eigenvalues of one degree.

    Attributes:
        degree: ℓ.
        eigenvalues: mpmath numbers, descending.
        error: of each, absolute.
    """

    degree: int
    eigenvalues: tuple[Any, ...]
    error: Any


def precise_block(kernel: SpikedKernel, degree: int, modes: int, digits: int) -> PreciseBlock:
    """The leading eigenvalues of a block, to `digits` digits of its largest.

    A and B are the doubles of the kernel, taken as exact.

    Raises:
        BadInput: without a closed dual, or where the radial part does not factor out.
        ToleranceNotMet: if two rules do not agree to the digits.
    """
    radial = kernel.radial_moment()
    if kernel.dual is None or radial is None:
        raise BadInput(
            f"key 'theory.digits': value {digits}: needs an activation with a closed dual kernel, and inputs on the "
            "sphere or a homogeneous activation; expected none, for doubles"
        )
    with mpmath.workdps(digits + GUARD):
        coarse = _eigenvalues(kernel, degree, modes, mpmath.mpf(1))
        fine = _eigenvalues(kernel, degree, modes, mpmath.mpf(FINER))
        error = max(abs(a - b) for a, b in zip(fine, coarse, strict=True)) + fine[0] * mpmath.mpf(10) ** (-digits - 4)
        if error > fine[0] * mpmath.mpf(10) ** -digits:
            raise ToleranceNotMet(
                f"key 'theory.digits': two rules agree on the block of degree {degree} to "
                f"{mpmath.nstr(error / fine[0], 2)} relative, {digits} digits were asked for; ask for fewer"
            )
        return PreciseBlock(degree, tuple(fine), error)


def _eigenvalues(kernel: SpikedKernel, degree: int, modes: int, finer: Any) -> list[Any]:
    d, A, B = mpmath.mpf(kernel.dimension), mpmath.mpf(kernel.isotropic), mpmath.mpf(kernel.spike)
    radial = mpmath.mpf(1)
    if kernel.inputs == "gaussian" and kernel.dual is not None and kernel.dual.homogeneity:
        radial = mpmath.fprod(1 + 2 * mpmath.mpf(k) / d for k in range(kernel.dual.homogeneity))
    target = (mp.dps + 2) * mpmath.log(10)
    z, across, weights = _line(d, mpmath.sqrt(A * d / (A + abs(B))), target, finer)
    cosines = _cosines(kernel.dimension - 1 + 2 * degree, target, finer)
    size = len(z)
    p = [mpmath.sqrt((A + B) / d) * x for x in z]
    s = [mpmath.sqrt(A) * a for a in across]
    share = mpmath.fprod(d - 1 + 2 * k for k in range(degree))
    even, odd = mpmath.matrix(size), mpmath.matrix(size)
    for i in range(size):
        for j in range(i + 1):
            scale = radial * mpmath.sqrt(weights[i] * weights[j]) * (s[i] * s[j]) ** degree / share
            same, opposite = (_mean(kernel.dual, degree, p[i], s[i], sign * p[j], s[j], cosines) for sign in (1, -1))
            even[i, j] = even[j, i] = scale * (same + opposite)
            odd[i, j] = odd[j, i] = scale * (same - opposite)
    values = [*mp.eigsy(even, eigvals_only=True), *mp.eigsy(odd, eigvals_only=True)]
    return sorted(values, reverse=True)[:modes]


def _line(d: Any, width: Any, target: Any, finer: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """As `rules.line`, always by the trapezoid rule."""
    w = min(width, mpmath.mpf(3))
    step = finer * mpmath.pi**2 / 2 / (target + w * w / 4)
    z: list[Any] = []
    across: list[Any] = []
    weights: list[Any] = []
    k = 0
    while True:
        v = (k + mpmath.mpf(1) / 2) * step
        x = w * mpmath.sinh(v)
        weight = mpmath.cosh(v) * (1 + x * x / d) ** (-d / 2)
        if k and weight < weights[0] * mpmath.exp(-target - 6):
            break
        root = mpmath.sqrt(1 + x * x / d)
        z.append(x / root)
        across.append(1 / root)
        weights.append(weight)
        k += 1
    total = 2 * mpmath.fsum(weights)
    return z, across, [weight / total for weight in weights]


def _cosines(dimension: int, target: Any, finer: Any) -> list[tuple[Any, Any]]:
    """As `rules.cosines`: (t, weight)."""
    power = dimension - 1
    steps = []
    for k in range(1, 40):
        strip = k * (mpmath.pi / 2 - mpmath.mpf(1) / 50) / 39
        steps.append(2 * mpmath.pi * strip / (target - power * mpmath.log(mpmath.cos(strip))))
    step = finer * max(steps)
    found = []
    y = step / 2
    while True:
        weight = mpmath.sech(y) ** power
        if weight < mpmath.exp(-target - 6):
            break
        found += [(mpmath.tanh(y), weight), (-mpmath.tanh(y), weight)]
        y += step
    total = mpmath.fsum(weight for _, weight in found)
    return [(t, weight / total) for t, weight in found]


def _mean(dual: Dual | None, degree: int, p: Any, s: Any, p2: Any, s2: Any, cosines: list[tuple[Any, Any]]) -> Any:
    q, r = p * p + s * s, p2 * p2 + s2 * s2
    twist, lengths, product = (p * s2 - p2 * s) ** 2, s * s2, p * p2
    return mpmath.fsum(
        weight
        * _derivative(
            dual,
            degree,
            q,
            r,
            product + lengths * t,
            twist + 2 * product * lengths * (1 - t) + lengths**2 * (1 - t * t),
        )
        for t, weight in cosines
    )


def _derivative(dual: Dual | None, order: int, q: Any, r: Any, c: Any, det: Any) -> Any:
    """`Dual.derivative` for one pair of mpmath numbers."""
    match dual:
        case CutPower():
            return _cut_power(dual, order, q, r, c, det)
        case Exponential():
            slope = mpmath.mpf(dual.slope) ** 2
            return mpmath.mpf(dual.factor) ** 2 * slope**order * mpmath.exp(slope * (q + r + 2 * c) / 2)
        case Cosine():
            rate, half = mpmath.mpf(dual.frequency) ** 2, (q + r) / 2
            other = (-1) ** order * mpmath.cos(2 * mpmath.mpf(dual.phase)) * mpmath.exp(-rate * (half + c))
            return mpmath.mpf(dual.factor) ** 2 * rate**order * (mpmath.exp(-rate * (half - c)) + other) / 2
        case Polynomial():
            return mpmath.fsum(
                c ** (j - order) / mpmath.factorial(j - order) * _slope(dual, j, q) * _slope(dual, j, r)
                for j in range(order, len(dual.coefficients))
            )
    raise TypeError(f"no closed form in digits for {dual!r}")


def _slope(dual: Polynomial, order: int, q: Any) -> Any:
    total = mpmath.mpf(0)
    for k, a in enumerate(dual.coefficients):
        if a and k >= order and (k - order) % 2 == 0:
            moment = mpmath.fac2(k - order - 1) * q ** ((k - order) // 2)
            total += mpmath.mpf(a) * mpmath.rf(k - order + 1, order) * moment
    return total


def _cut_power(dual: CutPower, order: int, q: Any, r: Any, c: Any, det: Any) -> Any:
    p, v = dual.power, mpmath.mpf(dual.smoothing)
    right, left = mpmath.mpf(dual.right), mpmath.mpf(dual.left)
    det = abs(det) + v * (q + r) + v * v
    root = mpmath.sqrt(det)
    if order <= p:
        sides = []
        for x in (c, -c):
            before: Any = mpmath.pi - mpmath.atan2(root, x)
            now = before if p == order else root + x * before
            for k in range(1, p - order):
                before, now = now, (2 * k + 1) * x * now + k * k * det * before
            sides.append(now)
        value = (right**2 + left**2) * sides[0] + 2 * (-1) ** order * right * left * sides[1]
        return mpmath.rf(p - order + 1, order) ** 2 / (2 * mpmath.pi) * value
    before, now = mpmath.mpf(0), 1 / root
    for m in range(order - p - 1):
        before, now = now, ((2 * m + 1) * c * now + m * m * before) / det
    factor = mpmath.factorial(max(p, 0)) ** 2 / (2 * mpmath.pi)
    return factor * (right**2 + left**2 - 2 * (-1) ** p * right * left) * now
