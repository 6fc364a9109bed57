"""What a symbolic answer consists of, and how it is written: text, LaTeX, JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp


@dataclass(frozen=True)
class Quantity:
    """One named expression.

    Attributes:
        symbol: what stands on the left of the equals sign.
        value: the exact expression or matrix.
        meaning: what it is, in a few words.
        case: when it holds, or the empty string.
    """

    symbol: sp.Expr
    value: sp.Expr | sp.Matrix
    meaning: str
    case: str = ""

    def as_text(self) -> str:
        """One line that SymPy reads back, with the meaning behind it."""
        value = [list(row) for row in self.value.tolist()] if isinstance(self.value, sp.MatrixBase) else self.value
        case = f" if {self.case}" if self.case else ""
        return f"{self.symbol} = {value}{case}    ({self.meaning})"

    def as_latex(self) -> str:
        """A displayed formula."""
        case = rf" \qquad \text{{if }} {_case_latex(self.case)}" if self.case else ""
        return rf"\[ {sp.latex(self.symbol)} = {sp.latex(self.value)}{case} \]"

    def as_json(self) -> dict[str, Any]:
        """Name, expression (a matrix as a list of rows), LaTeX, meaning and case."""
        matrix = isinstance(self.value, sp.MatrixBase)
        value = [[str(entry) for entry in row] for row in self.value.tolist()] if matrix else str(self.value)
        return {
            "name": str(self.symbol),
            "value": value,
            "latex": sp.latex(self.value),
            "meaning": self.meaning,
            "case": self.case or None,
        }


@dataclass(frozen=True)
class Formula:
    """The answer to one question.

    Attributes:
        label: of the derivation in theory/.
        quantities: the expressions, in the order of the derivation.
        symbols: what the free symbols mean.
        remarks: what vanishes and why, and what the formula leaves out.
    """

    label: str
    quantities: tuple[Quantity, ...]
    symbols: tuple[tuple[sp.Symbol, str], ...]
    remarks: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """The value of the first quantity of that name.

        Raises:
            KeyError: if there is none.
        """
        for quantity in self.quantities:
            if str(quantity.symbol) == name:
                return quantity.value
        raise KeyError(name)

    def case(self, case: str) -> dict[str, Any]:
        """Name -> value of the quantities that hold in a case."""
        return {str(q.symbol): q.value for q in self.quantities if q.case in ("", case)}

    @property
    def used_symbols(self) -> tuple[tuple[sp.Symbol, str], ...]:
        """Those of the symbols that appear."""
        appearing = set().union(*(q.value.free_symbols for q in self.quantities))
        return tuple((symbol, meaning) for symbol, meaning in self.symbols if symbol in appearing)

    def as_text(self) -> str:
        """Lines for a reader."""
        lines = [q.as_text() for q in self.quantities]
        if self.used_symbols:
            lines.append("where " + ", ".join(f"{symbol} is {meaning}" for symbol, meaning in self.used_symbols))
        return "\n".join([*lines, *self.remarks]) + "\n"

    def as_latex(self) -> str:
        """Displayed formulas for a LaTeX document with amsmath; meanings and remarks as comments."""
        lines = [line for q in self.quantities for line in (f"% {q.meaning}", q.as_latex())]
        lines += [f"% {symbol}: {meaning}" for symbol, meaning in self.used_symbols]
        return "\n".join([*lines, *(f"% {remark}" for remark in self.remarks)]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The document of `rmtfl formula --json`, without its schema number."""
        return {
            "formula": self.label,
            "quantities": [q.as_json() for q in self.quantities],
            "symbols": {str(symbol): meaning for symbol, meaning in self.used_symbols},
            "remarks": list(self.remarks),
        }


def _case_latex(case: str) -> str:
    return case.replace("alpha_1", r"\alpha_1").replace("alpha_2", r"\alpha_2")
