"""The limit N → ∞ of the weights: the spikes k = 0 … K with exponents and constants, and the table of what is learned.

Errors are honest to first order: every moment is shifted by its own error in turn, and the changes of the result are
added up, with what rounding can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import mpmath
import numpy as np

from rmtfl.errors import ToleranceNotMet
from rmtfl.gaussian import EPSILON, hermite_coefficient
from rmtfl.links import X
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.weights import kinked
from rmtfl.weights.finite_width import FiniteRank
from rmtfl.weights.leading import Term, root, terms
from rmtfl.weights.moments import Moments
from rmtfl.weights.prediction import Bulk, LimitPrediction, LimitSpike, Number
from rmtfl.weights.threshold import Threshold, threshold

T = TypeVar("T")

GUARD = 25  # digits beyond those asked for: what Gram-Schmidt and zero tests may lose
ZERO = 1e-12  # relative size below which a double cannot be told from zero
KINKED_ZERO = 1e-7  # the same for the one-sided series of a kinked activation, read off by interpolation
DEEPEST = 5  # orders searched for the first that learns the target
HIGHEST_HERMITE = 12  # of the target, searched for its information exponent


@dataclass(frozen=True)
class Strength:
    """Strength ≃ constant · N^exponent of one spike, and its right vector's squared overlap with the target."""

    k: int
    constant: Any
    error: Any
    overlap: Any
    vanishes: str | None


def limit(setup: Setup) -> LimitPrediction:
    """The spikes k = 0 … K, with as many digits as setup.theory.digits asks for.

    Raises:
        ToleranceNotMet: if a constant cannot be computed to the tolerance or the digits.
    """
    found = threshold(*setup.training.alpha)
    psi = float(setup.sizes.psi)
    bulk = RigidBulk(psi)
    digits = setup.theory.digits
    with mpmath.workdps((digits or 15) + GUARD):
        spikes = tuple(_spikes(setup, found, digits))
    return LimitPrediction(
        threshold=found.threshold,
        critical=found.critical,
        generic_count=found.generic_count,
        count=sum(1 for spike in spikes if spike.vanishes is None and _survives(spike, bulk)),
        bulk=Bulk(bulk.lower, bulk.upper, bulk.upper),
        spikes=spikes,
        learning=learning(setup, found),
    )


def _spikes(setup: Setup, found: Threshold, digits: int | None) -> Iterator[LimitSpike]:
    strengths = _strengths(setup, found, digits)
    kappas = _kappas(setup, setup.training.batches, found.generic_count, digits)
    bulk = RigidBulk(float(setup.sizes.psi))
    for s in strengths:
        if digits is None and not s.vanishes and s.error > setup.theory.tolerance * s.constant:
            raise ToleranceNotMet(
                f"the constant of order k = {s.k} reached {s.error / s.constant:.1e}, not the tolerance "
                f"{setup.theory.tolerance:g}; ask for a larger theory.tolerance"
            )
        spike = LimitSpike(
            k=s.k,
            exponent=found.exponent(s.k),
            constant=written(s.constant, digits),
            error=written(s.error, 5 if digits else None),
            left=s.k + 1,
            vanishes=s.vanishes,
            kappa=written(kappas[s.k], digits),
            alignment=0.0,
        )
        share = 1.0 if spike.exponent > 0 else bulk.right_overlap(float(s.constant)) if _survives(spike, bulk) else 0.0
        yield replace(spike, alignment=written(share * s.overlap, digits if spike.exponent > 0 else None))


def _survives(spike: LimitSpike, bulk: RigidBulk) -> bool:
    return spike.exponent > 0 or float(spike.constant) > bulk.threshold


