"""map_, filter_, take, take_while: in front of folds, loops and steps."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations.testing import checks, laws


def triple(x):
    return 3 * x


def even(x):
    return x % 2 == 0


def small(x):
    return x < 40


def zero(like):
    return jnp.zeros(like.shape, like.dtype)


TOTAL = jf.Fold(zero, jnp.add, jnp.add, block=lambda xs: jnp.sum(xs, axis=0), name="total")
LAST = jf.Fold(lambda like: jnp.full(like.shape, -1, like.dtype), lambda m, x: x, None, name="last")
BOTH = jf.combine(total=TOTAL, last=LAST, n=jf.folds.count())
X = jnp.asarray(np.random.default_rng(3).integers(0, 30, 40), jnp.int32)

M, F, T, W = jf.map_(triple), jf.filter_(even), jf.take(5), jf.take_while(small)
ORACLES = {  # the same in Python, a stage
    "map_(triple)": lambda xs: map(triple, xs),
    "filter_(even)": lambda xs: filter(even, xs),
    "take": lambda xs: itertools.islice(xs, 5),
    "take_while(small)": lambda xs: itertools.takewhile(small, xs),
    "triple": lambda xs: map(triple, xs),
}
PIPES = [
    *([], [M], [F], [T], [W]),
    *([M, F], [F, M], [M, F, T], [T, M, F], [F, T, W], [W, F, T, M], [triple, W, F], [T, T]),
]


def through(pipe, xs):
    """Return what comes out of a pipe, by Python's own iterators."""
    for name in pipe.names:
        xs = ORACLES[name](xs)
    return list(xs)


def answers(xs):
    return {"total": sum(xs), "last": xs[-1] if xs else -1, "n": len(xs)}


def ints(found):
    return {name: int(value) for name, value in found.items()}


@pytest.mark.parametrize("stages", PIPES, ids=lambda stages: repr(jf.Pipe(*stages)))
def test_a_fold_behind_a_pipe_sees_what_comes_out_of_it(stages):
    pipe = jf.Pipe(*stages)
    expected = answers(through(pipe, X.tolist()))
    behind = pipe.over(BOTH)
    assert ints(jf.fold(behind, X)) == expected
    assert ints(jf.fold(behind, [X[:20], X[20:]])) == expected
    assert behind.merge is None  # of the last, or of take


def test_without_an_end_it_merges_and_takes_blocks_whole():
    behind = jf.Pipe(M, F, triple).over(TOTAL)
    assert behind.merge is TOTAL.merge and behind.finished is None and behind.name == "total"
    text = jax.jit(behind.block).lower(X).as_text()
    assert "stablehlo.while" not in text
    parts = behind.merge(behind.block(X[:7]), behind.block(X[7:]))
    assert parts == jf.fold(behind, X) == sum(3 * x for x in through(jf.Pipe(M, F), X.tolist()))
    assert jf.fold(jf.Pipe(M).over(TOTAL), X) == 3 * X.sum()


def test_it_keeps_the_laws_of_folds():
    laws.fold(jf.Pipe(jf.map_(jnp.abs), jf.filter_(small)).over(jf.folds.maximum()), max_examples=3)
    laws.fold(jf.Pipe(jf.map_(jnp.abs), jf.take(3)).over(jf.folds.maximum()), max_examples=3)


@pytest.mark.parametrize("fold", [TOTAL, jf.folds.mean(), BOTH.map(lambda found: found["n"])])
def test_one_loop_with_an_end(fold):
    behind = jf.Pipe(M, F, T).over(fold)
    lowered = jax.jit(behind.block).lower(X)
    assert lowered.as_text().count("stablehlo.while") == 1
    assert len(re.findall(r" while\(", lowered.compile().as_text())) == 1


@pytest.mark.parametrize(
    ("end", "visits"), [(jf.take(5), 10), (jf.take(0), 0), (jf.take_while(small), 16)]
)
def test_no_element_is_read_after_the_last(end, visits):
    seen = []

    def look(x):
        jax.debug.callback(lambda x: seen.append(int(x)), x)
        return 3 * x

    behind = jf.Pipe(look, jf.filter_(lambda x: x % 2 != 0), end).over(TOTAL)
    jf.fold(behind, jnp.arange(1000))
    jax.effects_barrier()
    assert sorted(seen) == list(range(visits))


