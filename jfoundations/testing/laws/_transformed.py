"""Whether transforms change a function: `jit`, `vmap`, a mesh of devices, and its gradient."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..._core.types import Function
from ..._core.values import partial
from ._attempt import Subject, bound_of, show
from ._draws import DOMAINS, Draws, draw
from ._findings import Finding
from ._lanes import Lanes, apart, as_float, limit, narrow, sized, unit, widen

MANY, SOME, FEW = 1024, 256, 16  # lanes for what is called one by one, compiled or not
STRAYS = 0.005  # of how many examples differences may say nothing, though they seem to
JIT = "jit", "jit(f)(x) == f(x)"
VMAP = "vmap", "vmap(f)(x)[i] == f(x[i])"
GRAD = "grad", "grad(f) is what differences say"
FINITE = "finite_grad", "grad(f) is finite where f is"
SHARD = "shard", "f(x) of one device == f(x) of all"


def transforms(subject: Subject, d: Draws) -> list[Finding]:
    """Return what transforms make of a function."""
    checks: list[tuple[tuple[str, str], Callable[[Subject, Draws], list[Finding]]]]
    checks = [(JIT, _jit), (VMAP, _vmap), (GRAD, _grad)]
    if jax.device_count() > 1 and subject.shape:
        checks.append((SHARD, _shard))
    found = []
    for law, check in checks:
        try:
            found += check(subject, d)
        except Exception as error:  # whatever a function raises under a transform
            why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            found.append(Finding(*law, False, why=why))
    return found


def _inputs(subject: Subject, d: Draws) -> list[Lanes]:
    return [d.x, d.y][: subject.arrays]


def _jit(subject: Subject, d: Draws) -> list[Finding]:
    given, picked = _some(subject, d, SOME)
    left, right = (_one_by_one(f, given, picked) for f in (subject.f, jax.jit(subject.f)))
    return [_compared(JIT, left, right, given)]


def _vmap(subject: Subject, d: Draws) -> list[Finding]:
    given, picked = _some(subject, d, MANY)
    return [_compared(VMAP, _one_by_one(jax.jit(subject.f), given, picked), picked, given)]


def _some(subject: Subject, d: Draws, most: int) -> tuple[list[np.ndarray], Lanes]:
    """Return a few inputs of which the function is a number, and its answers in a batch."""
    inputs = _inputs(subject, d)
    y = sized(subject.batch, *inputs)
    lanes = np.flatnonzero(np.isfinite(y.value).reshape(d.lanes, -1).all(axis=1))
    lanes = lanes[:: -(-lanes.size // most)] if lanes.size else np.arange(1)
    given = [narrow(x.value, x.dtype)[lanes] for x in inputs]
    return given, Lanes(y.value[lanes], y.size[lanes], d.x.exact[lanes], y.dtype)


def _compared(law: tuple[str, str], left: Lanes, right: Lanes, given: list[np.ndarray]) -> Finding:
    units, equal, _ = apart(left, right)
    units = np.where(equal, 0, units)
    at = int(units.argmax())
    kind = (given[0].dtype.name,)
    if units[at] <= limit(left.dtype):
        return Finding(*law, True, bool(equal.all()), bound_of(units[at]), dtypes=kind)
    told = ", ".join(f"{n} = {show(x[at])}" for n, x in zip("xy", given, strict=False))
    return Finding(*law, False, why=f"{show(left.value[at])} and {show(right.value[at])}, {told}")


def _grad(subject: Subject, d: Draws) -> list[Finding]:
    """Hold gradients to differences where these agree with each other, and to being finite."""
    rng = np.random.default_rng(subject.seed)
    # where a step is small beside what the function bends by: of the size of 1
    normal = [
        DOMAINS[subject.domain](rng.normal(size=d.x.value.shape)) for _ in range(subject.arrays)
    ]
    given = [narrow(widen(x), d.x.dtype) for x in normal]
    value, dtype = subject.batch.values(given)
    if not all(jnp.issubdtype(kind, jnp.floating) for kind in (dtype, d.x.dtype)):
        why = "its answers, or inputs, are no real floats"
        return [Finding(*law, None, why=why) for law in (GRAD, FINITE)]
    back = narrow(widen(rng.normal(size=value.shape)), dtype)
    small = [np.minimum(1, np.abs(as_float(x))) for x in given]
    along = [narrow(widen(rng.normal(size=x.shape) * x), d.x.dtype) for x in small]
    slopes = jax.jit(jax.vmap(partial(_slope, subject.f)))
    found, finite = (np.asarray(a) for a in slopes(along, back, given))
    middle, blur, size = _differences(subject, given, along, value, as_float(back), unit(dtype))
    clear = np.isfinite(middle) & np.isfinite(blur)
    off = np.maximum(np.abs(found.astype(np.float64) - middle) - blur, 0)
    ratio = np.where(off > 0, off / size, 0)
    ratio = np.where(clear, np.where(finite, ratio, np.inf), 0)
    kind, most = (d.x.dtype.name,), 4 * unit(dtype) ** (1 / 3)
    at = int(np.argsort(ratio)[-1 - int(STRAYS * d.lanes)])
    if not clear.any():
        first = Finding(*GRAD, None, why="it is no number")
    elif ratio[at] <= most:
        first = Finding(*GRAD, True, False, float(f"{most:.2g}"), dtypes=kind)
    else:
        why = f"{float(found[at]):.6g} along v, differences say {float(middle[at]):.6g}"
        first = Finding(*GRAD, False, why=f"{why}, {_told(given, at)}")
    given = [narrow(x.value, x.dtype) for x in _inputs(subject, d)]
    value, _ = subject.batch.values(given)
    _, finite = slopes(along, np.ones_like(back), given)
    inside = np.isfinite(value).reshape(d.lanes, -1).all(axis=1)
    if not inside.any():
        return [first, Finding(*FINITE, None, why="it is no number")]
    poles = np.flatnonzero(inside & ~np.asarray(finite))
    if poles.size:
        return [first, Finding(*FINITE, False, why=f"nan or inf, {_told(given, poles[0])}")]
    return [first, Finding(*FINITE, True, True, 0.0, dtypes=kind)]


def _told(given: list[np.ndarray], at: int) -> str:
    return ", ".join(f"{n} = {show(as_float(x[at]))}" for n, x in zip("xy", given, strict=False))


def _slope(f: Function, along: list[Any], back: Any, xs: list[Any]) -> Any:
    """Return the derivative along a direction of a sum of answers, and whether all are finite."""

    def total(*xs: Any) -> Any:
        leaves = [leaf.ravel() for leaf in jax.tree.leaves(f(*xs))]
        flat = jnp.concatenate([leaf.astype(back.dtype) for leaf in leaves])
        return jnp.sum(flat * back.ravel())

    slopes = jax.grad(total, argnums=tuple(range(len(xs))))(*xs)
    parts = [jnp.sum(s * v) for s, v in zip(slopes, along, strict=True)]
    finite = [jnp.all(jnp.isfinite(s)) for s in slopes]
    return sum(parts[1:], start=parts[0]), jnp.all(jnp.stack(finite))


def _differences(
    subject: Subject, given: list[Any], along: list[Any], value: Any, back: Any, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return central differences, how far they may be off by bends and rounding, and their size."""
    found, size = [], np.zeros(len(value))
    for power in (round(np.log2(eps) * 3 / 8), round(np.log2(eps) * 3 / 8) - 2):
        for step in (2.0**power, -(2.0**power)):
            pairs = zip(given, along, strict=True)
            there = [narrow(widen(as_float(x)) + step * as_float(v), x.dtype) for x, v in pairs]
            gone = (subject.batch.values(there)[0] - value) * back / step
            found.append(gone.reshape(len(gone), -1).sum(axis=1).astype(np.float64))
            size = np.fmax(size, np.abs(gone).reshape(len(gone), -1).sum(axis=1).astype(np.float64))
    bend = np.max(found, axis=0) - np.min(found, axis=0)
    noise = 8 * eps / abs(step) * np.abs(value * back).reshape(len(value), -1).sum(axis=1)
    return (found[2] + found[3]) / 2, 2 * bend + noise.astype(np.float64), size


