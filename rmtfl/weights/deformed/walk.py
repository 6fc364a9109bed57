"""Continuation of the solution just above the real axis.

Far above the axis the fixed point attracts from anywhere; near it there are others, with a Stieltjes transform of the
wrong sign. So the first solution descends from far above, and each is the start of the next, in half steps where the
iteration is lost. Checked through the densities of `rmtfl.weights.deformed.spectrum`.
"""

from __future__ import annotations

from rmtfl.errors import ToleranceNotMet
from rmtfl.weights.deformed import pencil as equations
from rmtfl.weights.deformed.pencil import Pencil, Point
from rmtfl.weights.deformed.transfer import Matrix

FAR = 10.0  # where the descent starts
HALVINGS = 12  # of a step that loses the fixed point


class Walk:
    """The solution at ζ = s + i height, continued from one s to the next.

    Attributes:
        start: the unknowns of the last solution, from which the next one starts.
    """

    def __init__(self, pencil: Pencil, height: float) -> None:
        self.pencil, self.height = pencil, height
        self.at: complex | None = None
        self.start: Matrix | None = None

    def to(self, s: float) -> tuple[complex, complex]:
        """ζ = s + i height and (1/d) tr Q(ζ²).

        Raises:
            ToleranceNotMet: if the fixed point is lost on the way.
        """
        target = complex(s, self.height)
        if self.start is None:
            self._descend(target)
        else:
            self._along(target)
        assert self.start is not None
        return target, complex(self.start[0])

    def _descend(self, target: complex) -> None:
        """From far above the axis, where the iteration needs no start."""
        self.at = complex(target.real, FAR * max(1.0, target.real))
        point = self._solve(self.at, None)
        if point is None:
            raise ToleranceNotMet("the deformed bulk: the fixed point does not converge far above the real axis")
        self.start = point.unknowns
        while self.at != target:
            self._along(complex(target.real, max(self.at.imag / 4, target.imag)))

    def _along(self, target: complex) -> None:
        assert self.at is not None
        left = HALVINGS
        goal = target
        while self.at != target:
            point = self._solve(goal, self.start)
            if point is None:
                left -= 1
                if left == 0:
                    raise ToleranceNotMet(
                        f"the deformed bulk: the fixed point does not converge at the singular value {target.real:.4g}"
                    )
                goal = (self.at + goal) / 2
                continue
            self.at, self.start, goal = goal, point.unknowns, target

    def _solve(self, zeta: complex, start: Matrix | None) -> Point | None:
        point = equations.at(self.pencil, zeta * zeta, start)
        return point if point is not None and (zeta * point.m).imag >= 0 and point.m.imag > 0 else None
