"""Law studies of free sums, free products and random features: tables, closed forms, sampled matrices."""

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from rmtfl.cli import app
from rmtfl.compare import compare_rows
from rmtfl.errors import BadInput
from rmtfl.laws.compare import share_allowance
from rmtfl.laws.predict import build_law, predict_law
from rmtfl.laws.random_features import coupled_transform
from rmtfl.laws.spec import LawTable
from rmtfl.montecarlo import law as montecarlo
from rmtfl.montecarlo.run import sample
from rmtfl.study import from_document

SEMICIRCLE = {"family": "semicircle", "variance": 0.25}
WISHART = {"family": "marchenko-pastur", "ratio": "1/2"}
TWO = {"family": "generalized-marchenko-pastur", "ratio": 0.25, "atoms": [1, 9], "weights": [0.5, 0.5]}
SUM = {"family": "free-sum", "first": WISHART, "second": SEMICIRCLE, "size": 100, "x": 40}
PRODUCT = {"family": "free-product", "first": WISHART, "second": WISHART, "size": 100, "x": 40}
FEATURES = {
    "family": "random-features",
    "activation": "tanh(2*x)",
    "width_ratio": 0.5,
    "ratio": "3/10",
    "size": 100,
    "x": 40,
}
PROFILE = {
    "family": "variance-profile",
    "ratio": "1/2",
    "variances": [[1, "1/5"], [9, 12]],
    "rows": [0.7, 0.3],
    "columns": ["1/4", "3/4"],
    "size": 100,
    "x": 40,
}


def test_two_semicircles_are_one():
    parts = {"first": SEMICIRCLE, "second": {"family": "semicircle", "variance": 0.75, "centre": 3}}
    found = predict_law(LawTable(family="free-sum", **parts, x=[1.5, 2.5, 9.0]), 1e-8)
    one = predict_law(LawTable(family="semicircle", variance=1.0, centre=3.0, x=[1.5, 2.5, 9.0]), 1e-8)
    assert (np.abs(found.density - one.density) <= found.density_error + one.density_error).all()
    np.testing.assert_allclose(found.support, one.support, rtol=found.edges_error)
    for (x, share), (_, error) in zip(found.shares, [(0, found.shares_error)] * 3, strict=True):
        assert abs(share - build_law(LawTable(family="semicircle", centre=3.0)).cdf(x)) <= error


def test_a_product_with_white_noise_is_a_sample_covariance():
    """Of the limit law of a sample covariance as population: the order of the factors does not matter."""
    one, two = (
        predict_law(LawTable(family="free-product", first=first, second=second, x=[0.5, 4.0]), 1e-8)
        for first, second in ((TWO, WISHART), (WISHART, TWO))
    )
    np.testing.assert_allclose(one.density, two.density, rtol=1e-11)
    np.testing.assert_allclose(one.support, two.support, rtol=1e-11)


def test_random_features_by_the_coupled_equations():
    """With the slope from quadrature over a fine grid."""
    table = LawTable(**{**FEATURES, "x": [0.5, 1.0, 2.0]})
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    values, weights = np.tanh(2 * nodes), weights / weights.sum()
    slope = weights @ (nodes * values) / (weights @ values**2) ** 0.5
    found = predict_law(table, 1e-8)
    m = coupled_transform(found.x + 1e-9j, float(slope), 0.5, 0.3)
    np.testing.assert_allclose(found.density, m.imag / (0.3 * np.pi), rtol=1e-6)


@pytest.mark.parametrize("table", [SUM, PRODUCT, FEATURES, PROFILE], ids=lambda table: table["family"])
def test_sampled_matrices_have_the_law_and_a_wrong_law_is_found_out(table):
    study = from_document({"schema": 1, "title": "", "observable": "law", "law": table})
    (row,) = study.rows
    prediction = study.kind.function("predict")(row.setup).as_json()
    trials = sample("law", row.setup, 16, 5, study.kind.function("trial"))
    good = compare_rows(study, [(row, prediction, trials)])
    assert good.agree and good.judged == 3
    distance, scale = good.rows[0].findings
    assert distance.numbers["distance"] < 5 * scale.numbers["share"]
    shares = [{**share, "share": share["share"] + 0.12} for share in prediction["shares"]]
    assert not compare_rows(study, [(row, {**prediction, "shares": shares}, trials)]).agree


