"""The laws that some functions are known to keep, written by hand, for `laws.discover` to find."""

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.scipy import special

import jfoundations as jf
from jfoundations import callbacks, folds, stats

EACH = ("shape", "elementwise", "permutation_equivariant")
LINEAR = ("additive", "linear", "odd", "lipschitz")
LOCATION = ("translation_equivariant", "keeps_constants", "lipschitz")
SPREAD = ("translation_invariant", "zero_of_constants", "even", "permutation_invariant")
LOOP = ("driver_equivalence", "resume", "chunking", "lane", "frozen", "chain_monoid")


def known(*laws, degree=None):
    """Return the names of laws, and the degree of what is homogeneous."""
    names = {name for law in laws for name in ((law,) if isinstance(law, str) else law)}
    return names | ({"homogeneous"} if degree is not None else set()), degree


def both(*laws):
    """Return the names of laws that a function of two arrays keeps in each."""
    return tuple(f"{law} in {word}" for law in laws for word in "xy")


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


def squared_error(x, y):
    return optax.losses.squared_error(x, y)


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

# Functions of two arrays.
TWO = {
    "add": (
        jnp.add,
        known(
            *("shape", "commutative", "associative", "permutation_equivariant"),
            both("translation_equivariant", "increasing", "lipschitz"),
        ),
    ),
    "subtract": (
        jnp.subtract,
        known(
            *("shape", "antisymmetric", "zero_of_equals", "permutation_equivariant"),
            *("translation_equivariant in x", "increasing in x", "decreasing in y"),
            both("lipschitz"),
        ),
    ),
    "multiply": (
        jnp.multiply,
        known(
            *("shape", "commutative", "associative", "permutation_equivariant"),
            both("linear", "homogeneous", "odd"),
        ),
    ),
    "maximum": (
        jnp.maximum,
        known(
            *("shape", "commutative", "associative", "idempotent", "permutation_equivariant"),
            both("increasing", "lipschitz"),
        ),
    ),
    "logaddexp": (
        jnp.logaddexp,
        known(
            *("shape", "commutative", "associative", "permutation_equivariant"),
            both("increasing", "lipschitz"),
        ),
    ),
    "hypot": (
        jnp.hypot,
        known(
            *("shape", "commutative", "associative", "permutation_equivariant"),
            both("even", "lipschitz"),
        ),
    ),
    "dot": (
        jnp.dot,
        known("commutative", "permutation_invariant", both("linear", "homogeneous", "odd")),
    ),
    "xlogy": (
        special.xlogy,
        known(
            *("shape", "permutation_equivariant", "linear in x", "homogeneous in x"),
            *("odd in x", "increasing in y"),
        ),
    ),
    "squared_error": (
        squared_error,
        known("shape", "commutative", "zero_of_equals", "permutation_equivariant"),
    ),
    "cosine_similarity": (
        optax.losses.cosine_similarity,
        known(
            *("commutative", "permutation_invariant"),
            both("scale_invariant", "odd", "homogeneous"),
        ),
    ),
    "stats.cov": (
        stats.cov,
        known(
            *("commutative", "permutation_invariant"),
            both("linear", "homogeneous", "odd", "translation_invariant"),
        ),
    ),
    "stats.corr": (
        stats.corr,
        known(
            *("commutative", "permutation_invariant"),
            both("scale_invariant", "odd", "translation_invariant", "homogeneous"),
        ),
    ),
}

# The library's nouns.
NOUNS = {
    "folds.mean": (
        folds.mean(),
        known(
            *("fold", "abstract_init", "increasing", "permutation_invariant"),
            *(LINEAR, LOCATION),
            degree=1,
        ),
    ),
    "folds.maximum": (
        folds.maximum(),
        known("fold", "abstract_init", "increasing", "permutation_invariant", LOCATION, degree=1),
    ),
    "folds.var": (folds.var(), known("fold", "abstract_init", SPREAD, degree=2)),
    "pipe": (
        jf.Pipe(jnp.abs, half=half_abs),
        known("pipe", EACH, "even", "lipschitz", degree=1),
    ),
    "history": (callbacks.history(), known(LOOP, "observer", "abstract_init")),
    "early_stopping": (
        callbacks.early_stopping(jnp.max, patience=2),
        known(LOOP, "observer", "abstract_init"),
    ),
}
# What is found of nearly all, and is not counted.
GENERAL = {
    *("dtype", "jit", "vmap", "grad", "finite_grad", "shard"),
    *("deletion", "repetition", "poison"),
}
KNOWN = {**ONE, **TWO, **NOUNS}


def missed(report, laws, degree):
    """Return the known laws that a report lacks."""
    lacking = {law for law in laws if law not in report or not report[law].holds}
    one = report.get("homogeneous")
    if one is not None and one.holds and degree is not None and abs(one.constant - degree) > 1e-6:
        lacking.add("homogeneous")
    return lacking
