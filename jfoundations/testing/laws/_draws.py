"""What a function is tried on: lanes of every kind, from where it is a number, and simple ones."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ._lanes import Batched, Lanes, as_float, narrow, unit, widen

BORDER = 1 - 2.0**-20
DOMAINS = {  # from any number to one of the domain; what is a multiple of 2**-k stays one
    "all numbers": lambda x: x,
    "x > 0": lambda x: np.where(x == 0, 1, np.abs(x)),
    "-1 < x < 1": lambda x: np.where(np.abs(x) < 8, x / 8, np.sign(x) * BORDER),
    "0 < x < 1": lambda x: np.where(x == 0, 0.5, np.where(np.abs(x) < 8, np.abs(x) / 8, BORDER)),
    "x > 1": lambda x: 1 + np.where(x == 0, 1, np.abs(x)),
}


@dataclass(frozen=True, eq=False)
class Draws:
    """What the laws are tried on: lanes of arrays x, y and w, of numbers c, s, a and b.

    Attributes:
        x: arrays from where the function is a number.
        y: others.
        w: others still.
        near: arrays beside x.
        grid: of few bits, so that `grid + c` is exact.
        c: numbers to add to the grid.
        t: numbers to add to x, of the size of what its elements are apart, and much larger.
        s: positive numbers to multiply by, most of them powers of four.
        a: small factors.
        b: others.
        order: a permutation of each lane.
        mask: which elements are replaced.
    """

    x: Lanes
    y: Lanes
    w: Lanes
    near: Lanes
    grid: Lanes
    c: Lanes
    t: Lanes
    s: Lanes
    a: Lanes
    b: Lanes
    order: np.ndarray
    mask: np.ndarray

    @property
    def lanes(self) -> int:
        """How many examples there are."""
        return len(self.x.value)


def draw(
    rng: np.random.Generator,
    lanes: int,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    domain: str,
    offset: np.ndarray | None = None,
) -> Draws:
    """Draw examples of a shape and dtype from a domain, small integers among them.

    With an offset for each lane they are normal numbers, moved by it.
    """
    dtype = np.dtype(dtype)
    size = (lanes, *shape)
    kind = _kinds(rng, lanes, len(shape))
    whole = jnp.issubdtype(dtype, jnp.integer)

    by = 0 if offset is None else offset.reshape((-1,) + (1,) * len(shape))

    def array() -> Lanes:
        drawn = _mixed(rng, size, kind, dtype) if offset is None else rng.normal(size=size) + by
        return _lanes(DOMAINS[domain](drawn), dtype)

    def number(values: list[float], spread: float) -> Lanes:
        drawn = rng.choice(values, lanes)
        if not whole and spread:
            drawn = np.where(rng.random(lanes) < 0.5, drawn, rng.uniform(1, 2, lanes) * spread)
        return _lanes(drawn, dtype)

    def turned(values: list[float], spread: float) -> Lanes:
        drawn = number(values, spread)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            drawn = Lanes.of(drawn.value * rng.choice([1, 1j, -1j], lanes), dtype)
        return drawn

    x, y, w = array(), array(), array()
    # as near as finite differences look, and half as far as y
    gap = np.where(rng.random(size) < 0.5, 2.0**-6, 0.5)
    near = x.value + (y.value - x.value) * gap
    grid = _quarters(rng, size, dtype) + by
    return Draws(
        x=x,
        y=y,
        w=w,
        near=x if whole else _lanes(near, dtype),
        grid=_lanes(DOMAINS[domain](grid), dtype),
        c=turned([1, -1, 2, -3, 100, 2**10, -(2**15)] if not whole else [1, -1, 2, -3], 3.0),
        t=_lanes(turned([1, -1, 2, -3, 100, 2**10], 3.0).value * _spread(x), dtype),
        s=_powers(number([4, 16, 0.25, 2.0**-4] if not whole else [2, 4], 1.0)),
        a=turned([1, -1, 2, -2, 3] if whole else [1, -1, 2, 0.5, -3], 0.0),
        b=turned([1, -1, 2] if whole else [1, -1, 2, -0.5], 1.0),
        order=rng.permuted(np.tile(np.arange(shape[0] if shape else 1), (lanes, 1)), axis=1),
        mask=rng.random(size) < 0.5,
    )


def offsets(shape: tuple[int, ...], dtype: DTypeLike, domain: str) -> list[float]:
    """Return by how much data of a spread of 1 are moved: 0, and what leaves them three bits.

    >>> offsets((5,), jnp.float32, "x > 0")[-1], offsets((5,), jnp.float32, "0 < x < 1")
    (1000000.0, [])
    """
    if not jnp.issubdtype(dtype, jnp.floating) or "< 1" in domain or np.prod(shape) < 2:
        return []
    most = 2.0 ** (jnp.finfo(dtype).nmant - 3)
    return [0.0, *(10.0**k for k in range(20) if 10.0**k <= most)]


def simple(
    rng: np.random.Generator, lanes: int, shape: tuple[int, ...], dtype: DTypeLike, domain: str
) -> Draws:
    """Draw examples of small integers, or of halves in a small domain, the simplest first."""
    dtype = np.dtype(dtype)
    size = (lanes, *shape)
    turn = 1j if jnp.issubdtype(dtype, jnp.complexfloating) else 1
    largest = 1 + np.arange(lanes) * 2 // lanes  # up to 1, then up to 2

    def array() -> np.ndarray:
        top = largest.reshape((-1,) + (1,) * len(shape))
        return np.rint(rng.uniform(-top - 0.5, top + 0.5, size)).clip(-top, top) + 0.0

    x, y, w = (DOMAINS[domain](array()) for _ in range(3))
    order = np.argsort(_complexity(x) + _complexity(y) + _complexity(w), kind="stable")
    x, y, w = x[order], y[order], w[order]

    def number(values: list[Any]) -> Lanes:
        return _lanes(np.resize(values, lanes), dtype)

    n = shape[0] if shape else 1
    return Draws(
        x=_lanes(x, dtype),
        y=_lanes(y, dtype),
        w=_lanes(w, dtype),
        near=_lanes((x + y) / 2 if jnp.issubdtype(dtype, jnp.inexact) else y, dtype),
        grid=_lanes(x, dtype),
        c=number([1, -turn, 2]),
        t=number([1, -turn, 2]),
        s=number([4]),
        a=number([1, -turn, 2, -2]),
        b=number([1, 1, -1]),
        order=np.tile(np.arange(n)[::-1], (lanes, 1)),
        mask=np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape) % 2 == 1, size),
    )


def _complexity(x: np.ndarray) -> np.ndarray:
    # of two of one size the positive one is the simpler
    return (np.abs(x) + (x < 0) / 4).reshape(len(x), -1).sum(axis=1)


def domain_of(f: Batched, arrays: int, shape: tuple[int, ...], dtype: DTypeLike, lanes: int) -> str:
    """Return where a function is a number: the first domain that is, of nine lanes in ten."""
    share = {}
    for name in DOMAINS:
        rng = np.random.default_rng(0)
        values = [narrow(widen(DOMAINS[name](rng.normal(size=(lanes, *shape)))), np.dtype(dtype))
                  for _ in range(arrays)]  # fmt: skip
        found, _ = f.values(values)
        share[name] = np.mean(np.isfinite(found).reshape(lanes, -1).all(axis=1))
        if share[name] > 0.9:
            return name
    return max(share, key=lambda name: share[name])


def _kinds(rng: np.random.Generator, lanes: int, axes: int) -> np.ndarray:
    return rng.integers(0, 8, lanes).reshape((-1,) + (1,) * axes)


def _mixed(rng: np.random.Generator, size: Any, kind: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers of eight kinds, half of them of the size of 1."""
    if jnp.issubdtype(dtype, jnp.integer):
        return np.where(kind < 5, rng.integers(-4, 5, size), rng.integers(-1000, 1000, size))
    if jnp.issubdtype(dtype, jnp.complexfloating):
        part = np.finfo(dtype).dtype
        return _mixed(rng, size, kind, part) + 1j * _mixed(rng, size, kind, part)
    normal = rng.normal(size=size)
    bits = jnp.finfo(dtype).nmant
    full = rng.integers(-(2**bits), 2**bits, size, endpoint=True) * 2.0 ** (2 - bits)
    scale = 2.0 ** rng.integers(-10, 11, (size[0],) + (1,) * (len(size) - 1))
    far = normal + 2.0 ** min(10, bits)
    small = rng.integers(-4, 5, size)
    ties = rng.integers(-1, 2, size) * 0.5
    constant = np.broadcast_to(normal.reshape(size[0], -1)[:, :1].reshape(scale.shape), size)
    ways = [normal, normal * 3, full, full, normal * scale, far, small, ties]
    drawn = np.choose(kind, ways)
    drawn = np.where((kind == 0) & (rng.random(scale.shape) < 0.1), constant, drawn)
    drawn[:2] = np.arange(2).reshape((-1,) + (1,) * (len(size) - 1))[: size[0]]  # zeros, and ones
    return drawn


def _quarters(rng: np.random.Generator, size: Any, dtype: np.dtype) -> np.ndarray:
    drawn = rng.integers(-7, 8, size)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return (drawn + 1j * rng.integers(-7, 8, size)) / 4
    return drawn if jnp.issubdtype(dtype, jnp.integer) else drawn / 4


def _spread(x: Lanes) -> np.ndarray:
    flat = x.value.reshape(len(x.value), -1)
    spread = np.std(flat, axis=1)
    return np.where(spread > 0, spread, 1) if unit(x.dtype) else np.ones(len(flat))


def _powers(s: Lanes) -> Lanes:
    # only what is a power of two multiplies without rounding, whatever it meets
    return replace(s, exact=np.frexp(s.value.real)[0] == 0.5)


def _lanes(value: np.ndarray, dtype: np.dtype) -> Lanes:
    return Lanes.of(as_float(narrow(widen(np.asarray(value)), dtype)), dtype)
