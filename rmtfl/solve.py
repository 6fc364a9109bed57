"""One engine for every equation: a problem, a solver, one loop, one `Solution`.

Two kinds of problem cover rmtfl. `Root` is a batch of independent scalar equations f(x) = 0, each entry
with its own derivative and, on the real line, its own bracket; `FixedPoint` is one vector equation x =
F(x). A solver is a frozen object with `init` and `step`; `solve` owns the loop, the step count and the
status. A failure carries what was tried and what to do about it.

`Bracketed` proves its errors: it ends between two points at which f has opposite signs, beyond the noise that the
caller states. Where it breaks down: `Newton` has no globalisation beyond halving steps that leave the domain, so it
needs a start that the caller vouches for; `Bracketed` is global but real, and as honest as the noise it is told;
`Damped` and `Anderson` need a map that contracts, or nearly so. The errors of all but `Bracketed` are the size of the
next correction, which bounds the true error only where the iteration contracts at least by half a step: laws that
promise more certify their roots themselves.

Checked in tests/test_solve.py against equations with known roots, with deliberately bad maps, brackets and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rmtfl.errors import ToleranceNotMet

Array = NDArray[Any]
Residual = Callable[[Array, Array], tuple[Any, ...]]

#: Steps this small (relative to the scale) that no longer halve are rounding, not progress: Newton's next
#: step is the square of the last one, so a step of 1e-5 that is followed by a larger one than 5e-6 has met
#: the noise floor.
ROUNDING_REGIME = 1e-5

#: No bracket is asked to be narrower than this, relative: two to four ulps.
ULPS = 2.0**-51

#: A function this small has no sign, whatever noise is stated; a bracket this narrow is a point.
UNDERFLOW = float(np.finfo(float).tiny)


class Status(Enum):
    """How a solve ended."""

    CONVERGED = "converged"
    STALLED = "stalled at the rounding level before the tolerance"
    EXHAUSTED = "ran out of steps"
    DIVERGED = "left the numbers that a float holds, or found no change of sign"


@dataclass(frozen=True)
class Root:
    """Independent scalar equations f(x) = 0, one an entry of x (1-D, real or complex).

    Attributes:
        residual: `residual(x, index)` returns f and f' for the entries `index` of the batch, at the values x; for
            `Bracketed` it may add how far f may be off, 0 if it does not: the sign is trusted where |f| is larger.
        lower: For `Bracketed`: the left end of each entry's bracket.
        upper: The right end.
        increasing: Whether f increases across the bracket.
        inside: `inside(x, index)`: the domain; `Newton` halves the steps that leave it.
        scale: `scale(x, index)`: what an error is relative to; the modulus of x unless given, and at least a few ulps
            of a bracket.
    """

    residual: Residual
    lower: Array | None = None
    upper: Array | None = None
    increasing: bool = True
    inside: Callable[[Array, Array], Array] | None = None
    scale: Callable[[Array, Array], Array] | None = None

    def size(self, x: Array, index: Array) -> Array:
        """Return the scale that an error at x is measured against."""
        size = np.abs(x) if self.scale is None else self.scale(x, index)
        if self.lower is not None and self.upper is not None:
            size = np.maximum(size, ULPS * (self.upper - self.lower)[index])
        return np.where(size > 0, size, 1.0)


@dataclass(frozen=True)
class FixedPoint:
    """One vector equation x = F(x).

    Attributes:
        map: F, from a 1-D array (real or complex) to one of the same shape.
        project: Brings an iterate back into the domain; the identity unless given.
    """

    map: Callable[[Array], Array]
    project: Callable[[Array], Array] = field(default=lambda x: x)

    def size(self, x: Array, index: Array) -> Array:
        """Return the scale that an error at x is measured against: one for all entries."""
        return np.full(index.shape, np.max(np.abs(x), initial=0.0) or 1.0)


@dataclass(frozen=True)
class State:
    """Where an iteration stands.

    Attributes:
        value: The iterate.
        error: How far each entry may be off, relative to its scale.
        active: Which entries are open.
        stalled: Which got as far as rounding lets them.
        evaluations: How many scalar equations were evaluated.
        memory: What the solver hands itself from step to step.
    """

    value: Array
    error: Array
    active: Array
    stalled: Array
    evaluations: int = 0
    memory: tuple[Any, ...] = ()

    @classmethod
    def first(cls, start: Array, *memory: Any) -> State:
        """Return the state before the first step."""
        value = np.array(start, dtype=np.result_type(start, float))
        size = value.size
        return cls(value, np.full(size, np.inf), np.arange(size), np.zeros(size, bool), memory=memory)

    def after(self, new: Array, error: Array, open_: Array, stalled: Array, *memory: Any) -> State:
        """Return the state after a step of the active entries: which of them stay open, which have stalled."""
        active = self.active
        value, errors, still = self.value.copy(), self.error.copy(), self.stalled.copy()
        value[active], still[active] = new, stalled
        errors[active] = np.where(np.isfinite(error), error, np.inf)
        return State(value, errors, active[open_], still, self.evaluations + active.size, memory)


@dataclass(frozen=True)
class Solution:
    """What a solve found.

    Attributes:
        value: The iterate, shape of the start.
        error: How far it may be off, absolute, entry by entry: of `Bracketed` a bound, given the noise; of the
            others the size of the last correction (of a `FixedPoint` its maximum norm).
        status: CONVERGED only if every entry did.
        converged: Which entries did.
        steps: How many passes of the loop.
        evaluations: How many scalar equations were evaluated.
    """

    value: Array
    error: Array
    status: Status
    converged: Array
    steps: int
    evaluations: int

    def __bool__(self) -> bool:
        return self.status is Status.CONVERGED


class Solver(Protocol):
    """Advances a state by one step; `solve` owns everything else."""

    @property
    def remedy(self) -> str:
        """What to do when this solver fails."""

    def init(self, problem: Any, start: Array) -> State:
        """Return the state before the first step."""

    def step(self, problem: Any, state: State, tolerance: float) -> State:
        """Return the state after one more step."""


@dataclass(frozen=True)
class Newton:
    """Newton's method entry by entry; steps that leave the domain are halved, at most `halvings` times."""

    halvings: int = 30
    remedy: str = "start closer to the root, or give a bracket and use Bracketed"

    def init(self, problem: Root, start: Array) -> State:
        """Start at the given point."""
        return State.first(start)

    def step(self, problem: Root, state: State, tolerance: float) -> State:
        """One Newton step of every open entry."""
        index = state.active
        here, last = state.value[index], state.error[index]
        f, slope, *_ = problem.residual(here, index)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            correction = np.where(f == 0, 0.0, f / slope)
        new = here - correction
        if problem.inside is not None:
            for _ in range(self.halvings):
                out = ~problem.inside(new, index) & np.isfinite(correction)
                if not out.any():
                    break
                correction = np.where(out, 0.5 * correction, correction)
                new = here - correction
        error = np.abs(correction) / problem.size(new, index)
        stalled = (error > tolerance) & (error > 0.75 * last) & (last < ROUNDING_REGIME)
        open_ = (error > tolerance) & ~stalled & np.isfinite(error)
        return state.after(new, error, open_, stalled)


