"""What memories must be to be carried: made from shapes alone, and of buffers of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.types import PyTree
from ..._core.values import is_key
from ..._folds.fold import Fold
from ..._loops.callback import CallbackLike, flatten
from ..._loops.resolve import listen
from ._same import assert_same

R = TypeVar("R")


def assert_abstract_init(
    value: Fold[Any] | CallbackLike, like: PyTree, *, max_steps: int = 3
) -> None:
    """Assert that a callback's or fold's `init` needs no numbers, only shapes and dtypes.

    `jax.eval_shape(init, structs)` must work and give the shapes and dtypes that `init` gives on
    arrays. A fold's `init` must also take the `jax.ShapeDtypeStruct`s themselves, and make of them
    the very memory it makes of any element.

    Args:
        value: a callback of any kind, or a fold.
        like: a state, or an element; arrays or `jax.ShapeDtypeStruct`s.
        max_steps: for callbacks whose memory's size follows it.

    Raises:
        AssertionError: it needs numbers, or its answer depends on them.

    >>> import jfoundations as jf
    >>> assert_abstract_init(jf.callbacks.history(), jnp.ones(3))
    >>> assert_abstract_init(jf.folds.mean(), jax.ShapeDtypeStruct((2,), jnp.bfloat16))
    """
    structs = jax.tree.map(_struct, like)
    zeros, ones = (jax.tree.map(partial(_filled, fill), structs) for fill in (0, 1))

    def init(given: PyTree) -> PyTree:
        if isinstance(value, Fold):
            return jax.tree.map(jnp.asarray, value.init(given))
        listeners = listen(flatten((value,)), (), ("max_steps",))
        return [listener.start(given, max_steps) for listener in listeners]

    name = getattr(value, "name", None) or type(value).__name__
    abstract = _try(lambda: jax.eval_shape(init, structs), f"{name}: init under jax.eval_shape")
    what = f"{name}: init of shapes, and of arrays"
    assert_same(*(jax.tree.map(_blank, memory) for memory in (abstract, init(zeros))), what=what)
    if isinstance(value, Fold):
        direct = _try(lambda: init(structs), f"{name}: init of jax.ShapeDtypeStructs")
        assert_same(direct, init(ones), bits=True, what=what)


def _struct(leaf: PyTree) -> jax.ShapeDtypeStruct:
    kind = jax.typeof(leaf) if not isinstance(leaf, jax.ShapeDtypeStruct) else leaf
    return jax.ShapeDtypeStruct(kind.shape, kind.dtype)


def _filled(fill: int, struct: jax.ShapeDtypeStruct) -> jax.Array:
    if is_key(struct):
        return jax.random.split(jax.random.key(fill), struct.shape)
    return jnp.full(struct.shape, fill, struct.dtype)


def _blank(leaf: PyTree) -> Any:
    return np.zeros(leaf.shape, leaf.dtype) if not is_key(leaf) else np.zeros(leaf.shape)


def _try(make: Callable[[], R], what: str) -> R:
    try:
        return make()
    except Exception as error:
        raise AssertionError(
            f"{what} fails: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error


def assert_donatable(*values: PyTree) -> None:
    """Assert that no buffer is there twice: a jitted function that is given all may reuse each.

    XLA refuses to be donated one buffer twice, `f(donate(a), donate(a))`. So a memory that begins
    as the state, a best one so far say, has to be a copy of it.

    Args:
        *values: pytrees; `assert_donatable(state, memory)` looks across both. Leaves that are no
            `jax.Array` cannot be donated, and are left out.

    Raises:
        AssertionError: two leaves share a buffer; it names both.

    >>> a = jnp.arange(3.0)
    >>> assert_donatable(a, a + 0)
    >>> assert_donatable({"state": a, "best": a})
    Traceback (most recent call last):
    AssertionError: ['best'] and ['state'] are one buffer: a donation of both fails; copy one
    """
    tree = values[0] if len(values) == 1 else values
    seen: dict[Any, str] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not isinstance(leaf, jax.Array) or not leaf.size:
            continue
        name = jax.tree_util.keystr(path) or "the value"
        for buffer in _buffers(leaf):
            if buffer in seen:
                raise AssertionError(
                    f"{seen[buffer]} and {name} are one buffer: a donation of both fails; copy one"
                )
        seen |= dict.fromkeys(_buffers(leaf), name)


def _buffers(leaf: jax.Array) -> list[tuple[Any, int]]:
    plain = jax.random.key_data(leaf) if is_key(leaf) else leaf
    return [(s.device, s.data.unsafe_buffer_pointer()) for s in plain.addressable_shards]
