"""The laws that functions of one array are known to keep, written by hand."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.scipy import special
from known_words import EACH, LINEAR, LOCATION, SPREAD, known

from jfoundations import stats


def flip(x):
    return x[::-1]


def roll(x):
    return jnp.roll(x, 1)


def unit_clip(x):
    return jnp.clip(x, -1, 1)


def half_abs(x):
    return jnp.abs(x) / 2


def rank(x):
    return jax.scipy.stats.rankdata(x)


def log_density(x):
    return jax.scipy.stats.norm.logpdf(x)


def l2_ball(x):
    return optax.projections.projection_l2_ball(x)


# Functions of one array, of jnp, of SciPy in JAX, of optax, and ours.
ONE = {
    "sin": (jnp.sin, known(EACH, "odd", "lipschitz")),
    "cos": (jnp.cos, known(EACH, "even", "lipschitz")),
    "tanh": (jnp.tanh, known(EACH, "odd", "increasing", "lipschitz")),
    "arctan": (jnp.arctan, known(EACH, "odd", "increasing", "lipschitz")),
    "exp": (jnp.exp, known(EACH, "increasing")),
    "log": (jnp.log, known(EACH, "increasing")),
    "sqrt": (jnp.sqrt, known(EACH, "increasing", degree=0.5)),
    "cbrt": (jnp.cbrt, known(EACH, "odd", "increasing", degree=1 / 3)),
    "square": (jnp.square, known(EACH, "even", degree=2)),
    "abs": (jnp.abs, known(EACH, "even", "idempotent", "lipschitz", degree=1)),
    "negative": (jnp.negative, known(EACH, LINEAR, "involution", "decreasing", degree=1)),
    "reciprocal": (jnp.reciprocal, known(EACH, "odd", "involution", degree=-1)),
    "sign": (
        jnp.sign,
        known(EACH, "odd", "increasing", "idempotent", "scale_invariant", degree=0),
    ),
    "floor": (jnp.floor, known(EACH, "increasing", "idempotent")),
    "rint": (jnp.rint, known(EACH, "odd", "increasing", "idempotent")),
    "unit_clip": (unit_clip, known(EACH, "odd", "increasing", "idempotent", "lipschitz")),
    "expm1": (jnp.expm1, known(EACH, "increasing")),
    "arcsin": (jnp.arcsin, known(EACH, "odd", "increasing")),
    "arctanh": (jnp.arctanh, known(EACH, "odd", "increasing")),
    "sinc": (jnp.sinc, known(EACH, "even", "lipschitz")),
    "sort": (
        jnp.sort,
        known("shape", LOCATION, "increasing", "idempotent", "permutation_invariant", degree=1),
    ),
    "sum": (jnp.sum, known(LINEAR, "increasing", "permutation_invariant", degree=1)),
    "mean": (jnp.mean, known(LINEAR, LOCATION, "increasing", "permutation_invariant", degree=1)),
    "max": (jnp.max, known(LOCATION, "increasing", "permutation_invariant", degree=1)),
    "ptp": (jnp.ptp, known(SPREAD, "lipschitz", degree=1)),
    "median": (
        jnp.median,
        known("odd", LOCATION, "increasing", "permutation_invariant", degree=1),
    ),
    "var": (jnp.var, known(SPREAD, degree=2)),
    "std": (jnp.std, known(SPREAD, "lipschitz", degree=1)),
    "prod": (jnp.prod, known("odd", "permutation_invariant", degree=5)),
    "norm": (jnp.linalg.norm, known("even", "permutation_invariant", "lipschitz", degree=1)),
    "cumsum": (jnp.cumsum, known("shape", LINEAR, "increasing", degree=1)),
    "cummax": (
        lax.cummax,
        known("shape", LOCATION, "increasing", "idempotent", degree=1),
    ),
    "diff": (jnp.diff, known(LINEAR, "translation_invariant", "zero_of_constants", degree=1)),
    "fft": (jnp.fft.fft, known("shape", LINEAR, degree=1)),
    "flip": (flip, known("shape", LINEAR, LOCATION, "increasing", "involution", degree=1)),
    "roll": (roll, known("shape", LINEAR, LOCATION, "increasing", degree=1)),
    "argsort": (jnp.argsort, known("shape", "scale_invariant", "translation_invariant", degree=0)),
    "argmax": (
        jnp.argmax,
        known("scale_invariant", "translation_invariant", "zero_of_constants", degree=0),
    ),
    "relu": (jax.nn.relu, known(EACH, "increasing", "idempotent", "lipschitz", degree=1)),
    "sigmoid": (jax.nn.sigmoid, known(EACH, "increasing", "lipschitz")),
    "softplus": (jax.nn.softplus, known(EACH, "increasing", "lipschitz")),
    "gelu": (jax.nn.gelu, known(EACH, "lipschitz")),
    "softmax": (
        jax.nn.softmax,
        known("shape", "translation_invariant", "permutation_equivariant", "lipschitz"),
    ),
    "log_softmax": (
        jax.nn.log_softmax,
        known(
            *("shape", "translation_invariant", "permutation_equivariant"),
            *("idempotent", "lipschitz"),
        ),
    ),
    "logsumexp": (
        special.logsumexp,
        known("translation_equivariant", "increasing", "permutation_invariant", "lipschitz"),
    ),
    "erf": (special.erf, known(EACH, "odd", "increasing", "lipschitz")),
    "ndtr": (special.ndtr, known(EACH, "increasing", "lipschitz")),
    "ndtri": (special.ndtri, known(EACH, "increasing")),
    "logit": (special.logit, known(EACH, "increasing")),
    "gammaln": (special.gammaln, known(EACH)),
    "entr": (special.entr, known(EACH)),
    "i0e": (special.i0e, known(EACH, "even", "lipschitz")),
    "log_density": (log_density, known(EACH, "even")),
    "rank": (
        rank,
        known(
            *("shape", "permutation_equivariant", "scale_invariant", "translation_invariant"),
            "idempotent",
            degree=0,
        ),
    ),
    "non_negative": (
        optax.projections.projection_non_negative,
        known(EACH, "increasing", "idempotent", "lipschitz", degree=1),
    ),
    "simplex": (
        optax.projections.projection_simplex,
        known(
            *("shape", "idempotent", "translation_invariant", "permutation_equivariant"),
            "lipschitz",
        ),
    ),
    "l2_ball": (
        l2_ball,
        known("shape", "idempotent", "odd", "permutation_equivariant", "lipschitz"),
    ),
    "global_norm": (
        optax.global_norm,
        known("even", "permutation_invariant", "lipschitz", degree=1),
    ),
    "log_cosh": (optax.losses.log_cosh, known(EACH, "even", "lipschitz")),
    "huber_loss": (optax.losses.huber_loss, known(EACH, "even", "lipschitz")),
    "stats.mean": (
        stats.mean,
        known(LINEAR, LOCATION, "increasing", "permutation_invariant", degree=1),
    ),
    "stats.var": (stats.var, known(SPREAD, degree=2)),
    "stats.std": (stats.std, known(SPREAD, "lipschitz", degree=1)),
    "stats.mean_abs_dev": (stats.mean_abs_dev, known(SPREAD, "lipschitz", degree=1)),
    "stats.median": (
        stats.median,
        known("odd", LOCATION, "increasing", "permutation_invariant", degree=1),
    ),
    "stats.gmean": (
        stats.gmean,
        known("keeps_constants", "increasing", "permutation_invariant", degree=1),
    ),
    "stats.skew": (
        stats.skew,
        known(
            *("odd", "translation_invariant", "scale_invariant", "permutation_invariant"),
            degree=0,
        ),
    ),
    "stats.standardize": (
        stats.standardize,
        known(
            *("shape", "odd", "translation_invariant", "scale_invariant", "idempotent"),
            *("permutation_equivariant", "zero_of_constants"),
            degree=0,
        ),
    ),
}
