"""The formulas behind sum, mean, var, std, mean_abs_dev, cov and corr, from the kernel's sums.

One compiled core serves them all: it joins weights, `where` and `nan="omit"`, asks the kernel for
sums, and divides. Complex data are sums over real and imaginary parts, so var(z) = cov(z, z) too.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._rounding import divide
from ._arguments import Axes, Axis, Data, answer, check, compiled, join
from ._blocks import counted
from ._bound import error_bound
from ._gradients import deviations, memory
from ._sum import total
from ._units import binary_unit, inverse_unit, unit_of
from ._weights import Frequency


def call(
    who: str, named: Any, axis: Axis, keepdims: bool, correction: Any, options: dict[str, Any]
) -> Any:
    """Check the arguments, then run the one compiled core."""
    accuracy, nan = options["accuracy"], options["nan"]
    bounded = bool(options.get("return_bound", False))
    if accuracy not in ("default", "high"):
        raise ValueError(f"{who}: accuracy is {accuracy!r}; it must be 'default' or 'high'")
    data, axes = check(who, named, axis, options["weights"], options["where"], nan)
    if options.get("reproducible", False):
        accuracy = "reproducible"
    if bounded and accuracy == "reproducible":
        raise ValueError(
            f"{who}: reproducible=True has the error it documents, whatever the data; "
            "return_bound=True is for sums without it: leave one of the two out"
        )
    if bounded and any(map(jnp.iscomplexobj, data.values)):
        raise TypeError(
            f"{who}: return_bound=True needs real data; ask for the real and the imaginary part"
        )
    static = {"nan": nan, "accuracy": accuracy, "bounded": bounded}
    return _core(data, correction, name=who, axes=axes, keepdims=bool(keepdims), **static)


@compiled("name", "accuracy", "bounded")
def _core(
    data: Data,
    correction: Any,
    *,
    name: str,
    axes: Axes,
    keepdims: bool,
    nan: Any,
    accuracy: str,
    bounded: bool,
) -> Any:
    values = data.values
    form = _COMPLEX if any(map(jnp.iscomplexobj, values)) else _REAL
    call = Call(data, join(data, nan, signed=True), axes, correction, accuracy)
    value = form[name](call, values)
    give = lambda v: answer(v if keepdims else jnp.squeeze(v, axes), data, axes, False)  # noqa: E731
    if not bounded:
        return give(value)
    return give(value), give(error_bound(name, call, alike(values), value, give(value).dtype))


class Call(NamedTuple):
    """What the cores share: how much each element counts, what to reduce, what to divide by."""

    data: Data
    weights: Any
    axes: Axes
    correction: Any
    accuracy: str

    def memory(self, values: Any, order: int) -> Any:
        return memory(alike(values), self.weights, self.axes, order, self.accuracy)

    def over(self, product: jax.Array, total: jax.Array) -> jax.Array:
        """Divide a sum of products by what the kind of weights leaves of the total."""
        free = self.free(total)
        value = divide(product, jnp.where(free > 0, free, 1))
        return jnp.where(free > 0, value, jnp.nan)

    def free(self, total: jax.Array) -> jax.Array:
        """Return what the kind of weights leaves of the total, after the correction."""
        kind = self.data.weights if self.data.weights is not None else Frequency(None)
        correction = jnp.asarray(self.correction, total.dtype)
        if isinstance(kind, Frequency) or self.weights is None:
            return kind.free(total, total, total, correction)
        # of weights on any scale; in units of their sum, squares of them stay in range
        scale = binary_unit(total)
        squares, count = self.squares_and_count(scale)
        return kind.free(total * inverse_unit(scale), squares, count, correction) * scale

    def squares_and_count(self, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the sum of squared weights and how many are not 0, as exact as the other sums."""
        weights = jnp.asarray(self.weights, scale.dtype)
        shares = weights * inverse_unit(scale)
        count, [(pivot, offset)], _, _ = memory(
            (shares * shares,), weights != 0, self.axes, 1, self.accuracy
        )
        return count * (pivot + offset), count


def alike(values: Any) -> tuple[jax.Array, ...]:
    """Return real variables in one dtype; integers stay integers, to be shifted exactly."""
    dtype = functools.reduce(jnp.promote_types, (v.dtype for v in values))
    dtype = np.dtype(np.int32) if dtype == np.bool_ else dtype
    return tuple(v.astype(dtype) for v in values)


def _sum(call: Call, values: Any) -> jax.Array:
    (x,) = alike(values)
    return total(x, call.weights, call.axes, call.accuracy)


def _mean(call: Call, values: Any) -> jax.Array:
    total, [(pivot, offset)], _, _ = call.memory(values, 0)
    return jnp.where(total == 0, jnp.nan, pivot + offset)


def _var(call: Call, values: Any) -> jax.Array:
    total, _, (m2,), (unit,) = call.memory(values, 2)
    return call.over(m2, total) * unit * unit


def _std(call: Call, values: Any) -> jax.Array:
    total, _, (m2,), (unit,) = call.memory(values, 2)
    return root(call.over(m2, total)) * unit


