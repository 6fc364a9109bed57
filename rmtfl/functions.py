"""The functions a link may use: how each is built in SymPy, and evaluated by NumPy, the array API and mpmath.

softplus and sigmoid are functions of their own, so that neither overflows where its defining formula would.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import mpmath
import numpy as np
import scipy.special
import sympy as sp


class sigmoid(sp.Function):  # type: ignore[misc]  # noqa: N801
    """1 / (1 + exp(-x))."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The derivative, in terms of the function itself."""
        return self * (1 - self)

    @classmethod
    def eval(cls, argument: sp.Expr) -> sp.Expr | None:
        """The value at zero is exact."""
        return sp.Rational(1, 2) if argument == 0 else None

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real  # type: ignore[no-any-return]

    def _eval_evalf(self, prec: int) -> sp.Expr:
        return (1 / (1 + sp.exp(-self.args[0])))._eval_evalf(prec)


class softplus(sp.Function):  # type: ignore[misc]  # noqa: N801
    """log(1 + exp(x))."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """The derivative is the sigmoid."""
        return sigmoid(self.args[0])

    def _eval_is_real(self) -> bool | None:
        return self.args[0].is_real  # type: ignore[no-any-return]

    def _eval_evalf(self, prec: int) -> sp.Expr:
        return sp.log(1 + sp.exp(self.args[0]))._eval_evalf(prec)


def _gelu(x: sp.Expr) -> sp.Expr:
    return x * (1 + sp.erf(x / sp.sqrt(2))) / 2


def _leaky_relu(x: sp.Expr, slope: sp.Expr) -> sp.Expr:
    return sp.Max(0, x) + slope * sp.Min(0, x)


# name -> (how it is built, fewest and most arguments)
FUNCTIONS: dict[str, tuple[Callable[..., sp.Expr], tuple[int, int]]] = {
    "abs": (sp.Abs, (1, 1)),
    "arctan": (sp.atan, (1, 1)),
    "asinh": (sp.asinh, (1, 1)),
    "atan": (sp.atan, (1, 1)),
    "clip": (lambda x, low, high: sp.Min(sp.Max(x, low), high), (3, 3)),
    "cos": (sp.cos, (1, 1)),
    "cosh": (sp.cosh, (1, 1)),
    "erf": (sp.erf, (1, 1)),
    "exp": (sp.exp, (1, 1)),
    "gelu": (_gelu, (1, 1)),
    "heaviside": (lambda x: sp.Heaviside(x, sp.Rational(1, 2)), (1, 1)),
    "leaky_relu": (_leaky_relu, (2, 2)),
    "log": (sp.log, (1, 1)),
    "max": (sp.Max, (2, 8)),
    "Max": (sp.Max, (2, 8)),
    "min": (sp.Min, (2, 8)),
    "Min": (sp.Min, (2, 8)),
    "relu": (lambda x: sp.Max(0, x), (1, 1)),
    "sigmoid": (sigmoid, (1, 1)),
    "sign": (sp.sign, (1, 1)),
    "silu": (lambda x: x * sigmoid(x), (1, 1)),
    "sin": (sp.sin, (1, 1)),
    "sinh": (sp.sinh, (1, 1)),
    "softplus": (softplus, (1, 1)),
    "sqrt": (sp.sqrt, (1, 1)),
    "step": (lambda x: sp.Heaviside(x, sp.Rational(1, 2)), (1, 1)),
    "tanh": (sp.tanh, (1, 1)),
}

NUMPY: dict[str, Any] = {
    "erf": scipy.special.erf,
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0.0, x),
}


def array_api(xp: Any) -> dict[str, Any]:
    """The functions of smooth pieces, by the names SymPy gives them, for arrays of a namespace of the array API.

    The standard has no erf: it is taken from torch itself, or from CuPy's companion of SciPy.
    """

    def softplus_of(x: Any) -> Any:
        return xp.logaddexp(xp.zeros_like(x), x)

    def erf_of(x: Any) -> Any:
        return xp.erf(x) if hasattr(xp, "erf") else import_module("cupyx.scipy.special").erf(x)

    standard = ("asinh", "atan", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tanh")
    return {
        **{name: getattr(xp, name) for name in standard},
        "erf": erf_of,
        "sigmoid": lambda x: xp.exp(-softplus_of(-x)),
        "softplus": softplus_of,
    }


MPMATH: dict[str, Any] = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(-abs(x))) + (x if x > 0 else 0),
}
