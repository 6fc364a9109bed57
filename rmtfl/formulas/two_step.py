"""Two gradient steps with polynomial links, in the symbols φ = d/n, ψ = N/d, e_t, α_t and N (theory/two-step.md).

The orders k of the expansion in the first step are polynomials H_k(y, G) with coefficients in Q[φ]; their Gram products
are polynomials in φ. The residual of the squared loss does not enter at leading order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp
from sympy.polys.rings import PolyElement

from rmtfl.formulas.formula import Formula, Quantity
from rmtfl.formulas.polynomials import PHI, RING, XI, G, H, Y, gaussian_moment, in_ring, label_moment, mean
from rmtfl.pieces import X
from rmtfl.weights.second_layer import moment

phi, psi, theta, width = sp.symbols("phi psi theta N", positive=True)
e1, e2 = sp.symbols("e_1 e_2", positive=True)
alpha1, alpha2 = sp.symbols("alpha_1 alpha_2", nonnegative=True)
order = sp.Symbol("k", integer=True, nonnegative=True)
label, direction = sp.symbols("y G", real=True)

SYMBOLS = (
    (phi, "d/n"),
    (psi, "N/d"),
    (theta, "the strength of a spike"),
    (e1, "the scale of step 1, eta_1 = e_1 N^alpha_1"),
    (e2, "the scale of step 2, eta_2 = e_2 N^alpha_2"),
    (alpha1, "the exponent of step 1"),
    (alpha2, "the exponent of step 2"),
    (order, "an order of the expansion"),
    (label, "a label"),
    (direction, "<b, x> without the sample's own part"),
    (width, "the width"),
)

CASES = ("alpha_1 > alpha_2", "alpha_1 = alpha_2", "alpha_1 < alpha_2")


@dataclass(frozen=True)
class Network:
    """Polynomial links, label noise, the law of ā and whether the second batch is the first."""

    activation: sp.Poly
    target: sp.Poly
    noise: sp.Rational
    second_layer: str
    reused: bool

    def label(self, z_power: int, y_power: int) -> sp.Rational:
        """E[z^i y^p]."""
        return label_moment(self.target, self.noise, z_power, y_power)

    @cached_property
    def c1(self) -> sp.Rational:
        """E[zy]."""
        return self.label(1, 1)

    @cached_property
    def m2(self) -> sp.Rational:
        """E y²."""
        return self.label(0, 2)

    @cached_property
    def slope(self) -> sp.Poly:
        """σ'."""
        return self.activation.diff(X)

    def slope_mean(self, power: int, h_power: int) -> sp.Rational:
        """E[σ'^power h^h_power]."""
        found = self.slope**power * sp.Poly(X**h_power, X, domain="QQ")
        return sum((c * gaussian_moment(degree) for (degree,), c in found.terms()), sp.Integer(0))

    @cached_property
    def mu1(self) -> sp.Rational:
        """E σ'."""
        return self.slope_mean(1, 0)

    @cached_property
    def spread(self) -> PolyElement:
        """The variance φ m₂ Var σ' of ξ."""
        return PHI * _rational(self.m2 * (self.slope_mean(2, 0) - self.mu1**2))

    def order(self, k: int) -> PolyElement:
        """H_k(y, G) = (y/k!) E_{h,ξ}[σ^(k+1)(h) ζ^k], ζ = μ₁ G + c₀ μ₂ h + ξ + ρ φ y σ'(h)."""
        shared = _rational(self.mu1) * G + _rational(self.label(0, 1) * self.slope_mean(1, 1)) * H
        own = PHI * Y * in_ring(self.slope) if self.reused else RING.zero
        bent = in_ring(self.activation.diff((X, k + 1)))
        found = mean(bent * (shared + XI + own) ** k, {H: RING.one, XI: self.spread})
        return Y * found * _rational(sp.Rational(1, sp.factorial(k)))

    def expect(self, polynomial: PolyElement, z_power: int = 0, y_power: int = 0) -> PolyElement:
        """E[z^i y^p P(y, G)] with G = c₁ z + √(φ m₂) g, in Q[φ]."""
        total = RING.zero
        for (in_phi, in_y, in_G, _, _), coefficient in polynomial.terms():
            for r in range(0, in_G + 1, 2):
                number = sp.binomial(in_G, r) * gaussian_moment(r) * self.c1 ** (in_G - r) * self.m2 ** (r // 2)
                number *= self.label(z_power + in_G - r, y_power + in_y)
                total += PHI ** (in_phi + r // 2) * coefficient * _rational(number)
        return total

    def product(self, first: PolyElement, second: PolyElement) -> PolyElement:
        """⟨X₂^T H/n, X₂^T K/n⟩ (`two-step.gram`)."""
        slopes = [self.expect(f.diff(G)) for f in (first, second)]
        total = self.expect(first, z_power=1) * self.expect(second, z_power=1)
        total += PHI * _rational(self.m2) * slopes[0] * slopes[1] + PHI * self.expect(first * second)
        if self.reused:
            crossed = slopes[0] * self.expect(second, y_power=1) + self.expect(first, y_power=1) * slopes[1]
            total += PHI * crossed
        return total

    def product_with_direction(self, first: PolyElement) -> PolyElement:
        """⟨X₂^T H/n, b⟩."""
        total = _rational(self.c1) * self.expect(first, z_power=1)
        total += PHI * _rational(self.m2) * self.expect(first.diff(G))
        return total + PHI * self.expect(first, y_power=1) if self.reused else total

    @cached_property
    def direction_square(self) -> sp.Expr:
        """‖b‖² = c₁² + φ m₂."""
        return self.c1**2 + phi * self.m2

    def left(self, count: int) -> sp.Matrix:
        """A, of ā, ā², …."""
        return sp.Matrix(count, count, lambda j, k: sp.Rational(str(moment(self.second_layer, j + k + 2))))

    def right(self, orders: Sequence[PolyElement]) -> sp.Matrix:
        """B, of V₀, V₁, …."""
        return _symmetric(len(orders), lambda j, k: self.product(orders[j], orders[k]))


def gram(network: Network, count: int) -> Formula:
    """A, B, and the products with b and β; arguments as for `constants`."""
    orders = [network.order(k) for k in range(count)]
    with_b = sp.Matrix([_expression(network.product_with_direction(H_k)) for H_k in orders])
    with_beta = sp.Matrix([_expression(network.expect(H_k, z_power=1)) for H_k in orders])
    return Formula(
        "two-step.gram",
        (
            *_polynomials(orders),
            Quantity(sp.Symbol("A"), network.left(count), "E abar^(j+k+2), products of the left vectors"),
            Quantity(sp.Symbol("B"), network.right(orders), "<V_j, V_k>, products of the right vectors"),
            Quantity(sp.Symbol("v_b"), with_b, "<V_k, b>"),
            Quantity(sp.Symbol("v_beta"), with_beta, "<V_k, beta>"),
            Quantity(sp.Symbol("tau2"), network.direction_square, "|b|^2"),
        ),
        SYMBOLS,
    )


def preactivation(network: Network, count: int) -> Formula:
    """The coefficients of ζ, and the orders H_k that they make."""
    values = {
        "mu_1": (network.mu1, "E sigma'"),
        "mu_2": (network.slope_mean(1, 1), "E[h sigma']"),
        "v_1": (network.slope_mean(2, 0) - network.mu1**2, "Var sigma'"),
        "c_0": (network.label(0, 1), "E y"),
        "c_1": (network.c1, "E[z y]"),
        "m_2": (network.m2, "E y^2"),
        "tau2": (network.direction_square, "|b|^2, the variance of G"),
        "xi2": (_expression(network.spread), "the variance of xi"),
    }
    own = " + phi y sigma'(h)" if network.reused else ""
    return Formula(
        "two-step.preactivation",
        (
            *(Quantity(sp.Symbol(name), value, meaning) for name, (value, meaning) in values.items()),
            *_polynomials([network.order(k) for k in range(count)]),
        ),
        SYMBOLS,
        (f"The first step moves h by s_1 abar zeta, zeta = mu_1 G + c_0 mu_2 h + xi{own}.",),
    )


def exponents(network: Network | None, count: int) -> Formula:
    """K and the exponents; with links, which orders vanish."""
    gap = sp.Rational(1, 2) - alpha1
    remarks = ["If alpha_2/(1/2 - alpha_1) is an integer K >= 1, order K is critical: theta > psi^(1/4) decides."]
    if network is not None:
        zero = [k for k in range(count) if network.order(k) == 0]
        remarks += [f"Order k = {k} vanishes: E[sigma^({k + 1}) zeta^{k}] = 0." for k in zero]
    return Formula(
        "two-step.threshold",
        (
            Quantity(sp.Symbol("K"), sp.floor(alpha2 / gap), "orders beyond k = 0 that need not vanish"),
            Quantity(sp.Symbol("exponent_0"), sp.Max(alpha1, alpha2), "of N, in the strength of order 0"),
            Quantity(sp.Symbol("exponent_k"), alpha2 - order * gap, "of N, in the strength of order k >= 1"),
        ),
        SYMBOLS,
        tuple(remarks),
    )


def constants(network: Network, count: int) -> Formula:
    """The strengths' constants, θ_k ≃ constant_k · N^exponent_k, for k < count, whichever exponent is the larger.

    Args:
        network: the links.
        count: how many orders.
    """
    orders = [network.order(k) for k in range(count)]
    right, left = network.right(orders), network.left(count)
    with_b = [_expression(network.product_with_direction(H_k)) for H_k in orders]
    first, second = e1 * network.mu1, e2
    found: dict[int, dict[str, sp.Expr]] = {k: {} for k in range(count)}
    remarks = set()
    for case, (b_part, own) in zip(CASES, ((first, 0), (first, second), (0, second)), strict=True):
        joined = right.copy()
        joined[0, 0] = b_part**2 * network.direction_square + 2 * b_part * own * with_b[0] + own**2 * right[0, 0]
        for k in range(1, count):
            joined[0, k] = joined[k, 0] = b_part * with_b[k] + own * right[0, k]
        for k, (left_square, right_square) in enumerate(_residuals(left, joined)):
            size = e2 * e1**k if k else sp.Integer(1)
            found[k][case] = size * sp.sqrt(sp.factor(left_square * right_square))
            if found[k][case] == 0:
                remarks.add(f"Order {k} vanishes: {_why(joined[k, k], k, left_square)}.")
    return Formula("two-step.constants", tuple(_by_case(found)), SYMBOLS, tuple(sorted(remarks)))


def _by_case(found: dict[int, dict[str, sp.Expr]]) -> Iterator[Quantity]:
    """The constants of each order: one line where they are the same in every case."""
    for k, values in found.items():
        exponent = "max(alpha_1, alpha_2)" if k == 0 else f"(alpha_2 - {k}*(1/2 - alpha_1))"
        meaning = f"the strength of order {k} is theta_{k} N^{exponent}"
        same = len(set(values.values())) == 1
        for case, value in list(values.items())[: 1 if same else None]:
            yield Quantity(sp.Symbol(f"theta_{k}"), value, meaning, "" if same else case)


def learning(network: Network, count: int) -> Formula:
    """κ_k = ⟨V_k, β⟩ = E[z H_k]."""
    kappas = [_expression(network.expect(network.order(k), z_power=1)) for k in range(count)]
    least = next((k for k, kappa in enumerate(kappas) if kappa != 0), None)
    if least is None:
        remark = f"None of the orders k < {count} learns the target."
    else:
        remark = (
            f"Order k = {least} is the first to learn the target; it survives iff alpha_2 >= {least} (1/2 - alpha_1)."
        )
    return Formula(
        "two-step.learning",
        tuple(Quantity(sp.Symbol(f"kappa_{k}"), kappa, f"<V_{k}, beta>") for k, kappa in enumerate(kappas)),
        SYMBOLS,
        (remark,),
    )


def outliers() -> Formula:
    """What a spike θ makes of a bulk with iid entries of variance 1/d."""
    square = theta**2
    return Formula(
        "two-step.outliers",
        (
            Quantity(sp.Symbol("threshold"), psi ** sp.Rational(1, 4), "a spike above it leaves an outlier"),
            Quantity(sp.Symbol("location"), sp.sqrt((1 + square) * (psi + square)) / theta, "its singular value"),
            Quantity(
                sp.Symbol("left"), (square**2 - psi) / (square * (square + psi)), "squared overlap of the left vectors"
            ),
            Quantity(
                sp.Symbol("right"), (square**2 - psi) / (square * (square + 1)), "squared overlap of the right vectors"
            ),
        ),
        SYMBOLS,
    )


def _residuals(left: sp.Matrix, right: sp.Matrix) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    """Squared norms of the Gram-Schmidt residuals on either side, as ratios of minors, after the orders that are there.

    An order that vanishes on one side carries nothing on the other, so that later ones are not orthogonal to it there.
    """
    kept: list[int] = []
    before = (sp.Integer(1), sp.Integer(1))
    for k in range(left.rows):
        minors = tuple(
            sp.cancel(side.extract([*kept, k], [*kept, k]).det(method="berkowitz")) for side in (left, right)
        )
        yield sp.cancel(minors[0] / before[0]), sp.cancel(minors[1] / before[1])
        if 0 not in minors:
            kept, before = [*kept, k], minors


def _why(norm: sp.Expr, k: int, left: sp.Expr) -> str:
    if norm == 0:
        return f"E[sigma^({k + 1}) zeta^{k}] = 0"
    if left == 0:
        return f"abar takes the values +1 and -1 only, so that abar^{k + 1} is no new left direction"
    return "its right vector lies in the span of the earlier ones"


def _polynomials(orders: Sequence[PolyElement]) -> Iterator[Quantity]:
    for k, found in enumerate(orders):
        yield Quantity(sp.Symbol(f"H_{k}"), _expression(found), f"V_{k} = X_2^T H_{k}/n")


def _symmetric(size: int, entry: Any) -> sp.Matrix:
    matrix = sp.zeros(size, size)
    for j in range(size):
        for k in range(j, size):
            matrix[j, k] = matrix[k, j] = _expression(entry(j, k))
    return matrix


def _expression(found: PolyElement) -> sp.Expr:
    return found.as_expr(phi, label, direction, sp.Symbol("h"), sp.Symbol("xi"))


def _rational(number: Any) -> Any:
    exact = sp.Rational(number)
    return sp.QQ(int(exact.p), int(exact.q))
