"""A loop whose metric is given step by step: what callbacks that watch a metric are tried on."""

import jax.numpy as jnp
import numpy as np

import jfoundations as jf

FLOAT = jnp.zeros(()).dtype


def step(state):
    return {"i": state["i"] + 1, "m": state["m"]}


def metric(state):
    """Return the metric of the step just taken."""
    return state["m"][state["i"] - 1]


def begin(values):
    return {"i": jnp.zeros((), np.int32), "m": jnp.asarray(values, FLOAT)}


def run(values, *callbacks, **options):
    return jf.iterate(step, begin(values), *callbacks, max_steps=len(values), **options)
