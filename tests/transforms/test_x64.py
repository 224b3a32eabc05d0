"""Every public statistic with 64-bit types, each compiled once for all its data sets.

The claims: float64 is answered in float64 and narrower floats in their own type, digits are those
of float64, integers beyond 32 bits are right, and the laws that hold bit for bit in 32 bits hold in
64, at scales that only float64 has.

The other modules of 32 bits are held in 64 by these files:

* `test_x64`: `test_stats`, `_shape`, `_describe`, `_matrix`, `_order`, `_groups`, `_windows`
  (values, types, constants, shifts), `test_findings_ranges`, `_windows`, `_groups` (scales of
  data), `test_defects`;
* `test_x64_masks`: `test_stats_weights`, `_edges`, `_matrix_weights`, `_gradients`, `_order_grads`,
  `test_findings_order` (weights), and the weighted parts of the modules above;
* `test_x64_folds`: `test_fold`, `test_fold_rows`, `test_folds_*`, `test_transducers`,
  `test_findings_counts`, `test_partials` (counts), `test_findings_fold_memory`;
* `test_x64_loops`: `test_loop`, `test_drivers`, `test_resume`, `test_chunks`, `test_lanes`,
  `test_when`, `test_predicates`, `test_steering`, `test_callbacks`, `test_callback_oracles`,
  `test_findings_metrics`, `test_findings_loops`, `test_scan_body`, `test_show`, `test_save`,
  `test_findings_files`, `test_checkpoints`, `test_agree`, `test_nested_loops`, `test_stages`;
* `test_x64_laws`: `test_laws`, `test_laws_callbacks`, `test_laws_values`, `test_folds_laws`,
  `test_testing`, `test_strategies`;
* `test_x64_edges`: `test_findings_inputs`, `_order`, `_counting`, `_messages` (what fits),
  `test_stats_large` (digits), `test_stats_bound`, `test_stats_reproducible`, `test_stats_sharded`,
  `test_stats_weights_scale` and the kinds of weights.

The rest looks at no number, or at numbers whose type it gives: messages, names, pipes, signatures,
sources, executors, which have tests of both modes of their own.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import public_cases
import pytest
from exact_statistics import EXACT, exact
from helpers import assert_same, lane
from public_cases import STATISTICS, check_that_none_is_missing
from x64_cases import EPS, N, close, draw, leaves, whole

pytestmark = pytest.mark.usefixtures("x64")

each = pytest.mark.parametrize("name", STATISTICS)
FAR = 600  # a power of two that float32 does not have


# name: the power of a scale of all data, what a shift of all data does (0: nothing, 1: the same;
# None: it is rounded), and the answer at a constant c
LAWS = {
    "anova": (0, 0, None),
    "corr": (0, 0, np.nan),
    "corr_matrix": (0, 0, None),
    "cov": (2, 0, 0),
    "cov_matrix": (2, 0, 0),
    "ema": (1, None, "c"),
    "ema_var": (2, 0, 0),
    "ftest": (0, 0, None),
    "iqr": (1, 0, 0),
    "kurtosis": (0, 0, np.nan),
    "mean": (1, None, "c"),
    "mean_abs_dev": (1, 0, 0),
    "median": (1, 1, "c"),
    "median_abs_dev": (1, 0, 0),
    "minmax": (1, 1, "c"),
    "moment": (3, 0, 0),
    "pearson_interval": (0, 0, np.nan),
    "quantile": (1, None, "c"),
    "rank_corr": (0, 0, np.nan),
    "rolling_corr": (0, 0, np.nan),
    "rolling_cov": (2, 0, 0),
    "rolling_mean": (1, None, "c"),
    "rolling_median": (1, 1, "c"),
    "rolling_quantile": (1, None, "c"),
    "rolling_sem": (1, 0, 0),
    "rolling_std": (1, 0, 0),
    "rolling_sum": (1, None, None),
    "rolling_var": (2, 0, 0),
    "segment_corr": (0, 0, np.nan),
    "segment_cov": (2, 0, 0),
    "segment_kurtosis": (0, 0, np.nan),
    "segment_mean": (1, None, "c"),
    "segment_median": (1, 1, "c"),
    "segment_quantile": (1, None, "c"),
    "segment_sem": (1, 0, 0),
    "segment_skew": (0, 0, np.nan),
    "segment_std": (1, 0, 0),
    "segment_sum": (1, None, None),
    "segment_var": (2, 0, 0),
    "sem": (1, 0, 0),
    "skew": (0, 0, np.nan),
    "standardize": (0, 0, None),
    "std": (1, 0, 0),
    "sum": (1, None, None),
    "trim_mean": (1, None, "c"),
    "ttest": (0, 0, None),
    "var": (2, 0, 0),
    "welch": (0, 0, None),
}
POWERS = {"gmean", "hmean", "pmean"}  # and logarithms, which are rounded: tests/stats/test_means.py
# leaves differ: tested below, or in tests/stats
UNITS_OF_THEIR_OWN = {"bootstrap", "describe", "histogram", "linear_fit", "pca"}
UNWEIGHTED = {"anova", "ftest", "pca", "ttest", "welch"}  # beside SciPy and NumPy in tests/stats


@functools.cache
def answers(name):
    """Return a statistic's answer for each data set, by name: one program, a lane for each."""
    x, y = draw()
    w, v = whole()
    data = {
        "far from 0": (x, y),
        "constant": (np.full(N, 0.1), np.full(N, 0.1)),
        "whole": (w, v),
        "large": (w * 2.0**FAR, v * 2.0**FAR),
        "small": (w * 2.0**-FAR, v * 2.0**-FAR),
        "shifted": (w + 2.0**20, v + 2.0**20),
        "twice": (x, x),
    }
    many = [jnp.asarray(np.stack(column)) for column in zip(*data.values(), strict=True)]
    found = jax.jit(jax.vmap(STATISTICS[name]))(*many)
    return {key: lane(found, i) for i, key in enumerate(data)}


