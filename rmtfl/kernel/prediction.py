"""What is predicted of a spiked kernel, of its matrices and of what they learn, and the JSON of each.

`predict_kernel`, `predict_kernel_matrix` and `predict_learning_curve` take one row of a study; each result's
`as_json()` is the row's document. Errors are absolute and stand beside the numbers they belong to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.isotropic import isotropic_eigenvalues
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.kernel.table import KernelSetup

Array = NDArray[np.float64]

RESOLVED = 1e-3  # relative error of an amplification beyond which it is not given
REFERENCE = 1e-12  # relative error of an eigenvalue at spike 0


@dataclass(frozen=True)
class BlockPrediction:
    """Eigenvalues of one degree across the target.

    Attributes:
        degree: ℓ.
        multiplicity: of each eigenvalue.
        eigenvalues: descending.
        error: of each of them, absolute.
        mixing: degree 0 only: squared norms of each eigenfunction's projections on f(‖x‖) Y_m, m = 0, 1, …
        mixing_error: of each eigenfunction's row of them, absolute.
    """

    degree: int
    multiplicity: int
    eigenvalues: tuple[float, ...]
    error: float
    mixing: tuple[tuple[float, ...], ...] | None
    mixing_error: tuple[float, ...] | None


@dataclass(frozen=True)
class KernelPrediction:
    """The leading spectrum of a spiked kernel.

    Attributes:
        blocks: one a degree, in the order asked for.
        trace: E k(x, x), the sum of all eigenvalues with their multiplicities.
        trace_error: absolute.
        remainder: what the blocks of other degrees sum to, by the trace identity.
        amplification: each eigenvalue over the one of its rank in its block at spike 0; None where that is zero or
            the ratio is not resolved.
        amplification_error: of each, absolute; None alike.
        isotropic: A.
        spike: B.
    """

    blocks: tuple[BlockPrediction, ...]
    trace: float
    trace_error: float
    remainder: float
    amplification: tuple[tuple[float | None, ...], ...]
    amplification_error: tuple[tuple[float | None, ...], ...]
    isotropic: float
    spike: float

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        document = asdict(self)
        document["blocks"] = [
            {key: value for key, value in block.items() if value is not None} for block in document["blocks"]
        ]
        return document


def predict_kernel(setup: KernelSetup) -> KernelPrediction:
    """The spectrum of one row.

    Raises:
        BadInput: if the kernel has no finite mean diagonal.
        ToleranceNotMet: if the tolerance asked for, relative to the largest eigenvalue, is out of reach.
    """
    return kernel_prediction(setup.spiked, setup.kernel.degrees, setup.kernel.modes, setup.theory.tolerance)


def kernel_prediction(
    kernel: SpikedKernel, degrees: tuple[int, ...], modes: int, tolerance: float = 1e-8
) -> KernelPrediction:
    """The same for a kernel; see `predict_kernel`."""
    found = spectrum(kernel, degrees, modes, tolerance)
    blocks, ratios, errors = [], [], []
    for block in found.blocks:
        zero = block.degree == 0
        blocks.append(
            BlockPrediction(
                degree=block.degree,
                multiplicity=block.multiplicity,
                eigenvalues=tuple(block.eigenvalues.tolist()),
                error=block.error,
                mixing=_rows(found.mixing) if zero and found.mixing is not None else None,
                mixing_error=tuple(found.mixing_error.tolist()) if zero and found.mixing_error is not None else None,
            )
        )
        ratio, error = _amplification(kernel, block.degree, block.eigenvalues, block.error)
        ratios.append(ratio)
        errors.append(error)
    return KernelPrediction(
        blocks=tuple(blocks),
        trace=found.trace,
        trace_error=found.trace_error,
        remainder=found.remainder,
        amplification=tuple(ratios),
        amplification_error=tuple(errors),
        isotropic=kernel.isotropic,
        spike=kernel.spike,
    )


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def _amplification(
    kernel: SpikedKernel, degree: int, eigenvalues: Array, error: float
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    ratios: list[float | None] = []
    errors: list[float | None] = []
    for value, reference in zip(
        eigenvalues.tolist(), isotropic_eigenvalues(kernel, degree, eigenvalues.size).tolist(), strict=True
    ):
        known = reference > 0 and error <= RESOLVED * value
        ratios.append(value / reference if known else None)
        errors.append((error + REFERENCE * value) / reference if known else None)
    return tuple(ratios), tuple(errors)
