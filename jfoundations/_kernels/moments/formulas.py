"""The formulas behind sum, mean, var, std, mean_abs_dev, cov and corr, from the kernel's sums.

One compiled core serves them all: it joins weights, `where` and `nan="omit"`, asks the kernel for
sums, and divides. Complex data are sums over real and imaginary parts, so var(z) = cov(z, z) too.
"""

import functools
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._core.rounding import divide
from ..numbers.units import binary_unit, coarse_unit, inverse_unit, unit_of
from ..sample.arguments import Axes, Axis, Data, answer, check, compiled, join, scalar
from ..sample.weights import Frequency, Probability
from ..sums.blocks import counted, widen
from ..sums.layout import SMALL
from .bounds import error_bound
from .derivatives import deviations, memory
from .total import total


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
    correction = scalar(who, "correction", correction)
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
    call = Call.of(data, nan, axes, correction, accuracy, signed=True)
    value = form[name](call, values)

    def give(v: Any) -> Any:
        return answer(v if keepdims else jnp.squeeze(v, axes), data, axes, False)

    if not bounded:
        return give(value)
    return give(value), give(error_bound(name, call, alike(values), value, give(value).dtype))


class Call(NamedTuple):
    """What the cores share: how much each element counts, what to reduce, what to divide by.

    Attributes:
        data: checked arguments.
        weights: None, bools or floats, which are in units of the largest over the axes.
        axes: the axes to reduce.
        correction: as in `var`.
        accuracy: "default", "high" or "reproducible".
        weight_unit: what weights are in, a power of two; None for 1.
    """

    data: Data
    weights: Any
    axes: Axes
    correction: Any = 0
    accuracy: str = "default"
    weight_unit: Any = None

    @classmethod
    def of(
        cls,
        data: Data,
        nan: Any,
        axes: Axes,
        correction: Any = 0,
        accuracy: str = "default",
        signed: bool = False,
    ) -> "Call":
        """Join weights, `where` and `nan`, and bring the weights into range."""
        weights, unit = join(data, nan, signed), None
        if weights is not None and weights.dtype != np.bool_:
            # weights that a program holds as a constant: the compiler would look for their largest
            hidden = lax.optimization_barrier(lax.stop_gradient(weights))
            unit = unit_of(hidden, None, axes)
            weights = weights * inverse_unit(unit)
        return cls(data, weights, axes, correction, accuracy, unit)

    def memory(self, values: Any, order: int) -> Any:
        """Return the memory of the values up to a power of deviations."""
        return memory(alike(values), self.weights, self.axes, order, self.accuracy)

    def over(self, product: jax.Array, total: jax.Array) -> jax.Array:
        """Divide a sum of products by what the kind of weights leaves of the total."""
        free = self.free(total)
        valid = (free > 0) & (total > 0)
        value = divide(product, jnp.where(valid, free, 1))
        return jnp.where(valid, value, jnp.nan)

    def free(self, total: jax.Array) -> jax.Array:
        """Return what the kind of weights leaves of the total, after the correction."""
        kind = self.data.weights if self.data.weights is not None else Frequency(None)
        correction = jnp.asarray(self.correction, total.dtype)
        if isinstance(kind, Frequency) or self.weights is None:
            if self.weight_unit is not None:
                correction = correction * inverse_unit(self.weight_unit)
            return kind.free(total, total, total, correction)
        return kind.free(total, *self.squares_and_count(total.dtype), correction)

    def squares_and_count(self, dtype: Any) -> tuple[jax.Array, jax.Array]:
        """Return the sum of squared weights and how many are not 0, as exact as the other sums."""
        weights = jnp.asarray(self.weights, dtype)
        count, [(pivot, offset)], _, _ = memory(
            (weights * weights,), weights != 0, self.axes, 1, self.accuracy
        )
        return count * (pivot + offset), count

    def size(self, total: jax.Array) -> jax.Array:
        """Return how many observations the weights stand for: Kish's W²/Σw² for reliabilities."""
        if self.weights is None or self.weight_unit is None:
            return total
        if isinstance(self.data.weights, Frequency):
            return total * self.weight_unit
        squares, count = self.squares_and_count(total.dtype)
        if isinstance(self.data.weights, Probability):
            return count
        return total * total / jnp.where(squares > 0, squares, 1)

    def ranged(self, values: Any, unit: Any, small: bool = False) -> tuple[Any, list[Any]]:
        """Return real variables in units of their sizes, in which nothing overflows, and these.

        Args:
            values: real variables.
            unit: `unit_of`, or `coarse_unit` for means.
            small: whether large arrays are left as they are, which the kernel sees to: to look for
                the largest is to read them once more.
        """
        values = alike(values)
        long = prod(values[0].shape[a] for a in self.axes) > SMALL
        if not jnp.issubdtype(values[0].dtype, jnp.inexact) or (small and long):
            return values, [None] * len(values)
        values = tuple(map(widen, values))
        keep = None if self.weights is None else counted(self.weights)
        units = [unit(v, keep, self.axes) for v in values]
        scaled = [v * inverse_unit(u) for v, u in zip(values, units, strict=True)]
        return tuple(scaled), units


def alike(values: Any) -> tuple[jax.Array, ...]:
    """Return real variables in one dtype; integers stay integers, to be shifted exactly."""
    dtype = functools.reduce(jnp.promote_types, (v.dtype for v in values))
    dtype = np.dtype(np.int32) if dtype == np.bool_ else dtype
    return tuple(v.astype(dtype) for v in values)