@dataclass(frozen=True)
class Bracketed:
    """Newton's method inside a shrinking bracket, bisecting whenever Newton does not halve its steps.

    As soon as a correction is within the tolerance it steps beyond the root, and bisects where that changes no sign:
    the bracket closes from both sides, and a misleading slope costs time only. Where |f| is at its noise the bracket is
    closed around all points at which it was; the error is that width, and an entry has stalled if that is more than was
    asked.
    """

    remedy: str = "check that the function changes sign over the bracket, and state its noise"

    def init(self, problem: Root, start: Array) -> State:
        """Start at the given points, pulled into their brackets."""
        if problem.lower is None or problem.upper is None:
            raise TypeError("Bracketed needs a Root with lower and upper")
        lower, upper = np.array(problem.lower, float), np.array(problem.upper, float)
        start = np.clip(start, lower, upper)
        never, far = np.zeros(start.shape, bool), np.full(start.shape, np.inf)
        # The bracket, whether f was seen at its ends, the first and last point of noise, the size of the last step.
        return State.first(start, lower, upper, never, never, far, -far, far)

    def step(self, problem: Root, state: State, tolerance: float) -> State:
        """One evaluation of every open entry."""
        index = state.active
        here, memory = state.value[index], state.memory
        low, high, seen_low, seen_high, first, last, moved = memory
        with np.errstate(all="ignore"):
            f, slope, *stated = problem.residual(here, index)
            noise = np.fmax(stated[0] if stated else 0.0, UNDERFLOW)
            newton = f / slope
            above, below = (f > noise, f < -noise) if problem.increasing else (f < -noise, f > noise)
            lost = (above & (here <= low)) | (below & (here >= high))
            low, high = np.where(below, here, low), np.where(above, here, high)
            seen_low, seen_high = seen_low | (here <= low), seen_high | (here >= high)
            asked = max(tolerance, ULPS) * problem.size(here, index)
            narrow, middle = high - low <= asked, 0.5 * low + 0.5 * high

            # Newton, or beyond the root where that is near: if this changes no sign, no step halves 0.
            root, near = here - newton, np.abs(newton) <= 0.25 * asked
            new = np.where(near, root + np.where(below, 0.5, -0.5) * asked, root)
            inside = np.where(seen_low, new > low, new >= low) & np.where(seen_high, new < high, new <= high)
            new = np.where(inside & (np.abs(newton) < 0.5 * moved), new, middle)
            moved = np.where(near & (new != middle), 0.0, np.abs(new - here))
            # A bracket that is narrow enough must have been seen to be one.
            new = np.where(narrow & ~seen_low, low, np.where(narrow & ~seen_high, high, new))
            done = narrow & seen_low & seen_high
            new = np.where(done, np.where((root >= low) & (root <= high), root, middle), new)

            quiet, stale = ~(above | below | lost), (first < low) | (last > high)
            first = np.minimum(np.where(stale, np.inf, first), np.where(quiet, here, np.inf))
            last = np.maximum(np.where(stale, -np.inf, last), np.where(quiet, here, -np.inf))
            noisy = (first <= last) & ~done
            if noisy.any():
                # Look for the ends of the noise, first as far as the slope says, then in doubling steps.
                reach = 4 * noise / np.abs(slope)
                wide = np.maximum(np.fmin(np.fmax(last - first, reach), (high - low) / 8), 0.5 * asked)
                to_low, to_high = first - low, high - last
                enough = np.fmax(2 * wide, np.where(quiet, 0.0, 1.5 * reach))
                ended = noisy & (np.maximum(to_low, to_high) <= enough)
                probe = np.where(to_low > to_high, first - wide, last + wide)
                new = np.where(noisy, np.where(ended, 0.5 * (first + last), probe), new)
                done |= ended
            new = np.where(lost, here, new)
            width = np.where(lost, np.inf, np.maximum(new - low, high - new))
            error = (1 + ULPS) * width / problem.size(new, index)
        stalled = done & ~lost & (error > (1 + ULPS) * max(tolerance, ULPS))
        open_ = ~(done | lost)
        memory = (low, high, seen_low, seen_high, first, last, moved)
        return state.after(new, error, open_, stalled, *(part[open_] for part in memory))


