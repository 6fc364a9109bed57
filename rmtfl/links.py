"""Links: the activations and targets of a network, as exact piecewise-smooth functions of one variable.

A link is written as an expression in x. It is parsed with Python's `ast` against a whitelist and rebuilt in SymPy;
nothing is ever evaluated as Python. relu, abs, sign, heaviside, Min and Max are then resolved into smooth pieces
between kinks, so that every later integral can be split where the function is not analytic, and derivatives are those
of the pieces (exact away from the kinks; a jump would add a point mass, which `jump` exposes).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import sympy as sp
from array_api_compat import is_numpy_namespace
from numpy.typing import NDArray

from rmtfl.errors import BadInput
from rmtfl.functions import FUNCTIONS, MPMATH, NUMPY, array_api
from rmtfl.pieces import X, merge, refuse_poles, resolve

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

MAX_LENGTH = 500  # characters of an expression: beyond any link in the literature, and cheap to parse
MAX_EXPONENT = 64  # of an integer power: x**64 already has Gaussian moments beyond 1e80
MAX_DEGREE = 64  # of a polynomial in x, or in functions of x, however it is nested: the same bound
MAX_BITS = 4096  # of an exact constant: 1e1233, far beyond what doubles hold, and cheap
MAX_HERMITE = 40  # degree of He: E He_40^2 = 40! is 1e48, the last where doubles keep a moment's digits


@dataclass(frozen=True)
class Link:
    """A piecewise-smooth function of one real variable; build one with `parse`.

    Attributes:
        text: the expression as the user wrote it.
        expression: the same in SymPy, in the real symbol `X`.
        kinks: exact locations, ascending, at which the pieces meet.
        pieces: SymPy expressions, one more than kinks, from left to right.
    """

    text: str
    expression: sp.Expr
    kinks: tuple[sp.Expr, ...]
    pieces: tuple[sp.Expr, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)

    @cached_property
    def breakpoints(self) -> tuple[float, ...]:
        """The kinks as floats."""
        return tuple(float(k) for k in self.kinks)

    @cached_property
    def is_polynomial(self) -> bool:
        """Whether the link is one polynomial with rational coefficients, so that its moments are rationals."""
        if self.kinks or not self.pieces[0].is_polynomial(X):
            return False
        return all(c.is_Rational for c in sp.Poly(self.pieces[0], X).all_coeffs())

    @cached_property
    def is_piecewise_linear(self) -> bool:
        """Whether every piece is a straight line (relu, abs, clip): its Gaussian smoothing has a closed form."""
        return all(sp.diff(piece, X, 2) == 0 for piece in self.pieces)

    @cached_property
    def parity(self) -> int:
        """1 for an even link, -1 for an odd one, 0 where neither can be read off the expression."""
        mirrored = self.expression.subs(X, -X)
        if sp.expand(mirrored - self.expression) == 0:
            return 1
        return -1 if sp.expand(mirrored + self.expression) == 0 else 0

    def derivative(self, order: int = 1) -> Link:
        """The derivative of the pieces, of the given order (point masses at jumps are left out; see `jump`)."""
        return _derivative(self, order)

    def jump(self, index: int, order: int = 0) -> sp.Expr:
        """The jump of the order-th derivative at kink `index`, right limit minus left limit, exact."""
        left, right = self.pieces[index], self.pieces[index + 1]
        return sp.simplify(sp.diff(right - left, X, order).subs(X, self.kinks[index]))

    @cached_property
    def is_continuous(self) -> bool:
        """Whether the pieces meet at every kink."""
        return all(self.jump(i) == 0 for i in range(len(self.kinks)))

    def numpy(self) -> Function:
        """A vectorised function of a float array; at a kink the right-hand piece holds."""
        return _numpy_pieces(self)

    def over(self, xp: Any) -> Function:
        """The same for arrays of a namespace of the array API, such as torch's; `numpy` itself for numpy's."""
        return _array_pieces(self, xp)

    def piece_functions(self) -> tuple[Function, ...]:
        """One vectorised function for each piece, valid on (and analytic across) its closed interval."""
        return tuple(_lambdify_numpy(piece) for piece in self.pieces)

    def mpmath_pieces(self) -> tuple[Callable[[Any], Any], ...]:
        """One function of an mpmath number for each piece."""
        return tuple(_lambdify_mpmath(piece) for piece in self.pieces)


@lru_cache(maxsize=512)
def parse(text: str) -> Link:
    """Read a link from its expression.

    Raises:
        BadInput: if the text is not an expression of the whitelist, is not real on the whole line, or has kinks that
            cannot be listed. The message names what was refused and what is accepted.

    Examples:
        >>> parse("relu(x - 1/3)").kinks
        (1/3,)
        >>> parse("He3(x)").expression
        x**3 - 3*x
    """
    if not isinstance(text, str):
        raise BadInput(f"{text!r} is not an expression in x; write it as a string such as 'tanh(x + 7/10)'")
    if len(text) > MAX_LENGTH:
        raise BadInput(f"an expression of {len(text)} characters is too long; at most {MAX_LENGTH} are accepted")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadInput(f"{text!r} is not an expression in x, such as 'tanh(x + 7/10)'") from None
    try:
        expression = _build(tree.body, text)
        pieces = merge(resolve(expression, text))
    except RecursionError:
        raise BadInput(f"{text!r} is nested too deeply") from None
    for _, piece in pieces:
        refuse_poles(piece, text)
    return Link(
        text=text,
        expression=expression,
        kinks=tuple(start for start, _ in pieces[1:]),
        pieces=tuple(piece for _, piece in pieces),
    )


# ------------------------------------------------------------------------------------------------ text to SymPy

_BINARY: dict[type[ast.operator], Callable[[sp.Expr, sp.Expr], sp.Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}
_CONSTANTS = {"pi": sp.pi, "E": sp.E}
_ACCEPTED = "x, numbers, + - * / **, pi, E, He0(x)...He40(x) and " + ", ".join(sorted(FUNCTIONS))


def _build(node: ast.expr, text: str) -> sp.Expr:
    if isinstance(node, ast.Constant):
        return _number(node.value, text)
    if isinstance(node, ast.Name):
        if node.id == "x":
            return X
        if node.id in _CONSTANTS:
            return _CONSTANTS[node.id]
        raise BadInput(f"unknown name {node.id!r} in {text!r}; accepted are {_ACCEPTED}")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        operand = _build(node.operand, text)
        return -operand if isinstance(node.op, ast.USub) else operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _power(_build(node.left, text), _build(node.right, text), text)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _build(node.left, text), _build(node.right, text)
        if isinstance(node.op, ast.Div) and right == 0:
            raise BadInput(f"division by zero in {text!r}")
        return _finite(_BINARY[type(node.op)](left, right), text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _call(node.func.id, [_build(argument, text) for argument in node.args], text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        raise BadInput(f"'^' is not allowed in {text!r}; a power is written **, such as x**2")
    shown = ast.unparse(node)
    raise BadInput(f"{shown!r} is not allowed in {text!r}; accepted are {_ACCEPTED}")


def _number(value: object, text: str) -> sp.Expr:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{value!r} in {text!r} is not a real number")
    if not (value == 0 or 1e-30 < abs(value) < 1e30):  # NaN and integers beyond any double included
        raise BadInput(f"the number {value!r} in {text!r} is out of range; accepted are 1e-30 to 1e30 in size")
    return sp.Rational(str(value))


def _power(base: sp.Expr, exponent: sp.Expr, text: str) -> sp.Expr:
    if exponent.is_number:
        if not exponent.is_real or abs(exponent) > MAX_EXPONENT:
            raise BadInput(f"the exponent {exponent} in {text!r} is out of range; at most {MAX_EXPONENT} in size")
        if base.is_Rational and abs(exponent) * max(base.p.bit_length(), base.q.bit_length()) > MAX_BITS:
            raise BadInput(f"a power of a constant in {text!r} is too large")
    elif not (base.is_number and base.is_positive):
        raise BadInput(f"a power with x in the exponent needs a positive constant base in {text!r}")
    return _finite(base**exponent, text)


def _call(name: str, arguments: list[sp.Expr], text: str) -> sp.Expr:
    hermite = re.fullmatch(r"He(\d{1,4})", name)
    if hermite:
        degree = int(hermite.group(1))
        if degree > MAX_HERMITE:
            raise BadInput(f"{name} in {text!r} is of too high a degree; at most He{MAX_HERMITE} is accepted")
        _arity(name, arguments, (1, 1), text)
        _finite(arguments[0] ** degree, text)
        return sp.expand(hermite_polynomial(degree).subs(X, arguments[0]))
    if name not in FUNCTIONS:
        raise BadInput(f"unknown function {name!r} in {text!r}; accepted are {_ACCEPTED}")
    build, arity = FUNCTIONS[name]
    _arity(name, arguments, arity, text)
    return _finite(build(*arguments), text)


def _arity(name: str, arguments: list[sp.Expr], arity: tuple[int, int], text: str) -> None:
    low, high = arity
    if not low <= len(arguments) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise BadInput(f"{name} in {text!r} takes {wanted} argument(s), not {len(arguments)}")


def _finite(expression: sp.Expr, text: str) -> sp.Expr:
    if expression.has(sp.oo, -sp.oo, sp.zoo, sp.nan) or (expression.is_number and not expression.is_real):
        raise BadInput(f"{text!r} holds a constant that is not a finite real number")
    if _degree(expression) > MAX_DEGREE:
        raise BadInput(f"{text!r} holds a polynomial of too high a degree; at most {MAX_DEGREE} is accepted")
    return expression


def _degree(expression: sp.Expr) -> int:
    """A bound on the degree of an expression as a polynomial in x and in the functions in it."""
    if not expression.has(X):
        return 0
    if isinstance(expression, sp.Mul):
        return sum(_degree(factor) for factor in expression.args)
    if isinstance(expression, sp.Pow) and expression.exp.is_Integer:
        return abs(int(expression.exp)) * _degree(expression.base)
    if isinstance(expression, sp.Add | sp.Max | sp.Min | sp.Abs):
        return max(_degree(part) for part in expression.args)
    return 1


@lru_cache(maxsize=64)
def hermite_polynomial(degree: int) -> sp.Expr:
    """The probabilists' Hermite polynomial He_degree(x), with E He_j He_k = k! δ_jk under N(0, 1)."""
    previous, current = sp.Integer(0), sp.Integer(1)
    for k in range(degree):
        previous, current = current, sp.expand(X * current - k * previous)
    return current


