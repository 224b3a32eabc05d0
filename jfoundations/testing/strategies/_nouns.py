"""The library's own nouns: callbacks, folds and pipes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jax import Array
from jax.typing import ArrayLike

from ... import callbacks as _callbacks
from ... import folds as _folds
from ..._core.types import PyTree
from ..._core.values import partial
from ..._folds.fold import Fold, combine
from ..._loops.callback import Callback, proceed
from ..._loops.combinators import stop_when
from ..._pipes.pipe import Pipe


def callbacks(*, memory: bool | None = None) -> SearchStrategy[Any]:
    """Draw callbacks that accept any state with a floating leaf, real or complex.

    Args:
        memory: only those with memory, only those without; by default both.
    """
    fractions = st.integers(1, 15).map(lambda k: k / 16)
    stateless = st.one_of(
        st.just(proceed),
        fractions.map(lambda k: partial(_multiply, k)),
        st.integers(1, 9).map(lambda n: stop_when(partial(_after, np.int32(n)), name="after")),
        fractions.map(lambda k: stop_when(partial(_larger, k), name="larger")),
    )
    remembering = st.one_of(
        st.just(_callbacks.history(_size)),
        st.just(Callback(_zero, name="counter", after_step=_count)),
        st.just(_callbacks.best(_size)),
        st.integers(1, 4).map(lambda n: _callbacks.early_stopping(_size, patience=n)),
    )
    return {True: remembering, False: stateless, None: stateless | remembering}[memory]


def _size(state: PyTree) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    sizes = [jnp.max(jnp.abs(x)) for x in leaves]
    return jnp.max(jnp.stack([size.astype(sizes[0].dtype) for size in sizes]))


def _multiply(factor: ArrayLike, state: PyTree) -> tuple[Any, bool]:
    return jax.tree.map(lambda x: (x * factor).astype(x.dtype), state), False


def _after(n: ArrayLike, state: PyTree, *, step: Array) -> Any:
    return step + 1 >= n


def _larger(limit: ArrayLike, state: PyTree) -> Any:
    return _size(state) > limit


def _zero(state: PyTree) -> Any:
    return jnp.zeros((), np.int32)


def _count(memory: PyTree, state: PyTree) -> tuple[Any, Any, bool]:
    return memory + 1, state, False


def folds(*, ordered: bool = False) -> SearchStrategy[Fold[Any]]:
    """Draw folds over elements that are floating arrays of any shape.

    Args:
        ordered: draw folds that depend on the order instead, whose `merge` is None.
    """
    if ordered:
        last = Fold(_zeros_like, _second, None, name="last")
        smooth = Fold(_zeros_like, _smooth, None, name="smooth")
        return st.sampled_from([last, smooth, combine(last=last, mean=_folds.mean())])
    return st.sampled_from(
        [
            _folds.count(),
            _folds.minimum(),
            _folds.maximum() - _folds.minimum(),
            _folds.mean(),
            _folds.var(),
            _folds.std(correction=1),
            _folds.mean().of(jnp.abs),
            _folds.var().where(_some_positive),
            combine(mean=_folds.mean(), var=_folds.var(), count=_folds.count()),
        ]
    )


def _zeros_like(like: PyTree) -> jax.Array:
    return jnp.zeros(like.shape, like.dtype)


def _second(memory: PyTree, x: PyTree) -> Any:
    return x


def _smooth(memory: PyTree, x: PyTree) -> Any:
    return 0.5 * memory + 0.5 * x


def _some_positive(x: PyTree) -> Any:
    return jnp.any(x > 0)


def pipes(*, max_stages: int = 4) -> SearchStrategy[Pipe[Any, Any]]:
    """Draw pipes over any pytree of numeric arrays, which keep shapes and dtypes.

    Args:
        max_stages: how many stages at most; none at all is drawn too.
    """
    factors = st.integers(-8, 8).map(lambda k: partial(_times, k / 4))
    stages = st.sampled_from([_negate, _halve, _reflect]) | factors
    return st.lists(stages, max_size=max_stages).map(lambda parts: Pipe(*parts))


def _times(factor: ArrayLike, x: PyTree) -> Any:
    return jax.tree.map(lambda a: (a * factor).astype(a.dtype), x)


def _negate(x: PyTree) -> Any:
    return jax.tree.map(jnp.negative, x)


def _halve(x: PyTree) -> Any:
    return jax.tree.map(lambda a: (a / 2).astype(a.dtype), x)


def _reflect(x: PyTree) -> Any:
    # no sum: compilers fuse it with a product, or add up constants, and round otherwise
    return jax.tree.map(lambda a: jnp.conj(a) if jnp.iscomplexobj(a) else jnp.abs(a), x)
