"""The formulas behind sum, mean, var, std, mean_abs_dev, cov and corr, from the kernel's sums.

One compiled core serves them all: it joins weights, `where` and `nan="omit"`, asks the kernel for
sums, and divides. Complex data are sums over real and imaginary parts, so var(z) = cov(z, z) too.
"""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from ..._core.shown import see
from ..numbers.units import binary_unit, coarse_unit, inverse_unit, unit_of
from ..sample.arguments import (
    REAL,
    Axes,
    Axis,
    Data,
    Nan,
    answer,
    check,
    compiled,
    join,
    scalar,
)
from ..sample.weights import Frequency, Probability
from ..sums.blocks import counted, widen
from .bounds import error_bound
from .derivatives import deviations, memory
from .moments import Moments, complex_coefficient, root, times
from .total import total

Parts = tuple[jax.Array, jax.Array]  # real and imaginary


def call(
    who: str,
    named: Any,
    axis: Axis,
    keepdims: bool,
    correction: ArrayLike,
    options: dict[str, Any],
    formula: str = "",
) -> Any:
    """Check the arguments, then run the one compiled core, by the formula of that or who's name."""
    accuracy, nan = options.get("accuracy", "default"), options["nan"]
    bounded = bool(options.get("return_bound", False))
    if accuracy not in ("default", "high"):
        raise ValueError(
            f"{who}: accuracy is {accuracy!r}; it must be 'default' or 'high'"
            + see("how_to_choose")
        )
    real = "" if who in _COMPLEX else REAL
    data, axes = check(who, named, axis, options["weights"], options["where"], nan, real=real)
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
    return _core(
        data, correction, name=formula or who, axes=axes, keepdims=bool(keepdims), **static
    )


@compiled("name", "accuracy", "bounded")
def _core(
    data: Data,
    correction: ArrayLike,
    *,
    name: str,
    axes: Axes,
    keepdims: bool,
    nan: Nan,
    accuracy: str,
    bounded: bool,
) -> Any:
    values = data.values
    form = _COMPLEX if any(map(jnp.iscomplexobj, values)) else _REAL
    call = Call.of(data, nan, axes, correction, accuracy, signed=True)
    value = form[name](call, values)

    def give(v: Any) -> Any:
        return answer(v, data, axes, keepdims)

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
        nan: Nan,
        axes: Axes,
        correction: ArrayLike = 0,
        accuracy: str = "default",
        signed: bool = False,
    ) -> "Call":
        """Join weights, `where` and `nan`, and bring the weights into range."""
        weights, unit = join(data, nan, signed), None
        if weights is not None and weights.dtype != np.bool_:
            # weights that a program holds as a constant: the compiler would look for their largest
            hidden = lax.optimization_barrier(lax.stop_gradient(weights))
            unit = binary_unit(jnp.max(hidden, axis=axes, initial=0))
            weights = weights * jnp.expand_dims(inverse_unit(unit), axes)
        return cls(data, weights, axes, correction, accuracy, unit)

    def memory(self, values: Sequence[Array], order: int) -> Any:
        """Return the memory of the values up to a power of deviations."""
        return memory(alike(values), self.weights, self.axes, order, self.accuracy)

    def moments(self, values: Sequence[Array], order: int) -> Moments:
        """Return the moments of the values up to a power of deviations."""
        return self.moments_of(self.memory(values, order))

    def moments_of(self, memory: Any) -> Moments:
        """Return what formulas are made of, from a memory."""
        total, words, powers, units = memory
        if self.weights is None and self.data.values[0].size:
            return Moments(total, words, powers, units)
        return Moments(
            total, words, powers, units, partial(self.free, total), partial(self.size, total)
        )

    def over(self, product: jax.Array, total: jax.Array) -> jax.Array:
        """Divide a sum of products by what the kind of weights leaves of the total."""
        return Moments(total, (), (product,), (), partial(self.free, total)).over(
            0, self.correction
        )

    def free(self, total: jax.Array, correction: ArrayLike) -> jax.Array:
        """Return what the kind of weights leaves of the total, after the correction."""
        kind = self.data.weights if self.data.weights is not None else Frequency(None)
        correction = jnp.asarray(correction, total.dtype)
        if isinstance(kind, Frequency) or self.weights is None:
            if self.weight_unit is not None:
                correction = correction * inverse_unit(self.weight_unit)
            return kind.free(total, total, total, correction)
        return kind.free(total, *self.squares_and_count(total.dtype), correction)

    def squares_and_count(self, dtype: DTypeLike) -> tuple[jax.Array, jax.Array]:
        """Return the sum of squared weights, and how many are not 0."""
        weights = jnp.asarray(self.weights, dtype)
        count = jnp.sum(counted(self.weights), axis=self.axes, dtype=np.int32)
        return jnp.sum(weights * weights, axis=self.axes), count.astype(dtype)

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

    def ranged(self, values: Sequence[Array], unit: Any) -> tuple[Any, list[Any]]:
        """Return real variables in units of their sizes, in which nothing overflows, and these.

        Args:
            values: real variables.
            unit: `unit_of`, or `coarse_unit` for means.
        """
        values = alike(values)
        if not jnp.issubdtype(values[0].dtype, jnp.inexact):
            return values, [None] * len(values)
        values = tuple(map(widen, values))
        keep = None if self.weights is None else counted(self.weights)
        units = [unit(v, keep, self.axes) for v in values]
        scaled = [v * inverse_unit(u) for v, u in zip(values, units, strict=True)]
        return tuple(scaled), units


