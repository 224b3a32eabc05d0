"""Mistakes in loops, callbacks and pipes: what was written, why it fails, what to write.

Cause: an argument was passed on to where it is used, and failed there in words that speak of
something else, or not at all. So each public argument of iterate, resume, chunks, as_scan_body,
describe_loop, of what makes callbacks and of what makes pipes is given values of wrong types; and
things that are taken for each other are: a class and its instance, a step and a Pipe of it, a fold
and what makes it, a state and a callback, a number and a function, a list and its elements.
"""

# ruff: noqa: E501 (a row a mistake, as in a table)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, raises

import jfoundations as jf

jc, KEY = jf.callbacks, jax.random.key(0)
X64 = jax.config.read("jax_enable_x64")
TYPE, VALUE = TypeError, ValueError


def step(x):
    return x + 1


def run(*callbacks, state=0.0, max_steps=3, **options):
    return jf.iterate(step, state, *callbacks, max_steps=max_steps, **options)


def chunks(**options):
    return jf.chunks(step, jnp.ones(2), max_steps=3, **options)


class Good:
    def after_step(self, x):
        return x, False


class Staged:
    def after_calc(self, x):
        return x, False


def remembers(memory, state):
    return memory, state, False


LOOPS = {
    "step without parameters": (lambda: jf.iterate(lambda: 1, 0.0, max_steps=3), TYPE, "the step", "takes no argument by position", "the state"),
    "step a number": (lambda: jf.iterate(3, 0.0, max_steps=3), TYPE, "iterate: the step is 3", "comes first"),
    "step and state swapped": (lambda: jf.iterate(0.0, step, max_steps=3), TYPE, "the step is 0.0", "then the state"),
    "state None": (lambda: run(state=None), TYPE, "iterate: the state is None", "or () if"),
    "state masked": (lambda: run(state={"x": np.ma.masked_array([1.0, 2.0], [True, False])}), TYPE, "state['x'] is a masked array", "x.filled(np.nan)"),
    "state of objects": (lambda: run(state=np.array([None])), TYPE, "which is no array"),
    "key 0": (lambda: run(key=0), TYPE, "iterate: key is 0", "jax.random.key(0)"),
    "keys": (lambda: run(key=jax.random.split(KEY, 3)), VALUE, "key has shape (3,)", "keys[0]"),
    "key floats": (lambda: run(key=jnp.ones(2)), TYPE, "key is float"),
    "max_steps": (lambda: run(max_steps=2.5), TYPE, "max_steps is 2.5, a Python int"),
    "driver": (lambda: run(driver="wihle"), VALUE, "no driver 'wihle'", "did you mean while"),
    "driver a number": (lambda: run(driver=3), VALUE, "no driver 3"),
    "resume a state": (lambda: jf.resume(0.0, step, max_steps=3), TYPE, "resume", "not from float", "iterate"),
    "resume key": (lambda: jf.resume(run(), step, max_steps=3, key=1), TYPE, "resume: key is 1"),
    "seconds": (lambda: chunks(seconds="1"), TYPE, "chunks: seconds is '1', a number of seconds"),
    "seconds None": (lambda: chunks(seconds=None), TYPE, "seconds is None"),
    "seconds 0": (lambda: chunks(seconds=0), VALUE, "seconds is 0", "positive"),
    "time_budget": (lambda: chunks(time_budget="1"), TYPE, "time_budget is '1'"),
    "every": (lambda: chunks(every="2"), TYPE, "chunks: every is '2', a Python int"),
    "lanes": (lambda: chunks(lanes="yes"), TYPE, "lanes is 'yes'", "give True"),
    "chunks key": (lambda: chunks(key=0), TYPE, "chunks: key is 0"),
    "body of": (lambda: jf.as_scan_body(step, of=3), TYPE, "as_scan_body: of is 3", "give a function"),
    "body max_steps": (lambda: jf.as_scan_body(step, max_steps="3"), TYPE, "max_steps is '3'"),
    "body key": (lambda: jf.as_scan_body(step, key=1), TYPE, "as_scan_body: key is 1"),
    "body init": (lambda: jf.as_scan_body(step).init(None), TYPE, "as_scan_body: the state is None"),
    "body resume": (lambda: jf.as_scan_body(step).resume(3), TYPE, "no LoopResult; use init"),
    "body carry": (lambda: jf.as_scan_body(step)(3), TYPE, "body.init(state)"),
    "describe state": (lambda: jf.describe_loop(step, 0.0), TYPE, "a state goes by keyword", "state="),
    "describe states": (lambda: jf.describe_loop(step, jc.history(), {"x": jnp.ones(3)}), TYPE, "{'x': float", "is no callback", "state="),
    "describe key": (lambda: jf.describe_loop(step, key=0), TYPE, "describe_loop: key is 0"),
    "no such memory": (lambda: run(jc.history(), jf.watch(jf.folds.mean(), name="means")).memory["mean"], KeyError, "no callback called 'mean' has a memory", "'history', 'means'", "did you mean means"),
    "no memory": (lambda: run().memory["mean"], KeyError, "no callback of this run has a memory"),
}  # fmt: skip

