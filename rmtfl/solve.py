"""One engine for every equation: a problem, a solver, one loop, one `Solution`.

Two kinds of problem cover rmtfl. `Root` is a batch of independent scalar equations f(x) = 0, each entry
with its own derivative and, on the real line, its own bracket; `FixedPoint` is one vector equation x =
F(x). A solver is a frozen object with `init` and `step`; `solve` owns the loop, the step count and the
status. A failure carries what was tried and what to do about it.

Where it breaks down: `Newton` has no globalisation beyond halving steps that leave the domain, so it needs
a start that the caller vouches for; `Bracketed` is global but real; `Damped` and `Anderson` need a map
that contracts, or nearly so. Errors are the size of the next correction, which bounds the true error only
where the iteration contracts at least by half a step: laws that promise more certify their roots themselves.

Checked in tests/test_solve.py against closed-form roots, with deliberately bad maps and brackets.
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
Residual = Callable[[Array, Array], tuple[Array, Array]]

#: Steps this small (relative to the scale) that no longer halve are rounding, not progress: Newton's next
#: step is the square of the last one, so a step of 1e-5 that is followed by a larger one than 5e-6 has met
#: the noise floor.
ROUNDING_REGIME = 1e-5


class Status(Enum):
    """How a solve ended."""

    CONVERGED = "converged"
    STALLED = "stalled at the rounding level before the tolerance"
    EXHAUSTED = "ran out of steps"
    DIVERGED = "left the numbers that a float holds"


@dataclass(frozen=True)
class Root:
    """Independent scalar equations f(x) = 0, one an entry of x (1-D, real or complex).

    Attributes:
        residual: `residual(x, index)` returns f and f' for the entries `index` of the batch, at the values x.
        lower: For `Bracketed`: the left end of each entry's bracket.
        upper: The right end.
        increasing: Whether f increases across the bracket.
        inside: `inside(x, index)`: the domain; `Newton` halves the steps that leave it.
        scale: `scale(x, index)`: what a step is relative to; the modulus of x unless given.
    """

    residual: Residual
    lower: Array | None = None
    upper: Array | None = None
    increasing: bool = True
    inside: Callable[[Array, Array], Array] | None = None
    scale: Callable[[Array, Array], Array] | None = None

    def size(self, x: Array, index: Array) -> Array:
        """Return the scale that a step at x is measured against."""
        return np.abs(x) if self.scale is None else self.scale(x, index)


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
        """Return the scale that a step at x is measured against: one for all entries."""
        return np.full(index.shape, np.max(np.abs(x), initial=0.0))


@dataclass(frozen=True)
class State:
    """Where an iteration stands: the iterate, the size of its last correction relative to the scale, what
    is open.
    """

    value: Array
    error: Array
    active: Array
    stalled: Array
    evaluations: int = 0
    lower: Array | None = None
    upper: Array | None = None
    history: tuple[tuple[Array, Array], ...] = ()


@dataclass(frozen=True)
class Solution:
    """What a solve found.

    Attributes:
        value: The iterate, shape of the start.
        error: Size of the last correction, absolute, entry by entry (`Root`) or its maximum norm
            (`FixedPoint`).
        status: CONVERGED only if every entry did.
        converged: Which entries did.
        steps: How many passes of the loop.
        evaluations: How many scalar equations (or maps) were evaluated.
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


def _first_state(start: Array) -> State:
    value = np.array(start, dtype=np.result_type(start, float))
    return State(value, np.full(value.shape, np.inf), np.arange(value.size), np.zeros(value.shape, bool))


def _advance(problem: Root, state: State, new: Array, tolerance: float, **changes: Any) -> State:
    """Record a step of the active entries: who has converged, who only meets rounding."""
    active = state.active
    value, error, stalled = state.value.copy(), state.error.copy(), state.stalled.copy()
    scale = problem.size(new, active)
    relative = np.abs(new - value[active]) / np.where(scale > 0, scale, 1.0)
    # Bisection halves exactly: only what shrinks by less than a quarter has stopped shrinking.
    stuck = (relative > 0.75 * error[active]) & (error[active] < ROUNDING_REGIME)
    value[active], stalled[active] = new, stuck & (relative > tolerance)
    error[active] = np.where(np.isfinite(relative), relative, np.inf)
    open_ = (relative > tolerance) & ~stuck & np.isfinite(relative)
    return replace(
        state,
        value=value,
        error=error,
        stalled=stalled,
        active=active[open_],
        evaluations=state.evaluations + active.size,
        **changes,
    )


@dataclass(frozen=True)
class Newton:
    """Newton's method entry by entry; steps that leave the domain are halved, at most `halvings` times."""

    halvings: int = 30
    remedy: str = "start closer to the root, or give a bracket and use Bracketed"

    def init(self, problem: Root, start: Array) -> State:
        """Start at the given point."""
        return _first_state(start)

    def step(self, problem: Root, state: State, tolerance: float) -> State:
        """One Newton step of every open entry."""
        index = state.active
        here = state.value[index]
        f, slope = problem.residual(here, index)
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
        return _advance(problem, state, new, tolerance)


