"""Whether derivatives are those of the function: forward, backward, and by differences."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ..._core.types import Function, PyTree

Leaves = list[Any]
DIRECTIONS = 2


def assert_grad_matches(
    function: Function,
    *args: PyTree,
    rtol: float | None = None,
    modes: Collection[str] = ("forward", "reverse"),
    seed: int = 0,
) -> None:
    """Assert that a function's derivatives are finite and match central differences.

    Of all real floating leaves of the arguments, along two directions drawn at random. At a kink,
    central differences see the mean of both sides.

    Args:
        function: any function of pytrees to a pytree whose real floating leaves are differentiated.
        *args: where to look.
        rtol: how far derivative and differences may differ, relative to the larger; by default
            2·∛eps of the dtype, which is 1e-2 in float32: differences tell no more.
        modes: "forward", "reverse" or both; a `lax.while_loop` has only the first.
        seed: draws the directions.

    Raises:
        AssertionError: a derivative is not finite, or is another.
        ValueError: the function has no finite value there, or nothing to differentiate.

    >>> assert_grad_matches(lambda x: jnp.sin(x) * x, jnp.arange(3.0))
    """
    leaves, structure = jax.tree.flatten(args)
    free = [k for k, leaf in enumerate(leaves) if _is_real(leaf)]

    def outputs(x: Leaves) -> Leaves:
        filled = list(leaves)
        for k, leaf in zip(free, x, strict=True):
            filled[k] = leaf
        answer = function(*jax.tree.unflatten(structure, filled))
        return [y for y in jax.tree.leaves(answer) if _is_real(y)]

    x = [jnp.asarray(leaves[k]) for k in free]
    value = outputs(x)
    _differentiable(x, value)
    eps = max(float(jnp.finfo(leaf.dtype).eps) for leaf in (*x, *value))
    bound = 2 * eps ** (1 / 3) if rtol is None else rtol
    rng = np.random.default_rng(seed)
    for _ in range(DIRECTIONS):
        along = [_draw(rng, leaf, np.max(np.abs(_wide(leaf)), initial=0) or 1.0) for leaf in x]
        slopes, noise = _differences(outputs, x, along, value, eps)
        if "forward" in modes:
            tangents = map(_wide, _forward(outputs, x, along))
            for found, expected, blur in zip(tangents, slopes, noise, strict=True):
                _compare("forward", found, expected, blur, bound)
        if "reverse" in modes:
            # of the sign of the slopes, so that what they sum to is as large as they are
            back = [_draw(rng, v, 1.0, np.sign(s)) for v, s in zip(value, slopes, strict=True)]
            found = _dot(_reverse(outputs, x, back), along)
            _compare("reverse", found, _dot(back, slopes), _dot(map(abs, back), noise), bound)


def _compare(mode: str, found: PyTree, expected: PyTree, noise: ArrayLike, bound: float) -> None:
    size = max(np.max(np.abs(found), initial=0), np.max(np.abs(expected), initial=0))
    apart = np.abs(found - expected) - noise
    if not np.all(apart <= bound * size):
        at = np.unravel_index(np.argmax(apart), np.shape(apart))
        found, expected = (np.asarray(v)[at] for v in (found, expected))
        raise AssertionError(
            f"the {mode} derivative along a direction is {found:.6g}, central differences say "
            f"{expected:.6g}; they may differ by {bound * size:.2g}"
        )


def _differentiable(x: Leaves, value: Leaves) -> None:
    if not x or not value:
        raise ValueError(
            "assert_grad_matches: it needs a floating argument and a floating answer, and got "
            f"{len(x)} such arguments and {len(value)} such answers"
        )
    if not all(np.all(np.isfinite(_wide(leaf))) for leaf in value):
        raise ValueError(f"assert_grad_matches: the function is not finite there: {value}")


def _is_real(leaf: PyTree) -> bool:
    return isinstance(leaf, float) or jnp.issubdtype(
        getattr(leaf, "dtype", np.dtype(object)), jnp.floating
    )


def _draw(
    rng: np.random.Generator, leaf: PyTree, size: float, sign: np.ndarray | None = None
) -> jax.Array:
    values = rng.normal(size=leaf.shape) * size
    return jnp.asarray(values if sign is None else np.abs(values) * sign, leaf.dtype)


def _wide(leaf: PyTree) -> np.ndarray:
    return np.asarray(leaf).astype(np.float64)


def _dot(a: Iterable[PyTree], b: Iterable[PyTree]) -> float:
    return sum(float(np.sum(_wide(x) * _wide(y))) for x, y in zip(a, b, strict=True))


def _differences(
    outputs: Callable[[Leaves], Leaves], x: Leaves, along: Leaves, value: Leaves, eps: float
) -> tuple[Leaves, Leaves]:
    """Return central differences along a direction, and what rounding may add to them."""
    step = 2.0 ** round(np.log2(eps) / 3)  # a power of two: the step itself is not rounded
    ahead, behind = (
        outputs(
            [leaf + (sign * step * v).astype(leaf.dtype) for leaf, v in zip(x, along, strict=True)]
        )
        for sign in (1, -1)
    )
    slopes = [(_wide(a) - _wide(b)) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
    return slopes, [8 * eps * np.abs(_wide(v)) / step for v in value]


def _forward(outputs: Callable[[Leaves], Leaves], x: Leaves, along: Leaves) -> Leaves:
    _, tangents = jax.jvp(outputs, (x,), (along,))
    _finite(tangents, "the forward derivative")
    return tangents


def _reverse(outputs: Callable[[Leaves], Leaves], x: Leaves, back: Leaves) -> Leaves:
    _, pull = jax.vjp(outputs, x)
    (gradients,) = pull(back)
    _finite(gradients, "the gradient")
    return gradients


def _finite(derivatives: Leaves, what: str) -> None:
    for derivative in derivatives:
        if not np.all(np.isfinite(_wide(derivative))):
            raise AssertionError(
                f"{what} is not finite, though the function is: {np.asarray(derivative)!r}; "
                "a value that is not selected still poisons it: select the input, not the answer"
            )