def _shard(subject: Subject, d: Draws) -> list[Finding]:
    devices = np.array(jax.devices())
    shape = (len(devices), *subject.shape[1:])
    try:
        subject.f(*[jnp.ones(shape, subject.dtype)] * subject.arrays)
    except Exception:  # it may take one length alone
        why = f"it takes no array of shape {shape}, of which each device has a part"
        return [Finding(*SHARD, None, why=why)]
    rng = np.random.default_rng(subject.seed)
    many = draw(rng, FEW, shape, subject.dtype, subject.domain)
    inputs = _inputs(subject, many)
    given = [narrow(x.value, x.dtype) for x in inputs]
    split = NamedSharding(Mesh(devices, "data"), PartitionSpec("data"))
    run = jax.jit(subject.f)
    # sums are taken in another order, of numbers as large as the slopes of all inputs together
    like = sized(subject.batch, *inputs)
    left = _one_by_one(run, given, like)
    right = _one_by_one(lambda *xs: run(*(jax.device_put(x, split) for x in xs)), given, like)
    return [_compared(SHARD, left, right, given)]


def _one_by_one(f: Function, given: list[np.ndarray], like: Lanes) -> Lanes:
    answers = [jax.tree.leaves(f(*map(jnp.asarray, row))) for row in zip(*given, strict=True)]
    rows = [np.concatenate([widen(as_float(leaf)).ravel() for leaf in row]) for row in answers]
    return replace(like, value=np.stack(rows).reshape(like.value.shape))