def alike(values: Sequence[Array]) -> tuple[jax.Array, ...]:
    """Return real variables in one dtype; integers stay integers, to be shifted exactly."""
    dtype = functools.reduce(jnp.promote_types, (v.dtype for v in values))
    dtype = np.dtype(np.int32) if dtype == np.bool_ else dtype
    return tuple(v.astype(dtype) for v in values)


def _sum(call: Call, values: Sequence[Array]) -> jax.Array:
    (x,) = alike(values)
    return total(x, call.weights, call.axes, call.accuracy, call.weight_unit)


class Form(NamedTuple):
    """A statistic as a formula of moments up to an order, and of a correction."""

    order: int
    formula: Callable[[Moments, ArrayLike], Array]


# The one table: of arrays, folds, windows and groups.
FORMULAS = {
    "mean": Form(0, lambda m, _: m.mean),
    "var": Form(2, lambda m, correction: m.var(correction)),
    "std": Form(2, lambda m, correction: m.std(correction)),
    "sem": Form(2, lambda m, correction: m.sem(correction)),
    "cov": Form(2, lambda m, correction: m.cov(correction)),
    "corr": Form(2, lambda m, _: m.corr),
    "skew": Form(4, lambda m, _: m.skew),
    "kurtosis": Form(4, lambda m, _: m.kurtosis),
    "unbiased_skew": Form(4, lambda m, _: m.unbiased_skew),
    "unbiased_kurtosis": Form(4, lambda m, _: m.unbiased_kurtosis),
}


def of_shape(who: str, correction: int, where: str = "") -> str:
    """Return the name in the table of skewness or kurtosis, biased or not."""
    if isinstance(correction, bool) or correction not in (0, 1):
        raise ValueError(
            f"{where}{who}: correction is {correction!r}; 0 gives the sample's own, 1 the estimate "
            "that is unbiased for a normal distribution"
        )
    return f"unbiased_{who}" if correction else who


def _made(name: str, call: Call, values: Sequence[Array]) -> Array:
    order, formula = FORMULAS[name]
    return formula(call.moments(values, order), call.correction)


_mean, _var, _cov = (partial(_made, name) for name in ("mean", "var", "cov"))


def _mean_abs_dev(call: Call, values: Sequence[Array]) -> jax.Array:
    (x,), (unit,) = call.ranged(values, coarse_unit)
    spread = jnp.abs(_deviations(call, x))
    unit = None if unit is None else lax.squeeze(unit, call.axes)
    return times(_mean(call, (spread,)), unit)


def _deviations(call: Call, x: jax.Array) -> jax.Array:
    _, words, _, _ = call.memory((x,), 2)
    pivot, offset = (jnp.expand_dims(v, call.axes) for v in words[0])
    return deviations(x, call.weights, pivot, offset, jnp.ones_like(offset), call.axes)


def _parts(values: Sequence[Array]) -> list[tuple[jax.Array, jax.Array]]:
    return [(v.real, v.imag) if jnp.iscomplexobj(v) else (v, jnp.zeros_like(v)) for v in values]


def _complex_sum(call: Call, values: Sequence[Array]) -> jax.Array:
    real, imag = (_sum(call, (p,)) for p in _parts(values)[0])
    return lax.complex(real, imag)


def _complex_mean(call: Call, values: Sequence[Array]) -> jax.Array:
    real, imag = (_mean(call, (p,)) for p in _parts(values)[0])
    return lax.complex(real, imag)


def _in_one_unit(call: Call, value: Any) -> tuple[tuple[jax.Array, jax.Array], Any]:
    """Return real and imaginary parts in units of the larger, and these units."""
    parts = _parts((value,))[0]
    (real, imag), (u, v) = call.ranged(parts, unit_of)
    unit = jnp.maximum(u, v)
    inverse = inverse_unit(unit)
    return (real * (u * inverse), imag * (v * inverse)), lax.squeeze(unit, call.axes)


def _complex_var(call: Call, values: Sequence[Array], power: int = 2) -> jax.Array:
    parts, unit = _in_one_unit(call, values[0])
    value = jnp.add(*(_var(call, (p,)) for p in parts))
    return times(value, unit, unit) if power == 2 else times(root(value), unit)


def _complex_mean_abs_dev(call: Call, values: Sequence[Array]) -> jax.Array:
    parts, unit = _in_one_unit(call, values[0])
    rests = [_deviations(call, part) for part in parts]
    return times(_mean(call, (jnp.abs(lax.complex(*rests)),)), unit)


def _complex_cov(call: Call, values: Sequence[Array]) -> jax.Array:
    parts, units = zip(*(_in_one_unit(call, v) for v in values), strict=True)
    return lax.complex(*(times(v, *units) for v in _products(call, *parts)))


def _products(call: Call, x: Parts, y: Parts) -> tuple[jax.Array, jax.Array]:
    # E x conj(y) of x = a + ib, y = c + id
    (a, b), (c, d) = x, y
    return _cov(call, (a, c)) + _cov(call, (b, d)), _cov(call, (b, c)) - _cov(call, (a, d))


def _complex_corr(call: Call, values: Sequence[Array]) -> jax.Array:
    bare = call._replace(correction=0)
    parts = [_in_one_unit(call, v)[0] for v in values]
    xx, yy = (jnp.add(*(_var(bare, (p,)) for p in both)) for both in parts)
    # in units of their deviations, so that what is alike is found to be, however large
    u, v = (inverse_unit(binary_unit(root(m))) for m in (xx, yy))
    xy = lax.complex(*(m * u * v for m in _products(bare, *parts)))
    return complex_coefficient(xx * u * u, yy * v * v, xy)


_REAL = {
    "sum": _sum,
    "mean_abs_dev": _mean_abs_dev,
    **{name: partial(_made, name) for name in FORMULAS},
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
