"""Programs do not grow with the data, and hold no large constants for a compiler to fold.

The cause: `np.arange` of the data's length in a traced function is a constant of so many numbers in
the program; windows cut by Python loops are as many slices. Where else it can act: statistics,
folds, windows, groups, smoothing, loops over arrays, gradients, other dtypes, several columns.

Where the layout is one for all sizes, 2**12 and 2**20 elements are compared. Moments are cut into
as many blocks from 2**13 numbers on, and one row of them is summed by trees from 2**16 on. Counts
into bins take turns, eight of them, from 2**18 on. So those are compared from there on; the largest
constants are alike for all.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import public_cases
import pytest
from public_cases import FOLDS, STATISTICS, check_that_none_is_missing, of_fold

import jfoundations as jf
from jfoundations import folds, stats

LARGE = 2**20
ONE_LAYOUT = {
    *("ema", "ema_var"),
    *("corr_matrix", "cov_matrix", *public_cases.SEGMENTS),
    *("segment_median", "segment_quantile"),
}
ONE_LAYOUT_OF_FOLDS = {"count", "ema", "grouped", "iqr", "maximum", "median", "minimum", "quantile"}
COUNTED = {"histogram", "iqr", "median", "median_abs_dev", "quantile", "sketch", "trim_mean"}
jc = jf.callbacks


def text_of(function, n, dtype=jnp.float32, columns=()):
    like = jax.ShapeDtypeStruct((n, *columns), dtype)
    return jax.jit(function).lower(like, like).as_text()


def largest_constant(text):
    """Return of how many numbers the largest constant is that is no one number throughout."""
    found = re.findall(r"dense<(?:\[|\"0x)[^>]*> : tensor<([0-9x]*)x", text)
    return max((int(np.prod([int(d) for d in shape.split("x")])) for shape in found), default=0)


def check(function, name="", one_layout=ONE_LAYOUT, **options):
    start = 2**12 if name in one_layout else 2**18 if name in COUNTED else 2**16
    small, large = (text_of(function, n, **options) for n in (start, LARGE))
    assert len(large) <= 1.2 * len(small), f"{len(small)} characters became {len(large)}"
    assert largest_constant(large) <= 1000


def test_no_public_name_is_missing():
    check_that_none_is_missing()


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name):
    check(STATISTICS[name], name)


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name):
    check(of_fold(name), name, ONE_LAYOUT_OF_FOLDS)


LOOPS = {
    "while": lambda x, y: jf.iterate(jnp.tanh, x, jc.best(jnp.max), max_steps=5).state,
    "scan": lambda x, y: (
        jf.iterate(jnp.tanh, x, jc.history(jnp.max), max_steps=5, driver="scan").memory
    ),
    "watch": lambda x, y: jf.iterate(jnp.tanh, x, jc.watch(folds.var()), max_steps=5).memory,
    "gradient": lambda x, y: jax.grad(
        lambda x: jnp.sum(jf.iterate(jnp.tanh, x, max_steps=5, driver="scan").state)
    )(x),
    "gradient of var": lambda x, y: jax.grad(stats.var)(x),
    "generic fold": lambda x, y: jf.fold(jf.Fold(lambda like: 0.0, jnp.add, jnp.add), x),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_gradients(name):
    check(LOOPS[name])


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.int32, jnp.float16])
@pytest.mark.parametrize("name", ["var", "median", "minmax"])
def test_other_dtypes(name, dtype):
    check(STATISTICS[name], name, dtype=dtype)


@pytest.mark.parametrize("name", ["describe", "rolling_var", "ema", "segment_var", "histogram"])
def test_several_columns(name):
    check(STATISTICS[name], name, columns=(3,))


def test_the_constant_that_is_looked_for_is_found():
    text = text_of(lambda x, y: x + np.arange(float(x.size), dtype=np.float32), 2**12)
    assert largest_constant(text) == 2**12
