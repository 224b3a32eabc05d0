"""The laws of callbacks and pipes fail on a planted breach, and hold for its sound counterpart."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import breach

import jfoundations as jf
from jfoundations._core.values import node
from jfoundations.testing import laws


def nested(*callbacks):
    """A chain that keeps its bracketing, as a tree of tuples does."""
    if not callbacks:
        return jf.proceed
    return jf.Callback(
        name="nested", after_step=jf.partial(_run_all, callbacks=tuple(map(hold, callbacks)))
    )


def hold(callback):
    return callback if callback is not jf.proceed else jf.partial(jf.proceed)


def _run_all(state, *, callbacks):
    stop = False
    for callback in callbacks:
        state, asked = callback(state)
        stop = stop | asked
    return state, stop


def test_chain_that_keeps_its_brackets():
    with breach("is not a"):
        laws.chain_monoid(chain=nested)
    laws.chain_monoid(chain=jf.chain, max_examples=3)


def test_chain_where_the_last_one_wins():
    def last_wins(*callbacks):
        flat = [c for c in callbacks if c is not jf.proceed]
        return flat[-1] if flat else jf.proceed

    with breach("a chain stops by OR|does not run a|associativity"):
        laws.chain_monoid(chain=last_wins)


def test_meddler_posing_as_observer():
    def meddles(x):
        return x * 0.999, False

    with breach("with observers, and without"):
        laws.observer(meddles)
    with breach("with observers, and without"):
        laws.callback(meddles, observes=True, ulp=2, max_examples=2)


class Counts:
    """Counts its calls in Python: once a trace, but once a step in the python driver."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * (1 / self.calls), False


def counts_openly():
    def count(n, x):
        return n + 1, x * (1 / (n + 1).astype(x.dtype)), False

    return jf.Callback(lambda x: jnp.zeros((), np.int32), after_step=count)


def test_hidden_state_in_drivers():
    with pytest.raises(AssertionError, match="drivers while and"):
        laws.driver_equivalence(Counts())
    laws.driver_equivalence(counts_openly(), ulp=4, max_examples=3)


def test_hidden_state_is_reported_by_law():
    with pytest.raises(AssertionError, match="(?s)callback: driver_equivalence.*fails driver"):
        laws.callback(Counts(), max_examples=4)


def test_hidden_state_in_resume():
    with pytest.raises(AssertionError, match="resumed after|same values gave different answers"):
        laws.resume(Counts())


def test_hidden_state_in_chunks():
    with pytest.raises(AssertionError, match="chunks of|same values gave different answers"):
        laws.chunking(Counts())


def test_lanes_that_look_at_each_other():
    @jax.custom_batching.custom_vmap
    def sees_others(x):
        return x

    @sees_others.def_vmap
    def _(size, batched, x):
        return x * 0 + jnp.max(x), True

    with breach("lane"):
        laws.lane(lambda x: (sees_others(x), False))


def test_what_goes_on_after_its_stop():
    # its answer depends on how much room there is, which a stopped run must not see
    def start(state, *, max_steps):
        return jnp.int32(max_steps)

    def greedy(room, state, *, step):
        return room, state * 0.5, step * 2 >= room

    with breach("a stopped run, and the same"):
        laws.frozen(jf.Callback(start, after_step=greedy))


class Remembers:
    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x + self.calls


def test_pipe_with_hidden_state():
    with pytest.raises(AssertionError, match="a second time|same values gave different answers"):
        laws.pipe(jf.Pipe(Remembers()))


def test_pipe_rebuilt_of_fresh_lambdas():
    with breach("p built anew is not p"):
        laws.pipe(jf.Pipe(double=lambda x: 2 * x), rebuild=lambda: jf.Pipe(double=lambda x: 2 * x))


class Opaque:
    """Equal to its like, but traced anew: its hash says so too late."""

    def __init__(self):
        self.values = [1]

    def __call__(self, x):
        return x + self.values[0]


def test_pipe_that_traces_again():
    with breach("p built anew is not p"):
        laws.pipe(jf.Pipe(Opaque()), rebuild=lambda: jf.Pipe(Opaque()))


@node
class Bracketed(jf.Pipe):
    """A pipe that joins by nesting."""

    def __rshift__(self, other):
        return jf.Pipe._make(("left", "right"), (self, other))


def test_pipe_that_keeps_its_brackets():
    with breach("is not p"):
        laws.pipe(Bracketed(abs))


PLATEAU = {"factor": 0.5, "patience": 2}
STEPS = 7


@jax.jit
def their_rate(metric):
    reduce = optax.contrib.reduce_on_plateau(**PLATEAU)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        state = reduce.init(metric)
        for _ in range(STEPS):
            _, state = reduce.update(metric, state, value=metric)
    return state.scale


@jax.jit
def our_rate(metric):
    reduce = jf.callbacks.reduce_on_plateau(
        lambda s: s["metric"], lambda s, ratio: {**s, "rate": s["rate"] * ratio}, **PLATEAU
    )
    start = {"metric": metric, "rate": jnp.ones_like(metric)}
    return jf.iterate(lambda s: s, start, reduce, max_steps=STEPS).state["rate"]


def test_plateau_of_a_negative_metric():
    # a relative threshold that is not of the metric's size calls a constant below 0 an improvement
    with breach("what it must be"):
        laws.constant(lambda x: their_rate(x[0]), lambda c: jnp.full_like(c, 0.5**3))
    laws.constant(lambda x: our_rate(x[0]), lambda c: jnp.full_like(c, 0.5**3), max_examples=30)


def test_sums_may_round_otherwise_in_lanes():
    def feed(memory, x):
        return jnp.sum((x - 0.3) ** 2), x, False

    heard = jf.Callback(lambda x: jnp.float32(0), after_step=feed, name="loss")
    laws.callback(heard, ulp=64, max_examples=3)


def test_other_nouns_are_named():
    with pytest.raises(TypeError, match="laws.fold: sum is no Fold"):
        laws.fold(jnp.sum)
