"""The likeliest mistakes, and word for word what is said to them.

A message tells what was written, why that fails, and what to write. Python's own words for a
missing argument are clear, and stand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import callbacks as cb
from jfoundations import folds, stats

X = jnp.array([1.0, 2.0, 4.0, 18.0])
ZERO = np.float32(0)


def inc(s):
    return s + 1


class Typo:
    def after_stepp(self, s):
        return s, False


def run(*callbacks, step=inc, state=ZERO, **settings):
    return jf.iterate(step, state, *callbacks, **{"max_steps": 3, **settings})


MISTAKES = {
    "a pipe that is not fitted": (
        lambda: jf.Pipe(jf.stages.standardize())(X),
        TypeError,
        (
            "standardize learns from data and is not fitted yet, so it cannot be called; take the "
            "pipe that jf.fit(pipe, data) returns\nin stage 1 of 1, 'standardize', of the pipe "
            "standardize (unfitted), on float32[4]"
        ),
    ),
    "no max_steps": (
        lambda: jf.iterate(inc, 0.0),
        TypeError,
        ("iterate() missing 1 required keyword-only argument: 'max_steps'"),
    ),
    "max_steps traced": (
        lambda: jax.jit(lambda n: run(max_steps=n))(3),
        TypeError,
        (
            "iterate: max_steps is traced, a Python int is needed; mark it static under jit, or "
            "stop where you want with stop_when(lambda state, step: step + 1 >= n)"
        ),
    ),
    "the state alone": (
        lambda: run(lambda s: s),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: it returned one float32[], a callback returns "
            "(state, stop); return False as stop if it never stops"
        ),
    ),
    "nothing returned": (
        lambda: run(lambda s: None),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: it returned None, a callback returns (state, "
            "stop); return False as stop if it never stops"
        ),
    ),
    "stop is a number": (
        lambda: run(lambda s: (s, s)),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: stop has dtype float32, a bool is needed; "
            "compare it with something"
        ),
    ),
    "stop is an array": (
        lambda: run(lambda s: (s, s > 1), state=np.zeros(2, np.float32)),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: stop has shape (2,), a scalar is needed; "
            "reduce it with jnp.any or jnp.all"
        ),
    ),
    "if on a value": (
        lambda: run(lambda s: (s, True if s > 1 else False)),
        jax.errors.TracerBoolConversionError,
        (
            "Attempted boolean conversion of traced array with shape bool[].\nin callback 1 of "
            "1, lambda, after_step: in a loop if, and, or, not cannot look at values; return the "
            "comparison itself as the stop, and choose between states by jnp.where"
        ),
    ),
    "an event misspelt": (
        lambda: run(Typo()),
        ValueError,
        (
            "callback 1 of 1, Typo: no event is called 'after_stepp'; the events are before_run, "
            "before_step, after_step, after_run; did you mean after_step?"
        ),
    ),
    "no event at all": (
        lambda: run(3),
        TypeError,
        (
            "callback 1 of 1, int: 3 is no callback; give a function state -> (state, stop), an "
            "object with methods among before_run, before_step, after_step, after_run, or a "
            "Callback (proceed does nothing)"
        ),
    ),
    "a factory for a callback": (
        lambda: run(cb.early_stopping),
        TypeError,
        (
            "callback 1 of 1, early_stopping: early_stopping itself is no callback but makes one; "
            "call it: early_stopping(…)"
        ),
    ),
    "an unknown word": (
        lambda: run(lambda s, *, stepp: (s, False)),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: it needs 'stepp', which a loop does not know; "
            "context is step, key, live, max_steps, x; did you mean step? (bind other arguments "
            "with partial; call what makes a callback)"
        ),
    ),
    "no key given": (
        lambda: run(lambda s, *, key: (s, False)),
        TypeError,
        (
            "callback 1 of 1, lambda, after_step: it names key, but the loop has none; pass key= "
            "to it"
        ),
    ),
    "the step returns a pair": (
        lambda: run(step=lambda s: (s, False)),
        TypeError,
        (
            "the step lambda: the structure of the state changed; it lost state; it gained "
            "state[0], state[1]; return the same containers with the same keys, None included"
        ),
    ),
    "the step changes a dtype": (
        lambda: run(step=lambda s: s.astype(jnp.int32)),
        TypeError,
        (
            "the step lambda: state was float32[] and became int32[]; cast it back with "
            ".astype('float32'), or start from the wider dtype"
        ),
    ),
    "the step grows": (
        lambda: run(step=lambda s: jnp.append(s, s), state=np.zeros(2, np.float32)),
        TypeError,
        (
            "the step lambda: state was float32[2] and became float32[4]; every step must keep "
            "the shapes it is given"
        ),
    ),
    "a string in the state": (
        lambda: run(state={"x": "a"}),
        TypeError,
        (
            "iterate: the leaf state['x'] is 'a' (str), which is no array; keep functions, "
            "strings and other objects out of the state: in a closure, or as a static field of a "
            "registered dataclass"
        ),
    ),
    "a driver misspelt": (
        lambda: run(driver="wihle"),
        ValueError,
        (
            "iterate: no driver 'wihle'; known are while, scan, checkpointed, implicit, python; "
            "did you mean while?; see jfoundations.guide.how_to_choose"
        ),
    ),
    "a mode misspelt": (
        lambda: cb.early_stopping(inc, patience=3, mode="minimum"),
        ValueError,
        ("early_stopping: mode is 'minimum'; it must be 'min' or 'max'"),
    ),
    "patience is a float": (
        lambda: cb.early_stopping(inc, patience=2.5),
        TypeError,
        ("early_stopping: patience is 2.5, a Python int is needed"),
    ),
    "or of predicates": (
        lambda: jf.stop_when(inc) or jf.stop_when(inc),
        TypeError,
        (
            "inc: whether it asks to stop is known only in a loop, so it is no bool; join stop "
            "predicates by | & ~ and not by or, and, not"
        ),
    ),
    "resumed from a state": (
        lambda: jf.resume(ZERO, inc, max_steps=3),
        TypeError,
        (
            "resume: it goes on from a LoopResult, which iterate, resume and chunks return, not "
            "from float32[]; start a new run with iterate"
        ),
    ),
    "chunks of nothing": (
        lambda: next(jf.chunks(inc, 0.0, max_steps=3, every=0)),
        ValueError,
        ("chunks: every is 0; it must lie in 1 ... 2**31 - 1"),
    ),
    "a pipe of numbers": (
        lambda: jf.Pipe(1.0),
        TypeError,
        ("Pipe: stage 1 is 1.0, which is not callable; give a function of one value"),
    ),
    "an unknown stage": (
        lambda: jf.Pipe(a=abs)["b"],
        KeyError,
        ("no stage named 'b' in the pipe a; use an index"),
    ),
    "no inverse": (
        lambda: jf.Pipe(halve=lambda x: x / 2).inverse,
        TypeError,
        (
            "halve has no inverse: its stage 'halve' is not reversible; say what undoes it: give "
            "Reversible(lambda, inverse) in its place"
        ),
    ),
    "partial of a number": (
        lambda: jf.partial(3),
        TypeError,
        ("partial: 3 is not callable"),
    ),
    "a list of numbers": (
        lambda: jf.fold(folds.mean(), [1.0, 2.0]),
        TypeError,
        (
            "fold's chunk 0: a leaf has no leading axis to run over; a list is an iterable of "
            "blocks, so for one block of numbers give jnp.array(numbers)"
        ),
    ),
    "a function for a fold": (
        lambda: jf.fold(jnp.mean, X),
        TypeError,
        (
            "fold: mean is no Fold; make one with Fold(init, step, merge) or take one from "
            "jfoundations.folds"
        ),
    ),
    "a factory for a fold": (
        lambda: jf.fold(folds.mean, X),
        TypeError,
        ("fold: folds.mean makes a fold; call it: folds.mean()"),
    ),
    "what cannot be folded": (
        lambda: folds.mean_abs_dev,
        AttributeError,
        (
            "there is no folds.mean_abs_dev: deviations from the mean are not known before all "
            "data are, so parts cannot be merged; use folds.std, or a second pass: "
            "folds.mean().of(lambda x: jnp.abs(x - mean))"
        ),
    ),
    "an unknown fold": (
        lambda: folds.varr,
        AttributeError,
        ("module 'jfoundations.folds' has no attribute 'varr'; did you mean var?"),
    ),
    "axis out of range": (
        lambda: stats.var(X, axis=1),
        ValueError,
        ("var: axis 1 is out of range for an array of 1 dimensions"),
    ),
    "axis is a float": (
        lambda: stats.var(X, axis=0.0),
        TypeError,
        ("var: axis is 0.0; an int, a tuple of ints or None is needed"),
    ),
    "weights do not fit": (
        lambda: stats.mean(X, weights=jnp.ones(3)),
        ValueError,
        ("mean: weights has shape (3,), which does not broadcast to x's (4,)"),
    ),
    "where of numbers": (
        lambda: stats.mean(X, where=np.array([1, 0, 1, 1], np.int32)),
        TypeError,
        (
            "mean: where has dtype int32, a bool array is needed; numbers that count more or "
            "less are weights="
        ),
    ),
    "nan misspelt": (
        lambda: stats.mean(X, nan="drop"),
        ValueError,
        ("mean: nan is 'drop'; it must be 'propagate' or 'omit'"),
    ),
    "strings": (
        lambda: stats.mean(["a"]),
        TypeError,
        (
            "mean: x is list, which holds no numbers; in it is 'a', a str; give a real or "
            "complex array"
        ),
    ),
    "a quantile in percent": (
        lambda: stats.quantile(X, 25),
        ValueError,
        ("quantile: q is 25.0; it must lie in [0, 1]"),
    ),
    "a window too long": (
        lambda: stats.rolling_mean(X, 9),
        ValueError,
        ("rolling_mean: window is 9, longer than the 4 elements along the axis"),
    ),
    "pairs of two lengths": (
        lambda: stats.corr(X, X[:3]),
        ValueError,
        (
            "corr: x has shape (4,) and y has shape (3,); pairs need equal shapes (broadcast "
            "them first)"
        ),
    ),
    "agree outside a mesh": (
        lambda: jf.agree(jnp.bool_(True), "data"),
        ValueError,
        (
            "agree: there is no mesh axis 'data' here; call it inside shard_map (or vmap) over "
            "an axis of that name"
        ),
    ),
    "no such mesh axis": (
        lambda: jf.executors.Devices(jax.make_mesh((1,), ("data",)), "dta"),
        ValueError,
        ("Devices: the mesh has no axis 'dta'; it has ['data']"),
    ),
    "a stream for workers": (
        lambda: jf.fold(folds.mean(), iter([X]), jf.executors.Pool(1)),
        TypeError,
        (
            "fold: Pool has its workers load their own blocks, and a list_iterator can only be "
            "read here, one after another; give Source(n_chunks, load)"
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_said(mistake):
    make, kind, message = MISTAKES[mistake]
    with pytest.raises(kind) as caught:
        make()
    error = caught.value
    assert type(error) is kind
    said = error.args[0] if kind is KeyError else str(error)
    if kind is jax.errors.TracerBoolConversionError:
        said = said.splitlines()[0]  # below it JAX tells where
    notes = [n for n in getattr(error, "__notes__", ()) if "JAX has removed" not in n]
    assert "\n".join([said, *notes]) == message
