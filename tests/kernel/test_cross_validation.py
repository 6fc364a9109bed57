"""The ridge chosen by cross-validation: as the paper does it in the simulation, and what it tends to in theory."""

import numpy as np
import pytest

from rmtfl.compare import judge
from rmtfl.errors import BadInput
from rmtfl.kernel.compare import curve_quantities
from rmtfl.kernel.learning import learning_curve, regression
from rmtfl.kernel.prediction import predict_learning_curve
from rmtfl.kernel.spectrum import SpikedKernel
from rmtfl.links import parse
from rmtfl.montecarlo import kernel as sampled
from rmtfl.study import from_document

RIDGES = [0.01, 0.1, 1, 10]


def row(samples, choice="cross-validation"):
    kernel = {"inputs": "sphere", "dimension": 20, "isotropic": 1, "spike": 10, "samples": samples}
    kernel |= {"ridge": RIDGES, "ridge_choice": choice}
    document = {"observable": "learning-curve", "kernel": kernel, "data": {"target": "x + x**2", "noise": 0.5}}
    return from_document({"schema": 1, "network": {"activation": "relu(x)"}, **document}).rows[0].setup


def test_folds_are_left_out_one_by_one():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((23, 3))
    gram, labels = x @ x.T, rng.standard_normal(23)
    errors = []
    for ridge in RIDGES:
        gaps = []
        for fold in np.array_split(np.arange(23), 5):
            kept = [i for i in range(23) if i not in fold]
            weights = np.linalg.solve(gram[np.ix_(kept, kept)] + ridge * np.eye(len(kept)), labels[kept])
            gaps.append((gram[np.ix_(fold, kept)] @ weights - labels[fold]) ** 2)
        errors.append(np.mean(np.concatenate(gaps)))
    assert sampled._cross_validated(gram, labels, RIDGES) == int(np.argmin(errors))


def test_predicted_errors_are_those_of_cross_validated_regressions(monkeypatch):
    monkeypatch.setattr(sampled, "TESTS", 500)
    setup = row([60, 200])
    draws = [sampled.regression_trial(setup, seed) for seed in np.random.SeedSequence(5).spawn(8)]
    trials = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
    found = list(curve_quantities(setup, predict_learning_curve(setup).as_json(), trials))
    assert [judge(quantity, 2).verdict for quantity in found] == ["agrees", "agrees"]
    for i, quantity in enumerate(found):
        expected = [errors[i, int(chosen[i])] for errors, chosen in zip(trials["mse"], trials["chosen"], strict=True)]
        assert quantity.sample == tuple(expected)
        assert np.mean(quantity.sample) >= trials["mse"][:, i].min(axis=1).mean()


def test_the_choice_is_the_best_ridge_of_four_fifths_of_the_samples():
    # Noisy labels at few samples: the best ridge moves with their number, and cross-validation is not the best choice.
    found = regression(SpikedKernel(parse("relu(x)"), 20, 1.0, 10.0), parse("x + x**2"), 0.5, 400)
    ridges = np.geomspace(1e-3, 1e2, 400).tolist()
    chosen, best = (learning_curve(found, (100,), ridges, choice) for choice in ("cross-validation", "best"))
    assert chosen.ridge == learning_curve(found, (80,), ridges).ridge != best.ridge
    assert best.mse[0] < chosen.mse[0] < 1.01 * best.mse[0]


def test_fewer_samples_than_folds_are_refused():
    assert row([4, 50], "best").kernel.ridge_choice == "best"
    with pytest.raises(BadInput, match=r"ridge_choice.*at least 5"):
        row([4, 50])