def root(x: jax.Array) -> jax.Array:
    """Return the square root, with slope 0 at 0: a constant's spread shrinks in no direction."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), x * 0)


def _mean_abs_dev(call: Call, values: Any) -> jax.Array:
    _, [(pivot, offset)], _, _ = call.memory(values, 1)
    (x,) = alike(values)
    one = jnp.ones_like(offset)
    spread = jnp.abs(deviations(x, call.weights, pivot, offset, one, call.axes))
    return _mean(call, (spread,))  # the kernel's sum too: where= stays deletion to the bit


def _cov(call: Call, values: Any) -> jax.Array:
    total, _, (_, _, cxy), (u, v) = call.memory(values, 2)
    return call.over(cxy, total) * u * v


def _corr(call: Call, values: Any) -> jax.Array:
    _, _, (mxx, myy, cxy), _ = call.memory(values, 2)
    return coefficient(mxx, myy, cxy)


def coefficient(mxx: jax.Array, myy: jax.Array, cxy: jax.Array) -> jax.Array:
    """Return cxy / √mxx / √myy in −1 … 1, ±1 where all three agree, nan of a constant.

    Each root by itself: their product under- or overflows where they do not. The value is clamped,
    its slope is not.
    """
    varied = (mxx > 0) & (myy > 0)
    raw = cxy / root(jnp.where(varied, mxx, 1)) / root(jnp.where(varied, myy, 1))
    exact = (jnp.abs(cxy) == mxx) & (jnp.abs(cxy) == myy)
    value = jnp.where(exact, jnp.sign(cxy), jnp.clip(raw, -1, 1))
    value = raw + lax.stop_gradient(value - raw)
    return jnp.where(varied | jnp.isnan(raw), value, jnp.nan)


def _parts(values: Any) -> list[tuple[jax.Array, jax.Array]]:
    return [(v.real, v.imag) if jnp.iscomplexobj(v) else (v, jnp.zeros_like(v)) for v in values]


def _complex_sum(call: Call, values: Any) -> jax.Array:
    real, imag = (_sum(call, (p,)) for p in _parts(values)[0])
    return lax.complex(real, imag)


def _complex_mean(call: Call, values: Any) -> jax.Array:
    real, imag = (_mean(call, (p,)) for p in _parts(values)[0])
    return lax.complex(real, imag)


def _complex_var(call: Call, values: Any) -> jax.Array:
    real, imag = (_var(call, (p,)) for p in _parts(values)[0])
    return real + imag


def _complex_mean_abs_dev(call: Call, values: Any) -> jax.Array:
    rests = []
    for part in _parts(values)[0]:
        _, [(pivot, offset)], _, _ = call.memory((part,), 1)
        one = jnp.ones_like(offset)
        rests.append(deviations(part, call.weights, pivot, offset, one, call.axes))
    return _mean(call, (jnp.abs(lax.complex(*rests)),))


def _complex_cov(call: Call, values: Any) -> jax.Array:
    (a, b), (c, d) = _parts(values)
    real = _cov(call, (a, c)) + _cov(call, (b, d))
    return lax.complex(real, _cov(call, (b, c)) - _cov(call, (a, d)))


def _complex_corr(call: Call, values: Any) -> jax.Array:
    bare = call._replace(correction=0)
    values = [_in_units(call, v) for v in values]
    xx, yy = (_complex_var(bare, (v,)) for v in values)
    xy = _complex_cov(bare, values)
    # in units of their deviations, so that what is alike is found to be, wherever and however large
    u, v = (inverse_unit(binary_unit(root(m))) for m in (xx, yy))
    xy = lax.complex(xy.real * u * v, xy.imag * u * v)
    return complex_coefficient(xx * u * u, yy * v * v, xy)


def _in_units(call: Call, v: jax.Array) -> jax.Array:
    """Return a variable in units of its largest size, in which squares stay in range."""
    if not jnp.issubdtype(v.dtype, jnp.inexact):
        return v
    keep = None if call.weights is None else counted(call.weights)
    parts = (v.real, v.imag) if jnp.iscomplexobj(v) else (v,)
    inverse = inverse_unit(
        functools.reduce(jnp.maximum, (unit_of(p, keep, call.axes) for p in parts))
    )
    scaled = [p * inverse for p in parts]
    return lax.complex(*scaled) if len(scaled) == 2 else scaled[0]


def complex_coefficient(xx: jax.Array, yy: jax.Array, xy: jax.Array) -> jax.Array:
    """Return xy / √xx / √yy of at most size 1, ±1 where all three agree, nan of a constant."""
    varied = (xx > 0) & (yy > 0)
    x, y = (root(jnp.where(varied, m, 1)) for m in (xx, yy))
    raw = lax.complex(xy.real / x / y, xy.imag / x / y)
    exact = (xy.imag == 0) & (jnp.abs(xy.real) == xx) & (xx == yy)
    size = jnp.abs(raw)
    size = jnp.where(size > 1, size * (1 + 2 * jnp.finfo(size.dtype).eps), 1)  # its rounding too
    clamped = lax.complex(raw.real / size, raw.imag / size)
    value = jnp.where(exact, jnp.sign(xy.real).astype(raw.dtype), clamped)
    return jnp.where(varied | jnp.isnan(jnp.abs(raw)), value, jnp.nan)


_REAL = {
    "sum": _sum,
    "mean": _mean,
    "var": _var,
    "std": _std,
    "mean_abs_dev": _mean_abs_dev,
    "cov": _cov,
    "corr": _corr,
}
_COMPLEX = {
    "sum": _complex_sum,
    "mean": _complex_mean,
    "var": _complex_var,
    "std": lambda *a: root(_complex_var(*a)),
    "mean_abs_dev": _complex_mean_abs_dev,
    "cov": _complex_cov,
    "corr": _complex_corr,
}