def leading_order(setup: Setup) -> FiniteRank:
    """The leading order evaluated at the width of a setup, with the joined vector for k = 0, descending."""
    found = threshold(*setup.training.alpha)
    width = float(setup.sizes.width)
    powers = [width ** float(a) for a in setup.training.alpha]
    strengths = [s for s in _strengths(setup, found, None, powers) if s.vanishes is None]
    factors = [width ** float(found.exponent(s.k)) if s.k else 1.0 for s in strengths]
    sizes = np.array([float(s.constant) * f for s, f in zip(strengths, factors, strict=True)])
    errors = np.array([float(s.error) * f for s, f in zip(strengths, factors, strict=True)])
    overlaps = np.array([float(s.overlap) for s in strengths])
    order = np.argsort(-sizes)
    relative = errors / np.maximum(sizes, 1e-300)
    return FiniteRank(sizes[order], overlaps[order], errors[order], 4 * relative[order])


def _strengths(
    setup: Setup, found: Threshold, digits: int | None, powers: Sequence[float] | None = None
) -> list[Strength]:
    """The spikes' constants; given N^{α_t} (`powers`), the first one with both steps joined at that width."""
    reused = setup.training.batches == "reused"
    scale = setup.training.scale
    expandable = 1 if reused and setup.network.activation.kinks else found.generic_count

    def compute(moments: Moments) -> list[tuple[Any, Any, Term]]:
        mu1 = moments.activation(1, 0, 0)
        steps = [moments.number(e) for e in scale]
        if powers is not None:
            joined = [e * p for e, p in zip(steps, powers, strict=True)]
        else:
            leading = max(setup.training.alpha)
            joined = [e if a == leading else 0 * e for e, a in zip(steps, setup.training.alpha, strict=True)]
        joined = [*joined, 0 * mu1][:2]
        expanded = terms(moments, expandable, reused, (joined[0] * mu1, joined[1]))
        sizes = [moments.number(1)] + [steps[1] * steps[0] ** k for k in range(1, expandable)]
        return [
            (s * root(t.left * t.right), s * root(t.left * t.norm), t) for s, t in zip(sizes, expanded, strict=True)
        ]

    results, errors = _with_errors(compute, setup, digits)
    strengths = []
    for k, ((constant, size, term), error) in enumerate(zip(results, errors, strict=True)):
        vanishes = _why_zero(setup, k, term, constant, size, error, digits)
        overlap = 0 * constant if vanishes else term.residual_kappa**2 / term.right
        strengths.append(Strength(k, 0 * constant if vanishes else constant, error, overlap, vanishes))
    if expandable < found.generic_count:
        if digits is not None:
            raise ToleranceNotMet(
                "key 'theory.digits': the orders k >= 1 of a kinked activation on a reused batch are known to "
                "double precision only; leave theory.digits out"
            )
        blocks = kinked.constants(setup, found.generic_count, _joined(setup, powers))
        largest = max((block.constant for block in blocks), default=0.0)
        for k in range(1, found.generic_count):
            present = [b for b in blocks if b.k == k and b.constant > max(4 * b.error, KINKED_ZERO * largest)]
            strengths += [Strength(k, b.constant, b.error, b.overlap, None) for b in present]
            if not present:
                strengths.append(
                    Strength(k, 0.0, KINKED_ZERO * largest, 0.0, f"both one-sided terms of order {k} are 0")
                )
    return strengths


def _joined(setup: Setup, powers: Sequence[float] | None) -> tuple[float, float]:
    """The weights of b and of V₀ in the vector of k = 0, up to a common factor."""
    mu1 = float(hermite_coefficient(setup.network.activation, 1).value)
    alpha, scale = setup.training.alpha, setup.training.scale
    sizes = powers if powers is not None else [float(a == max(alpha)) for a in alpha]
    first, second = (float(e) * size for e, size in zip(scale, sizes, strict=True))
    return first * mu1, second


