"""What is predicted of a spiked kernel, of its matrices and of what they learn, and the JSON of each.

`predict_kernel`, `predict_kernel_matrix` and `predict_learning_curve` take one row of a study; each result's
`as_json()` is the row's document. Errors are absolute and stand beside the numbers they belong to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray

from rmtfl.kernel.isotropic import isotropic_eigenvalues
from rmtfl.kernel.learning import learning_curve, regression
from rmtfl.kernel.matrices import BulkEdge, MatrixOutlier, kernel_matrix
from rmtfl.kernel.precise import precise_block
from rmtfl.kernel.spectrum import SpikedKernel, spectrum
from rmtfl.kernel.table import KernelMatrixSetup, KernelSetup, LearningCurveSetup

Array = NDArray[np.float64]

RESOLVED = 1e-3  # relative error of an amplification beyond which it is not given
HARMONICS = 4  # zonal harmonics that a matrix's outliers are compared with
REFERENCE = 1e-12  # relative error of an eigenvalue at spike 0


@dataclass(frozen=True)
class BlockPrediction:
    """Eigenvalues of one degree across the target.

    Attributes:
        degree: ℓ.
        multiplicity: of each eigenvalue.
        eigenvalues: descending; as strings where digits were asked for.
        error: of each of them, absolute; alike.
        mixing: degree 0 only: squared norms of each eigenfunction's projections on f(‖x‖) Y_m, m = 0, 1, …
        mixing_error: of each eigenfunction's row of them, absolute.
    """

    degree: int
    multiplicity: int
    eigenvalues: tuple[float | str, ...]
    error: float | str
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
        BadInput: if the kernel has no finite mean diagonal, or digits are asked for where there is no closed dual.
        ToleranceNotMet: if the tolerance asked for, relative to the largest eigenvalue, is out of reach.
    """
    kernel, table, digits = setup.spiked, setup.kernel, setup.theory.digits
    found = kernel_prediction(kernel, table.degrees, table.modes, setup.theory.tolerance)
    if digits is None:
        return found
    return replace(found, blocks=tuple(_in_digits(block, kernel, table.modes, digits) for block in found.blocks))


def _in_digits(block: BlockPrediction, kernel: SpikedKernel, modes: int, digits: int) -> BlockPrediction:
    precise = precise_block(kernel, block.degree, modes, digits)
    return replace(
        block,
        eigenvalues=tuple(mpmath.nstr(value, digits + 2) for value in precise.eigenvalues),
        error=mpmath.nstr(precise.error, 3),
    )


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


# ------------------------------------------------------------------------------------------------ on samples


@dataclass(frozen=True)
class KernelMatrixPrediction:
    """Eigenvalues of the n × n kernel matrix over n.

    Attributes:
        outliers: separated simple eigenvalues, largest first; `alignment` is the squared overlap of the eigenvector
            with the sampled eigenfunction, `harmonics` its squared overlaps with sampled zonal harmonics Y_0, Y_1, ….
        harmonics: (outliers, m).
        intervals: of the bulk, ascending.
        edges: their ends, from the largest on, with the Tracy–Widom scale and the error of each.
        isotropic: A.
        spike: B.
    """

    outliers: tuple[MatrixOutlier, ...]
    harmonics: tuple[tuple[float, ...], ...]
    intervals: tuple[tuple[float, float], ...]
    edges: tuple[BulkEdge, ...]
    isotropic: float
    spike: float

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        return {
            "outliers": [
                {**asdict(outlier), "harmonics": list(harmonics)}
                for outlier, harmonics in zip(self.outliers, self.harmonics, strict=True)
            ],
            "bulk": {
                "intervals": [list(interval) for interval in self.intervals],
                "edges": [asdict(edge) for edge in self.edges],
            },
            "isotropic": self.isotropic,
            "spike": self.spike,
        }


def predict_kernel_matrix(setup: KernelMatrixSetup) -> KernelMatrixPrediction:
    """Outliers and bulk of one row; raises as `predict_kernel` does."""
    table, kernel = setup.kernel, setup.spiked
    matrix = kernel_matrix(kernel, table.samples, max(table.degrees), table.modes, setup.theory.tolerance)
    return KernelMatrixPrediction(
        outliers=matrix.outliers,
        harmonics=tuple(tuple(matrix.harmonic_overlaps(outlier, HARMONICS).tolist()) for outlier in matrix.outliers),
        intervals=matrix.intervals,
        edges=matrix.edges,
        isotropic=kernel.isotropic,
        spike=kernel.spike,
    )


@dataclass(frozen=True)
class LearningCurvePrediction:
    """Kernel ridge regression by sample size, at the ridge chosen of those offered.

    Attributes:
        samples: sample sizes.
        mse: test error on noisy labels.
        ridge: the ridge taken, on the unnormalised kernel matrix.
        effective_ridge: κ at it.
        error: of mse, absolute.
        isotropic: A.
        spike: B.
    """

    samples: tuple[int, ...]
    mse: tuple[float, ...]
    ridge: tuple[float, ...]
    effective_ridge: tuple[float, ...]
    error: tuple[float, ...]
    isotropic: float
    spike: float

    def as_json(self) -> dict[str, Any]:
        """The document of `predict --json` for this row."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def predict_learning_curve(setup: LearningCurveSetup) -> LearningCurvePrediction:
    """The learning curve of one row; raises as `predict_kernel` does."""
    table, kernel, data = setup.kernel, setup.spiked, setup.data
    found = regression(
        kernel,
        data.target,
        float(data.noise),
        max(table.samples),
        max(table.degrees),
        table.modes,
        setup.theory.tolerance,
    )
    curve = learning_curve(found, table.samples, [float(ridge) for ridge in table.ridge], table.ridge_choice)
    return LearningCurvePrediction(**asdict(curve), isotropic=kernel.isotropic, spike=kernel.spike)