# ------------------------------------------------------------------------------------------------ numerical functions


@lru_cache(maxsize=512)
def _derivative(link: Link, order: int) -> Link:
    if order == 0:
        return link
    pieces = [sp.diff(piece, X, order) for piece in link.pieces]
    merged = merge(list(zip([-sp.oo, *link.kinks], pieces, strict=True)))
    derivative = object.__new__(_DerivativeLink)
    for name, value in {
        "text": f"d^{order}/dx^{order} [{link.text}]",
        "expression": pieces[0] if len(merged) == 1 else sp.diff(link.expression, X, order),
        "kinks": tuple(start for start, _ in merged[1:]),
        "pieces": tuple(piece for _, piece in merged),
        "source": link,
        "order": order,
    }.items():
        object.__setattr__(derivative, name, value)
    return derivative


class _DerivativeLink(Link):
    """A derivative, which pickles through the link it came from."""

    source: Link
    order: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _derivative, (self.source, self.order)


def fast(piece: sp.Expr) -> sp.Expr:
    """A polynomial in Horner's form, so that no power function is called; anything else as it is."""
    if not piece.is_polynomial(X):
        return piece
    result = sp.Integer(0)
    for coefficient in sp.Poly(piece, X).all_coeffs():
        result = result * X + coefficient
    return result