def _with_errors(
    compute: Callable[[Moments], list[tuple[Any, Any, Term]]], setup: Setup, digits: int | None
) -> tuple[list[tuple[Any, Any, Term]], list[Any]]:
    """Results, and for the first entry of each a bound on what the errors of the moments and rounding do to it."""
    moments = Moments(setup, None if digits is None else digits + GUARD)
    results = compute(moments)
    rounding = 256 * EPSILON if digits is None else mpmath.mpf(10) ** (-digits - GUARD // 2)
    errors = [rounding * size for _, size, _ in results]
    for key, value in list(moments.values.items()):
        if value.error > 0:
            shifted = compute(replace(moments, shifted=key))
            errors = [error + abs(new[0] - old[0]) for error, new, old in zip(errors, shifted, results, strict=True)]
    return results, errors


def _why_zero(setup: Setup, k: int, term: Term, constant: Any, size: Any, error: Any, digits: int | None) -> str | None:
    """The reason a constant is zero to within its error, or None."""
    zero = ZERO if digits is None else mpmath.mpf(10) ** (-digits)
    if term.left <= zero:
        return f"abar takes the values +1 and -1 only, so that abar^{k + 1} is no new left direction"
    scale = max(abs(term.norm), zero)
    if size <= error or abs(term.norm) <= zero**1.5:
        name = "mu_1 = E sigma'" if k == 0 else f"E[sigma^({k + 1}) zeta^{k}]"
        odd = " (an odd activation kills odd k)" if k % 2 and parity(setup.network.activation.expression) == -1 else ""
        return f"{name} is 0{odd}"
    if constant <= error or term.right <= zero * scale:
        return "its right vector lies in the span of the earlier ones"
    return None


def written(value: Any, digits: int | None) -> Number:
    """A float, or a decimal string with the digits asked for."""
    if digits is None:
        return float(value)
    return str(mpmath.nstr(mpmath.mpf(value), digits, strip_zeros=False))


# ------------------------------------------------------------------------------------------------ what is learned


def learning(setup: Setup, found: Threshold) -> dict[str, Any]:
    """The table of what each spike aligns with, for either batch mode (theory/two-step.md, `two-step.learning`)."""
    table: dict[str, Any] = {"information_exponent": information_exponent(setup)}
    for batches in ("independent", "reused"):
        depth = max(found.generic_count, DEEPEST if setup.training.steps == 2 else 1)
        kappas = [float(kappa) for kappa in _kappas(setup, batches, depth, None)]
        smallest = next((k for k, kappa in enumerate(kappas) if abs(kappa) > ZERO), None)
        table[batches] = {
            "kappa": kappas[: found.generic_count],
            "smallest_k": smallest,
            "region": _region(smallest),
            "learned_here": smallest is not None and smallest <= found.threshold,
        }
    return table


def _region(smallest: int | None) -> str | None:
    if smallest is None:
        return None
    return "all alpha" if smallest == 0 else f"alpha_2 >= {smallest} (1/2 - alpha_1)"


def information_exponent(setup: Setup) -> int | None:
    """The order of the target's first Hermite coefficient that is not zero, from 1; None if none was found."""
    for order in range(1, HIGHEST_HERMITE + 1):
        found = hermite_coefficient(setup.data.target, order)
        if abs(found.value) > 16 * found.error + ZERO:
            return order
    return None


def _kappas(setup: Setup, batches: str, count: int, digits: int | None) -> list[Any]:
    """κ_k = E[z H_k] for k < count; exactly zero where the target's symmetry makes it so."""
    if parity(setup.data.target.expression) == 1:
        return [0.0] * count
    if batches == "reused" and setup.network.activation.kinks and count > 1:
        return kinked.kappas(setup, count)
    moments = Moments(setup, None if digits is None else digits + GUARD)
    expanded = terms(moments, count, batches == "reused", (moments.number(0), moments.number(1)))
    return [0 * term.kappa if abs(term.kappa) <= ZERO else term.kappa for term in expanded]


def parity(expression: Any) -> int:
    """1 for an even expression, -1 for an odd one, 0 for neither."""
    mirrored = expression.subs(X, -X)
    if (mirrored - expression).simplify() == 0:
        return 1
    return -1 if (mirrored + expression).simplify() == 0 else 0
