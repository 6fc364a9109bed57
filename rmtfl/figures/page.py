"""What all pictures share: colours, sizes, and how they are written. Only this package knows matplotlib.

Colours are those of Okabe and Ito, which readers of any colour vision can tell apart; predicted and simulated also
differ in shape, so that the pictures can be read in grey too. Sizes are in inches: for a screen two columns wide, for
print one. .pdf and .svg are vectors, and no file holds a date.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rmtfl.errors import BadInput

Trials = Mapping[str, NDArray[np.float64]]

SIMULATED = "#0072B2"  # blue
PREDICTED = "#D55E00"  # vermillion
LEADING = "#009E73"  # green
BULK = "#BBBBBB"
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 200,
    "savefig.dpi": "figure",
    "svg.hashsalt": "rmtfl",  # equal pictures, equal files
    "pdf.fonttype": 42,
}
MOST_DRAWS = 40  # lines of dots in a panel
BINS = 50  # of the histogram
MARKERS = "os^Dvp"
LINES = ("-", "--", "-.", ":")
NOTHING = "the store holds no draw of any row yet, so that there is nothing to draw"

PageName = Literal["screen", "print"]


@dataclass(frozen=True)
class Page:
    """Where a figure is shown.

    Attributes:
        width: in inches.
        panel_height: of a spectrum, in inches.
        most_panels: more spectra do not fit.
        side_by_side: whether there is room for the bulk beside the outliers.
        dpi: of a picture in pixels.
        legend_columns: of the legend above the panels.
    """

    width: float
    panel_height: float
    most_panels: int
    side_by_side: bool
    dpi: int
    legend_columns: int


PAGES: dict[PageName, Page] = {
    "screen": Page(width=6.8, panel_height=1.75, most_panels=6, side_by_side=True, dpi=200, legend_columns=4),
    "print": Page(width=3.4, panel_height=2.9, most_panels=2, side_by_side=False, dpi=600, legend_columns=2),
}

# Nothing dates a file, so that equal runs give equal files.
_UNDATED: dict[str, dict[str, None]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def save(figure: Figure, path: Path) -> None:
    """Write a figure, as a vector or in pixels by its suffix.

    Raises:
        BadInput: for another suffix, or a place that cannot be written.
    """
    metadata = _UNDATED.get(path.suffix.lower())
    if metadata is None:
        raise BadInput(f"{path}: unknown suffix {path.suffix!r}; expected one of {', '.join(_UNDATED)}")
    try:
        _write(figure, path, path.suffix.lower())
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be written ({error.strerror}); expected a file in a folder that exists"
        ) from None


def as_svg(figure: Figure) -> bytes:
    """The figure as the text of an .svg file."""
    buffer = io.BytesIO()
    _write(figure, buffer, ".svg")
    return buffer.getvalue()


def _write(figure: Figure, place: Path | io.BytesIO, suffix: str) -> None:
    with matplotlib.rc_context(STYLE):
        figure.savefig(place, format=suffix[1:], metadata=_UNDATED[suffix])
