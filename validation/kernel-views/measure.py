"""Three views of the spiked kernel, and a trained layer's kernel beside the Gaussian ones: writes table.md beside this.

Views: weights N(0, Γ/d) on inputs x; weights N(0, I/d) on inputs Γ^{1/2}x; the kernel, summed from its Hermite series.
Trained: the kernel of one step's weights on fresh inputs, beside the kernel of Gaussian weights with the covariance
averaged over batches, and with the covariance given the batch, whose spike lies along X^T y. Distances are relative, in
the Frobenius norm; a finite width alone makes the distance of a row 'finite width'.

Run it as a script with the package installed. Takes a minute.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng

from rmtfl.gaussian import hermite_coefficient
from rmtfl.kernel.covariance import conditional, covariance
from rmtfl.links import Link, parse
from rmtfl.montecarlo.kernel import inputs, kernel
from rmtfl.setup import Data

SEED, TRIALS, POINTS = 20260521, 8, 150
ACTIVATIONS = ("relu(x)", "erf(x)")
VIEW_DIMENSION, VIEW_SPIKE, WIDTHS = 50, 25.0, (500, 2000, 8000)
DIMENSION, STEP, WIDTH, RATIOS = 60, 1.0, 8000, (1, 4, 16)
Array = np.ndarray


def main() -> None:
    """Both tables."""
    lines = ["Three views: distance to the kernel times √N, and the top eigenvalue over that of the kernel.", ""]
    lines += ["| activation | N | N(0, Γ/d) on x | N(0, I/d) on Γ^{1/2}x | top, first view | top, second view |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [views(text, width) for text in ACTIVATIONS for width in WIDTHS]
    lines += [
        "",
        f"One step on n samples, target x, s = {STEP:g}, d = {DIMENSION}, N = {WIDTH}: distances in percent.",
        "",
    ]
    lines += [
        "| activation | n/d | averaged Γ | Γ given the batch | finite width |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [trained(text, ratio) for text in ACTIVATIONS for ratio in RATIOS]
    Path(__file__).with_name("table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def views(text: str, width: int) -> str:
    """One row of the first table."""
    link, d, found = parse(text), VIEW_DIMENSION, []
    scale = np.ones(d)
    scale[0] = math.sqrt(1 + VIEW_SPIKE)
    for seed in SeedSequence([SEED, width]).spawn(TRIALS):
        rng = default_rng(seed)
        x = inputs("gaussian", POINTS, d, rng)
        exact = kernel(link, x, x, 1.0, VIEW_SPIKE)
        first = gram(link, rng.standard_normal((width, d)) * scale / math.sqrt(d), x)
        second = gram(link, rng.standard_normal((width, d)) / math.sqrt(d), x * scale)
        top = np.linalg.eigvalsh(exact)[-1]
        found.append(
            [distance(view, exact) * math.sqrt(width) for view in (first, second)]
            + [np.linalg.eigvalsh(view)[-1] / top for view in (first, second)]
        )
    return f"| {text} | {width} | {' | '.join(measured(column, 3) for column in np.array(found).T)} |"


def trained(text: str, ratio: int) -> str:
    """One row of the second table."""
    link, d, n = parse(text), DIMENSION, ratio * DIMENSION
    data = Data(target=parse("x"), noise=0.0)
    averaged, given = covariance(link, data, STEP, d, n), conditional(link, data, STEP, d, n)
    slope, found = float(hermite_coefficient(link, 1).value), []  # E σ'
    for seed in SeedSequence([SEED, ratio]).spawn(TRIALS):
        rng = default_rng(seed)
        rows, direction = one_step(link, n, rng)
        x = inputs("gaussian", POINTS, d, rng)
        after = gram(link, rows, x)
        gaussian = kernel(link, x, x, averaged.isotropic, averaged.spike)
        spike = d * STEP**2 * slope**2 * (direction @ direction)  # this batch's own length, and not its mean
        turned = x @ reflection(direction)
        batch = kernel(link, turned, turned, 1 + given.noise, spike)
        scale = np.sqrt(np.where(np.arange(d) == 0, averaged.isotropic + averaged.spike, averaged.isotropic) / d)
        width = gram(link, rng.standard_normal((WIDTH, d)) * scale, x)
        found.append([100 * distance(after, gaussian), 100 * distance(after, batch), 100 * distance(width, gaussian)])
    return f"| {text} | {ratio} | {' | '.join(measured(column, 2) for column in np.array(found).T)} |"


def one_step(link: Link, samples: int, rng: Generator) -> tuple[Array, Array]:
    """Rows after one step on a batch, with independent second-layer weights, and X^T y/n."""
    d = DIMENSION
    x = rng.standard_normal((samples, d))
    labels = x[:, 0]
    rows = rng.standard_normal((WIDTH, d)) / math.sqrt(d)
    gradient = link.derivative().numpy()(rows @ x.T) * (labels / samples)
    return rows + STEP * rng.standard_normal((WIDTH, 1)) * (gradient @ x), labels @ x / samples


def reflection(direction: Array) -> Array:
    """The symmetric orthogonal matrix that takes the first axis to the direction."""
    normal = direction / np.linalg.norm(direction)
    normal[0] -= 1
    return np.eye(normal.size) - 2 * np.outer(normal, normal) / (normal @ normal)


def gram(link: Link, rows: Array, x: Array) -> Array:
    """The kernel of finitely many neurons."""
    features = link.numpy()(x @ rows.T)
    return features @ features.T / rows.shape[0]


def distance(found: Array, exact: Array) -> float:
    """Relative, in the Frobenius norm."""
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def measured(column: Array, digits: int) -> str:
    """Mean and standard error."""
    return f"{column.mean():.{digits}f} ± {column.std(ddof=1) / math.sqrt(len(column)):.{digits}f}"


if __name__ == "__main__":
    main()