def test_no_name_is_missing():
    check_that_none_is_missing()
    assert set(EXACT) == set(STATISTICS) - {"bootstrap", *POWERS, *UNWEIGHTED}
    assert set(LAWS) == set(STATISTICS) - UNITS_OF_THEIR_OWN - POWERS


@each
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "uint64", "int32"])
def test_an_answer_has_the_datas_type(name, dtype):
    like = jax.ShapeDtypeStruct((N,), dtype)
    found = jax.tree.leaves(jax.eval_shape(STATISTICS[name], like, like))
    floats = [leaf.dtype.name for leaf in found if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    exact_ends = name == "minmax" and "int" in dtype
    assert set(floats) == (set() if exact_ends else {dtype if "float" in dtype else "float64"})
    if exact_ends:
        assert {leaf.dtype.name for leaf in found} == {dtype}


@pytest.mark.parametrize("name", EXACT)
def test_digits_are_those_of_float64(name):
    x, y = draw()  # the mean is 1000 standard deviations, which no spread must feel
    rounded = N * EPS * (1000 if name == "iqr" else 1)  # of quantiles that are rounded far from 0
    close(answers(name)["far from 0"], exact(name, x, y), N, atol=rounded)
    close(answers(name)["whole"], exact(name, *whole()), N, atol=N * EPS)


@pytest.mark.parametrize("name", LAWS)
def test_a_scale_of_the_data_changes_no_bit(name):
    power, found = LAWS[name][0], answers(name)
    base = leaves(found["whole"])
    for key, sign in (("large", 1), ("small", -1)):
        for a, b in zip(leaves(found[key]), base, strict=True):
            with np.errstate(over="ignore", under="ignore"):
                right = np.ldexp(b, sign * power * FAR)
            right = np.where(np.abs(right) < np.finfo(np.float64).tiny, 0, right)
            np.testing.assert_array_equal(a, right, err_msg=key)


@pytest.mark.parametrize("name", LAWS)
def test_a_shift_is_exact_where_sums_are(name):
    shift, found = LAWS[name][1], answers(name)
    for a, b in zip(leaves(found["shifted"]), leaves(found["whole"]), strict=True):
        if shift is None:
            much = {
                **{"sum": N, "rolling_sum": min(20, N // 2)},
                "segment_sum": np.bincount(np.arange(N) % 5),
            }
            far = 2.0**20 * much.get(name, 1)
            np.testing.assert_allclose(a - b, far, rtol=4 * EPS)
        else:
            np.testing.assert_array_equal(a, b + shift * 2.0**20)


@pytest.mark.parametrize("name", LAWS)
def test_a_constant(name):
    right, found = LAWS[name][2], leaves(answers(name)["constant"])
    for leaf in found if right is not None else ():
        np.testing.assert_array_equal(leaf, np.full(leaf.shape, 0.1 if right == "c" else right))


@pytest.mark.parametrize("prefix", ["", "rolling_", "segment_"])
def test_a_variance_is_the_covariance_with_itself(prefix):
    assert_same(answers(prefix + "cov")["twice"], answers(prefix + "var")["twice"])


def test_a_sample_correlates_with_itself():
    assert leaves(answers("corr")["twice"]) == [1.0]
    assert leaves(answers("rank_corr")["twice"]) == [1.0]
    assert (leaves(answers("rolling_corr")["twice"])[0] >= 1 - 4 * EPS).all()


WINDOWS = {*public_cases.WINDOWS, "ema", "ema_var"}
# of powers and logarithms, which compilers contract in their own way
CONTRACTED = {"corr", "describe", "kurtosis", "moment", "pearson_interval", "skew", *POWERS}
CONTRACTED |= UNWEIGHTED


@pytest.mark.parametrize("name", sorted(set(STATISTICS) - WINDOWS))
def test_eager_jitted_and_in_lanes_alike(name):
    x, y = draw()
    eager = STATISTICS[name](jnp.asarray(x), jnp.asarray(y))
    if name in CONTRACTED:
        close(
            eager,
            [np.float64(leaf) for leaf in leaves(answers(name)["far from 0"])],
            16 if name not in UNWEIGHTED else 256,  # of a p, which is a series
            atol=16 * EPS,
        )
    else:
        assert_same(eager, answers(name)["far from 0"])
