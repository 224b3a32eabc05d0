"""A random sample of a stream, without replacement, of a size that is fixed beforehand.

Each element has a number of its own; a hash of the key and the number gives it a place in a random
order of all, and the first k stay. So the sample is that of the elements, in whatever order and
parts they came.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> fold = jf.folds.sample(2, key=jax.random.key(0))
>>> x, found = jf.fold(fold, (jnp.arange(5), jnp.array([1.0, 2.0, 4.0, 8.0, 18.0])))
>>> x.shape, found.tolist()
((2,), [True, True])

Source: Efraimidis and Spirakis (2006), "Weighted random sampling with a reservoir".
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core.checks import check_count, check_key
from .._core.inputs import as_array, elements
from .._core.pytrees import pytree
from .._core.types import PyTree
from .._core.values import describe, is_key, partial
from .._folds.fold import Fold, like_of_block
from .._kernels.numbers.hashing import hashed, words_of
from ._elements import Kind, checked, one, zero_rows

SPARE = 64  # so many may tie in 24 bits with the last that is drawn


@pytree
class Drawn:
    """The elements that come first, in their random order.

    Attributes:
        x: the elements, along a leading axis.
        words: their random words, uint32 of shape (2, k).
        weight: float32, 0 where there is no element; nan where a weight is none, which comes first.
    """

    x: PyTree
    words: jax.Array
    weight: jax.Array


def sample(k: int, *, key: jax.Array, weights: Kind = None) -> Fold[tuple[PyTree, jax.Array]]:
    """Return the fold of k elements drawn without replacement, in random order.

    Elements are pairs `(number, x)`: x is an array or a pytree of arrays, and number is an integer,
    or an array of some, that no other element has, as the place in the data, or `(file, row)` in an
    array. Elements of one number follow one another, and are cut off where k is. With weights they
    are `(number, (x, weight))`, and the chance to be drawn next is the weight's share of those
    left.

    The answer is `(x, found)`: elements along a leading axis of k, and bools which of them there
    are, for where fewer came than k the rest is zeros. The first j are a sample of j. The same
    elements and key give the same sample, to the bit, in whatever order and parts they come; with
    weights but for ties closer than rounding.

    Args:
        k: a Python int ≥ 1.
        key: a PRNG key.
        weights: as in `mean`; all kinds are alike. An element of weight 0 is never drawn. A weight
            that is negative or nan leaves nothing found.

    Raises:
        TypeError: k is no int, key no key; or, when it is run, the elements are no such pairs.

    >>> import jfoundations as jf
    >>> rows = {"x": jnp.array([1.0, 2.0, 4.0]), "id": jnp.array([7, 8, 9])}
    >>> drawn = sample(3, key=jax.random.key(1)).of(lambda row: (row["id"], row["x"]))
    >>> sorted(jf.fold(drawn, rows)[0].tolist())
    [1.0, 2.0, 4.0]
    """
    k = check_count(k, "k", "folds.sample", least=1)
    check_key(key, "folds.sample")
    seed = jax.random.key_data(key) if is_key(key) else jnp.asarray(key)
    weighted = checked("sample", weights, "propagate").weights is not None
    init, step, block = (partial(f, k, seed, weighted) for f in (_init, _step, _block))
    merge = partial(_merge, weighted)
    return Fold(init, step, merge, _answer, block, block_where=block, name="sample")


def _parted(weighted: bool, xs: PyTree) -> tuple[jax.Array, Any, Any]:
    """Return numbers, elements and weights of a block."""
    form = "(number, (x, weight))" if weighted else "(number, x)"
    pair = isinstance(xs, tuple) and len(xs) == 2
    if not pair or (weighted and not (isinstance(xs[1], tuple) and len(xs[1]) == 2)):
        raise TypeError(
            f"this fold's elements are {form}, not {describe(xs)}; make them with "
            f".of(lambda element: {form})"
        )
    number = as_array(xs[0], "this fold", "a number")
    if not jnp.issubdtype(number.dtype, jnp.integer):
        raise TypeError(
            f"this fold's numbers are {number.dtype}; integers are needed, one for each element"
        )
    if not weighted:
        return number, elements(xs[1]), None
    weight = as_array(xs[1][1], "this fold", "a weight")
    if jnp.iscomplexobj(weight):
        raise TypeError("weights are complex; give real ones")
    if weight.ndim != 1:
        raise ValueError(f"a weight has shape {weight.shape[1:]}; one for each element is needed")
    return number, elements(xs[1][0]), weight.astype(np.float32)


def _init(k: int, seed: jax.Array, weighted: bool, like: PyTree) -> Drawn:
    _, x, _ = _parted(weighted, zero_rows(like))
    zeros = jax.tree.map(lambda v: jnp.zeros((k, *v.shape[1:]), v.dtype), x)
    return Drawn(zeros, jnp.zeros((2, k), np.uint32), jnp.zeros(k, np.float32))


def _block(
    k: int, seed: jax.Array, weighted: bool, xs: PyTree, kept: jax.Array | None = None
) -> Drawn:
    number, x, weight = _parted(weighted, xs)
    words = jnp.stack(hashed(words_of(number), seed))
    weight = jnp.ones(words.shape[1], np.float32) if weight is None else weight
    weight = jnp.where(weight >= 0, weight, jnp.nan)
    weight = weight if kept is None else jnp.where(kept, weight, 0)
    nothing = _init(k, seed, weighted, like_of_block(xs))
    return _merge(weighted, nothing, Drawn(x, words, weight))


def _merge(weighted: bool, a: Drawn, b: Drawn) -> Drawn:
    k = len(a.weight)
    x = jax.tree.map(lambda v, w: jnp.concatenate([v, w]), a.x, b.x)
    words = jnp.concatenate([a.words, b.words], axis=1)
    weight = jnp.concatenate([a.weight, b.weight])
    return _first(k, weighted, Drawn(x, words, weight))


def _step(k: int, seed: jax.Array, weighted: bool, memory: Drawn, x: Any) -> Drawn:
    return _merge(weighted, memory, _block(k, seed, weighted, one(x)))


def _first(k: int, weighted: bool, drawn: Drawn) -> Drawn:
    """Return the first k in the random order, of which there are at least as many."""
    wait = _waits(drawn.words[0], drawn.weight if weighted else None)
    wait = jnp.where(drawn.weight > 0, wait, jnp.where(drawn.weight == 0, np.inf, -np.inf))
    few = min(2 * k + SPARE, len(wait))
    wait, place = lax.top_k(-wait, few)
    # a sort of all by three keys would take a hundred times longer
    place = lax.sort((-wait, *drawn.words[:, place], place), num_keys=3)[-1][:k]
    x = jax.tree.map(lambda v: v[place], drawn.x)
    return Drawn(x, drawn.words[:, place], drawn.weight[place])


def _waits(word: jax.Array, weight: jax.Array | None) -> jax.Array:
    """Return finite numbers that are drawn in ascending order; those of small words are exact."""
    wait = word.astype(np.float32)
    if weight is None:
        return wait
    # for an event of the rate of the weight, of which the first are near 0: there log1p knows them
    share = jnp.minimum((wait + 0.5) * 2.0**-32, 1 - 2.0**-24)
    late = jnp.log(-jnp.log1p(-share)) - jnp.log(weight)  # logarithms: of weights of any scale
    most = np.finfo(np.float32).max
    return jnp.clip(late, -most, most)


def _answer(memory: Drawn) -> tuple[PyTree, jax.Array]:
    return memory.x, (memory.weight > 0) & ~jnp.any(jnp.isnan(memory.weight))
