"""What a statistic makes of a selection: order, masks, weights, and what a mask hides."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from ..._core.types import PyTree
from ..._core.values import name_of
from ..strategies import masks, permutations_of, weights
from ._check import MAX_EXAMPLES, NotApplicable, check
from ._failure import claim, law, same
from ._near import Statistic, dtype_of, is_inexact, near, samples_of

SHORT = 6  # every number of elements left is a shape to compile for


@law
def permutation(
    f: Statistic,
    *,
    power: int | None = None,
    shift: int | None = None,
    rtol: float | None = None,
    plain: bool = False,
    samples: PyTree = None,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic to not seeing the order of its data: `f(x[order])` is `f(x)`.

    To rounding, for sums are taken in another order; `rtol=0` asks for the same numbers.

    Args:
        f: `x -> statistic`.
        power: 1 for a mean or a deviation, 2 for a variance, 0 for a pure number, None if unknown.
        shift: 0 for what a translation leaves alone, 1 for what moves along, None if unknown.
        rtol: how far they may differ, relative to the larger; by default what rounding can do to
            this data, see `strategies.tolerance`.
        plain: grant a measure of spread what its rounded mean costs, `(t * max|x|)**power` with t
            of `strategies.tolerance`: what a plain two-pass variance in jnp keeps.
        samples: an array or a strategy of arrays; by default well- and ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> permutation(jnp.sum, power=1, max_examples=5)
    >>> permutation(stats.median, rtol=0, max_examples=5)
    """

    def order_is_not_seen(pair: tuple[Array, Array]) -> None:
        x, y = pair
        what = "f(x[order]) is not f(x)"
        near(f(y), f(x), x, rtol=rtol, power=power, shift=shift, plain=plain, what=what)

    both = samples_of(samples, dtype).flatmap(lambda x: st.tuples(st.just(x), permutations_of(x)))
    check(order_is_not_seen, max_examples, pair=both)


