"""Statistics that a comparison with simulated spectra rests on, and the scales on which a finite matrix fluctuates.

- A share of draws has the Clopper–Pearson interval, which covers at least as often as it says at any sample size.
- The top singular value of an N × d matrix of independent Gaussian entries is centred and scaled as Johnstone (Ann.
  Statist. 29, 295 (2001)) does, with the half-integers of Ma (Bernoulli 18, 322 (2012)), and then is Tracy–Widom of
  order one.
- Eigenvalues repel: the largest distance between their distribution function and its limit is of order (log p)/p, not
  p^(-1/2), so that the quantiles of Kolmogorov and Smirnov for independent draws are meaningless. Its scale is measured
  instead, on matrices of noise (`noise_distance`).
- A gap that falls as c N^(-r) is fitted as it stands, sign and all: where the gaps are many standard errors this is the
  weighted fit of log |gap| against log N, and where they are not, the interval of r says so instead of failing.

Checked against sampled matrices and synthetic gaps in tests/test_statistics.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.05  # of every interval here: it covers with probability 1 - LEVEL

# The Tracy–Widom law of order one: Bornemann, Markov Process. Relat. Fields 16, 803 (2010), table 5.
TRACY_WIDOM_MEAN = -1.2065335745820
TRACY_WIDOM_SD = math.sqrt(1.6077810345810)

# p times the Kolmogorov distance of p singular values of noise from their law is MEAN + SLOPE log p on average, and
# scatters by SD; QUANTILE is added to the average for the 95 % point. Measured for p from 50 to 1600 and N/d from 1/4
# to 4, on which it does not depend: validation/verdict/noise.py. The theory of log-correlated fields has the slope
# sqrt(2)/π = 0.45 for p to infinity, approached from below (Claeys, Fahs, Lambert & Webb, Duke Math. J. 170, 2085
# (2021), for the unitary ensembles).
DISTANCE_MEAN, DISTANCE_SLOPE, DISTANCE_SD, DISTANCE_QUANTILE = 0.54, 0.403, 0.38, 0.68

RATES = (-2.0, 3.0)  # the rates looked at; an interval that reaches an end is open there
RATE_STEPS = 101


# ------------------------------------------------------------------------------------------------ counts


def binomial_interval(successes: int, draws: int) -> tuple[float, float]:
    """The Clopper–Pearson interval of a probability, at LEVEL.

    Args:
        successes: how many of the draws, 0 to `draws`.
        draws: at least 1.
    """
    from scipy import special

    failures = draws - successes
    lower = special.betaincinv(successes, failures + 1, LEVEL / 2) if successes else 0.0
    upper = special.betaincinv(successes + 1, failures, 1 - LEVEL / 2) if failures else 1.0
    return float(lower), float(upper)


# ------------------------------------------------------------------------------------------------ noise


@dataclass(frozen=True)
class Scale:
    """A random number's mean and standard deviation."""

    mean: float
    sd: float


def top_of_noise(width: int, dimension: int) -> Scale:
    """The largest singular value of a width × dimension matrix of independent N(0, 1/dimension) entries.

    Mean and standard deviation by Johnstone's centring and scaling; good to a tenth of the standard deviation from
    about 30 × 30 on.
    """
    roots = math.sqrt(width - 0.5), math.sqrt(dimension - 0.5)
    centre = sum(roots) ** 2
    scale = sum(roots) * (1 / roots[0] + 1 / roots[1]) ** (1 / 3)
    top = math.sqrt((centre + TRACY_WIDOM_MEAN * scale) / dimension)
    return Scale(top, TRACY_WIDOM_SD * scale / (2 * top * dimension))


def kolmogorov_distance(values: ArrayLike, cdf: Callable[[Array], Array]) -> float:
    """The largest distance between the values' distribution function and a continuous one.

    Args:
        values: in any order.
        cdf: of arrays.
    """
    ordered: Array = np.sort(np.asarray(values, dtype=np.float64).ravel())
    law, count = cdf(ordered), len(ordered)
    above = np.arange(1, count + 1) / count - law
    return float(max(above.max(), (1 / count - above).max()))


@dataclass(frozen=True)
class NoiseDistance(Scale):
    """The same of the distance of noise to its law, and what 95 % of such matrices stay below."""

    quantile: float


def noise_distance(count: int) -> NoiseDistance:
    """The Kolmogorov distance of the `count` = min(N, d) singular values of noise to their limiting law."""
    mean = DISTANCE_MEAN + DISTANCE_SLOPE * math.log(count)
    return NoiseDistance(mean / count, DISTANCE_SD / count, (mean + DISTANCE_QUANTILE) / count)


# ------------------------------------------------------------------------------------------------ rates


@dataclass(frozen=True)
class PowerLaw:
    """The fit gap = c N^(-rate).

    Attributes:
        rate: the best one; None where gaps of zero would fit as well, or it lies outside RATES.
        lower: end of the rate's interval at LEVEL; None where it is open.
        upper: the other end.
        chi_square: of the best fit.
        freedom: the number of widths less two.
    """

    rate: float | None
    lower: float | None
    upper: float | None
    chi_square: float
    freedom: int

    def against(self, claimed: float) -> Literal["consistent", "faster", "slower", "undetermined"]:
        """What the interval says of a claimed rate; nothing where no gap is resolved from zero."""
        if self.rate is None:
            return "undetermined"
        if self.lower is not None and claimed < self.lower:
            return "faster"
        return "slower" if self.upper is not None and claimed > self.upper else "consistent"


def fit_power_law(widths: Sequence[int], gaps: Sequence[float], errors: Sequence[float], draws: int) -> PowerLaw:
    """Fit gap = c N^(-rate) by least squares, weighted by the standard errors.

    The interval holds the rates whose chi-square exceeds the least one by at most the squared Student quantile.

    Args:
        widths: at least three.
        gaps: one a width, of either sign.
        errors: their standard errors, above 0.
        draws: over all widths: what the standard errors were estimated from.
    """
    from scipy import optimize, special

    scaled = np.asarray(gaps) / np.asarray(errors)
    logs = np.log(np.asarray(widths, dtype=np.float64))

    def chi_square(rate: float) -> float:
        """The least over c."""
        shape = np.exp(-rate * (logs - logs.mean())) / np.asarray(errors)
        return float(np.sum((scaled - (shape @ scaled) / (shape @ shape) * shape) ** 2))

    rates = np.linspace(*RATES, RATE_STEPS)
    values = np.array([chi_square(rate) for rate in rates])
    start = int(np.argmin(values))
    low, high = rates[max(start - 1, 0)], rates[min(start + 1, RATE_STEPS - 1)]
    best = float(optimize.minimize_scalar(chi_square, bounds=(low, high), method="bounded").x)
    least = chi_square(best)
    room = least + float(special.stdtrit(max(draws - len(widths), 1), 1 - LEVEL / 2)) ** 2

    def end(outside: Array) -> float | None:
        """Where the interval ends between the best rate and the first of these, in order, that is outside."""
        beyond = outside[[chi_square(rate) > room for rate in outside]]
        return float(optimize.brentq(lambda rate: chi_square(rate) - room, best, beyond[0])) if len(beyond) else None

    resolved = scaled @ scaled > room and 0 < start < RATE_STEPS - 1
    return PowerLaw(
        rate=best if resolved else None,
        lower=end(rates[:start][::-1]),
        upper=end(rates[start + 1 :]),
        chi_square=least,
        freedom=len(widths) - 2,
    )