def test_the_fold_says_when_it_is_finished():
    behind = jf.Pipe(T).over(TOTAL)
    assert not behind.finished(behind.block(X[:4])) and behind.finished(behind.block(X[:5]))
    memory = behind.block(X[:5])
    assert_same(behind.step(memory, X[5]), memory)
    assert behind.map(jnp.sqrt).finished is behind.finished
    assert behind.of(triple).finished is behind.finished
    assert behind.where(even).finished is behind.finished
    twice = jf.Pipe(jf.take(9), jf.take(2)).over(TOTAL)
    assert twice.finished(twice.block(X[:2]))
    assert TOTAL.finished is None


def test_folds_side_by_side_are_finished_when_all_are():
    two, five = (jf.Pipe(jf.take(n)).over(TOTAL) for n in (2, 5))
    both = jf.combine(two=two, five=five)
    assert [bool(both.finished(both.block(X[:n]))) for n in (2, 4, 5)] == [False, False, True]
    assert ints(jf.fold(both, X)) == {"two": sum(X[:2].tolist()), "five": sum(X[:5].tolist())}
    assert jf.combine(two=two, all=TOTAL).finished is None and jf.combine().finished is None
    assert (two + five).finished is not None


def test_a_fold_of_ones_own_may_stop_early():
    seen = jf.Fold(lambda like: 0, lambda n, x: n + 1, None, finished=lambda n: n >= 3)
    assert jf.fold(seen, X) == 3 and jf.fold(seen, X[:0]) == 0
    assert jf.fold(seen.of(triple), X) == 3 and jf.fold(seen.where(even), X) == 3
    either = jf.Fold(
        lambda like: jnp.zeros((), bool), jnp.logical_or, jnp.logical_or, finished=jnp.asarray
    )
    assert jf.fold(either, X == X[9]) and not jf.fold(either, X < 0)
    assert jf.fold(either.of(even), X) and not jf.fold(either.where(jnp.logical_not), X == X)
    with pytest.raises(TypeError, match="Fold: finished is 3, which is not callable"):
        jf.Fold(zero, jnp.add, None, finished=3)


def test_pipes_act_on_folds():
    p, q = jf.Pipe(M, F), jf.Pipe(T)
    assert (p >> q).over(TOTAL) == p.over(q.over(TOTAL))
    assert jf.Pipe().over(TOTAL) is TOTAL
    assert jf.Pipe(inner=p, end=T).over(TOTAL) == (p >> jf.Pipe(end=T)).over(TOTAL)
    assert jf.fold(jf.Pipe(jf.map_(jf.Pipe(triple, triple))).over(TOTAL), X) == 9 * X.sum()


def test_an_executor_that_splits_is_refused_by_name():
    class Splitting(jf.executors.Executor):
        def run(self, chunks, progress):
            raise AssertionError

    behind = jf.Pipe(M, F, T).over(jf.folds.mean())
    with raises(TypeError, "mean after take depends on the order", "Splitting cannot split it"):
        jf.fold(behind, [X], Splitting())
    assert repr(jf.Pipe(W).over(TOTAL)) == "Fold(total after take_while)"


def test_in_front_of_a_loop():
    looked = jf.Pipe(jf.map_(jnp.square), jf.filter_(even), jf.take(2)).over(LAST)
    result = jf.iterate(lambda x: x + 1, 0, jf.watch(looked, name="seen"), max_steps=9)
    assert int(looked.extract(result.memory["seen"])) == 16 and int(result.steps) == 9


def test_in_front_of_a_step():
    step = jf.Pipe(jf.filter_(even), triple).over(lambda total, x: total + x)
    body = jf.as_scan_body(step)
    carry, _ = jax.lax.scan(body, body.init(jnp.int32(0)), X)
    expected = 3 * sum(x for x in X.tolist() if even(x))
    assert int(carry.state) == expected
    total, _ = jax.lax.scan(lambda m, x: (step(m, x), None), jnp.int32(0), X)
    assert int(total) == expected and step == step
    with raises(TypeError, "take_while remembers", "front of a fold: Pipe(…).over(Fold("):
        jf.Pipe(triple, W).over(lambda total, x: total + x)


