"""The finite-rank part at width N straight from its definition: slow, plain, and sharing only the links with rmtfl.

For each second-layer value a, the average over a neuron (h, ξ) is a double sum at each label y and direction G; the
Gram products of the mean updates are formed one by one and the spikes are the roots of the eigenvalues of N Γ(a, a').
Nothing is interpolated, compressed or integrated in closed form, with one exception: a piecewise-linear activation is
averaged over ξ by E max(m + τξ, 0) = m Φ(m/τ) + τ φ(m/τ), a sum over its kinks, where a plain rule would not converge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from scipy.stats import norm

REACH = 9.0


@dataclass(frozen=True)
class Sizes:
    """Nodes in each variable; the panels are those of a kinked integrand on [-9, 9], ten nodes each."""

    second_layer: int = 60
    target: int = 58
    direction: int = 22
    noise: int = 6
    neuron: int = 42
    specific: int = 20
    panels: int = 24


def trapezoid(count, reach=7.0):
    x = np.linspace(-reach, reach, count)
    return x, (x[1] - x[0]) * norm.pdf(x)


def hermite(count):
    x, w = hermegauss(count)
    return x, w / w.sum()


def cut(kinks, panels, low=-REACH, high=REACH):
    """Composite Gauss-Legendre for N(0, 1), with the kinks among the panel ends."""
    edges = np.unique(np.concatenate([np.linspace(low, high, panels + 1), [k for k in kinks if low < k < high]]))
    t, w = leggauss(10)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    x = (middle + half * t).ravel()
    return x, (half * w).ravel() * norm.pdf(x)


def second_layer(law, count, kinked):
    if law == "rademacher":
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    if law == "uniform":
        t, w = leggauss(count)
        if not kinked:
            return np.sqrt(3) * t, w / 2
        half = np.sqrt(3) * (t + 1) / 2
        return np.concatenate([-half, half]), np.concatenate([w, w]) / 4
    return cut([0.0], 10) if kinked else trapezoid(count, 8.0)


def _lines(link):
    """Slope and intercept of the leftmost line, and (where, by how much) the slope changes."""
    points = np.array(link.breakpoints)
    f = link.numpy()
    start = points[0] - np.array([2.0, 1.0])
    slope = f(start)[1] - f(start)[0]
    gaps = np.append(np.diff(points), 2.0) / 4
    slopes = [(f(np.array([p + 2 * g]))[0] - f(np.array([p + g]))[0]) / g for p, g in zip(points, gaps, strict=True)]
    return slope, f(start)[0] - slope * start[0], list(zip(points, np.diff([slope, *slopes]), strict=True))


def _over_specific(link, mean, spread, sizes):
    """E σ and E σ' at mean + spread ξ."""
    if link.kinks:
        slope, intercept, jumps = _lines(link)
        value, derivative = intercept + slope * mean, np.full(mean.shape, slope)
        for where, jump in jumps:
            t = (mean - where) / spread
            value += jump * ((mean - where) * norm.cdf(t) + spread * norm.pdf(t))
            derivative += jump * norm.cdf(t)
        return value, derivative
    xi, w = trapezoid(sizes.specific)
    points = mean[..., None] + spread * xi
    return link.numpy()(points) @ w, link.derivative().numpy()(points) @ w


def finite_rank(setup, sizes=Sizes()):
    """Strengths ≥ 0.1, descending, and squared overlaps with the target, of the two-step finite-rank part."""
    activation, target = setup.network.activation, setup.data.target
    slope = activation.derivative().numpy()
    width = setup.sizes.width
    s1, s2 = (
        float(e) * width ** (float(a) - 0.5) for e, a in zip(setup.training.scale, setup.training.alpha, strict=True)
    )
    phi, noise = float(setup.sizes.phi), float(setup.data.noise)
    reused, squared = setup.training.batches == "reused", setup.training.loss == "squared"

    h, wh = cut(activation.breakpoints, 80)
    mu1, mu2 = wh @ slope(h), wh @ (h * slope(h))
    v1 = wh @ slope(h) ** 2 - mu1**2
    z, wz = cut(target.breakpoints, 80)
    c0, c1 = wz @ target.numpy()(z), wz @ (z * target.numpy()(z))
    m2 = wz @ target.numpy()(z) ** 2 + noise**2
    tau2 = c1**2 + phi * m2

    # The sample: z, the rest of G, the label noise, as one flat list.
    z, wz = cut(target.breakpoints, 6) if target.kinks else trapezoid(sizes.target)
    g, wg = trapezoid(sizes.direction)
    e, we = hermite(sizes.noise) if noise else (np.zeros(1), np.ones(1))
    Z, R, E = (v.ravel() for v in np.meshgrid(z, g, e, indexing="ij"))
    W = np.einsum("i,j,k->ijk", wz, wg, we).ravel()
    keep = W > 1e-15
    Z, R, E, W = Z[keep], R[keep], E[keep], W[keep]
    y, G = target.numpy()(Z) + noise * E, c1 * Z + np.sqrt(phi * m2) * R

    h, wh = cut(activation.breakpoints, sizes.panels) if activation.kinks else trapezoid(sizes.neuron)
    kinked = bool(activation.kinks) and reused
    nodes, weights = second_layer(setup.network.second_layer, sizes.second_layer, kinked)
    values, slopes = np.empty((2, nodes.size, W.size))
    for i, a in enumerate(nodes):
        known = mu1 * G[:, None] + c0 * mu2 * h + reused * phi * y[:, None] * slope(h)
        f, df = _over_specific(activation, h + s1 * a * known, abs(s1 * a) * np.sqrt(phi * m2 * v1), sizes)
        values[i], slopes[i] = f @ wh, df @ wh
    residual = y - (weights * nodes) @ values if squared else y
    H = residual * slopes

    v = np.stack([H @ (W * Z), H @ (W * G)], axis=1)
    inverse = np.linalg.inv(np.array([[1.0, c1], [c1, tau2]]))
    q, Hy = (v @ inverse)[:, 1], H @ (W * y)
    rho = float(reused)
    VV = v @ inverse @ v.T + phi * (H * W) @ H.T + rho * phi * (np.outer(q, Hy) + np.outer(Hy, q))
    Vb = H @ (W * G) + rho * phi * Hy
    gram = (s1 * mu1) ** 2 * tau2 + s1 * mu1 * s2 * (Vb[:, None] + Vb[None, :]) + s2**2 * VV
    root = nodes * np.sqrt(weights * width)
    eigenvalues, left = np.linalg.eigh(root[:, None] * gram * root)
    along = root * (s1 * mu1 * c1 + s2 * v[:, 0])
    order = [j for j in np.argsort(-eigenvalues) if eigenvalues[j] >= 0.01]
    strengths = np.sqrt(eigenvalues[order])
    return strengths, ((left[:, order].T @ along) / strengths) ** 2
