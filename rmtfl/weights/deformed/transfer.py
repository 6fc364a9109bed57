"""J = (I + φ T G)^{-1}, B = J T and R = G J of a batch's samples, where T is stored as it is.

`rmtfl.weights.deformed.bordered` has the same for matrices T of a simpler kind.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Matrix = NDArray[Any]  # real right of the bulk, complex elsewhere


def product(real: Array, values: Matrix) -> Matrix:
    """The product real @ values. NumPy's own product of a real and a complex array is an order of magnitude slower."""
    if np.iscomplexobj(values):
        return np.asarray(real @ values.real + 1j * (real @ values.imag))
    return np.asarray(real @ values)


class Transfer(Protocol):
    """What the samples of one batch do, at one G; matrices are on the batch's support, of k blocks.

    Attributes:
        physical: whether det J is positive everywhere.
    """

    @property
    def physical(self) -> bool: ...  # noqa: D102

    def full(self) -> tuple[Matrix, Matrix]:
        """J and B of every node, shape (n, k, k)."""

    def mean(self, factor: Array | None = None) -> Matrix:
        """E[factor B], shape (k, k)."""


class Dense:
    """The transfer of matrices T of shape (n, k, k), each inverted by itself.

    Attributes:
        R: of every node, shape (n, k, k).
    """

    def __init__(self, T: Matrix, weight: Array, phi: float, G: Matrix) -> None:
        self.weight = weight
        self.J = np.linalg.inv(np.eye(G.shape[0]) + phi * (T @ G))
        self.B, self.R = self.J @ T, G @ self.J

    def full(self) -> tuple[Matrix, Matrix]:
        """J and B of every node, shape (n, k, k)."""
        return self.J, self.B

    def mean(self, factor: Array | None = None) -> Matrix:
        """E[factor B], shape (k, k)."""
        weight = self.weight if factor is None else self.weight * factor
        return product(weight, self.B.reshape(weight.size, -1)).reshape(self.B.shape[1:])

    @property
    def physical(self) -> bool:
        """Whether det J is positive everywhere."""
        return bool(np.all(np.real(np.linalg.det(self.J)) > 0))
