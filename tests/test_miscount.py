"""More values outside the bulk than predicted: what is said of them, and when nothing is."""

from __future__ import annotations

import pytest

from rmtfl.compare import Quantity, Results, RowResult, judge
from rmtfl.miscount import AT_LEAST, BULK_EDGE, COUNT
from rmtfl.sheets import comparison_sheet
from rmtfl.study import from_document


def counted(document, observed, *, judged=False, name=COUNT, alone=False):
    """Results of rows of one draw: a number that agrees, and so many values outside a bulk where two are predicted."""
    study = from_document(document | {"sweep": {"data.noise": list(range(len(observed)))}})
    rows = []
    for row, number in zip(study.rows, observed, strict=True):
        agreeing = judge(Quantity("x", 10.0, sample=(9.9, 10.1, 10.0, 10.2, 9.8), judged=True))
        edge = judge(Quantity(BULK_EDGE, 2.0, sample=(3.0,)))
        count = judge(Quantity(name, 2.0, sample=(number,), allowance=9.0 if judged else 0.0, judged=judged))
        rows.append(RowResult(row, {}, (edge, count) if alone else (agreeing, edge, count)))
    return Results("", "weights", tuple(rows), judged=0 if alone else len(rows))


@pytest.mark.parametrize(
    ("observed", "judged", "cautious"), [(4.0, False, True), (2.0, False, False), (4.0, True, False)]
)
def test_a_count_that_is_not_the_predicted_one_is_said_beside_the_verdict(study_document, observed, judged, cautious):
    results = counted(study_document, (observed,), judged=judged)
    assert (results.caution is not None) == cautious
    verdict, *_ = comparison_sheet(results).notes
    assert verdict.startswith("1 number judged at the 5% level: it agrees")
    assert verdict.endswith("agrees") != cautious
    document = results.as_json()
    assert document["agreement"] is True and document["caution"] == results.caution
    assert (document["rows"][0]["miscount"] is not None) == cautious


def test_the_words_of_a_number_of_outliers_that_is_off(study_document):
    rigid = 'the rigid bulk does not describe this matrix; try theory.bulk = "deformed"'
    one = counted(study_document, (59.0,)).caution
    assert one == (
        "not judged: 59 values beyond the edge of the bulk where 2 are predicted, the first that is not predicted at "
        f"3 (edge 2): {rigid}"
    )
    more = counted(study_document, (59.0,), name=AT_LEAST).caution
    assert "59 or more values beyond" in more
    several = counted(study_document, (2.0, 59.0)).caution
    assert "in 1 of 2 rows" in several and "at worst 59 where 2 are predicted" in several
    fewer = counted(study_document, (1.0,))
    assert fewer.caution is None and fewer.rows[0].miscount.observed == 1
    study_document["training"] |= {"batches": "independent", "alpha": ["3/10"] * 3, "scale": [2, 2, 2]}
    assert "try" not in counted(study_document, (59.0,)).caution


def test_nothing_judged_is_not_agreement_for_a_reader(study_document):
    results = counted(study_document, (59.0,), alone=True)
    (note, *_) = comparison_sheet(results).notes
    assert note.startswith("nothing was judged; not judged: 59 values beyond")
