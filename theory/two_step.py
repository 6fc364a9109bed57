"""Two gradient steps on the first layer: every formula of theory/two-step.md, derived.

Polynomial links stand for smooth ones: their Gaussian expectations are exact, and two polynomials that agree for every
coefficient leave a formula no room. Each function returns the expression it derives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from theory.gaussian_calculus import cumulative, density, expect, h, partial_mean

y, G, z, xi, t = sp.symbols("y G z xi t", real=True)
c0, c1 = sp.symbols("c0 c1", real=True)
m2, phi, psi, theta = sp.symbols("m2 phi psi theta", positive=True)


# ---------------------------------------------------------------------------------------- two-step.preactivation


@dataclass(frozen=True)
class Update:
    """The first update of one neuron on a sample outside its sum, a sum over n training samples as d, n → ∞.

    Attributes:
        shared: mean of the part in which σ' is replaced by its mean.
        specific: mean of the rest.
        shared_variance: of the shared part, given the sample.
        specific_variance: of the rest.
        covariance: of the two.
    """

    shared: sp.Expr
    specific: sp.Expr
    shared_variance: sp.Expr
    specific_variance: sp.Expr
    covariance: sp.Expr


def update_on_a_sample(activation: sp.Expr, target: sp.Expr, noise: sp.Expr) -> Update:
    """(1/n) Σ_j y_j σ'(h_j) <x_j, x> for polynomial links in h; x has coordinates z along β and h along the neuron."""
    zj, hj, ej = sp.symbols("z_j h_j e_j", real=True)
    d = sp.Symbol("d", positive=True)
    label, slope = target.subs(h, zj) + noise * ej, sp.diff(activation, h).subs(h, hj)
    inner = zj * z + hj * h + sp.sqrt(d) * t  # <x_j, x>: the rest of the two samples is orthogonal up to √d t

    def mean(polynomial: sp.Expr) -> sp.Expr:
        return expect(polynomial, zj, hj, ej, t)

    average = mean(slope)
    shared, specific = label * average * inner, label * (slope - average) * inner

    def covariance(first: sp.Expr, second: sp.Expr) -> sp.Expr:
        one_sample = mean(first * second) - mean(first) * mean(second)
        return phi * sp.expand(one_sample).coeff(d)  # n terms over n², n = d/φ, leading in d

    return Update(
        mean(shared),
        mean(specific),
        covariance(shared, shared),
        covariance(specific, specific),
        covariance(shared, specific),
    )


def self_term(activation: sp.Expr) -> sp.Expr:
    """The sample's own summand (1/n) y σ'(h) <x, x> as d, n → ∞ with <x, x>/n → φ."""
    return phi * y * sp.diff(activation, h)


# ---------------------------------------------------------------------------------------- two-step.gram


@dataclass(frozen=True)
class Means:
    """The expectations of H(y, G) that its Gram products need: E[zH], E[GH], E[yH]."""

    z: sp.Expr
    G: sp.Expr
    y: sp.Expr

    @property
    def slope(self) -> sp.Expr:
        """q_H = E ∂_G H, the second component of C^{-1} (E[zH], E[GH])."""
        return sp.simplify((covariance().inv() * sp.Matrix([self.z, self.G]))[1])


def covariance() -> sp.Matrix:
    """C, of (z, G)."""
    return sp.Matrix([[1, c1], [c1, c1**2 + phi * m2]])


def label_direction() -> Means:
    """The means of H = y, whose vector X^T y/n is b itself; E[Gy] = c₁² because G depends on y through z alone."""
    return Means(c1, c1**2, m2)


