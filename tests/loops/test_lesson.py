"""The lesson line by line: every form of its callbacks, with the same values seen.

The lesson's loop adds i·i for i = 0 … 4 to `res`; here that is a step, the loop is `iterate`, and
what a callback is told is the state. Printing belongs to the python driver or to `chunks`; the
pure part is the same callback under jit.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf

START = {"i": 0, "res": 0}
TRACE = [0, 1, 5, 14, 30]


def slow_calculation(state):
    """Do what one turn of the lesson's loop does."""
    return {"i": state["i"] + 1, "res": state["res"] + state["i"] * state["i"]}


def run(*callbacks, driver="while"):
    return jf.iterate(slow_calculation, START, *callbacks, max_steps=5, driver=driver)


def epoch(state):
    return state["i"] - 1  # the lesson's i: which turn has just ended


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def seen(*callbacks, driver="while"):
    """Return the values of res that a callback in the last place sees."""
    record = jf.callbacks.history(lambda s: s["res"])
    return run(*callbacks, record, driver=driver).memory["history"].values.tolist()


def test_the_loop_itself():
    assert int(run().state["res"]) == 30
    assert seen() == TRACE
    assert seen(driver="python") == TRACE


# What a callback is: a function, a lambda, a closure, a partial, a callable class


def show_progress(state):
    print(f"Awesome! We've finished epoch {int(epoch(state))}!")
    return state, False


def make_show_progress(exclamation):
    def _inner(state):
        print(f"{exclamation}! We've finished epoch {int(epoch(state))}!")
        return state, False

    return _inner


def show_with(exclamation, state):
    print(f"{exclamation}! We've finished epoch {int(epoch(state))}!")
    return state, False


class ProgressShowingCallback:
    def __init__(self, exclamation="Awesome"):
        self.exclamation = exclamation

    def __call__(self, state):
        return show_with(self.exclamation, state)


FORMS = {
    "function": (show_progress, "Awesome"),
    "lambda": (lambda state: show_progress(state), "Awesome"),
    "closure": (make_show_progress("Nice!"), "Nice!"),
    "closure kept": (make_show_progress("Terrific"), "Terrific"),
    "functools.partial": (partial(show_with, "OK I guess"), "OK I guess"),
    "partial": (jf.partial(show_with, "OK I guess"), "OK I guess"),
    "callable class": (ProgressShowingCallback("Just super"), "Just super"),
}


@pytest.mark.parametrize("callback, word", FORMS.values(), ids=FORMS)
def test_forms_that_print(callback, word, capsys):
    result = run(callback, driver="python")
    assert lines(capsys) == [f"{word}! We've finished epoch {k}!" for k in range(5)]
    assert int(result.state["res"]) == 30


def double(state):
    return {**state, "res": 2 * state["res"]}, False


def times(k, state):
    return {**state, "res": k * state["res"]}, False


def make_times(k):
    return lambda state: times(k, state)


class Times:
    def __init__(self, k):
        self.k = k

    def __call__(self, state):
        return times(self.k, state)


PURE = {
    "function": double,
    "lambda": lambda state: times(2, state),
    "closure": make_times(2),
    "functools.partial": partial(times, 2),
    "partial": jf.partial(times, 2),
    "callable class": Times(2),
    "method": Times(2).__call__,
}


@pytest.mark.parametrize("callback", PURE.values(), ids=PURE)
def test_the_same_forms_pure_under_jit(callback):
    res, expected = 0, []
    for i in range(5):
        res = 2 * (res + i * i)
        expected.append(res)
    assert seen(callback) == seen(callback, driver="python") == expected
    assert int(jax.jit(lambda: run(callback).state["res"])()) == res


def test_printing_belongs_to_the_body_of_chunks(capsys):
    for result in jf.chunks(slow_calculation, START, max_steps=5, every=1):
        show_progress(result.state)
    assert lines(capsys) == [f"Awesome! We've finished epoch {k}!" for k in range(5)]


# *args and **kwargs: two events, with and without what they are told


class PrintStepCallback:
    def before_step(self, *args, **kwargs):
        print("About to start")
        return *args, False

    def after_step(self, *args, **kwargs):
        print("Done step")
        return *args, False


class PrintStatusCallback:
    def before_step(self, state, *, step, **kwargs):
        print(f"About to start: {step}")
        return state, False

    def after_step(self, state, *, step, **kwargs):
        print(f"After {step}: {int(state['res'])}")
        return state, False


def test_two_events_that_do_not_care(capsys):
    run(PrintStepCallback(), driver="python")
    assert lines(capsys) == ["About to start", "Done step"] * 5


def test_two_events_with_arguments(capsys):
    run(PrintStatusCallback(), driver="python")
    expected = [(f"About to start: {k}", f"After {k}: {res}") for k, res in enumerate(TRACE)]
    assert lines(capsys) == [line for pair in expected for line in pair]


def test_kwargs_take_what_is_told_now_or_later():
    told = []

    def after_step(state, **kwargs):
        told.append(sorted(kwargs))
        return state, False

    run(jf.Callback(after_step=after_step))
    jf.iterate(slow_calculation, START, after_step, max_steps=5, key=jax.random.key(0))
    assert told[0] == ["step"] and told[-1] == ["key", "step"]


# Early stopping; a missing method is no event


class PrintAfterCallback:
    def after_step(self, state, *, step):
        print(f"After {step}: {int(state['res'])}")
        return state, bool(state["res"] > 10)


