"""when, every, stop_when and chain; and that a callback is a value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf

every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


def double(x):
    return 2 * x, False


def count(name="count"):
    return jf.Callback(lambda x: 0, name=name, after_step=lambda n, x: (n + 1, x, False))


# stop_when


def test_stop_when_is_named_after_its_predicate():
    def large(x):
        return x > 3

    assert jf.iterate(inc, 0, jf.stop_when(large), max_steps=9).reasons == ("large",)
    assert jf.iterate(inc, 0, jf.stop_when(large, name="n"), max_steps=9).reasons == ("n",)
    bound = jf.partial(lambda k, x: x > k, 3)
    assert jf.iterate(inc, 0, jf.stop_when(bound), max_steps=9).reasons == ("stop_when",)


def test_stop_when_takes_context():
    key = jax.random.key(0)
    heads = jf.stop_when(lambda x, *, key: jax.random.bernoulli(key, 0.1))
    draws = [bool(jax.random.bernoulli(jax.random.fold_in(key, k), 0.1)) for k in range(99)]
    result = jf.iterate(inc, 0, heads, max_steps=99, key=key)
    assert int(result.steps) == draws.index(True) + 1


# every and when


@every_driver
@pytest.mark.parametrize("n", [1, 2, 3, 11])
def test_every_hears_the_nth_steps(n, driver):
    result = jf.iterate(inc, 0, jf.every(n, jf.callbacks.history()), max_steps=10, driver=driver)
    assert result.memory["history"].values.tolist() == list(range(n, 11, n))
    assert result.memory["history"].buffer.shape == (10,)


@every_driver
def test_every_changes_the_state_at_its_steps(driver):
    state = 0
    for k in range(10):
        state = state + 1 if (k + 1) % 3 else 2 * (state + 1)
    assert int(jf.iterate(inc, 0, jf.every(3, double), max_steps=10, driver=driver).state) == state


def test_n_may_be_traced_and_batched():
    run = lambda n: jf.iterate(inc, 0, jf.every(n, count()), max_steps=12).memory["count"]  # noqa: E731
    assert jax.vmap(run)(jnp.array([1, 2, 5], np.int32)).tolist() == [12, 6, 2]


@every_driver
def test_when_asks_what_the_event_sees(driver):
    cap = jf.when(lambda x: x > 10, lambda x: (x - 10, False))
    assert int(jf.iterate(lambda x: x + 4, 0, cap, max_steps=9, driver=driver).state) == 6
    pipe = jf.Pipe(double=lambda x: 2 * x, inc=inc)
    odd = jf.when(lambda x: x > 4, jf.Callback(after_double=lambda x: (x - 4, False)))
    assert int(jf.iterate(pipe, 1, odd, max_steps=3, driver=driver).state) == 3


@every_driver
def test_a_gated_stop_counts_where_the_gate_is_open(driver):
    always = lambda x: (x, True)  # noqa: E731
    result = jf.iterate(inc, 0, jf.when(lambda x: x >= 4, always), max_steps=9, driver=driver)
    assert int(result.steps) == 4
    masked = jf.when(lambda x: x >= 4, jf.callbacks.history(), always)
    assert int(jf.iterate(inc, 0, masked, max_steps=9, driver=driver).steps) == 4
    stop = jf.when(lambda x: x >= 4, jf.callbacks.early_stopping(lambda x: x, patience=2))
    assert int(jf.iterate(inc, 0, stop, max_steps=9, driver=driver).steps) == 6


@every_driver
def test_a_gate_leaves_the_ends_of_the_run_open(driver):
    class Ends:
        def before_run(self, x):
            return x + 100, False

        def after_run(self, x):
            return -x, False

    shut = jf.when(lambda x: x < 0, Ends())
    assert int(jf.iterate(inc, 0, shut, max_steps=3, driver=driver).state) == -103


@every_driver
def test_gated_callbacks_of_every_kind_are_chained(driver):
    gate = jf.every(2, double, jf.callbacks.history(), count(), jf.callbacks.best(lambda x: -x))
    result = jf.iterate(inc, 0, gate, max_steps=5, driver=driver)
    (memory,) = result.memory.values()
    _, history, counted, best = memory
    assert history.values.tolist() == [4, 12] and int(counted) == 2
    assert int(best.state) == 12 and int(result.state) == 13


def test_gates_nest():
    gate = jf.every(2, jf.every(3, count()))
    assert int(jf.iterate(inc, 0, gate, max_steps=13).memory["count"]) == 2


@settings(max_examples=15, deadline=None)
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_when_is_a_filter(open_at):
    memory = gated(jnp.array(open_at))
    heard = [k + 1 for k, is_open in enumerate(open_at) if is_open]
    assert memory["history"].values.tolist() == heard
    assert memory["total"] == sum(heard)
    lanes = jax.vmap(gated)(jnp.array([open_at, open_at[::-1]]))
    assert_same(jax.tree.map(lambda leaf: leaf[0], lanes), memory)


@jax.jit
def gated(open_at):
    gate = jf.partial(lambda flags, x, step: flags[step], open_at)
    total = jf.Callback(jnp.zeros_like, name="total", after_step=lambda n, x: (n + x, x, False))
    callbacks = (jf.when(gate, jf.callbacks.history()), jf.when(gate, total))
    return jf.iterate(inc, np.int32(0), *callbacks, max_steps=6).memory


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "2"])
def test_every_refuses_what_is_no_count(n):
    with pytest.raises((TypeError, ValueError), match="every: n is"):
        jf.every(n, double)


def test_a_predicate_is_checked():
    for gate in (lambda x: jnp.ones(3) > 0, lambda x: 1):
        with pytest.raises(
            TypeError, match="the predicate of when.*stop has|the predicate of when"
        ):
            jf.iterate(inc, 0, jf.when(gate, double), max_steps=3)


# chain


def append(digit):
    return lambda x: (10 * x + digit, x > 500)


PARTS = [
    append(1),
    append(2),
    jf.proceed,
    count("a"),
    jf.callbacks.history(),
    append(3),
    count("b"),
]
parts = st.lists(st.sampled_from(PARTS), max_size=3)


@settings(max_examples=30, deadline=None)
@given(parts, parts, parts)
def test_chain_is_a_monoid(a, b, c):
    left = jf.chain(jf.chain(*a, *b), *c)
    right = jf.chain(*a, jf.chain(*b, *c))
    flat = jf.chain(*a, *b, *c)
    assert left == right == flat
    assert jax.tree.structure([left]) == jax.tree.structure([right])
    assert jf.chain(jf.proceed, flat) == flat == jf.chain(flat, jf.proceed)


@pytest.mark.parametrize("split", [0, 1, 3, 7])
def test_a_chain_is_its_callbacks(split):
    whole = jf.iterate(inc, 1, *PARTS, max_steps=3)
    chained = jf.chain(jf.chain(*PARTS[:split]), jf.chain(*PARTS[split:]))
    assert_same(jf.iterate(inc, 1, chained, max_steps=3), whole)
    assert_same(jf.iterate(inc, 1, jf.chain(*PARTS[:split]), *PARTS[split:], max_steps=3), whole)


def test_stops_of_a_chain_are_merged_by_or():
    low, high = (lambda x: (x, x < 2)), (lambda x: (x, x > 5))
    both = jf.chain(low, high)
    assert [bool(both(x)[1]) for x in (1, 3, 6)] == [True, False, True]
    assert jf.chain(double, double)(1) == (4, False)
    result = jf.iterate(inc, 2, both, max_steps=9)
    assert (int(result.state), result.reasons) == (6, ("lambda_2",))


def test_a_chain_of_callbacks_with_memory_cannot_be_called():
    with pytest.raises(TypeError, match="history is no plain function.*give it to iterate"):
        jf.chain(double, jf.callbacks.history())(1)


def test_a_chain_is_a_sequence():
    chained = jf.chain(double, inc)
    assert (len(chained), chained[0], list(chained)) == (2, double, [double, inc])
    assert repr(chained) == "chain(double, inc)"
    assert jf.chain() is jf.proceed and jf.chain(double) is double
    assert jf.chain(jf.proceed, jf.proceed) is jf.proceed


# A callback is a value


def test_hyperparameters_are_leaves():
    stop = jf.callbacks.early_stopping(jnp.abs, patience=3, min_delta=0.5)
    assert [float(leaf) for leaf in jax.tree.leaves(stop)] == [3.0, 0.5]
    assert jax.tree.map(lambda leaf: leaf, stop) == stop
    assert stop == jf.callbacks.early_stopping(jnp.abs, patience=3, min_delta=0.5)
    assert stop != jf.callbacks.early_stopping(jnp.abs, patience=4, min_delta=0.5)
    assert stop != jf.callbacks.early_stopping(jnp.sum, patience=3, min_delta=0.5)
    assert len({stop, jf.callbacks.early_stopping(jnp.abs, patience=3, min_delta=0.5)}) == 1


def test_a_hyperparameter_may_be_differentiated():
    def run(k):
        push = jf.Callback(after_step=jf.partial(lambda k, x: (x + k, False), k))
        return jf.iterate(lambda x: 2 * x, 0.0, push, max_steps=3).state

    assert float(jax.jacfwd(run)(1.0)) == 7.0


def test_repr_names_the_events():
    assert repr(jf.callbacks.history()) == "Callback(history: after_step)"
    assert repr(jf.Callback(name="idle")) == "Callback(idle: no events)"


def test_a_misnamed_event_is_refused_at_once():
    with pytest.raises(
        TypeError, match="Callback mine: 'on_step' is no event; known are before_run"
    ):
        jf.Callback(name="mine", on_step=double)
    with pytest.raises(TypeError, match="Callback mine: after_step is 3, which is not callable"):
        jf.Callback(name="mine", after_step=3)
