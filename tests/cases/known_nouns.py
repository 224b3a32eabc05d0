"""The laws that folds, callbacks, steps and pipes are known to keep, and some with a breach."""

import jax
import jax.numpy as jnp
from known_words import EACH, LINEAR, LOCATION, SPREAD, known

import jfoundations as jf
from jfoundations import callbacks, folds

FOLD = ("fold", "abstract_init", "permutation_invariant")
LOOP = ("driver_equivalence", "resume", "chunking", "lane", "frozen")
CALLBACK = (*LOOP, "chain_monoid", "abstract_init")
PIPE = ("pipe", "shape")


def half_abs(x):
    return jnp.abs(x) / 2


def large(state):
    return state, jnp.max(state) > 2


def clip(state):
    return jnp.clip(state, 0, 0.75), False


def halve(state):
    return state / 2


def cosine(state):
    return jnp.cos(state)


def logistic(state):
    return 3.75 * state * (1 - state)


def descend(state):
    return state - 0.25 * jax.grad(lambda x: jnp.sum(jnp.log(jnp.cosh(x))))(state)


FOLDS = {
    "folds.mean": (folds.mean(), known(FOLD, "increasing", LINEAR, LOCATION, degree=1)),
    "folds.maximum": (folds.maximum(), known(FOLD, "increasing", LOCATION, degree=1)),
    "folds.minimum": (folds.minimum(), known(FOLD, "increasing", LOCATION, degree=1)),
    "folds.minmax": (folds.minmax(), known(FOLD, "increasing", LOCATION, degree=1)),
    "folds.sum": (folds.sum(), known(FOLD, "increasing", LINEAR, degree=1)),
    "folds.product": (folds.product(), known(FOLD, "odd", degree=5)),
    "folds.var": (folds.var(), known(FOLD, SPREAD, degree=2)),
    "folds.std": (folds.std(), known(FOLD, SPREAD, "lipschitz", degree=1)),
    "folds.skew": (
        folds.skew(),
        known(FOLD, "odd", "translation_invariant", "scale_invariant", degree=0),
    ),
    "folds.logsumexp": (
        folds.logsumexp(),
        known(FOLD, "increasing", "translation_equivariant", "lipschitz"),
    ),
    "folds.count": (folds.count(), known(FOLD, "constant")),
    "folds.first": (
        folds.first(),
        known("fold", "abstract_init", "increasing", LINEAR, LOCATION, degree=1),
    ),
    "folds.ema": (
        folds.ema(0.75),
        known("fold", "abstract_init", "increasing", LINEAR, LOCATION, degree=1),
    ),
}
CALLBACKS = {
    "history": (callbacks.history(), known(CALLBACK, "observer")),
    "early_stopping": (
        callbacks.early_stopping(jnp.max, patience=2),
        known(CALLBACK, "observer"),
    ),
    "best": (callbacks.best(jnp.max), known(CALLBACK, "observer")),
    "callbacks.ema": (callbacks.ema(decay=0.5), known(CALLBACK, "observer")),
    "watch": (callbacks.watch(folds.var()), known(CALLBACK, "observer")),
    "converged": (callbacks.converged(atol=0.125), known(CALLBACK, "observer")),
    "large": (large, known(LOOP, "chain_monoid", "observer")),
    "clip": (clip, known(LOOP, "chain_monoid")),
    "every": (jf.every(2, callbacks.history()), known(CALLBACK, "observer")),
}
STEPS = {
    "halve": (halve, known(LOOP, EACH, LINEAR, "increasing", degree=1)),
    "cosine": (cosine, known(LOOP, EACH, "even", "lipschitz")),
    "logistic": (logistic, known(LOOP, EACH)),
    "descend": (descend, known(LOOP, EACH, "odd", "increasing", "lipschitz")),
}
PIPES = {
    "pipe": (jf.Pipe(jnp.abs, half=half_abs), known(PIPE, EACH, "even", "lipschitz", degree=1)),
    "pipe.spread": (
        jf.Pipe(jnp.sort, jnp.diff),
        known("pipe", "translation_invariant", "permutation_invariant", "lipschitz", degree=1),
    ),
    "pipe.twice": (
        jf.Pipe(jnp.negative, again=jnp.negative),
        known(PIPE, EACH, LINEAR, LOCATION, "idempotent", "involution", "increasing", degree=1),
    ),
    "pipe.sum": (
        jf.Pipe(jnp.cumsum) >> jf.Pipe(last=lambda x: x[-1]),
        known("pipe", LINEAR, "increasing", "permutation_invariant", degree=1),
    ),
}
NOUNS = {**FOLDS, **CALLBACKS, **STEPS, **PIPES}


def uneven(a, b):
    return a + 2 * b


def powers(x):
    return jnp.stack([jnp.ones_like(x), x, x * x])


def textbook(m):
    return m[2] / m[0] - (m[1] / m[0]) ** 2


class Counts:
    """A callback that stops when the host has heard it often, as a print or a log file would."""

    def __init__(self):
        self.heard = 0

    def after_step(self, state):
        self.heard += 1
        return state, self.heard % 3 == 0


class Ends:
    """A callback that changes the state when the run ends."""

    def after_step(self, state):
        return state, jnp.max(state) > 0.5

    def after_run(self, state):
        return state / 2, False


@jax.custom_batching.custom_vmap
def beyond(state):
    return jnp.max(state) > 0.75


@beyond.def_vmap
def _any_lane(size, batched, states):
    return jnp.full(size, jnp.max(states) > 0.75), True


def looks_at_others(state):
    return state, beyond(state)


def follows_others(state):
    return jnp.where(beyond(state), state / 2, state * 1.5)


def asks(x):
    return x / 2 if isinstance(x, jax.core.Tracer) else x / 3


# Nouns with a planted breach, and the laws of which none may be found to hold.
BREACHES = {
    "merges unevenly": (jf.Fold(jnp.zeros_like, jnp.add, uneven), {"fold"}),
    "merges in turn": (jf.Fold(jnp.zeros_like, jnp.add, jnp.subtract), {"fold"}),
    "starts from 1": (jf.Fold(jnp.ones_like, jnp.add, jnp.add), {"fold"}),
    "merges the larger": (jf.Fold(jnp.zeros_like, jnp.add, jnp.maximum), {"fold"}),
    "loses digits": (
        jf.Fold(
            lambda x: jnp.zeros((3, *x.shape), x.dtype),
            lambda m, x: m + powers(x),
            jnp.add,
            textbook,
        ),
        {"fold", "translation_invariant"},
    ),
    "clips": (clip, {"observer"}),
    "counts on the host": (Counts(), {"driver_equivalence"}),
    "ends the run": (Ends(), {"observer"}),
    "looks at other lanes": (looks_at_others, {"lane"}),
    "follows other lanes": (follows_others, {"lane", "vmap"}),
    "asks how it is called": (jf.Pipe(jnp.abs, asks), {"pipe", "jit"}),
}