def pair_term(reused: bool) -> sp.Expr:
    """E over <x_k, x_l> of H_k H'_l <x_k, x_l>, k ≠ l, as d → ∞, by taking both samples out of b.

    In symbols: H_k, dH_k (its derivative in G) and K_l, dK_l for the second function; overlap is what x_k and x_l share
    within span(β, b); what they share across it is √d t.
    """
    epsilon, overlap = sp.Symbol("epsilon", positive=True), sp.Symbol("overlap", real=True)  # epsilon = d^(-1/2)
    inner = overlap + t / epsilon
    response = phi * epsilon**2 * inner if reused else sp.Integer(0)  # <x_k, x_l>/n

    def perturbed(name: str, other_label: sp.Symbol) -> sp.Expr:
        value, first, second = sp.symbols(f"{name} d{name} dd{name}", real=True)
        shift = other_label * response
        return value + first * shift + second * shift**2 / 2

    yk, yl = sp.symbols("y_k y_l", real=True)
    mean = expect(perturbed("H_k", yl) * perturbed("K_l", yk) * inner, t)
    return sp.expand(sp.limit(mean, epsilon, 0))


def gram(first: Means, second: Means, product: sp.Expr, reused: bool) -> sp.Expr:
    """<X₂^T H/n, X₂^T H'/n> as d, n → ∞; `product` is E[H H']."""
    values = (first.z, first.G, first.y, second.z, second.G, second.y, product)
    return gram_formula(reused).subs(dict(zip(GENERIC, values, strict=True)), simultaneous=True)


GENERIC = sp.symbols("z1 G1 y1 z2 G2 y2 P", real=True)  # of H, of H', and E[H H']


@lru_cache
def gram_formula(reused: bool) -> sp.Expr:
    """The Gram product in the symbols `GENERIC`: terms k = l give φ E[H H'], the others `pair_term`."""
    first, second, product = Means(*GENERIC[:3]), Means(*GENERIC[3:6]), GENERIC[6]
    Hk, dHk, Kl, dKl, yk, yl, overlap = sp.symbols("H_k dH_k K_l dK_l y_k y_l overlap", real=True)
    zk, Gk, zl, Gl = sp.symbols("z_k G_k z_l G_l", real=True)
    within = (sp.Matrix([[zk, Gk]]) * covariance().inv() * sp.Matrix([zl, Gl]))[0]
    pairs = sp.expand(pair_term(reused).subs(overlap, within))
    # Samples k and l are independent once taken out of each other: products of their functions average apart.
    averages = [
        (Hk * zk, first.z),
        (Hk * Gk, first.G),
        (Hk * yk, first.y),
        (dHk, first.slope),
        (Kl * zl, second.z),
        (Kl * Gl, second.G),
        (Kl * yl, second.y),
        (dKl, second.slope),
    ]
    for pattern, value in averages:
        pairs = sp.expand(pairs).subs(pattern, value)
    return sp.simplify(phi * product + pairs)


def gram_with_direction(first: Means, reused: bool) -> sp.Expr:
    """<X₂^T H/n, b>: for a reused batch b is X₂^T y/n itself; a b of another batch is a fixed vector across which
    (z, G) have covariance C."""
    if reused:
        return gram(first, label_direction(), first.y, reused=True)
    return first.G


def explicit_product(first: Means, second: Means, product: sp.Expr, reused: bool) -> sp.Expr:
    """The inner product of the explicit vectors that stand for X₂^T H/n and X₂^T H'/n."""
    if reused:  # (E[zH]; √φ (H + q_H y))
        q, r = first.slope, second.slope
        return first.z * second.z + phi * (product + q * second.y + r * first.y + q * r * m2)
    across = [(means.G - c1 * means.z) / sp.sqrt(phi * m2) for means in (first, second)]
    return first.z * second.z + across[0] * across[1] + phi * product  # (E[zH], E[gH]; √φ H)


# ---------------------------------------------------------------------------------------- two-step.threshold


def exponent(k: sp.Expr, alpha1: sp.Expr, alpha2: sp.Expr) -> sp.Expr:
    """The exponent of N in η₂ s₁^k N^{-1/2} ‖ā^{∘(k+1)}‖ ‖V_k‖, with ‖ā^{∘(k+1)}‖ of order √N."""
    log_width = sp.Symbol("L", positive=True)
    eta, shrink = sp.exp(alpha2 * log_width), sp.exp((alpha1 - sp.Rational(1, 2)) * log_width)
    strength = eta * shrink**k * sp.exp(-log_width / 2) * sp.exp(log_width / 2)
    return sp.expand(sp.expand_log(sp.log(strength), force=True) / log_width)


