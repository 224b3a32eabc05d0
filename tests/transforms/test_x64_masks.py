"""Every public statistic of weighted and masked samples, and its gradient, in float64.

One program a name gives values and gradients of four lanes: the data; the same with nan and
infinities where a mask or a weight 0 hides them; and the data moved to both sides along a line,
whose difference is the derivative.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_statistics import EXACT, exact
from helpers import assert_same, lane
from public_cases import ORDERED_SETS, STATISTICS
from x64_cases import EPS, N, close, draw, leaves

pytestmark = pytest.mark.usefixtures("x64")

STEP = 2.0**-17
# Counts have none; those of windows take ten seconds a name, and are built as `rolling_var`'s is.
NO_GRADIENT = {"histogram", "rolling_corr", "rolling_cov"}
each = pytest.mark.parametrize("name", sorted(set(EXACT) - set(ORDERED_SETS)))


def sample():
    """Return a pair, a direction in which to move both, whole weights, and a mask."""
    rng = np.random.default_rng(11)
    x, y = draw(5, mean=3.0)
    weights, where = rng.integers(0, 4, N), rng.random(N) < 0.8
    weights[0], where[0] = 1, True  # else what fades is nan
    if_row = np.arange(N) // 4 * 4  # a matrix takes the weights of each fourth: rows
    return (x, y), rng.normal(size=(2, N)), weights, where, if_row


def hidden(name):
    """Tell which numbers no answer may depend on."""
    _, _, weights, where, rows = sample()
    gone = (weights == 0) | ~where
    return gone[rows] if name.endswith("_matrix") else gone


@functools.cache
def derived(name):
    """Return a scalar of the answer, the answer, and the gradients, in each lane."""
    (x, y), (dx, dy), weights, where, _ = sample()
    poison = np.where(hidden(name), np.resize([np.nan, np.inf, -np.inf], N), 0)
    lanes = [(x, y), (x + poison, y + poison)]
    lanes += [(x + s * dx, y + s * dy) for s in (STEP, -STEP)]
    each = slice(None, None, 4 if name.endswith("_matrix") else 1)  # whose samples are rows
    options = {"weights": jnp.asarray(weights[each]), "where": jnp.asarray(where[each])}

    def run(x, y):
        found = STATISTICS[name](x, y, **options)
        shown = ~jnp.asarray(hidden(name))

        def summed(leaf):
            shape = name in ("segment_corr", "segment_kurtosis", "segment_skew")
            # of one element that is left of a group there is no shape
            where = shown if name == "standardize" else jnp.isfinite(leaf) if shape else True
            return jnp.sum(leaf, where=where, initial=0.0)

        answers = jax.tree.leaves(found)
        parts = [summed(leaf) for leaf in answers if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        return sum(parts), found

    plain = lambda x, y: (run(x, y), ())  # noqa: E731
    both = plain if name in NO_GRADIENT else jax.value_and_grad(run, (0, 1), has_aux=True)
    slopes = jax.jit(jax.vmap(both))
    found = slopes(*(jnp.asarray(np.stack(v)) for v in zip(*lanes, strict=True)))
    return [lane(found, i) for i in range(len(lanes))]


@each
def test_a_weight_is_a_repetition_and_a_mask_a_deletion(name):
    (x, y), _, weights, where, _ = sample()
    (_, found), _ = derived(name)[0]
    right = exact(name, x, y, np.where(where, weights, 0))
    if name == "standardize":
        found, right = found[~hidden(name)], [right[0][~hidden(name)]]
    close(found, right, 4 * N, atol=N * EPS)


@each
def test_what_is_hidden_reaches_neither_value_nor_gradient(name):
    clean, poisoned = derived(name)[:2]
    if name == "standardize":  # an answer for each element, also for those that do not count
        shown = ~hidden(name)
        pick = lambda d: ((d[0][0], d[0][1][shown]), d[1])  # noqa: E731
        clean, poisoned = pick(clean), pick(poisoned)
    assert_same(poisoned, clean)
    for gradient in clean[1]:
        np.testing.assert_array_equal(np.asarray(gradient)[hidden(name)], 0)


@pytest.mark.parametrize("name", sorted(set(EXACT) - NO_GRADIENT - set(ORDERED_SETS)))
def test_gradients_are_differences(name):
    _, directions, _, _, _ = sample()
    (_, gradients), (after, _), (before, _) = (derived(name)[i] for i in (0, 2, 3))
    assert all(np.isfinite(g).all() for g in leaves(gradients))
    moved = sum(np.sum(g * d) for g, d in zip(leaves(gradients), directions, strict=True))
    change = (float(after[0]) - float(before[0])) / (2 * STEP)
    np.testing.assert_allclose(moved, change, rtol=1e-7, atol=1e-7)