@dataclass(frozen=True)
class Damped:
    """x ← (1 − damping) x + damping F(x), the textbook iteration; convergence is linear."""

    damping: float = 1.0
    remedy: str = "use Anderson, or continue from an easier problem"

    def init(self, problem: FixedPoint, start: Array) -> State:
        """Start at the given vector."""
        del problem
        return State.first(start)

    def step(self, problem: FixedPoint, state: State, tolerance: float) -> State:
        """One damped application of the map."""
        here = state.value
        change = problem.map(here) - here
        return _accept(problem, state, here + self.damping * change, change, tolerance)


@dataclass(frozen=True)
class Anderson:
    """Anderson acceleration of a fixed-point iteration: least squares over the last `memory` residuals."""

    memory: int = 6
    damping: float = 1.0
    remedy: str = "shorten the memory, damp more, or continue from an easier problem"

    def init(self, problem: FixedPoint, start: Array) -> State:
        """Start at the given vector."""
        del problem
        return State.first(start)

    def step(self, problem: FixedPoint, state: State, tolerance: float) -> State:
        """One accelerated step."""
        here = state.value
        change = problem.map(here) - here
        new = here + self.damping * change
        past = state.memory[-self.memory :]
        if past and np.isfinite(change).all():
            dx = np.stack([here - x for x, _ in past], axis=1)
            df = np.stack([change - f for _, f in past], axis=1)
            mix = np.linalg.lstsq(df, change, rcond=1e-13)[0]
            new = new - (dx + self.damping * df) @ mix
        return _accept(problem, state, new, change, tolerance, *past, (here, change))


