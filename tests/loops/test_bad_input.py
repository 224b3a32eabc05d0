"""What is wrong with a loop is said while tracing: what the user wrote, the cause and the cure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, raises

import jfoundations as jf

every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


# The step


@every_driver
@pytest.mark.parametrize(
    "step, start, parts",
    [
        (
            lambda s: {**s, "n": s["n"].astype(np.float32)},
            {"n": np.int32(1), "x": np.float32(0)},
            ["the step lambda", "state['n'] was int32[] and became float32[]", "astype('int32')"],
        ),
        (
            lambda s: jnp.concatenate([s, s]),
            np.zeros(2, np.float32),
            ["the step lambda", "state was float32[2] and became float32[4]", "keep the shapes"],
        ),
        (
            lambda s: {"x": s["x"]},
            {"x": 1.0, "y": 2.0},
            ["structure of the state changed", "it lost state['y']", "same containers"],
        ),
        (
            lambda s: {**s, "z": s["x"]},
            {"x": 1.0},
            ["structure of the state changed", "it gained state['z']"],
        ),
        (
            lambda s: (s[0], s[0]),
            (1.0, None),
            ["structure of the state", "state[1]", "None included"],
        ),
        (lambda s: list(s), (1.0, 2.0), ["structure of the state changed", "same containers"]),
        (lambda s: None, 1.0, ["structure of the state changed", "it lost state"]),
        (lambda s: "text", 1.0, ["state became 'text' (str), which is no array"]),
    ],
    ids=["dtype", "shape", "lost", "gained", "None", "containers", "nothing", "str"],
)
def test_a_step_that_changes_its_state(step, start, parts, driver):
    with raises(TypeError, *parts):
        jf.iterate(step, start, max_steps=3, driver=driver)


def test_the_step_is_named():
    def shrink(x):
        return x[1:]

    with raises(TypeError, "the step shrink", "float32[3]", "float32[2]"):
        jf.iterate(shrink, np.zeros(3, np.float32), max_steps=2)
    with raises(TypeError, "the step halve >> cut", "float32[3]", "float32[2]"):
        pipe = jf.Pipe(halve=lambda x: x / 2, cut=lambda x: x[1:])
        jf.iterate(pipe, np.zeros(3, np.float32), max_steps=2)


@pytest.mark.parametrize("run", [jf.iterate, jf.chunks])
def test_a_step_must_be_callable(run):
    with raises(TypeError, f"{run.__name__}: the step is 3, which is not callable"):
        run(3, 0, max_steps=3)


@pytest.mark.parametrize("run", [jf.iterate, jf.chunks])
@pytest.mark.parametrize(
    "state, part",
    [
        ({"w": 1.0, "act": jnp.sin}, "state['act']"),
        ((1.0, ("a", 2.0)), "state[1][0] is 'a' (str)"),
        (np.array(["a"]), "state is array(['a']"),
        ([object()], "state[0]"),
    ],
    ids=["function", "str", "strings", "object"],
)
def test_a_state_of_no_arrays(state, part, run):
    with raises(TypeError, f"{run.__name__}: the leaf", part, "no array", "in a closure"):
        run(lambda s: s, state, max_steps=3)


# The limit


@pytest.mark.parametrize("run", [jf.iterate, jf.chunks])
def test_max_steps(run):
    with raises(TypeError, "max_steps"):
        run(inc, 0)
    with raises(ValueError, f"{run.__name__}: max_steps is -1", "must lie in 0"):
        run(inc, 0, max_steps=-1)
    with raises(ValueError, "max_steps is 2147483648"):
        run(inc, 0, max_steps=2**31)
    for wrong in (3.0, True, "3", None, jnp.int32(3)):
        with raises(TypeError, f"{run.__name__}: max_steps is", "a Python int is needed"):
            run(inc, 0, max_steps=wrong)
    assert int(jf.iterate(inc, 0, max_steps=np.int64(3)).state) == 3


def test_max_steps_must_not_be_traced():
    cure = ("max_steps is traced", "mark it static", "stop_when(lambda state, step: step + 1 >= n)")
    with raises(TypeError, *cure):
        jax.jit(lambda n: jf.iterate(inc, 0, max_steps=n).state)(3)
    stop = lambda n: jf.stop_when(lambda state, step: step + 1 >= n)  # noqa: E731
    run = jax.jit(lambda n: jf.iterate(inc, 0, stop(n), max_steps=99).state)
    assert int(run(3)) == 3  # the cure works


# Callbacks


def second(callback):
    return (jf.callbacks.history(), callback)


@every_driver
@pytest.mark.parametrize(
    "stop, parts",
    [
        (lambda x: x + jnp.zeros(3) > 0, ["stop has shape (3,), a scalar is needed", "jnp.any"]),
        (lambda x: jnp.int32(1), ["stop has dtype int32", "a bool is needed", "compare it"]),
        (lambda x: 1, ["stop has dtype int", "a bool is needed"]),
        (lambda x: None, ["stop is None (NoneType), a bool is needed", "(state, False)"]),
        (lambda x: "no", ["stop is 'no' (str), a bool is needed"]),
    ],
    ids=["shape", "int32", "int", "None", "str"],
)
def test_stops(stop, parts, driver):
    def early(x):
        return x, stop(x)

    with raises(TypeError, "callback 2 of 2, early, after_step", *parts):
        jf.iterate(inc, 0.0, *second(early), max_steps=3, driver=driver)


@every_driver
@pytest.mark.parametrize(
    "answer, parts",
    [
        (lambda x: x, ["it returned one", "(state, stop)", "return False as stop"]),
        (lambda x: None, ["it returned None", "(state, stop)"]),
        (lambda x: (x, False, x), ["it returned a tuple of 3", "(state, stop)"]),
        (lambda x: [x, False], ["it returned one list"]),
        (lambda x: (x > 0, False), ["state was float", "became bool[]", "astype('float"]),
        (lambda x: ((x, x), False), ["structure of the state changed"]),
    ],
    ids=["state", "None", "three", "list", "dtype", "structure"],
)
def test_wrong_answers(answer, parts, driver):
    def look(x):
        return answer(x)

    with raises(TypeError, "callback 2 of 2, look, after_step", *parts):
        jf.iterate(inc, jnp.zeros(()), *second(look), max_steps=3, driver=driver)


@every_driver
def test_memories_that_change(driver):
    def keep(change):
        return jf.Callback(
            lambda x: {"n": jnp.zeros(2)},
            name="keep",
            after_step=lambda m, x: (change(m), x, False),
        )

    who = "callback 2 of 2, keep, after_step"
    for change, parts in (
        (lambda m: {"n": m["n"][:1]}, ["memory['n'] was float", "[2] and became float", "[1]"]),
        (lambda m: {"n": m["n"].astype(np.int32)}, ["memory['n'] was float", "became int32[2]"]),
        (lambda m: {}, ["structure of the memory changed", "it lost memory['n']"]),
    ):
        with raises(TypeError, who, *parts):
            jf.iterate(inc, 0.0, *second(keep(change)), max_steps=3, driver=driver)
    two = jf.Callback(lambda x: x, name="two", after_step=lambda m, x: (x, False))
    with raises(TypeError, "callback 1 of 1, two", "a tuple of 2", "(memory, state, stop)"):
        jf.iterate(inc, 0.0, two, max_steps=3, driver=driver)
    bad = jf.Callback(lambda x: "text", name="bad")
    with raises(TypeError, "callback 1 of 1, bad, init", "'text' (str)", "no array"):
        jf.iterate(inc, 0.0, bad, max_steps=3, driver=driver)


class Misspelt:
    def after_steps(self, x):
        return x, False


@every_driver
def test_misspelt_events(driver):
    known = "before_run, before_step, after_step, after_run"
    with raises(
        ValueError,
        "callback 2 of 2, Misspelt: no event is called 'after_steps'",
        known,
        "did you mean after_step?",
    ):
        jf.iterate(inc, 0, *second(Misspelt()), max_steps=3, driver=driver)
    pipe = jf.Pipe(gradient=inc, update=inc)
    wrong = jf.Callback(name="clip", after_gradients=lambda x: (x, False))
    with raises(ValueError, "clip", "'after_gradients'", "after_update", "mean after_gradient?"):
        jf.iterate(pipe, 0, wrong, max_steps=3, driver=driver)
    with raises(ValueError, "clip", "'after_gradients'", known):
        jf.iterate(inc, 0, wrong, max_steps=3, driver=driver)


@every_driver
@pytest.mark.parametrize(
    "wrong",
    [None, 3, "history", [inc], {"a": inc}, (inc,), np.zeros(3)],
    ids=lambda w: type(w).__name__,
)
def test_what_is_no_callback(wrong, driver):
    with raises(
        TypeError, "callback 2 of 2", "is no callback", "state -> (state, stop)", "proceed"
    ):
        jf.iterate(inc, 0, *second(wrong), max_steps=3, driver=driver)


def test_callbacks_in_a_list_are_refused_with_the_cure():
    with raises(TypeError, "callback 1 of 1", "is no callback"):
        jf.iterate(inc, 0, [jf.callbacks.history()], max_steps=3)
    with raises(TypeError, "callback 1 of 1", "is no callback"):
        jf.chunks(inc, 0, [jf.callbacks.history()], max_steps=3)


@every_driver
def test_context_words(driver):
    def look(x, epoch):
        return x, False

    who = "callback 1 of 1, look, after_step"
    with raises(TypeError, who, "it needs 'epoch'", "step, key, live, max_steps", "partial"):
        jf.iterate(inc, 0, look, max_steps=3, driver=driver)
    with raises(TypeError, "it needs 'steps'", "did you mean step?"):
        jf.iterate(lambda x, steps: x, 0, max_steps=3, driver=driver)
    with raises(TypeError, "the step lambda", "it names key, but the loop has none; pass key="):
        jf.iterate(lambda x, key: x, 0, max_steps=3, driver=driver)
    noisy = jf.stop_when(lambda x, key: x > 0, name="noisy")
    with raises(TypeError, "noisy: it names key, but the loop has none"):
        jf.iterate(inc, 0, noisy, max_steps=3, driver=driver)


# Drivers, resume and chunks


def test_unknown_drivers():
    result = jf.iterate(inc, 0, max_steps=3)
    known = ("while, scan, checkpointed, implicit, python", "did you mean scan?")
    with raises(ValueError, "iterate: no driver 'scann'", *known):
        jf.iterate(inc, 0, max_steps=3, driver="scann")
    with raises(ValueError, "resume: no driver 'scann'", *known):
        jf.resume(result, inc, max_steps=3, driver="scann")


def test_resume_wants_the_runs_callbacks():
    history = jf.callbacks.history()
    result = jf.iterate(inc, 0, history, max_steps=3)
    now = "resume: the run had the callbacks ['history'], now they are"
    with raises(ValueError, now, "[]", "same order", "result.state"):
        jf.resume(result, inc, max_steps=5)
    with raises(ValueError, now, "['history', 'best']"):
        jf.resume(result, inc, history, jf.callbacks.best(abs), max_steps=5)
    with raises(TypeError, "callback 1 of 1, history", "memory"):
        jf.resume(result, inc, jf.callbacks.history(lambda x: (x, x)), max_steps=5)


def test_resume_wants_a_result():
    with raises(TypeError, "resume: it goes on from a LoopResult", "iterate"):
        jf.resume(jnp.zeros(3), inc, max_steps=5)


def test_chunks_run_on_the_host():
    with raises(TypeError, "chunks runs on the host", "traced by jit; use iterate"):
        jax.jit(lambda x: list(jf.chunks(inc, x, max_steps=3)))(0)
    stop = jf.stop_when(lambda x: x > 3)
    with raises(TypeError, "chunks runs on the host", "mapped by vmap; use iterate"):
        jax.vmap(lambda x: [r.state for r in jf.chunks(inc, x, stop, max_steps=3)])(jnp.arange(3))
