"""What a newcomer sees: reprs that tell settings, and names that suggest others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import callbacks, folds


def size(x):
    return abs(x)


REPRS = [
    (folds.var(), "Fold(var)"),
    (folds.var(correction=1), "Fold(var, correction=1)"),
    (folds.var(correction=1).of(jnp.abs), "Fold(var, correction=1)"),
    (folds.ema(0.5), "Fold(ema, decay=0.5)"),
    (folds.quantile(0.5), "Fold(quantile, accuracy=0.01, q=0.5)"),
    (folds.quantile([0.1, 0.9], accuracy=0.02), "Fold(quantile, accuracy=0.02, q=[0.1, 0.9])"),
    (folds.var(nan="omit"), "Fold(var, nan='omit')"),
    (folds.moment(3), "Fold(moment, order=3)"),
    (folds.top_k(3), "Fold(top_k, k=3)"),
    (folds.window(folds.mean(), 5), "Fold(window of mean, size=5)"),
    (jf.combine(a=folds.var(correction=1), b=folds.std(correction=2)), "Fold(a, b, correction=…)"),
    (callbacks.history(), "Callback(history: after_step)"),
    (callbacks.early_stopping(size, 3), "Callback(early_stopping: after_step, patience=3)"),
    (callbacks.best(size, mode="max"), "Callback(best: after_step, mode='max')"),
    (callbacks.history(every=3), "Callback(history: after_step, every=3)"),
    (
        jf.every(9, callbacks.early_stopping(size, 3)),
        "Callback(early_stopping: after_step, patience=3, every=9)",
    ),
    (jf.watch(folds.var(correction=1)), "Callback(var: after_step, correction=1)"),
    (callbacks.converged(rtol=1e-6), "Callback(converged: after_step, rtol=1e-06)"),
    (
        callbacks.early_stopping(size, jnp.arange(2) + 1, min_delta=0.25),
        "Callback(early_stopping: after_step, patience=[1, 2], min_delta=0.25)",
    ),
    (jf.Callback(after_step=jf.partial(max, 2.0)), "Callback(callback: after_step)"),
]


@pytest.mark.parametrize(("value", "said"), REPRS, ids=[said for _, said in REPRS])
def test_reprs_tell_settings(value, said):
    assert repr(value) == said


def test_reprs_of_whatever_a_partial_holds():
    held = {
        "bool_": np.bool_(True),
        "half": jnp.bfloat16(0.5),
        "key": jax.random.key(0),
        "like": jax.ShapeDtypeStruct((), "float32"),
        "nothing": np.zeros((0, 2), np.float32),
        "text": "text",
        "turn": 1 + 2j,
        "unknown": float("nan"),
    }
    said = repr(jf.Callback(after_step=jf.partial(max, **held), name="c"))
    assert said.startswith("Callback(c: after_step, half=0.5, key=key<")
    assert said.endswith(", like=float32[], nothing=float32[0,2], turn=1+2j, unknown=nan)")


def test_settings_are_no_part_of_names():
    assert folds.var(correction=1).name == "var"
    assert callbacks.early_stopping(size, 3).name == "early_stopping"


def test_reprs_of_traced_settings():
    said = []

    @jax.jit
    def look(patience):
        said.append(repr(callbacks.early_stopping(size, patience)))
        return patience

    look(3)
    assert said == ["Callback(early_stopping: after_step, patience=int32[])"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("early_stopping", "jfoundations.callbacks.early_stopping"),
        ("histroy", "jfoundations.callbacks.history"),
        ("var", "jfoundations.folds.var or jfoundations.stats.var"),
        ("Pool", "jfoundations.executors.Pool"),
        ("iterat", "jfoundations.iterate"),
    ],
)
def test_unknown_names_suggest_the_nearest(name, found):
    with raises(AttributeError, f"no attribute {name!r}; did you mean {found}?"):
        getattr(jf, name)


def test_names_that_nothing_is_near():
    for name in ("zzzz", "_itrate"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}'$"):
            getattr(jf, name)