# ---------------------------------------------------------------------------------------- two-step.constants


@dataclass(frozen=True)
class Model:
    """Polynomial links in h with label noise, at given φ.

    Attributes:
        activation: σ.
        target: σ⋆.
        phi: d/n.
        noise: standard deviation of the label noise.
        reused: whether the second batch is the first.
    """

    activation: sp.Expr
    target: sp.Expr
    phi: sp.Expr
    noise: sp.Expr
    reused: bool

    @property
    def slope(self) -> sp.Expr:
        return sp.diff(self.activation, h)

    @property
    def mu1(self) -> sp.Expr:
        return expect(self.slope, h)

    def label_moment(self, z_power: int, y_power: int) -> sp.Expr:
        """E[z^i y^p], noise included."""
        label = self.target + self.noise * t
        return expect(h**z_power * label**y_power, h, t)

    @property
    def constants(self) -> dict[sp.Symbol, sp.Expr]:
        """The values of φ, c₀, c₁ and m₂."""
        return {phi: self.phi, c0: self.label_moment(0, 1), c1: self.label_moment(1, 1), m2: self.label_moment(0, 2)}

    @property
    def zeta(self) -> sp.Expr:
        """ζ in h, ξ (standardised), G and y."""
        mu2, v1 = expect(h * self.slope, h), expect(self.slope**2, h) - self.mu1**2
        specific = sp.sqrt(self.phi * self.constants[m2] * v1) * xi
        own = self_term(self.activation).subs(phi, self.phi) if self.reused else 0
        return self.mu1 * G + self.constants[c0] * mu2 * h + specific + own

    def expanded(self, function: sp.Expr, k: int) -> sp.Expr:
        """The coefficient of s^k in E f(h + s ζ) over h and ξ, a polynomial in (y, G)."""
        s, moved = sp.symbols("s zeta")
        coefficient = sp.diff(function.subs(h, h + s * moved), s, k).subs(s, 0) / sp.factorial(k)
        return expect(coefficient.subs(moved, self.zeta), h, xi)

    def term(self, k: int) -> sp.Expr:
        """H_k(y, G): the coefficient of s^k in y E σ'(h + s ζ)."""
        return sp.expand(y * self.expanded(self.slope, k))

    def response(self) -> sp.Expr:
        """What step one has taught the network of a sample, f̄ = s₁ times it at first order (E ā² = 1)."""
        return self.expanded(self.activation, 1)

    def mean(self, polynomial: sp.Expr) -> sp.Expr:
        """E of a polynomial in (z, y, G), with G = c₁ z + √(φ m₂) g."""
        values = self.constants
        direction = values[c1] * h + sp.sqrt(self.phi * values[m2]) * xi
        sample = {y: self.target + self.noise * t, G: direction, z: h}
        return expect(sp.expand(polynomial).subs(sample, simultaneous=True), h, xi, t)

    def means(self, H: sp.Expr) -> Means:
        return Means(self.mean(z * H), self.mean(G * H), self.mean(y * H))

    def product(self, first: sp.Expr, second: sp.Expr) -> sp.Expr:
        """The Gram product of X₂^T H/n and X₂^T H'/n in numbers."""
        value = gram(self.means(first), self.means(second), self.mean(first * second), self.reused)
        return sp.simplify(value.subs(self.constants))

    def product_with_direction(self, H: sp.Expr) -> sp.Expr:
        """The same of X₂^T H/n and b."""
        return sp.simplify(gram_with_direction(self.means(H), self.reused).subs(self.constants))

    def kappa(self, k: int) -> sp.Expr:
        """κ_k = E[z H_k], the overlap of V_k with the target."""
        return sp.simplify(self.mean(z * self.term(k)))

    def right_gram(self, count: int, joined: tuple[sp.Expr, sp.Expr]) -> sp.Matrix:
        """B, with joined[0] b + joined[1] V₀ in place of V₀."""
        H = [self.term(k) for k in range(count)]
        B = sp.Matrix(count, count, lambda j, k: self.product(H[j], H[k]))
        with_b = [self.product_with_direction(Hk) for Hk in H]
        first, second = joined
        square = self.constants[c1] ** 2 + self.phi * self.constants[m2]
        corner = first**2 * square + 2 * first * second * with_b[0] + second**2 * B[0, 0]
        for k in range(1, count):
            B[0, k] = B[k, 0] = first * with_b[k] + second * B[0, k]
        B[0, 0] = corner
        return B


