"""How far noise is from its law: the constants of `rmtfl.statistics.noise_distance` and `top_of_noise`, measured.

    python validation/verdict/noise.py > validation/verdict/noise.md

The singular values of an N × d Gaussian matrix are drawn exactly, and fast, as those of the bidiagonal matrix of chi
variables that Householder reflections make of it (Dumitriu & Edelman, J. Math. Phys. 43, 5830 (2002)).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal

from rmtfl.laws.marchenko_pastur import marchenko_pastur
from rmtfl.laws.views import SingularValues
from rmtfl.statistics import kolmogorov_distance, noise_distance, top_of_noise

SEED = 20260521
SIZES = (50, 100, 200, 400, 800, 1600)
RATIOS = (0.25, 1.0, 4.0)


def noise(width: int, dimension: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """All singular values of one width × dimension matrix of entries N(0, 1/dimension), ascending."""
    small, large = sorted((width, dimension))
    diagonal = rng.chisquare(large - np.arange(small))
    upper = rng.chisquare(np.arange(small - 1, 0, -1))
    tridiagonal = diagonal + np.concatenate([[0.0], upper])
    eigenvalues = eigvalsh_tridiagonal(tridiagonal, np.sqrt(diagonal[:-1] * upper), lapack_driver="sterf")
    return np.sqrt(np.maximum(eigenvalues, 0.0) / dimension)


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(np.random.SeedSequence(SEED))
    print("Distance of noise to its law, times p = min(N, d); the largest singular value, times p^(2/3).\n")
    print("| N/d | p | draws | mean distance | fit | sd | 95% | fit | mean top | Johnstone | sd top | Johnstone |")
    print("| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for ratio in RATIOS:
        law = SingularValues(marchenko_pastur(ratio), ratio)
        for p in SIZES:
            width, dimension = (p, round(p / ratio)) if ratio <= 1 else (round(p * ratio), p)
            draws = min(1000, 160_000 // p)
            spectra = [noise(width, dimension, rng) for _ in range(draws)]
            distances = p * np.array([kolmogorov_distance(spectrum, law.cdf) for spectrum in spectra])
            tops = np.array([spectrum[-1] for spectrum in spectra])
            fit, top, scale = noise_distance(p), top_of_noise(width, dimension), p ** (2 / 3)
            print(
                f"| {ratio:g} | {p} | {draws} | {distances.mean():.3f} ± {distances.std() / math.sqrt(draws):.3f} "
                f"| {p * fit.mean:.3f} | {distances.std():.2f} | {np.quantile(distances, 0.95):.2f} "
                f"| {p * fit.quantile:.2f} | {scale * (tops.mean() - law.edges[-1]):.3f} "
                f"| {scale * (top.mean - law.edges[-1]):.3f} | {scale * tops.std():.3f} | {scale * top.sd:.3f} |"
            )


if __name__ == "__main__":
    main()
