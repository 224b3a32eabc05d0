"""What folds refuse, and in which words."""

import numpy as np
import pytest

import jfoundations as jf
from jfoundations import executors, folds, stats

X, W = np.ones((6, 2)), np.ones(6)

REFUSED = ("mean_abs_dev", "median_abs_dev", "trim_mean", "rank_corr", "bootstrap", "standardize")


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_folded_says_so(name):
    with pytest.raises(AttributeError, match=rf"there is no folds\.{name}: .*(use|take) "):
        getattr(folds, name)
    assert not hasattr(folds, name)


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'kurtos'; did you mean kurtosis"):
        folds.kurtos  # noqa: B018


class Splitting(executors.Executor):
    def run(self, chunks, progress):
        raise AssertionError("never asked")


F = stats.Frequency
BAD = {
    "q": (lambda: folds.quantile(1.5), ValueError, "q is 1.5; it must lie in"),
    "q of two axes": (lambda: folds.quantile([[0.5]]), ValueError, "one dimension is needed"),
    "within": (lambda: folds.median(within=W), TypeError, "give the answer of fold"),
    "ranks of trees": (lambda: jf.fold(folds.median(), {"x": X}), TypeError, "trees; real arrays"),
    "complex ranks": (lambda: jf.fold(folds.iqr(), X * 1j), TypeError, "are complex; real arrays"),
    "instance": (lambda: folds.mean(weights=F(X)), TypeError, "give one of the classes"),
    "numbers": (lambda: folds.mean(weights=W), TypeError, "give one of the classes"),
    "nan": (lambda: folds.var(nan="drop"), ValueError, "folds.var: nan is 'drop'"),
    "order": (lambda: folds.moment(5), ValueError, "order is 5; memories keep powers up to 4"),
    "order no int": (lambda: folds.moment(2.0), TypeError, "order is 2.0"),
    "no weight": (lambda: jf.fold(folds.mean(weights=F), X), TypeError, r"pairs \(x, weight\)"),
    "no pair": (lambda: jf.fold(folds.cov(), X), TypeError, r"pairs \(x, y\)"),
    "flat": (
        lambda: jf.fold(folds.cov(weights=F), (X, X, W)),
        TypeError,
        r"pairs \(\(x, y\), weight\)",
    ),
    "a tree": (
        lambda: jf.fold(folds.histogram(3, range=(0, 1)), {"x": X}),
        TypeError,
        "single arrays, not trees",
    ),
    "pairs of trees": (
        lambda: jf.fold(folds.cov(), ({"x": X}, {"x": X})),
        TypeError,
        r"pairs \(x, y\), not trees",
    ),
    "a complex leaf": (
        lambda: jf.fold(folds.cov_matrix(), {"x": X, "z": X * 1j}),
        TypeError,
        "elements are complex; vectors of real numbers",
    ),
    "shapes": (lambda: jf.fold(folds.cov(), (X, W)), ValueError, "pairs need equal shapes"),
    "weights": (
        lambda: jf.fold(folds.mean(weights=F), (X, np.ones((6, 3)))),
        ValueError,
        "does not broadcast",
    ),
    "complex": (lambda: jf.fold(folds.skew(), X * 1j), TypeError, "folds.skew.*complex"),
    "complex weights": (
        lambda: jf.fold(folds.mean(weights=F), (X, W * 1j)),
        TypeError,
        "weights are complex",
    ),
    "complex ema": (lambda: jf.fold(folds.ema(0.5), X * 1j), TypeError, "folds.ema.*complex"),
    "no edges": (lambda: folds.histogram(5), TypeError, "edges must be known"),
    "no vectors": (lambda: jf.fold(folds.cov_matrix(), W), TypeError, "vectors of real numbers"),
    "split": (
        lambda: jf.fold(folds.ema(0.5), [X], Splitting()),
        TypeError,
        "ema depends on the order",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    run, error, said = BAD[case]
    with pytest.raises(error, match=said):
        run()