@lru_cache(maxsize=1024)
def _lambdify_numpy(piece: sp.Expr) -> Function:
    if not piece.has(X):
        constant = float(piece)
        return lambda x: np.full(np.shape(x), constant)
    function: Function = sp.lambdify(X, fast(piece), modules=[NUMPY, "numpy"], cse=True)
    return function


@lru_cache(maxsize=1024)
def _lambdify_mpmath(piece: sp.Expr) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = sp.lambdify(X, piece, modules=[MPMATH, "mpmath"])
    return function


@lru_cache(maxsize=1024)
def _lambdify_array(piece: sp.Expr, xp: Any) -> Function:
    if not piece.has(X):
        constant = float(piece)
        return lambda x: xp.full_like(x, constant)
    # The namespace's functions take arrays alone: a constant such as sqrt(2) becomes a number here.
    expression = fast(piece)
    numbers = {node: node.evalf(17) for node in sp.preorder_traversal(expression) if _needs_rounding(node)}
    function: Function = sp.lambdify(X, expression.xreplace(numbers), modules=[array_api(xp)], cse=True)
    return function


def _needs_rounding(node: sp.Basic) -> bool:
    """Whether a constant is neither a ratio, which Python divides, nor an integer that any library takes."""
    return isinstance(node, sp.Expr) and node.is_number and (not node.is_Rational or abs(node.p) > 2**53)


@lru_cache(maxsize=512)
def _numpy_pieces(link: Link) -> Function:
    return _joined(link, link.piece_functions(), np)


@lru_cache(maxsize=512)
def _array_pieces(link: Link, xp: Any) -> Function:
    if is_numpy_namespace(xp):
        return _numpy_pieces(link)
    return _joined(link, tuple(_lambdify_array(piece, xp) for piece in link.pieces), xp)


def _joined(link: Link, pieces: tuple[Function, ...], xp: Any) -> Function:
    breakpoints = link.breakpoints
    if not breakpoints:
        return pieces[0]

    def evaluate(x: Array) -> Array:
        x = xp.asarray(x, dtype=xp.float64)
        # Each piece sees only its own side: beyond it, it may overflow.
        result: Array = pieces[0](xp.clip(x, None, breakpoints[0]))
        for i, piece in enumerate(pieces[1:]):
            end = breakpoints[i + 1] if i + 1 < len(breakpoints) else None
            result = xp.where(x >= breakpoints[i], piece(xp.clip(x, breakpoints[i], end)), result)
        return result

    return evaluate
