"""The limit N → ∞ of the weights: the spikes k = 0 … K with exponents and constants, and the table of what is learned.

Errors are honest to first order: every moment is shifted by its own error in turn, and the changes of the result are
added up, with what rounding can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np

from rmtfl.errors import BadInput, ToleranceNotMet
from rmtfl.gaussian import EPSILON, hermite_coefficient
from rmtfl.outliers import RigidBulk
from rmtfl.setup import Setup
from rmtfl.weights import kinked
from rmtfl.weights.finite_width import FiniteRank
from rmtfl.weights.leading import Term, present, root, terms
from rmtfl.weights.learning import learning
from rmtfl.weights.moments import Moments
from rmtfl.weights.prediction import Bulk, LimitPrediction, LimitSpike, Number
from rmtfl.weights.threshold import Threshold, threshold

GUARD = 25  # digits beyond those asked for: what Gram-Schmidt and zero tests may lose
ZERO = 1e-12  # relative size below which a double cannot be told from zero
KINKED_ZERO = 1e-7  # the same for the one-sided series of a kinked activation, read off by interpolation
HIGHEST_ORDER = 10  # of a constant: its moments reach E y^22, and it takes a quarter of a minute
SHOWN_ORDER = 4  # beside a finite width: the fifth spike is the last that is not lost in the bulk there


@dataclass(frozen=True)
class Strength:
    """One spike before it is written down.

    Attributes:
        k: its order.
        constant: strength ≃ constant · N^exponent.
        error: bound on the constant's error.
        kappa: E[z H_k].
        overlap: squared overlap of the residual right vector with the target.
        uncertainty: bound on the errors of kappa and overlap.
        vanishes: why the constant is 0, or None.
    """

    k: int
    constant: Any
    error: Any
    kappa: Any
    overlap: Any
    uncertainty: Any
    vanishes: str | None


def limit(setup: Setup) -> LimitPrediction:
    """The spikes k = 0 … K, with as many digits as setup.theory.digits asks for.

    Raises:
        BadInput: for more spikes than there are constants to be computed.
        ToleranceNotMet: if a constant cannot be computed to the tolerance or the digits.
    """
    found = threshold(*setup.training.alpha)
    if found.threshold > HIGHEST_ORDER:
        raise BadInput(
            f"key 'training.alpha': value {', '.join(map(str, setup.training.alpha))}: gives {found.generic_count} "
            f"spikes; expected at most {HIGHEST_ORDER + 1} whose constants are computed (`threshold` counts any number)"
        )
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
            error=written(max(s.error, s.uncertainty), 5 if digits else None),
            left=s.k + 1,
            vanishes=s.vanishes,
            kappa=written(s.kappa, digits),
            alignment=0.0,
        )
        share = 1.0 if spike.exponent > 0 else bulk.right_overlap(float(s.constant)) if _survives(spike, bulk) else 0.0
        yield replace(spike, alignment=written(share * s.overlap, digits if spike.exponent > 0 else None))


def _survives(spike: LimitSpike, bulk: RigidBulk) -> bool:
    return spike.exponent > 0 or float(spike.constant) > bulk.threshold


def leading_order(setup: Setup) -> FiniteRank:
    """The leading order evaluated at the width of a setup, with the joined vector for k = 0, descending; k ≤ 4."""
    found = threshold(*setup.training.alpha)
    found = replace(found, threshold=min(found.threshold, SHOWN_ORDER))
    width = float(setup.sizes.width)
    powers = [width ** float(a) for a in setup.training.alpha]
    strengths = [s for s in _strengths(setup, found, None, powers) if s.vanishes is None]
    factors = [width ** float(found.exponent(s.k)) if s.k else 1.0 for s in strengths]
    sizes = np.array([float(s.constant) * f for s, f in zip(strengths, factors, strict=True)])
    errors = np.array([float(s.error) * f for s, f in zip(strengths, factors, strict=True)])
    overlaps = np.array([float(s.overlap) for s in strengths])
    order = np.argsort(-sizes)
    uncertainties = np.array([float(s.uncertainty) for s in strengths])
    return FiniteRank(sizes[order], overlaps[order], errors[order], uncertainties[order])


def _strengths(
    setup: Setup, found: Threshold, digits: int | None, powers: Sequence[float] | None = None
) -> list[Strength]:
    """The spikes' constants; given N^{α_t} (`powers`), the first one with both steps joined at that width."""
    reused = setup.training.batches == "reused"
    scale = setup.training.scale
    expandable = 1 if reused and setup.network.activation.kinks else found.generic_count

    def compute(moments: Moments) -> list[_Numbers]:
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
        kappas = [mu1 * moments.label(1, 1)] + [term.kappa for term in expanded[1:]]
        return [_Numbers(s, t, kappa) for s, t, kappa in zip(sizes, expanded, kappas, strict=True)]

    strengths = []
    for k, (numbers, error, uncertainty) in enumerate(_with_errors(compute, setup, digits)):
        vanishes = _why_zero(setup, k, numbers, error, digits)
        constant, overlap = (0 * numbers.constant,) * 2 if vanishes else (numbers.constant, numbers.overlap)
        kappa = numbers.kappa if abs(numbers.kappa) > uncertainty else 0 * abs(numbers.kappa)
        strengths.append(Strength(k, constant, error, kappa, overlap, uncertainty, vanishes))
    if expandable < found.generic_count:
        if digits is not None:
            raise ToleranceNotMet(
                "key 'theory.digits': the orders k >= 1 of a kinked activation on a reused batch are known to "
                "double precision only; leave theory.digits out"
            )
        strengths += _kinked_strengths(setup, found.generic_count, _joined(setup, powers))
    return strengths