def test_under_transforms():
    behind = jf.Pipe(jf.map_(jnp.square), jf.take(3)).over(jf.folds.mean())
    x = jnp.arange(5.0)
    checks.assert_jit_invariant(lambda x: jf.fold(behind, x), x)
    checks.assert_vmap_invariant(lambda x: jf.fold(behind, x), jnp.stack([x, 2 * x]))
    _, slope = jax.jvp(lambda x: jf.fold(behind, x), (x,), (jnp.ones(5),))
    assert slope == pytest.approx(2.0)
    weighted = lambda w: jf.fold(jf.Pipe(jf.partial(jnp.multiply, w)).over(TOTAL), x)  # noqa: E731
    assert jax.grad(weighted)(2.0) == 10.0


def test_stages_are_named_in_the_graph():
    behind = jf.Pipe(M, odd=jf.filter_(even), end=jf.take_while(small)).over(TOTAL)
    text = jax.jit(behind.block).lower(X).as_text(debug_info=True)
    for name in ("map_(triple)", "odd", "end"):
        assert f"/{name}/" in text


def test_elements_that_are_trees():
    pipe = jf.Pipe(jf.filter_(lambda e: even(e["x"])), jf.map_(lambda e: e["y"]), T)
    found = jf.fold(pipe.over(TOTAL), {"x": X, "y": 2 * X})
    assert int(found) == sum(2 * x for x in through(jf.Pipe(F, T), X.tolist()))


BAD = {
    "a value": (lambda: jf.Pipe(M)(X), "map_(triple) changes what a fold sees, not a value"),
    "no predicate": (
        lambda: jf.fold(jf.Pipe(jf.filter_(triple)).over(TOTAL), X),
        r"filter_(triple): its predicate returned shape () and dtype int32, a bool scalar",
    ),
    "no scalar": (
        lambda: jf.fold(jf.Pipe(near=jf.take_while(small)).over(TOTAL), X[:, None]),
        "near: its predicate returned shape (1,) and dtype bool, a bool scalar",
    ),
    "none at all": (
        lambda: jf.fold(jf.Pipe(jf.filter_(lambda x: None)).over(TOTAL), X),
        "filter_(lambda): its predicate returned NoneType, a bool is needed",
    ),
    "a callback": (
        lambda: jf.Pipe(M).over(jf.watch(TOTAL)),
        "is no Fold and no step (state, x) -> state; to look at a loop's states give watch(",
    ),
    "a number": (lambda: jf.Pipe(M).over(3), "over 3: this is no Fold"),
    "not callable": (lambda: jf.map_(3), "map_: its argument is 3, which is not callable"),
    "a float": (lambda: jf.take(1.5), "take: n is 1.5, a Python int is needed"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case):
    wrong, message = BAD[case]
    with pytest.raises(TypeError, match=re.escape(message)):
        wrong()


def test_what_is_wrong_in_a_stage_names_it():
    with pytest.raises(ValueError, match="take: n is -1"):
        jf.take(-1)
    with pytest.raises(ValueError) as caught:
        jf.fold(jf.Pipe(M, solve=lambda x: x @ x).over(TOTAL), X)
    assert any("in stage 2 of 2, 'solve', of the pipe" in n for n in caught.value.__notes__)


def test_they_are_values():
    assert M == jf.map_(triple) != F and hash(T) == hash(jf.take(5)) and T != jf.take(6)
    assert [repr(t) for t in (M, F, T, W)] == [
        *("map_(triple)", "filter_(even)", "take(5)", "take_while(small)")
    ]
    assert repr(jf.Pipe(M, F, T)) == "map_(triple) >> filter_(even) >> take(n=5)"
    traced = jax.jit(lambda t: jnp.zeros(len(repr(t))))(T)
    assert traced.size == len("take(n)")