CALLBACKS = {
    "class": (lambda: run(Good), TYPE, "callback 1 of 1", "the class Good itself", "Good(…)"),
    "class in every": (lambda: jf.every(2, Good), TYPE, "the class Good itself"),
    "class joined": (lambda: jc.converged() | Good, TYPE, "the class Good itself"),
    "stage of no Pipe": (lambda: run(Staged()), VALUE, "no event is called 'after_calc'", "Pipe(calc=step)"),
    "stage misspelt": (lambda: jf.iterate(jf.Pipe(clac=step), 0.0, Staged(), max_steps=3), VALUE, "did you mean after_clac"),
    "event misspelt": (lambda: run(jf.Callback(after_stp=step)), VALUE, "did you mean after_step"),
    "None": (lambda: run(None), TYPE, "None is no callback", "proceed"),
    "list": (lambda: run([Good()]), TYPE, "is no callback", "*callbacks"),
    "str": (lambda: run("best"), TYPE, "'best' is no callback"),
    "no parameters": (lambda: run(lambda: False), TYPE, "after_step: it takes no argument"),
    "memory not taken": (lambda: run(jf.Callback(lambda x: 0, after_step=lambda x: (x, False))), TYPE, "it takes one argument by position", "(memory, state)", "lambda memory, state"),
    "memory without init": (lambda: run(jf.Callback(after_step=remembers)), TYPE, "it needs 'state'", "Callback(init, …)"),
    "init without parameters": (lambda: run(jf.Callback(lambda: 0, after_step=remembers)), TYPE, "init: it takes no argument"),
    "init": (lambda: jf.Callback(3), TYPE, "init is 3", "state -> memory"),
    "event": (lambda: jf.Callback(after_step=3), TYPE, "after_step is 3"),
    "stop_when": (lambda: jf.stop_when(3), TYPE, "stop_when: the predicate is 3", "state -> bool"),
    "when": (lambda: jf.when(True, Good()), TYPE, "when: the predicate is True"),
    "no callback in when": (lambda: jf.every(2, 3), TYPE, "in when: 3 is no callback"),
    "every swapped": (lambda: jf.every(Good(), 2), TYPE, "every: n is", "a Python int is needed"),
    "every float": (lambda: jf.every(jnp.float32(2), Good()), TYPE, "every: n is float32[], integers"),
    "every 0": (lambda: jf.every(np.int64(0), Good()), VALUE, "every: n is 0"),
    "every array 0": (lambda: jf.every(jnp.int32(0), Good()), VALUE, "every: n is 0"),
    "after": (lambda: jc.after(-1, Good()), VALUE, "after: n is -1"),
    "once": (lambda: jc.once("2", Good()), TYPE, "once: n is '2'"),
    "agree": (lambda: jf.agree(3, "i"), TYPE, "3 is no callback"),
    "watch of": (lambda: jf.watch(jf.folds.mean(), "loss"), TYPE, "watch: of is 'loss'", "state['loss']"),
    "watch no fold": (lambda: jf.watch(jf.folds.mean), TYPE, "is no Fold", "call it: mean()"),
    "history": (lambda: jc.history("loss"), TYPE, "history: of is 'loss'", "state['loss']"),
    "history initial": (lambda: jc.history(initial=2), TYPE, "initial is 2, True or False"),
    "best": (lambda: jc.best("loss"), TYPE, "best: of is 'loss'"),
    "mode": (lambda: jc.best(step, mode=["min"]), VALUE, "mode is ['min']"),
    "early_stopping swapped": (lambda: jc.early_stopping(2, step), TYPE, "of is 2", "a function"),
    "patience": (lambda: jc.early_stopping(step, jnp.float32(2)), TYPE, "patience is float32[], integers"),
    "min_delta": (lambda: jc.early_stopping(step, 2, min_delta="0.1"), TYPE, "min_delta is '0.1', a number"),
    "min_delta complex": (lambda: jc.early_stopping(step, 2, min_delta=jnp.complex64(1)), TYPE, "a real number"),
    "ema": (lambda: jc.ema(0.9, decay=0.9), TYPE, "ema: of is 0.9"),
    "converged": (lambda: jc.converged(1e-3), TYPE, "converged: of is 0.001"),
    "plateau": (lambda: jc.reduce_on_plateau(step, 0.5), TYPE, "update is 0.5", "(state, ratio) -> state"),
    "rollback": (lambda: jc.rollback_on_nonfinite(retries=1, update=3), TYPE, "update is 3", "or None"),
    "spike_guard": (lambda: jc.spike_guard(step, retries=1, update=3), TYPE, "spike_guard: update is 3"),
    "spike_guard of": (lambda: jc.spike_guard(3, retries=1), TYPE, "spike_guard: of is 3"),
    "schedule": (lambda: jc.schedule(step, 0.1), TYPE, "schedule: values is 0.1", "step -> value"),
    "schedule update": (lambda: jc.schedule("rate", step), TYPE, "update is 'rate'"),
    "swap": (lambda: jc.swap(jc.ema(decay=0.9), jc.best(step)), TYPE, "swap: into is", "(state, memory)"),
    "swap no callback": (lambda: jc.swap(3, step), TYPE, "in swap: 3 is no callback"),
    "until": (lambda: jc.until(jf.folds.mean(), when=0.1), TYPE, "until: when is 0.1"),
    "until of": (lambda: jc.until(jc.best(step), step, when=step), TYPE, "is no Fold", "of and name"),
    "until no memory": (lambda: run(jc.until(Good(), when=step)), TYPE, "has no memory", "stop_when"),
    "until no bool": (lambda: run(jc.until(jf.folds.mean(), step, when=lambda m: m)), TYPE, "until, when", "bool"),
    "history by name": (lambda: jc.history({"loss": 3}), TYPE, "history: of['loss'] is 3"),
    "history by number": (lambda: jc.history({1: step}), TYPE, "the name 1, a str"),
    "history steps": (lambda: jc.history(steps=1), TYPE, "steps is 1, True or False"),
    "swap no memory": (lambda: run(jc.swap(Good(), lambda s, m: s)), TYPE, "swap: the average", "no memory"),
    "records since": (lambda: jf.records(run(), since=run()), VALUE, "since=last.steps"),
    "records since lanes": (lambda: jf.records(run(), since=np.zeros(3, int)), VALUE, "since is"),
    "records since float": (lambda: jf.records(run(), since=0.5), VALUE, "since is 0.5"),
    "records watched": (lambda: jf.records(run(), watched=["mean"]), TYPE, "a dict is needed"),
    "records": (lambda: jf.records(3), TYPE, "records: it reads a LoopResult"),
    "terminate": (lambda: jc.terminate_on_nonfinite("x"), TYPE, "of is 'x'"),
    "partial": (lambda: jf.partial(3), TYPE, "partial: 3 is not callable"),
    "lift": (lambda: jf.lift(3), TYPE, "lift: 3 is not callable"),
    "juxt": (lambda: jf.juxt(step, 3), TYPE, "juxt: its function 2 is 3"),
    "compose": (lambda: jf.compose(step, 3), TYPE, "compose: its function 2 is 3"),
    "Pipe": (lambda: jf.Pipe(a=[step]), TYPE, "Pipe: stage 'a' is [", "not callable"),
}  # fmt: skip