@pytest.mark.parametrize(("table", "spikes"), [(SUM, [6.0, -3.0, 2.0]), (PRODUCT, [12.0, 2.95])])
def test_spikes_of_free_sums_and_products_in_sampled_matrices(table, spikes):
    """The last one is subcritical; a draw is off by O(1/p) in the mean."""
    table = LawTable(**{**table, "spikes": spikes, "size": 200})
    found = predict_law(table, 1e-8).outliers
    assert [outlier.location is None for outlier in found] == [False] * (len(spikes) - 1) + [True]
    seeds = np.random.SeedSequence(12).spawn(12)
    drawn = [montecarlo.observe(table, np.random.default_rng(seed)) for seed in seeds]
    for i, outlier in enumerate(found[:-1]):
        for name in ("location", "overlap"):
            values = np.array([draw[f"{name}s"][i] for draw in drawn])
            expected = getattr(outlier, name)
            error = 4 * values.std(ddof=1) / len(drawn) ** 0.5 + 4 * abs(expected) / table.size
            assert abs(values.mean() - expected) <= error


def test_an_even_part_of_the_activation_stays_within_the_allowance():
    table = LawTable(**{**FEATURES, "activation": "relu(x)", "size": 200})
    law, seeds = build_law(table), np.random.SeedSequence(3).spawn(10)
    x = law.quantile([0.25, 0.5, 0.75])
    drawn = [montecarlo.observe(table, np.random.default_rng(seed))["eigenvalues"] for seed in seeds]
    counts = np.array([[(values <= place).mean() for place in x] for values in drawn])
    error = counts.std(0, ddof=1) / len(drawn) ** 0.5
    assert (np.abs(counts.mean(0) - law.cdf(x)) <= 4 * error + share_allowance(table)).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({**SUM, "first": None}, "'first': is missing; expected first, second with family 'free-sum'"),
        (
            {**SUM, "ratio": 0.5},
            "'ratio': nothing reads it: .* family 'free-sum'",
        ),
        (
            {**SUM, "second": {"family": "marchenko-pastur"}},
            "'ratio': is missing; .*'marchenko-pastur'",
        ),
        ({**SUM, "second": {"family": "free-sum"}}, "'generalized-marchenko-pastur', 'marchenko-pastur'"),
        ({**FEATURES, "activation": "import os"}, "import os"),
        ({**PROFILE, "variances": None}, "'variances': is missing; expected ratio, variances with"),
        ({**PROFILE, "spikes": [3.0]}, "'spikes': nothing reads it: .* family 'variance-profile'"),
        ({**PROFILE, "variances": [["x"]]}, "variances.0.0\n.*expected a finite number"),
        ({**FEATURES, "atoms": [1.0]}, "'atoms': nothing reads it: .* family 'random-features'"),
        ({**FEATURES, "width_ratio": -1}, "width_ratio\n.*expected a positive number"),
    ],
)
def test_bad_tables_are_refused_by_name(table, message):
    with pytest.raises(ValidationError, match=message):
        LawTable(**table)


def test_values_out_of_range_are_named():
    for table, message in (
        ({**PRODUCT, "spikes": [-1.0]}, "spikes: -1.0: a positive eigenvalue of the first factor"),
        ({**PRODUCT, "second": SEMICIRCLE}, "reaches below 0; two nonnegative laws"),
        ({**FEATURES, "activation": "3*x + 1"}, "'law.activation': value 3.x . 1: its features are linear"),
        ({**FEATURES, "activation": "x**2"}, "uncorrelated"),
        ({**FEATURES, "activation": "exp(x**2)"}, "law.activation.*no finite Gaussian second moment"),
        ({**PROFILE, "columns": [1.0]}, "columns = .1.0.: as many shares are needed as variances have columns, 2"),
        ({**PROFILE, "variances": [[1, 2], [3]]}, "rows of equal length"),
    ):
        with pytest.raises(BadInput, match=message):
            predict_law(LawTable(**table), 1e-8)
    with pytest.raises(BadInput, match=r"'theory.digits': value 30: family 'free-sum' is known in doubles only"):
        predict_law(LawTable(**SUM), 1e-8, 30)


def test_a_study_goes_all_the_way(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'schema = 1\ntitle = "Sum"\nobservable = "law"\n[law]\nfamily = "free-sum"\nspikes = [8]\nsize = 60\n'
        '[law.first]\nfamily = "marchenko-pastur"\nratio = "1/2"\n[law.second]\nfamily = "semicircle"\n'
        "[montecarlo]\ntrials = 8\n"
    )
    run = CliRunner().invoke
    for command in (
        ["predict"],
        ["validate"],
        ["table", "--format", "markdown"],
        ["figure", "-o", str(tmp_path / "f.svg")],
    ):
        result = run(app, [command[0], str(file), *command[1:]])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "f.svg").stat().st_size > 1000
