"""Mutants: each kind of mistake is planted where it can be, and tests let pass what they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

import jfoundations as jf
from jfoundations.testing import checks, laws

X = jnp.array([1.0, 5.0, 2.0])


def words(some):
    return {one.words for one in some}


def holds(right, *arguments):
    """Return a test that calls a function once."""

    def test(g):
        checks.assert_same(g(*arguments), jnp.asarray(right))

    return test


def spread(x):
    return jnp.max(x) - jnp.min(x)


def test_a_sharp_test_kills_all_and_a_blunt_one_lets_live():
    sharp = laws.mutants(spread, holds(4.0, X))
    assert (len(sharp.killed), sharp.share, sharp.survived) == (3, 1.0, ())
    assert words(sharp.killed) == {"min for max", "max for min", "a plus for a minus"}

    def blunt(g):
        assert g(X) > 3

    found = laws.mutants(spread, blunt)
    assert words(found.survived) == {"a plus for a minus"}
    assert found.survived[0].apart == 0.5  # 6 for 4
    assert "survived" in repr(found) and "by 0.5 of the largest" in repr(found.survived[0])
    assert "test_mutants.py" in found.survived[0].where


def test_what_never_differed_is_no_survivor():
    found = laws.mutants(spread, holds(0.0, jnp.zeros(3)))
    assert (found.share, found.killed, found.survived) == (1.0, (), ())
    assert len(found.never_differed) == 3
    assert "to the bit" in repr(found)


def masked(x, where):
    return jnp.sum(jnp.where(where, x, 0))


def counted(x):
    return lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + x[s[0]]), (jnp.int32(0), jnp.float32(0))
    )[1]


def nested(x):
    def inner(k, total):
        return lax.cond(k % 2 == 0, lambda t: t + x[k], lambda t: t - x[k], total)

    rounds = lax.scan(lambda t, _: (lax.fori_loop(0, 3, inner, t), None), jnp.float32(0), None, 2)
    return rounds[0]


@jax.custom_jvp
def ruled(x):
    return jnp.sin(x) + jnp.expm1(x)


ruled.defjvp(lambda primals, tangents: (ruled(*primals), tangents[0]))


def several(x):
    square = jnp.reshape(x[:1], (1, 1)) * jnp.ones((2, 2)) + jnp.array([[0.0, 1.0], [2.0, 3.0]])
    down = jnp.sum(square, axis=0)
    both = (jnp.all(x > 0) & jnp.any(x > 4)) | (x[0] < 0)
    return down + jnp.cumsum(x)[:2] + jnp.sort(x)[:2] + both.astype(x.dtype) + x[:2] ** 3


KINDS = {
    "mask": (masked, (X, jnp.array([True, False, True])), "select where no mask holds"),
    "mask dropped": (masked, (X, jnp.array([True, False, True])), "select where no mask is asked"),
    "loop": (counted, (X,), "a loop one round too long"),
    "while": (counted, (X,), "<= for <"),
    "cond": (nested, (X,), "cond negated"),
    "body": (nested, (X,), "a minus for a plus"),
    "scan": (nested, (X,), "a scan that keeps its carry"),
    "custom": (ruled, (jnp.float32(1),), "exp for expm1"),
    "remat": (jax.checkpoint(ruled), (jnp.float32(1),), "cos for sin"),
    "jit": (jax.jit(ruled), (jnp.float32(1),), "exp for expm1"),
    "axis": (several, (X,), "reduce_sum over another axis"),
    "cumsum": (several, (X,), "cumsum from the other end"),
    "sort": (several, (X,), "sorted the other way"),
    "all": (several, (X,), "any for all"),
    "and": (several, (X,), "or for and"),
    "condition": (several, (X,), "gt negated"),
    "power": (several, (X,), "power 4 for 3"),
    "constant": (several, (X,), "5 for 4 in gt"),
}
CALLED = {f: args for f, args, _ in KINDS.values()}


@pytest.fixture(scope="module")
def reports():
    return {
        f: laws.mutants(f, holds(f(*args), *args), max_mutants=99) for f, args in CALLED.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_planted(reports, kind):
    f, _, what = KINDS[kind]
    assert what in words(reports[f].mutants)
    if kind not in ("and", "all", "condition", "constant"):  # of which some are masked by others
        assert what in words(reports[f].killed)
    assert not reports[f].survived  # a test of all bits


def test_endless_loops_end():
    found = laws.mutants(counted, holds(8.0, X))
    assert "2 for 1 in add" in words(found.killed) and "lt negated" in words(found.killed)


def test_mutants_under_transforms_and_of_several_shapes():
    def test(g):
        for n in (2, 5):
            x = jnp.arange(n, dtype=jnp.float32)
            assert jax.eval_shape(g, x).shape == ()
            assert jax.jit(g)(x) == n - 1
        assert np.array_equal(jax.vmap(g)(jnp.array([[1.0, 2.0], [5.0, 9.0]])), [1, 4])
        checks.assert_same(jax.grad(g)(X), jnp.array([-1.0, 1.0, 0.0]))

    assert laws.mutants(spread, test).share == 1

    def traced(g):
        assert jax.jit(jax.vmap(g))(jnp.array([X, X]))[0] > 3

    found = laws.mutants(spread, traced)
    assert [one.apart for one in found.survived] == [0.5]  # seen from within what is compiled


def test_a_sample_is_the_same_in_each_run_and_has_all_kinds():
    test = holds(several(X), X)
    first, again = (laws.mutants(several, test, max_mutants=7) for _ in range(2))
    assert repr(first) == repr(again) and len(first.mutants) == 7 < first.of
    assert {one.kind for one in first.mutants} >= {"axis", "condition", "constant", "operator"}


def test_the_step_of_a_loop_and_a_pipe():
    def step(s):
        return {"x": s["x"] * 2, "t": s["t"] + 1}

    def test(g):
        state = jf.iterate(g, {"x": 1.0, "t": 0}, max_steps=3).state
        assert state["x"] == 8

    found = laws.mutants(step, test)
    assert words(found.survived) == {"['t'] is not changed", "a minus for a plus", "2 for 1 in add"}
    pipe = jf.Pipe(jnp.abs, half=lambda x: x / 2)
    report = laws.mutants(pipe, lambda g: checks.assert_same(g(-X)[:1], jnp.array([0.5])))
    assert report.share == 1
    assert {one.where.split()[1] for one in report.mutants} == {"abs", "half"}


def mean_fold():
    def step(memory, x):
        return memory[0] + x, memory[1] + 1

    def merge(a, b):
        return a[0] + b[0], a[1] + b[1]

    return jf.Fold(
        lambda like: (jnp.zeros(like.shape, like.dtype), jnp.float32(0)),
        step,
        merge,
        lambda memory: memory[0] / memory[1],
        name="average",
    )


def test_a_fold_that_forgets():
    data = jnp.arange(1.0, 7.0)

    def sharp(g):
        assert jf.fold(g, [data[:2], data[2:]]) == 3.5

    found = laws.mutants(mean_fold(), sharp)
    assert found.share == 1
    forgets = {
        f"of the {w} alone, [{k}] is not changed" for w in ("first", "second") for k in (0, 1)
    }
    assert forgets <= words(found.killed)
    assert {"init[0] is off by one", "extract is off by one"} <= words(found.killed)
    assert words(found.never_differed) == {"its arguments are swapped"}

    def whole(g):
        assert jf.fold(g, [data]) == 3.5

    assert not forgets & words(laws.mutants(mean_fold(), whole).killed)


def test_of_a_fold_answers_count_and_not_what_it_keeps():
    plain = mean_fold()
    spare = jf.Fold(
        lambda like: (plain.init(like), jnp.float32(0)),
        lambda memory, x: (plain.step(memory[0], x), jnp.cos(x)),
        lambda a, b: (plain.merge(a[0], b[0]), b[1] - a[1]),
        lambda memory: plain.extract(memory[0]),
        finished=lambda memory: memory[0][1] > 99,
        unmerge=lambda whole, part: ((whole[0][0] - part[0][0], whole[0][1] - part[0][1]), 0.0),
        name="spare",
    )
    data = jnp.arange(1.0, 7.0)

    @jax.jit
    def of(g, data):
        return jf.fold(g, [data[:2], data[2:]])

    def sharp(g):
        assert of(g, data) == 3.5
        memory = g.unmerge(g.merge(g.block(data[:2]), g.block(data[2:])), g.block(data[:2]))
        assert g.extract(memory) == 4.5 and not g.finished(memory)

    found = laws.mutants(spare, sharp)
    assert found.share == 1 and len(found.killed) > 12
    unread = {"init[1] is off by one", "sin for cos", "a plus for a minus", "[1] is not changed"}
    assert unread <= words(found.never_differed)

    def blunt(g):
        assert of(g, data) > 3

    survived = {one.words: one.apart for one in laws.mutants(spare, blunt).survived}
    assert not unread & survived.keys()
    assert survived["extract is off by one"] == np.float32(2) / 7  # 4.5 for 3.5
    assert survived["of the first alone, [0][1] is not changed"] == 2  # 10.5 for 3.5


def test_a_mutant_prints_in_a_line_or_two():
    """JAX prints what it compiles, if it is no plain function: programs would take minutes."""
    lengths = []

    def printed(g):
        lengths.append(len(repr(g.block)))
        assert jax.jit(g.extract)(g.block(X)) == jnp.mean(X)

    assert laws.mutants(mean_fold(), printed).share == 1
    assert max(lengths) < 1000


def test_blocks_and_masks_of_a_fold_are_its_own():
    fold = jf.Fold(
        lambda like: jnp.zeros(like.shape, like.dtype),
        jnp.add,
        jnp.add,
        block=lambda xs: jnp.sum(xs),
        block_where=lambda xs, kept: jnp.sum(jnp.where(kept, xs, 0)),
    )

    def test(g):
        assert g.block(X) == 8 and g.block_where(X, X > 1) == 7

    found = laws.mutants(fold, test)
    assert found.share == 1
    assert {"the last element is left out", "the mask is not asked"} <= words(found.killed)


VALUES = jnp.array([3.0, 2.0, 1.0, 1.0, 1.0, 0.0, 0.0])


def follow(state, *, step):
    return VALUES[step]


def low(x):
    return x < 1.5


def third(n, x):
    return n + 1, x, n + 1 >= 3


STOPS = {  # callbacks that stop after three steps
    "function": lambda x: (x, x < 1.5),
    "stop_when": jf.stop_when(low),
    "memory": jf.Callback(lambda x: jnp.int32(0), name="third", after_step=third),
    "when": jf.when(lambda x: x < 9, jf.stop_when(low)),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_late_stop_is_noticed_or_not(name):
    def sharp(c):
        assert jf.iterate(follow, 9.0, c, max_steps=5).steps == 3

    found = laws.mutants(STOPS[name], sharp)
    assert words(found.killed) >= {"the stop comes one step late"} and found.share == 1
    never = "never stops" if name in ("function", "memory") else "never holds"
    assert never in words(found.killed)
    if name == "memory":
        assert {"memory is not changed", "init is off by one"} <= words(found.killed)
        assert "stops one step early" in words(found.killed)


def test_a_late_stop_that_no_test_sees():
    def blunt(c):
        assert jf.iterate(follow, 9.0, c, max_steps=5).steps >= 3

    found = laws.mutants(STOPS["memory"], blunt)
    assert {"the stop comes one step late", "never stops"} <= words(found.survived)


def test_what_dies_is_said_in_a_line():
    report = laws.mutants(spread, lambda g: laws.translation(g, max_examples=3))
    died = [one.why for one in report.killed]
    assert died and all(line.startswith("AssertionError: f(x + c) is not f(x)") for line in died)


def test_tests_of_hypothesis_and_pytest():
    @settings(deadline=None, database=None, phases=[Phase.generate], max_examples=5)
    @given(n=st.integers(1, 4))
    def drawn(n, g):
        if g(jnp.arange(n, dtype=jnp.float32)) != n - 1:
            pytest.fail("wrong")

    found = laws.mutants(spread, lambda g: drawn(g=g))
    assert all(one.why == "Failed: wrong" for one in found.killed) and found.killed


def test_bad_input():
    with raises(ValueError, "the test fails for spread itself: AssertionError"):
        laws.mutants(spread, holds(5.0, X))
    with raises(ValueError, "calls nothing that can be mutated"):
        laws.mutants(spread, lambda g: None)
    with raises(TypeError, "mutants: f is 3; give a function"):
        laws.mutants(3, lambda g: None)


def test_infinity_is_not_near():
    with pytest.raises(AssertionError):
        checks.assert_same(jnp.float32(np.inf), jnp.float32(1), rtol=1e-3)
