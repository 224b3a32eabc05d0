"""The laws that functions of two arrays are known to keep, written by hand."""

import jax.numpy as jnp
import optax
from jax.scipy import special
from known_words import both, known

from jfoundations import stats


def squared_error(x, y):
    return optax.losses.squared_error(x, y)


def cross(x, y):
    return jnp.cross(x[:3], y[:3])


def euclidean(x, y):
    return jnp.linalg.norm(x - y)


def cityblock(x, y):
    return jnp.sum(jnp.abs(x - y))


def chebyshev(x, y):
    return jnp.max(jnp.abs(x - y))


DISTANCE = ("commutative", "zero_of_equals", "permutation_invariant")
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
    "stats.rank_corr": (
        stats.rank_corr,
        known(
            *("commutative", "permutation_invariant"),
            both("scale_invariant", "odd", "homogeneous"),
        ),
    ),
    "minimum": (
        jnp.minimum,
        known(
            *("shape", "commutative", "associative", "idempotent", "permutation_equivariant"),
            both("increasing", "lipschitz"),
        ),
    ),
    "divide": (
        jnp.divide,
        known(
            *("shape", "permutation_equivariant", "linear in x"),
            both("homogeneous", "odd"),
        ),
    ),
    "arctan2": (jnp.arctan2, known("shape", "permutation_equivariant", "odd in x")),
    "copysign": (
        jnp.copysign,
        known(
            *("shape", "permutation_equivariant", "even in x", "odd in y"),
            *("scale_invariant in y", "increasing in y"),
            both("homogeneous"),
        ),
    ),
    "cross": (
        cross,
        known("antisymmetric", "zero_of_equals", both("linear", "homogeneous", "odd")),
    ),
    "convolve": (jnp.convolve, known("commutative", both("linear", "homogeneous", "odd"))),
    "euclidean": (euclidean, known(DISTANCE, both("lipschitz"))),
    "cityblock": (cityblock, known(DISTANCE, both("lipschitz"))),
    "chebyshev": (chebyshev, known(DISTANCE, both("lipschitz"))),
    "rel_entr": (special.rel_entr, known("shape", "permutation_equivariant", "decreasing in y")),
    "kl_div": (special.kl_div, known("shape", "permutation_equivariant", "zero_of_equals")),
    "betaln": (special.betaln, known("shape", "permutation_equivariant", "commutative")),
    "hinge_loss": (
        optax.losses.hinge_loss,
        known("shape", "permutation_equivariant", "commutative"),
    ),
    "perceptron_loss": (
        optax.losses.perceptron_loss,
        known("shape", "permutation_equivariant", "commutative", both("homogeneous")),
    ),
    "cosine_distance": (
        optax.losses.cosine_distance,
        known("commutative", "permutation_invariant", both("scale_invariant", "homogeneous")),
    ),
}
