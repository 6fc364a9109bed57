"""The spiked covariance of a row after one step, in symbols (theory/spiked-covariance.md)."""

from __future__ import annotations

import sympy as sp

from rmtfl.formulas.formula import Formula, Quantity
from rmtfl.formulas.two_step import Network, phi

step, dimension = sp.symbols("s d", positive=True)
SYMBOLS = ((phi, "d/n"), (step, "eta/sqrt(N)"), (dimension, "the input dimension"))


def averaged(network: Network) -> Formula:
    """A, B and S of E w w^T = (A I + B ββ^T)/d, over the batch too (`spiked-covariance.averaged`)."""
    mu1, mu2 = network.mu1, network.slope_mean(1, 1)
    square = network.slope_mean(2, 0)
    c0, c2 = network.label(0, 1), network.label(2, 1) - network.label(0, 1)
    curvature = (network.label(2, 2) - network.m2) / 2
    A = 1 + step**2 * (phi * network.m2 * square + c0**2 * mu2**2)
    leading = dimension * network.c1**2 * mu1**2 * (1 - phi / dimension)
    B = step**2 * (leading + 2 * curvature * phi * square + (c2**2 + 2 * c0 * c2) * mu2**2)
    forms = {
        name: _mean_slope_form(network, curvature, value) for name, value in (("mean", mu1), ("printed", network.c1))
    }
    return Formula(
        "spiked-covariance.averaged",
        (
            Quantity(sp.Symbol("A"), sp.expand(A), "the isotropic part of Gamma"),
            Quantity(sp.Symbol("B"), sp.expand(B), "its spike along beta"),
            Quantity(sp.Symbol("S"), curvature, "E[(z^2 - 1) g^2]/2, the target's curvature"),
            Quantity(sp.Symbol("A_mean"), forms["mean"][0], "A with sigma' replaced by its mean: not what a step has"),
            Quantity(sp.Symbol("B_mean"), forms["mean"][1], "B with sigma' replaced by its mean: not what a step has"),
            Quantity(sp.Symbol("A_printed"), forms["printed"][0], "A as printed in arXiv 2605.17718"),
            Quantity(sp.Symbol("B_printed"), forms["printed"][1], "B as printed in arXiv 2605.17718"),
        ),
        SYMBOLS,
        (
            "Gamma is the average over batches; one network's rows are spread along X^T y: spiked-covariance.batch.",
            "The forms with the mean slope leave out Var sigma' and every term with E[h sigma'] and the target's mean.",
        ),
    )


def given_batch(network: Network) -> Formula:
    """What one network's rows have along X^T y and elsewhere, given the batch (`spiked-covariance.batch`)."""
    mu1, mu2 = network.mu1, network.slope_mean(1, 1)
    length = network.direction_square
    noise = phi * network.m2 * (network.slope_mean(2, 0) - mu1**2) + network.label(0, 1) ** 2 * mu2**2
    return Formula(
        "spiked-covariance.batch",
        (
            Quantity(
                sp.Symbol("spike"), dimension * step**2 * mu1**2 * length, "d times the variance added along X^T y"
            ),
            Quantity(sp.Symbol("overlap"), sp.cancel(network.c1**2 / length), "squared overlap of X^T y with beta"),
            Quantity(sp.Symbol("noise"), sp.expand(step**2 * noise), "d times the mean variance added elsewhere"),
        ),
        SYMBOLS,
    )


def _mean_slope_form(network: Network, curvature: sp.Expr, slope: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    A = 1 + step**2 * phi * network.m2 * slope**2
    B = step**2 * slope**2 * (dimension * network.c1**2 * (1 - phi / dimension) + 2 * curvature * phi)
    return sp.expand(A), sp.expand(B)