def _kinked_strengths(setup: Setup, count: int, joined: tuple[float, float]) -> Iterator[Strength]:
    """The orders k ≥ 1 of a kinked activation on a reused batch: none, one or two spikes each."""
    blocks = kinked.constants(setup, count, joined)
    kappas = kinked.kappas(setup, count)
    e1, e2 = (float(e) for e in setup.training.scale)
    for k in range(1, count):
        largest = max([e2 * e1**k, *(block.constant for block in blocks)])  # all may be zero: abs has no order at all
        present = [b for b in blocks if b.k == k and b.constant > max(4 * b.error, KINKED_ZERO * largest)]
        for b in present:
            yield Strength(k, b.constant, b.error, kappas[k], b.overlap, b.overlap_error, None)
        if not present:
            reason = f"both one-sided terms of order {k} are 0, or no new left direction"
            yield Strength(k, 0.0, KINKED_ZERO * largest, kappas[k], 0.0, 0.0, reason)


@dataclass(frozen=True)
class _Numbers:
    """What one order comes to in one number context: a factor of scales, a term, and its overlap with the target."""

    size: Any
    term: Term
    kappa: Any

    @property
    def constant(self) -> Any:
        return self.size * root(self.term.left * self.term.right)

    @property
    def unreduced(self) -> Any:
        """The constant before Gram-Schmidt took anything off the right vector."""
        return self.size * root(self.term.left * self.term.norm)

    @property
    def overlap(self) -> Any:
        there = present(self.term.right, self.term.norm)
        return self.term.residual_kappa**2 / self.term.right if there else 0 * self.kappa


def _joined(setup: Setup, powers: Sequence[float] | None) -> tuple[float, float]:
    """The weights of b and of V₀ in the vector of k = 0, up to a common factor."""
    mu1 = float(hermite_coefficient(setup.network.activation, 1).value)
    alpha, scale = setup.training.alpha, setup.training.scale
    sizes = powers if powers is not None else [float(a == max(alpha)) for a in alpha]
    first, second = (float(e) * size for e, size in zip(scale, sizes, strict=True))
    return first * mu1, second


def _with_errors(
    compute: Callable[[Moments], list[_Numbers]], setup: Setup, digits: int | None
) -> list[tuple[_Numbers, Any, Any]]:
    """Numbers, with bounds on what the errors of the moments and rounding do to the constant, and to the overlaps."""
    moments = Moments(setup, None if digits is None else digits + GUARD)
    results = compute(moments)
    rounding = 256 * EPSILON if digits is None else mpmath.mpf(10) ** (-digits - GUARD // 2)
    errors = [rounding * numbers.unreduced for numbers in results]
    others = [rounding * (1 + abs(numbers.kappa)) for numbers in results]
    for key, value in list(moments.values.items()):
        if value.error > 0:
            for k, (new, old) in enumerate(zip(compute(replace(moments, shifted=key)), results, strict=True)):
                errors[k] += abs(new.constant - old.constant)
                others[k] += abs(new.kappa - old.kappa) + abs(new.overlap - old.overlap)
    return list(zip(results, errors, others, strict=True))


def _why_zero(setup: Setup, k: int, numbers: _Numbers, error: Any, digits: int | None) -> str | None:
    """The reason a constant is zero to within its error, or None."""
    zero = ZERO if digits is None else mpmath.mpf(10) ** (-digits)
    term = numbers.term
    if term.left <= zero:
        return f"abar takes the values +1 and -1 only, so that abar^{k + 1} is no new left direction"
    if numbers.unreduced <= error or abs(term.norm) <= zero**1.5:
        name = "mu_1 = E sigma'" if k == 0 else f"E[sigma^({k + 1}) zeta^{k}]"
        odd = " (an odd activation kills odd k)" if k % 2 and setup.network.activation.parity == -1 else ""
        return f"{name} is 0{odd}"
    if numbers.constant <= error or term.right <= zero * abs(term.norm):
        return "its right vector lies in the span of the earlier ones"
    return None


def written(value: Any, digits: int | None) -> Number:
    """A float, or a decimal string with the digits asked for."""
    if digits is None:
        return float(value)
    return str(mpmath.nstr(mpmath.mpf(value), digits, strip_zeros=False))