class StopAfter:
    def after_step(self, state):
        return state, state["res"] > 10


def test_early_stopping_prints(capsys):
    result = run(PrintAfterCallback(), driver="python")
    if result.reasons != ("max_steps",):
        print("stopping early")
    assert lines(capsys) == [
        "After 0: 0",
        "After 1: 1",
        "After 2: 5",
        "After 3: 14",
        "stopping early",
    ]


@pytest.mark.parametrize("stop", [StopAfter(), jf.stop_when(lambda s: s["res"] > 10)])
def test_early_stopping_under_jit(stop):
    result = jax.jit(lambda: run(jf.callbacks.history(lambda s: s["res"]), stop))()
    assert result.memory["history"].values.tolist() == [0, 1, 5, 14]
    assert int(result.steps) == 4 and result.reasons != ("max_steps",)


def test_a_missing_method_is_no_event():
    class Nothing:
        pass

    class OnlyBefore:
        def before_step(self, state):
            return {**state, "res": state["res"] + 1}, False

    assert int(run(OnlyBefore()).state["res"]) == 35
    with pytest.raises(TypeError, match="Nothing.*is no callback"):
        run(Nothing())


# Modifying the state


class ModifyingCallback:
    def __init__(self, show=lambda state: None):
        self.show = show

    def after_step(self, calc):
        self.show(calc)
        res = calc["res"]
        return {**calc, "res": jnp.where(res < 3, res * 2, res)}, res > 10


def test_modifying_the_state(capsys):
    show = lambda calc: print(f"After {int(epoch(calc))}: {int(calc['res'])}")  # noqa: E731
    result = run(ModifyingCallback(show), driver="python")
    assert lines(capsys) == ["After 0: 0", "After 1: 1", "After 2: 6", "After 3: 15"]
    assert (int(result.state["res"]), int(result.steps)) == (15, 4)


def test_modifying_the_state_under_jit():
    record = jf.callbacks.history(lambda s: s["res"])
    result = jax.jit(lambda: run(record, ModifyingCallback()))()
    assert result.memory["history"].values.tolist() == [0, 1, 6, 15]
    assert (int(result.state["res"]), int(result.steps)) == (15, 4)
    assert result.reasons == ("ModifyingCallback",)


# Dunder methods: operators on values made of functions


def test_sloppy_adder():
    class SloppyAdder:
        def __init__(self, o):
            self.o = o

        def __add__(self, b):
            return SloppyAdder(self.o + b.o + 0.01)

        def __repr__(self):
            return str(self.o)

    assert repr(SloppyAdder(1) + SloppyAdder(2)) == "3.01"


def test_a_pipe_overloads_shift_and_the_container_dunders():
    pipe = jf.Pipe(add=lambda x: x + 2) >> jf.Pipe(sloppy=lambda x: x + 0.01)
    assert pipe(1) == 1 >> pipe == 3.01
    assert repr(pipe) == "add >> sloppy"
    assert len(pipe) == 2 and pipe["add"](1) == 3 and pipe[1] is pipe["sloppy"]


def test_a_fold_overloads_arithmetic():
    data = jnp.array([1.0, 2.0])
    sloppy = jf.folds.minimum() + jf.folds.maximum() + 0.01
    assert float(jf.fold(sloppy, data)) == pytest.approx(3.01)
    spread = jf.folds.maximum() - jf.folds.minimum()
    assert float(jf.fold(spread, data)) == 1.0


# Variance, covariance, correlation

T = jnp.array([1.0, 2.0, 4.0, 18.0])
V = jnp.array([2.0, 3.0, 3.0, 9.0])


def test_the_statistics_of_the_lesson():
    assert float(jf.stats.mean(T)) == 6.25
    assert float(jf.stats.var(T)) == 47.1875
    assert float(jf.stats.std(T)) == pytest.approx(np.sqrt(47.1875), rel=1e-6)
    assert float(jf.stats.mean_abs_dev(T)) == 5.875


def test_both_formulas_agree_on_the_lessons_numbers():
    m = T.mean()
    assert float(jnp.square(T - m).mean()) == float((T * T).mean() - m * m) == 47.1875


def test_the_lessons_formula_loses_all_digits_where_ours_keeps_them():
    far = T + 2.0**16
    m = far.mean()
    if far.dtype == np.float32:
        assert abs(float((far * far).mean() - m * m) - 47.1875) > 1.0
    assert float(jf.stats.var(far)) == 47.1875


def test_covariance_and_correlation():
    t, v = np.asarray(T, np.float64), np.asarray(V, np.float64)
    cov = (t * v).mean() - t.mean() * v.mean()
    assert float(jf.stats.cov(T, V)) == pytest.approx(cov, rel=1e-6)
    assert float(jf.stats.cov(T, T)) == float(jf.stats.var(T))
    assert float(jf.stats.corr(T, V)) == pytest.approx(np.corrcoef(t, v)[0, 1], rel=1e-6)
    assert float(jf.stats.corr(T, T)) == 1.0


def test_the_lessons_correlation_mixes_two_corrections():
    # A biased covariance over unbiased deviations (torch's default) makes corr(t, t) = (n−1)/n.
    t = np.asarray(T, np.float64)
    mixed = ((t * t).mean() - t.mean() ** 2) / t.std(ddof=1) ** 2
    assert mixed == pytest.approx(3 / 4)
    assert float(jf.stats.corr(T, T)) == 1.0