def _sum(call: Call, values: Any) -> jax.Array:
    (x,) = alike(values)
    return total(x, call.weights, call.axes, call.accuracy, call.weight_unit)


def times(value: jax.Array, *units: Any) -> jax.Array:
    """Multiply by units one after another: the value may be at an end of its range."""
    for unit in units:
        value = value if unit is None else value * unit
    return value


def _mean(call: Call, values: Any) -> jax.Array:
    total, [(pivot, offset)], _, _ = call.memory(values, 0)
    return jnp.where(total == 0, jnp.nan, pivot + offset)


def spread(call: Call, values: Any) -> tuple[jax.Array, jax.Array, list[Any]]:
    """Return the variance in units, of what is measured in them, and these."""
    total, _, (m2,), units = call.memory(values, 2)
    return call.over(m2, total), total, units


def _var(call: Call, values: Any) -> jax.Array:
    square, _, units = spread(call, values)
    return times(square, *units, *units)


def _std(call: Call, values: Any) -> jax.Array:
    square, _, units = spread(call, values)
    return times(root(square), *units)


def root(x: jax.Array) -> jax.Array:
    """Return the square root, with slope 0 at 0: a constant's spread shrinks in no direction."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), x * 0)


def _mean_abs_dev(call: Call, values: Any) -> jax.Array:
    (x,), (unit,) = call.ranged(values, coarse_unit)
    spread = jnp.abs(_deviations(call, x))
    return times(_mean(call, (spread,)), unit)  # the kernel's sum too: where= stays deletion


def _deviations(call: Call, x: jax.Array) -> jax.Array:
    _, [(pivot, offset)], _, _ = call.memory((x,), 1)
    return deviations(x, call.weights, pivot, offset, jnp.ones_like(offset), call.axes)


def _cov(call: Call, values: Any) -> jax.Array:
    total, _, (_, _, cxy), units = call.memory(values, 2)
    return times(call.over(cxy, total), *units)


def _corr(call: Call, values: Any) -> jax.Array:
    total, _, powers, _ = call.memory(values, 2)
    return coefficient(*(m * inverse_unit(binary_unit(total)) for m in powers))


def coefficient(mxx: jax.Array, myy: jax.Array, cxy: jax.Array) -> jax.Array:
    """Return cxy / √mxx / √myy in −1 … 1, ±1 where all three agree, nan of a constant.

    The sums are in units of their weight: a root of twice a number has other digits.
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


def _in_one_unit(call: Call, value: Any) -> tuple[tuple[jax.Array, jax.Array], Any]:
    """Return real and imaginary parts in units of the larger, and these units."""
    parts = _parts((value,))[0]
    (real, imag), (u, v) = call.ranged(parts, unit_of)
    unit = jnp.maximum(u, v)
    inverse = inverse_unit(unit)
    return (real * (u * inverse), imag * (v * inverse)), unit


def _complex_var(call: Call, values: Any, power: int = 2) -> jax.Array:
    parts, unit = _in_one_unit(call, values[0])
    value = jnp.add(*(_var(call, (p,)) for p in parts))
    return times(value, unit, unit) if power == 2 else times(root(value), unit)


def _complex_mean_abs_dev(call: Call, values: Any) -> jax.Array:
    parts, unit = _in_one_unit(call, values[0])
    rests = [_deviations(call, part) for part in parts]
    return times(_mean(call, (jnp.abs(lax.complex(*rests)),)), unit)


def _complex_cov(call: Call, values: Any) -> jax.Array:
    parts, units = zip(*(_in_one_unit(call, v) for v in values), strict=True)
    return lax.complex(*(times(v, *units) for v in _products(call, *parts)))


def _products(call: Call, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    # E x conj(y) of x = a + ib, y = c + id
    (a, b), (c, d) = x, y
    return _cov(call, (a, c)) + _cov(call, (b, d)), _cov(call, (b, c)) - _cov(call, (a, d))


def _complex_corr(call: Call, values: Any) -> jax.Array:
    bare = call._replace(correction=0)
    parts = [_in_one_unit(call, v)[0] for v in values]
    xx, yy = (jnp.add(*(_var(bare, (p,)) for p in both)) for both in parts)
    # in units of their deviations, so that what is alike is found to be, however large
    u, v = (inverse_unit(binary_unit(root(m))) for m in (xx, yy))
    xy = lax.complex(*(m * u * v for m in _products(bare, *parts)))
    return complex_coefficient(xx * u * u, yy * v * v, xy)


def complex_coefficient(xx: jax.Array, yy: jax.Array, xy: jax.Array) -> jax.Array:
    """Return xy / √xx / √yy of at most size 1, ±1 where all three agree, nan of a constant."""
    varied = (xx > 0) & (yy > 0)
    x, y = (root(jnp.where(varied, m, 1)) for m in (xx, yy))
    raw = lax.complex(xy.real / x / y, xy.imag / x / y)
    straight = jnp.minimum(jnp.abs(xy.real), jnp.abs(xy.imag)) == 0
    exact = straight & (jnp.maximum(jnp.abs(xy.real), jnp.abs(xy.imag)) == xx) & (xx == yy)
    size = jnp.abs(raw)
    size = jnp.where(size > 1, size * (1 + 2 * jnp.finfo(size.dtype).eps), 1)  # its rounding too
    clamped = lax.complex(raw.real / size, raw.imag / size)
    value = jnp.where(exact, lax.complex(jnp.sign(xy.real), jnp.sign(xy.imag)), clamped)
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
    "std": partial(_complex_var, power=1),
    "mean_abs_dev": _complex_mean_abs_dev,
    "cov": _complex_cov,
    "corr": _complex_corr,
}