WIDE = {
    "state too wide": (lambda: run(state={"n": np.array([3_000_000_000])}), OverflowError, "state['n'] holds 3000000000", "int32", "jax_enable_x64"),
    "state too wide in Python": (lambda: run(state=-(2**40)), OverflowError, "holds -1099511627776", "give floats"),
    "state below": (lambda: run(state=np.int64(-(2**31) - 1)), OverflowError, "holds -2147483649"),
    "metric too wide": (lambda: run(jc.best(lambda x: np.int64(3_000_000_000))), OverflowError, "best: what it monitors holds 3000000000"),
}  # fmt: skip


@pytest.mark.skipif(X64, reason="64 bits hold them")
@pytest.mark.parametrize("call, kind, parts", [(c, k, p) for c, k, *p in WIDE.values()], ids=WIDE)
def test_integers_that_32_bits_do_not_hold(call, kind, parts):
    with raises(kind, *parts):
        call()


@pytest.mark.parametrize("call, kind, parts", [(c, k, p) for c, k, *p in LOOPS.values()], ids=LOOPS)
def test_mistakes_in_loops(call, kind, parts):
    with raises(kind, *parts):
        call()


@pytest.mark.parametrize(
    "call, kind, parts", [(c, k, p) for c, k, *p in CALLBACKS.values()], ids=CALLBACKS
)
def test_mistakes_in_callbacks(call, kind, parts):
    with raises(kind, *parts):
        call()