@law
def deletion(
    f: Statistic,
    *,
    power: int | None = None,
    shift: int | None = None,
    rtol: float | None = None,
    plain: bool = False,
    least: int = 1,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a mask to being deletion: `f(x, where=mask)` is `f(x[mask])`.

    Args:
        f: `(x, *, where) -> statistic`.
        power: as in `permutation`.
        shift: as in `permutation`.
        rtol: as in `permutation`.
        plain: as in `permutation`.
        least: how many elements are left at the least.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.
        NotApplicable: f takes no `where=`.

    >>> from jfoundations import stats
    >>> deletion(stats.mean, power=1, shift=1, max_examples=3)
    """
    _takes(f, "where")

    def masks_delete(pair: tuple[Array, Array]) -> None:
        x, mask = pair
        kept = jax.device_put(np.asarray(x)[np.asarray(mask)])
        found, expected = f(x, where=mask), f(kept)
        what = "f(x, where=mask) is not f(x[mask])"
        near(found, expected, kept, rtol=rtol, power=power, shift=shift, plain=plain, what=what)

    check(masks_delete, max_examples, pair=_with_masks(dtype, least))


def _takes(f: Statistic, word: str) -> None:
    function: Any = f
    while hasattr(function, "func"):  # a partial takes what its function does
        function = function.func
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have none
        known = ()
    if word not in known:
        raise NotApplicable(f"{name_of(f)} takes no {word}=")


def _with_masks(dtype: DTypeLike | None, least: int) -> Any:
    return st.tuples(samples_of(None, dtype, (SHORT,)), masks((SHORT,), least=least))


@law
def repetition(
    f: Statistic,
    *,
    power: int | None = None,
    shift: int | None = None,
    rtol: float | None = None,
    plain: bool = False,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold whole weights to being repetition: `f(x, weights=k)` is `f(repeat(x, k))`.

    Args:
        f: `(x, *, weights) -> statistic`.
        power: as in `permutation`.
        shift: as in `permutation`.
        rtol: as in `permutation`.
        plain: as in `permutation`.
        dtype: of the samples and the weights; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.
        NotApplicable: f takes no `weights=`.

    >>> from jfoundations import stats
    >>> repetition(stats.mean, power=1, shift=1, max_examples=3)
    """
    _takes(f, "weights")

    def weights_repeat(pair: tuple[Array, Array]) -> None:
        x, k = pair
        repeated = jax.device_put(np.repeat(np.asarray(x), np.asarray(k).astype(int)))
        found, expected = f(x, weights=k), f(repeated)
        what = "f(x, weights=k) is not f(repeat(x, k))"
        near(found, expected, repeated, rtol=rtol, power=power, shift=shift, plain=plain, what=what)

    kind = jnp.finfo(dtype_of(dtype)).dtype  # of complex data the weights are real
    counts = weights((SHORT,), dtype=kind, whole=True)
    both = st.tuples(samples_of(None, dtype, (SHORT,)), counts)
    check(weights_repeat, max_examples, pair=both)


@law
def poison(
    f: Statistic,
    *,
    least: int = 2,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold what `where` hides to changing neither value nor gradient, nan and inf included.

    Exact, and the gradient of what is hidden is 0.

    Args:
        f: `(x, *, where) -> statistic`.
        least: how many elements are left at the least.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.
        NotApplicable: f takes no `where=`.

    >>> from jfoundations import stats
    >>> poison(stats.mean, max_examples=3)
    """
    _takes(f, "where")

    def what_is_hidden_is_not_seen(pair: tuple[Array, Array], hidden: float) -> None:
        x, mask = pair
        y = np.where(np.asarray(mask), np.asarray(x), np.asarray(hidden, x.dtype))
        y = jax.device_put(y)
        value = f(x, where=mask)
        what = "f(x, where=mask) sees what is hidden"
        same(f(y, where=mask), value, what=what)
        if any(is_inexact(leaf) for leaf in jax.tree.leaves(value)):
            of_x, of_y = (gradient_of(f, a, where=mask) for a in (x, y))
            same(of_y, of_x, what=f"the gradient of {what}")
            hidden_part = np.where(np.asarray(mask), 0, np.asarray(of_y))
            wrong = "the gradient of what is hidden is not 0"
            claim(not hidden_part.any(), wrong, hidden_part, "zeros")

    values = st.sampled_from([float("nan"), float("inf"), float("-inf")])
    check(what_is_hidden_is_not_seen, max_examples, pair=_with_masks(dtype, least), hidden=values)


def gradient_of(f: Statistic, x: jax.Array, **options: ArrayLike) -> jax.Array:
    """Return the gradient of the sum of all that a statistic answers in floats, of both parts."""

    def total(x: jax.Array) -> jax.Array:
        leaves = [leaf for leaf in jax.tree.leaves(f(x, **options)) if is_inexact(leaf)]
        parts = [(a.real, a.imag) if jnp.iscomplexobj(a) else (a,) for a in leaves]
        sums = [jnp.sum(part) for part in itertools.chain(*parts)]
        return sum(sums[1:], start=sums[0])

    return jax.grad(total)(x)


@law
def gradient(
    f: Statistic,
    *,
    samples: PyTree = None,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic's gradient to being finite wherever its value is, at constants too.

    Args:
        f: `x -> statistic`.
        samples: an array or a strategy of arrays; by default well- and ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> from jfoundations import stats
    >>> gradient(stats.std, max_examples=3)
    >>> gradient(jnp.std)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: f(x) is finite, its gradient is not...
    """

    def gradients_are_finite(x: jax.Array) -> None:
        leaves = [leaf for leaf in jax.tree.leaves(f(x)) if is_inexact(leaf)]
        if not leaves or not all(map(_finite, leaves)):
            return
        found = gradient_of(f, x)
        claim(_finite(found), "f(x) is finite, its gradient is not", found, "finite numbers")

    check(gradients_are_finite, max_examples, x=samples_of(samples, dtype, (5, 1)))


def _finite(leaf: PyTree) -> bool:
    return bool(np.all(np.isfinite(np.asarray(leaf))))