@dataclass(frozen=True)
class Bracketed:
    """Newton's method inside a shrinking bracket, bisecting whenever Newton leaves it: global on the real
    line.
    """

    remedy: str = "check that the function changes sign over the bracket"

    def init(self, problem: Root, start: Array) -> State:
        """Start at the given points, pulled into their brackets."""
        if problem.lower is None or problem.upper is None:
            raise TypeError("Bracketed needs a Root with lower and upper")
        lower, upper = np.array(problem.lower, float), np.array(problem.upper, float)
        return replace(_first_state(np.clip(start, lower, upper)), lower=lower, upper=upper)

    def step(self, problem: Root, state: State, tolerance: float) -> State:
        """One Newton step, or a bisection, of every open entry."""
        assert state.lower is not None and state.upper is not None
        index = state.active
        here, lower, upper = state.value[index], state.lower.copy(), state.upper.copy()
        f, slope = problem.residual(here, index)
        right = (f > 0) == problem.increasing
        upper[index] = np.where(right & (f != 0), here, upper[index])
        lower[index] = np.where(~right & (f != 0), here, lower[index])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            new = np.where(f == 0, here, here - f / slope)
        low, high = lower[index], upper[index]
        moved = state.error[index] < np.inf
        last = np.where(moved, state.error[index], 0.0) * problem.size(here, index)
        with np.errstate(invalid="ignore"):
            step = np.abs(new - here)
            # Newton that creeps is no better than bisection: it must at least halve its own last step ...
            poor = ~((new > low) & (new < high)) | (moved & (step > 0.5 * last))
            # ... unless it only meets rounding, where the bracket's ends are as noisy as the step.
            noise = moved & (state.error[index] < ROUNDING_REGIME) & (step <= 10 * last)
        new = np.where(poor & ~noise & (f != 0), 0.5 * low + 0.5 * high, new)
        return _advance(problem, state, new, tolerance, lower=lower, upper=upper)


@dataclass(frozen=True)
class Damped:
    """x ← (1 − damping) x + damping F(x), the textbook iteration; convergence is linear."""

    damping: float = 1.0
    remedy: str = "use Anderson, or continue from an easier problem"

    def init(self, problem: FixedPoint, start: Array) -> State:
        """Start at the given vector."""
        return _first_state(start)

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
        return _first_state(start)

    def step(self, problem: FixedPoint, state: State, tolerance: float) -> State:
        """One accelerated step."""
        here = state.value
        change = problem.map(here) - here
        new = here + self.damping * change
        past = state.history[-self.memory :]
        if past and np.isfinite(change).all():
            dx = np.stack([here - x for x, _ in past], axis=1)
            df = np.stack([change - f for _, f in past], axis=1)
            mix = np.linalg.lstsq(df, change, rcond=1e-13)[0]
            new = new - (dx + self.damping * df) @ mix
        history = (*past, (here, change))
        return _accept(problem, replace(state, history=history), new, change, tolerance)


def _accept(problem: FixedPoint, state: State, new: Array, change: Array, tolerance: float) -> State:
    finite = bool(np.isfinite(new).all() and np.isfinite(change).all())
    scale = problem.size(new, np.arange(new.size)).max(initial=0.0)
    relative = float(np.max(np.abs(change), initial=0.0) / (scale if scale > 0 else 1.0)) if finite else np.inf
    return replace(
        state,
        value=problem.project(new) if finite else new,
        error=np.full(new.shape, relative),
        active=state.active if finite and relative > tolerance else state.active[:0],
        evaluations=state.evaluations + 1,
    )


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
        tolerance: Relative size of a correction at which an entry is done.
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
    converged = state.error <= tolerance
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
            f"entries: the worst relative correction is {np.max(state.error):.1e} and {tolerance:.1e} "
            f"was asked; {solver.remedy}"
        )
    scale = problem.size(state.value, np.arange(state.value.size))
    with np.errstate(invalid="ignore"):
        error = state.error * np.where(scale > 0, scale, 1.0)
    return Solution(state.value, error, status, converged, steps, state.evaluations)


def refine(
    correction: Callable[[Any], tuple[Array, Array]],
    start: Any,
    *,
    tolerance: float,
    max_steps: int = 12,
) -> tuple[Any, Array]:
    """Refine roots in a number type wider than the corrections: Newton with a wide residual and a double
    slope.

    Args:
        correction: Returns f/f' at the iterate, as doubles, and the scale that it is measured against.
        start: The iterate: any type from which an array of doubles can be subtracted.
        tolerance: Relative size of a correction at which all entries are done.
        max_steps: Corrections at most.

    Returns:
        The refined iterate, and the relative size of the last correction that was applied to each entry.
        Nothing is raised: the callers bound the error of what comes back, and escalate.
    """
    value = start
    change, scale = correction(value)
    for _ in range(max_steps):
        value = value - change
        with np.errstate(divide="ignore", invalid="ignore"):
            last = np.abs(change) / scale
        if not (last > tolerance).any():
            break
        change, scale = correction(value)
    return value, last


def newton(
    step: Callable[[float], float],
    start: float,
    *,
    inside: Callable[[float], bool],
    tolerance: float,
    max_steps: int = 60,
) -> float | None:
    """Solve one real equation on floats, where an array's overhead would be all there is.

    Args:
        step: Newton's correction at x, which is subtracted.
        start: The first x.
        inside: The domain; leaving it is a failure.
        tolerance: Relative size of a correction at which x is done.
        max_steps: Corrections at most.

    Returns:
        The root, with the last correction applied; None where Newton failed: the callers have a slower way.
    """
    x, last = start, float("inf")
    try:
        for _ in range(max_steps):
            change = step(x)
            x -= change
            if not inside(x):
                return None
            change = abs(change)
            if change <= tolerance * abs(x) or last <= change < ROUNDING_REGIME * abs(x):
                return x
            last = change
    except (ZeroDivisionError, OverflowError, ValueError):
        pass
    return None


def continuation(
    problems: list[Root] | list[FixedPoint],
    solver: Solver,
    start: Array,
    *,
    tolerance: float = 1e-14,
    max_steps: int = 200,
    throw: bool = True,
) -> Solution:
    """Solve a chain of problems, each from the solution of the one before; only the last one's tolerance
    counts.

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
