"""`describe_loop(…, measure=True)`: each callback is left out in turn, and all are run."""

import jax
import jax.numpy as jnp
import pytest
from helpers import counted

import jfoundations as jf

jc = jf.callbacks


def half(x):
    return x / 2


def loss(x):
    return jnp.sum(x * x)


def test_each_callback_is_left_out_in_turn():
    step, traces = counted(half)
    small = jf.stop_when(lambda x: loss(x) < 0.1, name="small")
    heard = jc.history(loss), jf.chain(jc.history(loss), small)
    found = jf.describe_loop(step, *heard, state=jnp.ones(3), max_steps=9, measure=True)
    assert list(found.costs) == ["", "history", "history_2", "small"]
    assert all(cost.step > 0 and cost.compile > 0 for cost in found.costs.values())
    assert len(traces) <= 6 * 2  # each program is traced, and never run eagerly
    rows = [line.split() for line in str(found).split("\n\n")[-1].splitlines()]
    assert rows[0] == ["left", "out", "a", "step", "less", "by", "compile"]
    assert [row[0] for row in rows[1:]] == ["nothing", "history", "history_2", "small"]
    bare = jf.describe_loop(step, *heard, state=jnp.ones(3), max_steps=9)
    assert bare.costs is None and str(found).startswith(str(bare))
    none = jf.describe_loop(half, state=1.0, max_steps=2, measure=True)
    assert list(none.costs) == [""]


def test_a_key_is_handed_on():
    step = lambda x, *, key: x + jax.random.normal(key)  # noqa: E731
    key = jax.random.key(0)
    found = jf.describe_loop(step, jc.history(), state=0.0, max_steps=3, key=key, measure=True)
    assert list(found.costs) == ["", "history"]


@pytest.mark.parametrize(
    "given",
    [
        {"max_steps": 3},
        {"state": 1.0},
        {"state": jax.ShapeDtypeStruct((), "float32"), "max_steps": 3},
        {"state": 1.0, "max_steps": 3, "x": 1.0},
    ],
)
def test_what_measuring_needs(given):
    with pytest.raises(ValueError, match="give a state of arrays and max_steps, and no x"):
        jf.describe_loop(half, measure=True, **given)


def test_there_is_no_clock_in_jit():
    def run(x):
        jf.describe_loop(half, state=1.0, max_steps=2, measure=True)
        return x

    with pytest.raises(TypeError, match="not inside jit"):
        jax.jit(run)(1.0)