def residual(matrix: sp.Matrix, k: int) -> sp.Expr:
    """The squared Gram-Schmidt residual of vector k after 0 … k − 1, as a ratio of leading minors."""
    before = matrix[:k, :k].det() if k else sp.Integer(1)
    return sp.simplify(matrix[: k + 1, : k + 1].det() / before)


def separated_strengths(count: int) -> list[tuple[sp.Expr, sp.Expr]]:
    """Squared singular values of Σ_k ε^k l_k r_k^T as ε → 0 against the product of residuals, for symbolic Grams A, B.

    The nonzero squares are the eigenvalues of (E A E) B, E = diag(ε^k); the m-th elementary symmetric function of them
    is that of its characteristic polynomial, whose lowest power of ε is the leading minors' product.
    """
    epsilon, x = sp.symbols("epsilon x", positive=True)
    A, B = (sp.Matrix(count, count, lambda j, k, n=n: sp.Symbol(f"{n}{min(j, k)}{max(j, k)}")) for n in "AB")
    scales = sp.diag(*[epsilon**k for k in range(count)])
    coefficients = (scales * A * scales * B).charpoly(x).all_coeffs()
    leading = [sp.Integer(1)]
    for m in range(1, count + 1):
        polynomial = sp.Poly(sp.expand((-1) ** m * coefficients[m]), epsilon)
        (power,), coefficient = polynomial.terms()[-1]
        leading.append(coefficient * epsilon**power)
    return [
        (
            sp.simplify(leading[k + 1] / leading[k]),
            sp.simplify(epsilon ** (2 * k) * residual(A, k) * residual(B, k)),
        )
        for k in range(count)
    ]


# ---------------------------------------------------------------------------------------- two-step.outliers


@dataclass(frozen=True)
class Outliers:
    """Of a spike θ in a bulk with iid entries of variance 1/d, as functions of θ and ψ = N/d."""

    location: sp.Expr
    threshold: sp.Expr
    right_overlap: sp.Expr
    left_overlap: sp.Expr


def secular_equation(rank: int) -> sp.Expr:
    """The finite-rank determinant whose zeros are the outliers, with u^T (z² − WW^T)^{-1} z u' → L δ, and so R.

    det(I − resolvent · perturbation) for the Hermitian form of W₀ + Σ θ_j u_j v_j^T, in symbols L, R and θ_j.
    """
    L, R = sp.symbols("L R")
    strengths = sp.symbols(f"theta1:{rank + 1}", positive=True)
    perturbation = sp.Matrix(
        sp.BlockMatrix([[sp.zeros(rank), sp.diag(*strengths)], [sp.diag(*strengths), sp.zeros(rank)]])
    )
    resolvent = sp.diag(*[L] * rank, *[R] * rank)
    return sp.factor((sp.eye(2 * rank) - resolvent * perturbation).det())


def outliers() -> Outliers:
    """From the Stieltjes transform m of W₀^T W₀, m = 1/(−x + ψ/(1 + m)), at x = z²."""
    m, square = sp.Symbol("m"), sp.Symbol("theta2", positive=True)
    x = psi / (1 + m) - 1 / m
    left = (m - (psi - 1) / x) / psi  # of W₀ W₀^T: the same eigenvalues but for N − d zeros
    D = sp.simplify(x * m * left)  # the product L R
    (at,) = sp.solve(sp.Eq(D, 1 / square), m)
    location2 = sp.factor(sp.simplify(x.subs(m, at)))
    (threshold,) = sp.solve(sp.diff(location2, square), square)
    # Residues of L/(1 − θ² L R) and R/(1 − θ² L R) in z at the outlier, doubled: z/(z² − ρ²) has residue 1/2 at ρ.
    slope = sp.diff(1 / square, square) / sp.diff(location2, square)
    right_overlap = sp.factor(sp.simplify(m.subs(m, at) / (square * slope)))
    left_overlap = sp.factor(sp.simplify(left.subs(m, at) / (square * slope)))
    return Outliers(
        *[
            expression.subs(square, theta**2)
            for expression in (sp.sqrt(location2), sp.sqrt(threshold), right_overlap, left_overlap)
        ]
    )


