"""Nests and chains of callbacks cost what their parts do, and may be deep.

Cause: a callback made of others held them once an event, so that a nest of depth d was taken apart
2**d times; a gate traced what it gates twice, its own gates too; and each level was a dozen frames
of Python's, which has a thousand. It acts in `when`, `every`, `after`, `once`, `|`, `&`, `~`,
`agree`, alone and within each other, when they are made, compared, traced, described and started.
A mask of 32 bits made long `|` and `&` fail too.
"""

import functools

import jax
import jax.numpy as jnp
import pytest
from helpers import hlo

import jfoundations as jf

jc = jf.callbacks
DEEP = 200


def inc(x):
    return x + 1


def double(x):
    return 2 * x, False


SMALL = jf.stop_when(lambda x: x > 2, name="s")
EARLY = jf.Callback(name="early", before_step=lambda x: (x, x > 3))


def nest(make, inner, n=DEEP):
    for _ in range(n):
        inner = make(inner)
    return inner


def reduce(join, *callbacks, n=DEEP):
    return functools.reduce(join, callbacks * (n // len(callbacks)))


def alternately(n=DEEP):
    whole = SMALL
    for k in range(n):
        whole = whole & SMALL if k % 2 else whole | SMALL
    return whole


# callback, and the last state and the steps of counting from 0 in at most 6 steps
CASES = {
    "every": (lambda: nest(lambda c: jf.every(2, c), double), 28, 6),
    "every of memory": (lambda: nest(lambda c: jf.every(2, c), jc.history(capacity=2), 100), 6, 6),
    "after": (lambda: nest(lambda c: jc.after(2, c), lambda x: (x, x > 2)), 3, 3),
    "once": (lambda: nest(lambda c: jc.once(2, c), double), 8, 6),
    "when": (lambda: nest(lambda c: jf.when(lambda x: x > 2, c), double), 62, 6),
    "every of two": (
        lambda: nest(lambda c: jf.every(2, jf.proceed, double, c), double, 2),
        1168,
        6,
    ),
    "gates side by side": (lambda: nest(lambda c: jf.every(2, look, c), double, 50), 28, 6),
    "or": (lambda: reduce(lambda a, b: a | b, SMALL), 3, 3),
    "and": (lambda: reduce(lambda a, b: a & b, SMALL), 3, 3),
    "and within a step": (lambda: reduce(lambda a, b: a & b, SMALL, EARLY), 5, 5),
    "or of memories": (lambda: reduce(lambda a, b: a | b, jc.early_stopping(abs, 4), n=60), 5, 5),
    "and, or": (alternately, 3, 3),
    "not": (lambda: nest(lambda c: ~c, SMALL), 3, 3),
    "every, or": (lambda: nest(lambda c: jf.every(1, c) | SMALL, SMALL, 100), 3, 3),
    "chain": (lambda: reduce(jf.chain, lambda x: (x + 0, False)), 6, 6),
}


def look(x):
    return x + 0, False


@pytest.mark.parametrize("make, state, steps", CASES.values(), ids=CASES)
def test_deep_nests_and_long_chains(make, state, steps):
    callback = make()
    leaves, structure = jax.tree.flatten(callback)
    same = jax.tree.unflatten(structure, leaves)
    assert callback == same and hash(callback) == hash(same)
    result = jf.iterate(inc, jnp.int32(0), callback, max_steps=6)
    assert (int(result.state), int(result.steps)) == (state, steps)


def test_agree_in_agree():
    stop = nest(lambda c: jf.agree(c, "lanes"), jc.early_stopping(lambda x: -x, 9))
    run = lambda x: jf.iterate(inc, x, stop, max_steps=3).steps  # noqa: E731
    assert jax.vmap(run, axis_name="lanes")(jnp.arange(2)).tolist() == [3, 3]


@pytest.mark.parametrize("make", [CASES["gates side by side"][0], CASES["every, or"][0]])
def test_other_drivers_and_descriptions_of_them(make):
    callback = make()
    whole = jf.iterate(inc, jnp.int32(0), callback, max_steps=6, driver="python")
    assert int(whole.state) in (28, 3)
    found = jf.describe_loop(inc, callback, state=jnp.int32(0))
    assert len(found.events) == 5


def test_a_nest_grows_with_its_depth():
    def text(n):
        callback = nest(lambda c: jf.every(2, look, jc.best(jnp.abs), c), jc.history(capacity=2), n)
        run = lambda x: jf.iterate(inc, x, callback, max_steps=6)  # noqa: E731
        return len(hlo(run, jnp.int32(0)))

    few, many = text(4), text(16)
    assert many < 4.5 * few


def test_gates_in_gates_are_the_gate_of_all_predicates():
    odd = lambda x: x % 2 == 1  # noqa: E731
    low = lambda x: x < 4  # noqa: E731
    flat = jf.when(lambda x: odd(x) & low(x), jc.history(capacity=9), double)
    deep = jf.when(odd, jf.when(low, jc.history(capacity=9), double))
    for driver in ("while", "python"):
        a, b = (jf.iterate(inc, 0, c, max_steps=6, driver=driver) for c in (flat, deep))
        assert a.names == b.names and a.reasons == b.reasons
        assert int(a.state) == int(b.state)
        (one,), (other,) = a.memory.values(), b.memory.values()
        assert one[0].values.tolist() == other[0].values.tolist() == [1, 3]


def test_members_beside_a_gate_are_heard_in_order():
    # the outer predicate is asked before its first member changes the state
    within = jf.when(lambda x: x > 5, lambda x: (x + 100, False))
    outer = jf.when(lambda x: x == 1, lambda x: (x + 9, False), within, double)
    assert int(jf.iterate(inc, jnp.int32(0), outer, max_steps=1).state) == 220
    assert int(jf.iterate(inc, jnp.int32(3), outer, max_steps=1).state) == 4


def test_five_hundred_pipes():
    pipe = functools.reduce(lambda a, b: a >> b, [jf.Pipe(**{f"s{k}": inc}) for k in range(500)])
    assert len(pipe) == 500 and pipe(0) == 500 and (jf.Pipe() >> pipe) == pipe
    assert int(jf.iterate(pipe, jnp.int32(0), max_steps=2).state) == 1000
    assert int(jf.compose(*pipe)(1)) == 501 and len(jf.compose(pipe, pipe)) == 1000


def test_an_error_deep_within_is_told_once_a_level_and_keeps_its_kind():
    def fails(x):
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        jf.iterate(inc, 0, nest(lambda c: ~jf.every(1, c), jf.stop_when(fails), 20), max_steps=3)

    def ends(x):
        raise StopIteration

    with pytest.raises(RuntimeError, match="it raised StopIteration; to stop"):
        jf.iterate(inc, 0, jf.every(2, ends), max_steps=3)
