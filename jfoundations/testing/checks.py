"""Checks of one value: how often it traces, and whether a transform changes its answer.

Exact unless `ulp=` or `rtol=` says otherwise: one function may differ by a unit in the last place
eager, jitted alone and inside a larger graph, because compilers contract differently.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import checks
>>> with checks.assert_traces(1) as counted:
...     run = jax.jit(counted(lambda pipe, x: pipe(x)))
...     for factor in (1.0, 2.0):
...         pipe = jf.Pipe(scale=jf.partial(jnp.multiply, factor))
...         assert run(pipe, 3.0) == 3.0 * factor
>>> checks.assert_vmap_invariant(jnp.sqrt, jnp.arange(4.0))
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def assert_traces(n: int) -> Iterator[Callable[[F], F]]:
    """Assert that functions run exactly `n` times in this block: traced n times, if jitted.

    Args:
        n: how many runs, over all functions counted.

    Yields:
        A decorator; put it inside `jax.jit`: `jax.jit(counted(f))`.

    Raises:
        AssertionError: at the block's end, when there were more or fewer.

    >>> with assert_traces(1) as counted:
    ...     f = jax.jit(counted(lambda x: x + 1))
    ...     f(1), f(2)
    (Array(2, dtype=int32, weak_type=True), Array(3, dtype=int32, weak_type=True))
    """
    runs: list[Any] = []

    def counted(function: Any) -> Any:
        @functools.wraps(function)
        def counting(*args: Any, **kwargs: Any) -> Any:
            runs.append(jax.tree.map(_short, (args, kwargs)))
            return function(*args, **kwargs)

        return counting

    yield counted
    if len(runs) != n:
        seen = "".join(f"\n  {run}" for run in runs)
        raise AssertionError(f"traced {len(runs)} times, expected {n}; with:{seen}")


def _short(leaf: Any) -> Any:
    return getattr(leaf, "aval", leaf)


def assert_same(
    a: Any,
    b: Any,
    *,
    ulp: float = 0,
    rtol: float = 0.0,
    atol: float = 0.0,
    bits: bool = False,
    what: str = "",
) -> None:
    """Assert that two pytrees have one structure, the same shapes and dtypes, and equal leaves.

    nan equals nan. PRNG keys are compared too. Weak types are not.

    Args:
        a: a pytree.
        b: another.
        ulp: how many units in the last place (of the larger) floats may differ by.
        rtol: how far they may differ relative to the larger.
        atol: how far they may differ absolutely.
        bits: compare bits: 0.0 and -0.0 differ.
        what: begins the message.

    Raises:
        AssertionError: they differ; it names the leaf and shows both.

    >>> assert_same({"x": jnp.array([1.0, jnp.nan])}, {"x": jnp.array([1.0, jnp.nan])})
    """
    what = f"{what}: " if what else ""
    leaves, structure = jax.tree_util.tree_flatten_with_path(a)
    others, other_structure = jax.tree.flatten(b)
    if structure != other_structure:
        raise AssertionError(f"{what}structures differ:\n  {structure}\n  {other_structure}")
    for (path, x), y in zip(leaves, others, strict=True):
        where = f"{what}{jax.tree_util.keystr(path) or 'the value'}"
        x, y = _concrete(x), _concrete(y)
        if (x.dtype, x.shape) != (y.dtype, y.shape):
            kinds = f"{x.dtype}{list(x.shape)} and {y.dtype}{list(y.shape)}"
            raise AssertionError(f"{where} differs: {kinds}")
        if bits and not ulp and not rtol and not atol:
            equal = x.tobytes() == y.tobytes()
        else:
            equal = bool(np.all(_close(x, y, ulp, rtol, atol)))
        if not equal:
            raise AssertionError(f"{where} differs:\n  {x!r}\n  {y!r}{_distance(x, y)}")


def _concrete(leaf: Any) -> np.ndarray:
    if jnp.issubdtype(getattr(leaf, "dtype", None) or np.dtype(object), jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _close(x: np.ndarray, y: np.ndarray, ulp: float, rtol: float, atol: float) -> Any:
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x == y
    wide_x, wide_y = _wide(x), _wide(y)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(wide_x), np.abs(wide_y))
        bound = ulp * _spacing(size, x.dtype) + rtol * size + atol
        close = np.abs(wide_x - wide_y) <= bound
    return (wide_x == wide_y) | close | (np.isnan(wide_x) & np.isnan(wide_y))


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if jnp.issubdtype(x.dtype, jnp.complexfloating) else np.float64)


def _spacing(size: np.ndarray, dtype: Any) -> np.ndarray:
    info = jnp.finfo(dtype)
    _, exponent = np.frexp(np.maximum(size, float(info.smallest_normal)))
    return np.ldexp(float(info.eps), exponent - 1)


def _distance(x: np.ndarray, y: np.ndarray) -> str:
    if not jnp.issubdtype(x.dtype, jnp.inexact) or not x.size:
        return ""
    wide_x, wide_y = _wide(x), _wide(y)
    with np.errstate(all="ignore"):
        apart = np.abs(wide_x - wide_y) / _spacing(np.maximum(np.abs(wide_x), np.abs(wide_y)), x)
    return f"\n  at most {np.nanmax(np.where(np.isnan(apart), 0, apart)):.3g} ulp apart"


def assert_jit_invariant(
    function: Callable[..., Any], *args: Any, ulp: float = 0, rtol: float = 0.0, **kwargs: Any
) -> None:
    """Assert that `jax.jit(function)` answers what `function` does.

    Args:
        function: any function of pytrees of arrays.
        *args: what to call it with.
        ulp: see `assert_same`.
        rtol: see `assert_same`.
        **kwargs: what to call it with.

    >>> assert_jit_invariant(jnp.sum, jnp.arange(3.0))
    """
    eager, jitted = function(*args, **kwargs), jax.jit(function)(*args, **kwargs)
    assert_same(eager, jitted, ulp=ulp, rtol=rtol, what="eager and jitted")


def assert_vmap_invariant(
    function: Callable[..., Any], *args: Any, ulp: float = 0, rtol: float = 0.0
) -> None:
    """Assert that lane i of `jax.vmap(function)(*args)` is `function` of the i-th slices.

    Args:
        function: any function of pytrees of arrays.
        *args: batches, along the leading axis.
        ulp: see `assert_same`.
        rtol: see `assert_same`.

    >>> assert_vmap_invariant(lambda x, y: x @ y, jnp.ones((4, 2)), jnp.ones((4, 2)))
    """
    lanes = jax.vmap(function)(*args)
    for k in range(jax.tree.leaves(args)[0].shape[0]):
        alone = function(*jax.tree.map(lambda a, k=k: a[k], args))
        lane = jax.tree.map(lambda a, k=k: a[k], lanes)
        assert_same(lane, alone, ulp=ulp, rtol=rtol, what=f"lane {k} and its like alone")