def _accept(
    problem: FixedPoint, state: State, new: Array, change: Array, tolerance: float, *memory: tuple[Array, Array]
) -> State:
    """Return the state after a step of all entries, which are done together."""
    finite = bool(np.isfinite(new).all() and np.isfinite(change).all())
    index = np.arange(new.size)
    error = np.max(np.abs(change), initial=0.0) / problem.size(new, index) if finite else np.full(new.shape, np.inf)
    open_ = finite & (error > tolerance)
    return state.after(problem.project(new) if finite else new, error, open_, np.zeros(new.shape, bool), *memory)


def solve(
    problem: Root | FixedPoint,
    solver: Solver,
    start: Array,
    *,
    tolerance: float = 1e-14,
    max_steps: int = 200,
    throw: bool = True,
) -> Solution:
    """Solve a problem with a solver: the one loop.

    Args:
        problem: A `Root` or a `FixedPoint`.
        solver: One of `Newton`, `Bracketed` (for `Root`), `Damped`, `Anderson` (for `FixedPoint`).
        start: 1-D array of starting values.
        tolerance: Relative size of a correction, or of a bracket, at which an entry is done.
        max_steps: Passes of the loop.
        throw: Raise when an entry neither converges nor reaches the rounding level.

    Returns:
        A `Solution`; `error` is absolute.

    Raises:
        ToleranceNotMet: With `throw`, if an entry ran out of steps or diverged. Entries that stalled at
            the rounding level do not raise: their `error` says how far they came.
    """
    state = solver.init(problem, np.atleast_1d(np.asarray(start)))
    steps = 0
    while state.active.size and steps < max_steps:
        state = solver.step(problem, state, tolerance)
        steps += 1
    converged = np.isfinite(state.error) & ~state.stalled
    converged[state.active] = False
    if converged.all():
        status = Status.CONVERGED
    elif not np.isfinite(state.error).all():
        status = Status.DIVERGED
    elif state.active.size:
        status = Status.EXHAUSTED
    else:
        status = Status.STALLED
    if throw and status in (Status.EXHAUSTED, Status.DIVERGED):
        bad = int(np.count_nonzero(~(converged | state.stalled)))
        raise ToleranceNotMet(
            f"{type(solver).__name__} {status.value} after {steps} steps on {bad} of {state.value.size} "
            f"entries: the worst relative error is {np.max(state.error):.1e} and {tolerance:.1e} "
            f"was asked; {solver.remedy}"
        )
    error = state.error * problem.size(state.value, np.arange(state.value.size))
    return Solution(state.value, error, status, converged, steps, state.evaluations)


def continuation(
    problems: list[Root] | list[FixedPoint],
    solver: Solver,
    start: Array,
    *,
    tolerance: float = 1e-14,
    max_steps: int = 200,
    throw: bool = True,
) -> Solution:
    """Solve a chain of problems, each from the solution of the one before; only the last one's tolerance counts.

    Args:
        problems: From the easiest to the one that is asked for.
        solver: Used at each.
        start: For the first.
        tolerance: Of the last problem; the intermediate ones are solved to its square root.
        max_steps: A problem.
        throw: As in `solve`, for the last problem.

    Returns:
        The last problem's `Solution`, with the steps and evaluations of the whole chain.

    Raises:
        ToleranceNotMet: If the last problem fails.
    """
    steps = evaluations = 0
    value = np.atleast_1d(np.asarray(start))
    for problem in problems[:-1]:
        part = solve(problem, solver, value, tolerance=tolerance**0.5, max_steps=max_steps, throw=False)
        value, steps, evaluations = part.value, steps + part.steps, evaluations + part.evaluations
    last = solve(problems[-1], solver, value, tolerance=tolerance, max_steps=max_steps, throw=throw)
    return replace(last, steps=steps + last.steps, evaluations=evaluations + last.evaluations)
