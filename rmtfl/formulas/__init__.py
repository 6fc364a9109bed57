"""Exact answers in symbols: what a polynomial link or an atomic population makes of the labelled results of theory/.

`formula` is the whole interface; `LABELS` says what it accepts. Nothing here is used by a numeric prediction, so that
each can be held against the other (tests/formulas/).
"""

from rmtfl.formulas.catalogue import LABELS, Inputs, formula
from rmtfl.formulas.formula import Formula, Quantity

__all__ = ["LABELS", "Formula", "Inputs", "Quantity", "formula"]
