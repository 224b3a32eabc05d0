"""Quantiles of streams: near in one pass, exact in three; the same bits for the same elements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import checks

pytestmark = pytest.mark.slow  # compiles many programs

few = settings(max_examples=10, deadline=None)
Q = jnp.array([0.0, 0.1, 0.25, 0.5, 0.9, 1.0], jnp.float32)
DESIGNS = ("normal", "positive", "integers", "constant", "zeros", "huge", "infinite", "tiny")
SKETCH = folds.sketch()
WEIGHTED = folds.sketch(weights=stats.Frequency)
BLOCK, BLOCK_WHERE = jax.jit(SKETCH.block), jax.jit(SKETCH.block_where)
COUNT = 60  # in three parts; other data are of 17 to 23 elements, which compile as a part does


def draw(seed, design, n=COUNT):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    made = {
        "normal": x,
        "positive": np.exp(8 * x),
        "integers": np.round(3 * x),
        "constant": np.full(n, x[0]),
        "zeros": np.where(x > 0, 0.0, x),
        "huge": x * 1e37,
        "infinite": np.where(x > 1, np.inf, np.where(x < -1, -np.inf, x)),
        "tiny": np.where(x > 0, x, x * 1e-30),
    }
    return made[design].astype(np.float32)


def parts(x):
    return [x[:20], x[20:40], x[40:]]


def asked(found, *q):
    """Return quantiles at up to six places: of one shape, so of one program."""
    return np.asarray(found.quantile(np.resize(np.float32(q), len(Q))))[: len(q)]


def nbytes(a_fold, like):
    memory = jax.eval_shape(a_fold.init, like)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(memory))


def share(x, value, accuracy=0.01):
    """Return to which share of its value an order statistic is known, as the docstring has it."""
    if not 0 < abs(value) < np.inf:
        return 0.0
    size, value = np.float64(np.abs(x[np.isfinite(x)]).max()), np.float64(value)
    octaves = 8.4 if (x >= 0).all() or (x <= 0).all() else 4.2
    depth = max(0, (np.log2(size / abs(value)) - octaves / 2) // octaves)
    return accuracy * 2.0**depth if depth < 6 else np.inf


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(DESIGNS))
def test_near_in_one_pass_and_exact_in_three(seed, design):
    x = draw(seed, design)
    right = np.asarray(stats.quantile(x, Q))
    found = jf.fold(SKETCH, parts(x))
    assert isinstance(found, folds.Sketch)
    ordered, near = np.sort(np.asarray(x)), np.asarray(found.quantile(Q))
    low, high = map(np.asarray, found.limits(Q))
    for q, value in zip(np.asarray(Q), near, strict=True):
        ends = [ordered[int(f(float(q) * (COUNT - 1)))] for f in (np.floor, np.ceil)]
        known = [share(ordered, e) for e in ends]
        slack = max(
            abs(e) * k if np.isfinite(e) and k < np.inf else 0.0
            for e, k in zip(ends, known, strict=True)
        )
        slack += 1e-7 * abs(ends[1]) if np.isfinite(ends[1]) else 0.0
        if max(known) < np.inf or not np.isfinite(ends).all():
            assert np.isnan(value) or ends[0] - slack <= value <= ends[1] + slack
    known = ~np.isnan(right)
    assert ((low <= right) & (right <= high))[known].all()
    nearer = jf.fold(folds.narrow(Q, within=found), parts(x))
    assert isinstance(nearer, folds.Narrow)
    exact = jf.fold(folds.quantile(Q, within=nearer), parts(x))
    checks.assert_same(exact, jnp.asarray(right))


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from(DESIGNS))
def test_it_is_that_of_the_multiset(seed, design):
    x = draw(seed, design)
    rng = np.random.default_rng(seed)
    found, again = jf.fold(SKETCH, parts(x)), jf.fold(SKETCH, parts(x[rng.permutation(COUNT)]))
    whole = jf.fold(SKETCH, x)
    checks.assert_same(found, again, bits=True)
    checks.assert_same(found, whole, bits=True)
    times = (rng.permutation(COUNT) % 4).astype(np.int32)  # of one sum: one program
    pairs = list(zip(parts(x), parts(times), strict=True))
    repeated = jf.fold(SKETCH, np.repeat(x, times))
    checks.assert_same(jf.fold(WEIGHTED, pairs), repeated, bits=True)


def test_extremes_are_exact():
    x = np.tile(np.float32([3.3, -7.7, 3.3, 0.1, 3.3, -0.0, -7.7]), 3)
    found = jf.fold(SKETCH, x)
    assert found.minimum == x[1] and found.maximum == x[0]
    assert int(found.at_minimum) == 6 and int(found.at_maximum) == 9 and int(found.count) == 21
    assert asked(found, 0.0, 0.1, 0.7, 1.0).tolist() == x[[1, 1, 0, 0]].tolist()
    alone = jf.fold(SKETCH, np.full(20, 0.3, np.float32))  # at both ends
    assert int(alone.at_minimum) == int(alone.at_maximum) == 20
    assert (asked(alone, 0.0, 1 / 3, 2 / 3, 1.0) == np.float32(0.3)).all()
    switch = jf.fold(SKETCH, (np.arange(COUNT) % 3 == 0).astype(np.float32))
    assert asked(switch, 0.6, 0.9).tolist() == [0, 1]


def test_a_number_takes_four_kibibytes(tmp_path):
    one, columns = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((), (32,)))
    assert nbytes(SKETCH, columns) <= 32 * 4096
    assert nbytes(WEIGHTED, (columns, one)) <= 32 * 4096
    x = jnp.asarray(np.random.default_rng(0).normal(size=(COUNT, 32)), jnp.float32)
    path = tmp_path / "run.jf"

    def stop(done, total):
        assert path.exists() is False or path.stat().st_size <= 200_000

    source = jf.Source(4, lambda i: x[15 * i : 15 * i + 15])
    jf.fold(SKETCH, source, checkpoint=path, progress=stop)
    for accuracy in (0.1, 0.02, 0.001):
        assert nbytes(folds.sketch(accuracy=accuracy), one) <= 42 / accuracy + 600


def test_quantiles_of_quantiles_are_wrong():
    # files of a few still episodes and of one that moves: the mean of their 99 % quantiles is not
    # that of the data
    rng = np.random.default_rng(0)
    files = [rng.gamma(2.0, 0.5 if k % 10 else 20.0, 200).astype(np.float32) for k in range(30)]
    right = np.quantile(np.concatenate(files), 0.99)
    of_each = np.mean([np.quantile(f, 0.99) for f in files])
    found = float(jf.fold(folds.quantile(0.99), [jnp.asarray(f) for f in files]))
    assert abs(of_each - right) > 0.5 * right and abs(found - right) <= 0.01 * right


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int8, jnp.uint16, jnp.int32])
def test_other_dtypes(dtype):
    x = (np.abs(draw(1, "normal")) * 20).astype(dtype)
    found = jf.fold(SKETCH, parts(x))
    right = stats.quantile(x, 0.3)
    assert found.minimum.dtype == dtype and found.maximum == np.max(x)
    if jnp.issubdtype(dtype, jnp.integer):  # up to 50 there is one in each bin
        assert found.quantile(0.3) == right
    right = np.asarray(right)
    exact = right.astype(np.float32)
    if dtype in (jnp.float16, jnp.int32):  # of all the next passes look at float32's keys
        nearer = jf.fold(folds.narrow(0.3, within=found), parts(x))
        exact = jf.fold(folds.quantile(0.3, within=nearer), parts(x))
        exact = np.asarray(exact)
        assert exact.astype(np.float32).astype(right.dtype) == right
    assert abs(found.quantile(0.3) - exact) <= 0.01 * exact


def test_bools_are_numbers():
    found = jf.fold(SKETCH, parts(np.arange(COUNT) % 4 == 1))
    assert asked(found, 0.5, 0.7, 0.8, 1.0).tolist() == [0, 0, 1, 1]


def test_nan_and_nothing():
    x = np.array(draw(2, "normal"))
    x[7] = np.nan
    assert np.isnan(jf.fold(folds.median(), x))
    some = jf.fold(folds.sketch(nan="omit"), parts(x))
    assert int(some.count) == 59
    right = stats.median(x, nan="omit")
    nearer = jf.fold(folds.narrow(0.5, within=some), parts(x))
    assert jf.fold(folds.median(within=nearer), parts(x)) == right
    low, high = some.limits(np.full(len(Q), 0.5))
    assert low[0] <= right <= high[0]
    nothing = jf.fold(SKETCH, x[:0])
    assert np.isnan(nothing.quantile(Q)).all() and int(nothing.count) == 0
    assert np.isnan(jf.fold(folds.quantile([0.5]), x[:0])).all()
    odd = np.float32([-np.inf, np.inf, 1e-40, -1e-40, 0.0, -0.0, 5.0])  # subnormal: as 0
    odd = jf.fold(SKETCH, np.tile(odd, 3))
    found = asked(odd, 0.0, 0.2, 0.4, 0.65, 0.8, 1.0)
    np.testing.assert_allclose(found, [-np.inf, 0, 0, 0, 5, np.inf], rtol=0.01)
    assert np.isnan(asked(odd, -0.1, 1.1, np.nan)).all()


def test_fractional_weights():
    rng = np.random.default_rng(0)
    x, w = np.abs(draw(3, "normal")), rng.exponential(size=COUNT).astype(np.float32)
    right = np.asarray(stats.quantile(x, Q, weights=w, method="inverted_cdf"))
    cuts = list(zip(parts(x), parts(w), strict=True))
    found = [jf.fold(WEIGHTED, cuts), jf.fold(WEIGHTED, cuts[::-1])]
    light = [(a, np.float32(1e-20) * b) for a, b in cuts]
    found.append(jf.fold(folds.sketch(weights=stats.Probability), light))
    for some in found:
        np.testing.assert_allclose(some.quantile(Q), right, rtol=0.0101 * 2)
    np.testing.assert_allclose(found[0].count, np.float64(w).sum(), rtol=1e-6)
    assert found[0].maximum == np.max(x) and found[0].at_maximum == w[np.argmax(x)]
    # what has no weight is not there, and what is none makes all nan
    for bad in (np.nan, np.inf):
        hidden = np.float32([1.0, bad, 2.0] * 7), np.float32([1.0, 0.0, 1.0] * 7)
        assert abs(asked(jf.fold(WEIGHTED, hidden), 1.0)) == 2.0
    for weight in (-1.0, np.nan, np.inf):
        wrong = np.float32([1.0, 3.0, 2.0] * 7), np.ones(21, np.float32)
        wrong[1][1] = weight
        assert np.isnan(asked(jf.fold(WEIGHTED, wrong), 0.5))
    negative = np.arange(20, dtype=np.float32), np.resize(np.int32([1, -1, 1]), 20)
    assert np.isnan(asked(jf.fold(WEIGHTED, negative), 0.5))


@pytest.mark.parametrize("far", [1e30, -1e30, np.inf])
def test_what_counts_no_times_hides_nothing(far):
    x = np.tile(np.float32([far, 1.0, -2.0, far, 3.0, 2.0]), 3)
    there = np.tile(np.int32([0, 2, 1, 0, 1, 2]), 3)
    right = jf.fold(SKETCH, np.repeat(x, there))
    for times in (there, (there / 4).astype(np.float32)):
        found = jf.fold(WEIGHTED, (x, times))
        assert asked(found, 0.0, 1.0).tolist() == [-2, 3]
        assert float(found.count) == times.sum()
    masked = BLOCK_WHERE(x, there > 0)
    checks.assert_same(masked, BLOCK(x[there > 0]), bits=True)
    checks.assert_same(jf.fold(WEIGHTED, (x, there)), right, bits=True)


def test_weights_add_up_to_the_last_digit():
    n = 2**15
    x, one = jnp.full(n, 0.5, jnp.float32), jnp.full(n, 0.1, jnp.float32)
    memory = jax.jit(WEIGHTED.block)((x, one))
    merge = jax.jit(WEIGHTED.merge)
    total = memory
    for _ in range(400):
        total = merge(total, memory)
    right = np.float64(np.float32(0.1)) * n * 401
    assert abs(float(total.count) - right) <= 2.0**-23 * right


def test_of_equal_weights_a_level_is_reached_where_it_is():
    fold = folds.sketch(weights=stats.Frequency)
    q, x = (0.3, 0.5, 0.7, 0.75, 0.9, 1.0), np.arange(20, dtype=np.int32) + 1
    for weight in (0.1, 1 / 3, 1.0, 1e30):
        found = jf.fold(fold, (x, np.full(20, weight, np.float32)))
        assert asked(found, *q).tolist() == [6, 10, 14, 15, 18, 20]
    light = np.where(np.arange(20) == 19, np.float32(1e-7), np.float32(1))
    assert asked(jf.fold(fold, (x, light)), 1.0) == 20


def test_values_far_from_0():
    x = np.float32(1000) + draw(5, "normal")
    right = np.asarray(stats.quantile(x, Q))
    blind, seen = (jf.fold(folds.quantile(Q, around=a), x) for a in (0.0, 1000.0))
    assert np.abs(blind - right).max() > 0.2  # a bin is 20 wide: only the ends are known
    assert (np.abs(seen - right) <= 0.01 * np.abs(right - 1000) + 2e-4).all()
    both = parts(np.stack([x, -x], axis=1))
    found = jf.fold(folds.sketch(around=jnp.array([1000.0, -1000.0])), both)
    checks.assert_same(np.asarray(found.quantile(Q))[:, 0], np.asarray(seen))
    nearer = jf.fold(folds.narrow(Q, within=found), both)
    exact = jf.fold(folds.quantile(Q, within=nearer), both)
    np.testing.assert_allclose(np.asarray(exact)[:, 0], right, rtol=2e-7)


def test_vectors_and_other_data():
    x = np.stack([draw(4, "normal"), draw(5, "positive")], axis=1)
    found = jf.fold(SKETCH, parts(x))
    assert found.quantile(Q).shape == (6, 2)
    assert jax.eval_shape(found.quantile, 0.5).shape == (2,)
    nearer = jf.fold(folds.narrow(Q, within=found), parts(x))
    exact = jf.fold(folds.quantile(Q, within=nearer), parts(x))
    checks.assert_same(exact, stats.quantile(x, Q, axis=0))
    other = jf.fold(folds.median(within=found), parts(x)[:2])
    assert np.isnan(other).all()  # not the data of the sketch
    alone = jax.vmap(lambda column: jf.fold(SKETCH, column), in_axes=1)(x)
    checks.assert_same(alone.bins, found.bins)


def test_steps_are_blocks_of_one():
    x = draw(6, "normal")[:20]
    step = lambda m, v: (SKETCH.step(m, v), None)  # noqa: E731
    memory = jax.jit(lambda x: jax.lax.scan(step, SKETCH.init(x[0]), x)[0])(x)
    checks.assert_same(memory, BLOCK(x), bits=True)
    g = folds.quantile(0.5, within=memory)
    stepped, whole = jax.jit(lambda x: (g.step(g.block(x[:19]), x[19]), g.block(x)))(x)
    checks.assert_same(stepped, whole)


def test_groups_and_accuracy():
    x, ids = draw(7, "normal"), np.arange(COUNT) % 3
    fine = jf.fold(folds.grouped(folds.sketch(accuracy=0.1), 3), (ids, x))
    for k in range(3):
        alone = jf.fold(folds.sketch(accuracy=0.1), x[k::3])
        one = jax.tree.map(lambda v, k=k: np.asarray(v)[k], fine)
        checks.assert_same(one, alone, bits=True)


def test_ranks_beyond_2_to_32():
    fine = folds.sketch(accuracy=2**-8)
    block, merge = jax.jit(fine.block), jax.jit(fine.merge)
    memory = block(np.float32([1.0, 2.0, 4.0]))
    for _ in range(33):
        memory = merge(memory, memory)
    memory = merge(memory, block(np.float32([4.0, 4.0, 4.0])))
    assert int(memory.count) == 3 * 2**33 + 3
    # a third of them are 1, and the median is the last 2 but half
    found = asked(memory, 0.25, 0.5, 0.6, 0.75)
    assert (np.abs(found - np.float32([1.0, 2.0, 2.0, 4.0])) <= 2.0**-8 * found).all()
    for _ in range(15):  # 2**40 of one bin are not counted any more
        memory = merge(memory, memory)
    assert np.isnan(asked(memory, 0.5))


@pytest.mark.parametrize("accuracy", [0.2, 0.05, 1e-3])
def test_accuracies(accuracy):
    x = np.exp(np.clip(draw(8, "normal", 601), -4, 4))
    q = np.arange(601, dtype=np.float32) / np.float32(600)
    found = np.asarray(jf.fold(folds.sketch(accuracy=accuracy), x).quantile(q))
    assert (np.abs(found - np.sort(x)) <= (accuracy + 3e-7) * np.sort(x)).all()


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: folds.sketch(accuracy="fine"), TypeError, "accuracy is 'fine'; a Python float"),
        (lambda: folds.median(accuracy=0.0), ValueError, r"accuracy is 0.0; it must lie in \[1e-4"),
        (lambda: folds.sketch(around=1j), TypeError, "folds.sketch: around is complex"),
        (lambda: folds.median(around=jnp.nan), ValueError, "folds.median: around is nan; finite"),
        (lambda: folds.sketch(weights=1), TypeError, "give one of the classes"),
        (
            lambda: jf.fold(folds.sketch(around=jnp.zeros(2)), jnp.zeros((4, 3))),
            ValueError,
            r"around has shape \(2,\), which does not broadcast to an element's \(3,\)",
        ),
        (lambda: folds.narrow(0.5, within=None), TypeError, "within is NoneType; give the answer"),
        (
            lambda: folds.iqr(within=jf.fold(SKETCH, jnp.zeros(20)), weights=stats.Frequency),
            ValueError,
            "there are weights, and within",
        ),
        (
            lambda: folds.median(within=jf.fold(WEIGHTED, (jnp.zeros(20), jnp.ones(20)))),
            ValueError,
            "a sketch of fractional weights",
        ),
    ],
)
def test_messages(call, error, said):
    with pytest.raises(error, match=said):
        call()