@pytest.mark.parametrize("dtype", [">f4", ">i2", ">i4", ">c8", "<f4"])
def test_a_state_of_another_byte_order_is_read_by_value(dtype):
    result = run(state=np.array([1, 2, 300], dtype), max_steps=1)
    assert result.state.tolist() == [2, 3, 301]


# Keys in the state: what needs no number of them works, the rest says so.


def shuffle(state):
    return {"k": jax.random.split(state["k"])[0], "x": state["x"] / 2}


STATE = {"k": KEY, "x": jnp.float32(1)}


@pytest.mark.parametrize(
    "callback, has_none",
    [(jc.converged(), "distance"), (jc.ema(decay=0.5), "mean"), (jc.best(lambda s: s["k"]), "")],
)
def test_a_key_is_no_number(callback, has_none):
    with raises(TypeError, callback.name, "is a PRNG key", has_none):
        jf.iterate(shuffle, STATE, callback, max_steps=3)


@pytest.mark.parametrize("driver", DRIVERS)
def test_keys_are_kept_and_recorded(driver):
    x = lambda s: s["x"]  # noqa: E731
    callbacks = [
        jc.history(),
        jc.best(x, mode="max"),
        jc.converged(x),
        jc.rollback_on_nonfinite(retries=1),
        jc.rollback_on_nonfinite(x, retries=1, to="best"),
        jc.reduce_on_plateau(x, lambda s, ratio: s),
        jf.every(2, lambda s: (s, False)),
    ]
    result = jf.iterate(shuffle, STATE, *callbacks, max_steps=3, driver=driver)
    keys = [KEY]
    for _ in range(3):
        keys.append(jax.random.split(keys[-1])[0])
    values = result.memory["history"].values
    assert isinstance(values["x"], np.ndarray) and values["k"].shape == (3,)
    assert all((values["k"] == jnp.stack(keys[1:])).tolist())
    assert result.memory["best"].state["k"] == keys[1]
