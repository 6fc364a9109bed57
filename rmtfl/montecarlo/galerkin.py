"""The leading eigenvalues of a spiked kernel from drawn inputs: no closed dual, Funk–Hecke rule or law is used.

Rotations about the target leave the kernel alone, so that its eigenfunctions are f(z, ρ) Y_ℓ(ω). For ℓ = 0 and 1 the
kernel is projected on finitely many such f, orthonormal in L² of the inputs: the harmonics of S^{d−1} that are of
degree ℓ across the target, times powers of the radius for Gaussian inputs. With two independent samples X, X' and
the values Φ, Φ' of the functions f on them, the matrix

    Φ⁺ (K(X, X') ∘ P_ℓ(ω ω'^T)) Φ'⁺^T,      ⁺ the pseudo-inverse,

is that projection: P_0 = 1 and P_1(t) = t average over all Y_ℓ at once, by the addition theorem, and the least squares
make what the functions span exact in z; what they do not has mean zero but for O(1/n²), the samples being independent.
Its eigenvalues are below the kernel's, by what finitely many functions miss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray

from rmtfl.montecarlo.kernel import TERMS, inputs, kernel, zonal
from rmtfl.montecarlo.threads import one_blas_thread

Array = NDArray[np.float64]

SAMPLES = 600  # of each of the two
HARMONICS = 6  # functions of z in each degree
RADIAL = 2  # powers of the radius, for Gaussian inputs
DEGREES = (0, 1)  # at higher ones the noise of the lower ones, which is no smaller, hides the eigenvalues
LEADING = 2  # eigenvalues recorded of each degree


def trial(setup: Any, seed: SeedSequence) -> dict[str, Array]:
    """One pair of samples.

    Args:
        setup: a row of a kernel study.
        seed: of this trial.

    Returns:
        'eigenvalues' (DEGREES, LEADING), descending; 'mixing' (LEADING, HARMONICS), squared overlaps of the
        eigenfunctions of degree 0 with f(ρ) Y_m.
    """
    spiked = setup.spiked
    rng = default_rng(seed)
    with one_blas_thread():
        first, second = (inputs(spiked.inputs, SAMPLES, spiked.dimension, rng) for _ in range(2))
        parts = _parity_parts(spiked, first, second)
        cosines = _across(first) @ _across(second).T
        values = np.empty((len(DEGREES), LEADING))
        mixing = np.zeros((LEADING, HARMONICS))
        for degree in DEGREES:
            average = cosines**degree  # P_ℓ
            left, right = (functions(x, degree, spiked.inputs) for x in (first, second))
            found, shares = [], []
            for parity in (0, 1):
                matrix = _least_squares(right[parity], (parts[parity, degree] * average).T)
                matrix = _least_squares(left[parity], matrix.T)
                own, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
                found.append(own)
                share = np.zeros((own.size, HARMONICS))
                share[:, parity::2] = (vectors.T**2).reshape(own.size, -1, HARMONICS // 2).sum(axis=1)
                shares.append(share)
            joined = np.concatenate(found)
            order = np.argsort(-joined)[:LEADING]
            values[degree] = joined[order]
            if degree == 0:
                mixing = np.concatenate(shares)[order]
    return {"eigenvalues": values, "mixing": mixing}


def _parity_parts(spiked: Any, first: Array, second: Array) -> dict[tuple[int, int], Array]:
    """The parts of K(X, X') that are even (0) or odd (1) in z' and in ω': for each function all else is noise."""
    along = np.arange(spiked.dimension) == 0
    images = {
        (a, b): kernel(
            spiked.activation, first, second * np.where(along, 1 - 2 * a, 1 - 2 * b), spiked.isotropic, spiked.spike
        )
        for a in (0, 1)
        for b in (0, 1)
    }
    return {
        (p, q): sum(((-1) ** (a * p + b * q) * image for (a, b), image in images.items()), np.zeros(())) / 4
        for p in (0, 1)
        for q in (0, 1)
    }


def _least_squares(functions_there: Array, values: Array) -> Array:
    return np.asarray(np.linalg.lstsq(functions_there, values, rcond=None)[0])


def functions(x: Array, degree: int, law: str) -> tuple[Array, Array]:
    """The functions f at samples, even in z and odd, which times harmonics Y_ℓ(ω) are orthonormal.

    Args:
        x: samples.
        degree: ℓ.
        law: of the inputs.
    """
    d = x.shape[1]
    rho = np.linalg.norm(x, axis=1) / math.sqrt(d)
    cosine = x[:, 0] / np.linalg.norm(x, axis=1)
    # (1 − cos²)^ℓ makes the law of the cosine that of dimension d + 2ℓ, up to its mass.
    mass = math.prod((d - 1 + 2 * k) / (d + 2 * k) for k in range(degree))
    shifted = zonal(cosine * math.sqrt(d + 2 * degree), d + 2 * degree, HARMONICS)
    angular = shifted * (1 - cosine**2) ** (degree / 2) / math.sqrt(mass)
    radial = np.ones((1, x.shape[0]))
    if law == "gaussian":
        radial = np.linalg.solve(np.linalg.cholesky(_moments(d)), rho ** np.arange(RADIAL)[:, None])
    even, odd = ((radial[:, None] * angular[parity::2]).reshape(-1, x.shape[0]).T for parity in (0, 1))
    return even, odd


def _moments(dimension: int) -> Array:
    """E ρ^{j+k} for x ~ N(0, I_d), ρ = ‖x‖/√d."""
    half = dimension / 2
    found = [math.exp(math.lgamma(half + k / 2) - math.lgamma(half)) / half ** (k / 2) for k in range(2 * RADIAL - 1)]
    return np.array([[found[j + k] for k in range(RADIAL)] for j in range(RADIAL)])


def _across(x: Array) -> Array:
    return np.asarray(x[:, 1:] / np.linalg.norm(x[:, 1:], axis=1, keepdims=True))


def memory(setup: Any) -> int:
    """The bytes that one trial needs at its peak: samples, kernels and coefficients."""
    return 8 * SAMPLES * (6 * int(setup.spiked.dimension) + 12 * SAMPLES + 4 * TERMS)