# ---------------------------------------------------------------------------------------- two-step.kinks


@dataclass(frozen=True)
class Kink:
    """A kink of σ at `at`, with slopes p on its left and q on its right."""

    at: sp.Expr
    p: sp.Expr
    q: sp.Expr


S, w, kappa1 = sp.Symbol("S", real=True), sp.Symbol("w", real=True), sp.Symbol("k1", real=True)  # k1 = c₀ μ₂


def displacement(kink: Kink, side: int) -> sp.Expr:
    """u: the rate in S at which h = c is moved when it is reached from the left (side −1) or from the right (+1)."""
    return w + kappa1 * kink.at + phi * y * (kink.p if side < 0 else kink.q)


def crossed(kink: Kink) -> sp.Expr:
    """E σ'(h⁽¹⁾) − μ₁ over h, for given w = μ₁ G + ξ and y and a σ linear but for this kink, exact while 1 + S k1 > 0.

    A neuron left of c ends right of it iff c − S u₋/κ < h < c, which is possible iff S u₋ > 0; the other way round iff
    c < h < c − S u₊/κ.
    """
    total = sp.Integer(0)
    for side in (-1, 1):
        rate = S * displacement(kink, side)
        end = kink.at - rate / (1 + S * kappa1)
        mass = cumulative(kink.at) - cumulative(end)
        total += sp.Piecewise((mass, rate > 0 if side < 0 else rate < 0), (0, True))
    return (kink.q - kink.p) * total


def one_sided_terms(kink: Kink, signs: tuple[int, int], side_of_zero: int, order: int) -> list[sp.Expr]:
    """The coefficients of S, …, S^order of `crossed` on S > 0 or S < 0, where u₋ and u₊ have the given signs."""
    total = sp.Integer(0)
    for side, sign in zip((-1, 1), signs, strict=True):
        if sign * side_of_zero == -side:
            end = kink.at - S * displacement(kink, side) / (1 + S * kappa1)
            total += cumulative(kink.at) - cumulative(end)
    jump = kink.q - kink.p
    return [sp.simplify((jump * sp.diff(total, S, k) / sp.factorial(k)).subs(S, 0)) for k in range(1, order + 1)]


def first_order(kink: Kink) -> tuple[sp.Expr, sp.Expr]:
    """The factors of S and of |S| at first order: ½ J φ(c) (u₋ + u₊) and ½ J φ(c) (|u₋| − |u₊|)."""
    below, above = displacement(kink, -1), displacement(kink, 1)
    weight = (kink.q - kink.p) * density(kink.at) / 2
    return weight * (below + above), weight * (sp.Abs(below) - sp.Abs(above))


def folded_mean() -> sp.Expr:
    """E |a + ν ξ| in the symbols a and ν > 0: what the average over ξ makes of |u₋| and |u₊|."""
    a, nu = sp.Symbol("a", real=True), sp.Symbol("nu", positive=True)
    above = partial_mean(a + nu * h, -a / nu, sp.oo)
    below = partial_mean(a + nu * h, -sp.oo, -a / nu)
    return above - below


def odd_self_part(kinks: Sequence[Kink]) -> sp.Expr:
    """What multiplies φ y S in the odd part for a piecewise-linear σ: Σ ½ J φ(c) (p + q)."""
    return sp.simplify(sum((k.q - k.p) * density(k.at) * (k.p + k.q) / 2 for k in kinks))
