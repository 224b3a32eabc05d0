"""Autocovariance and autocorrelation at every lag, by the Fourier transform."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from .._kernels.moments.moments import times
from .._kernels.sample.arguments import REAL, Data, Numbers, answer, check, compiled
from ..stats._basic import mean
from ._sequences import centred, in_floats


def autocov(x: Numbers, *, axis: int = 1) -> Array:
    """Return the autocovariance Σ(x_t − mean)(x_{t+k} − mean) / n at each lag k = 0 … n − 1.

    The sum is over the n − k pairs there are, and divided by n, as `arviz.autocov` has it.

    Args:
        x: real array of draws, as (chains, draws, ...); bool and int become the default float.
        axis: along which axis the draws run.

    Returns:
        An array of x's shape, lags in the place of draws; nan along a series that holds a nan or
        an infinity.

    Raises:
        TypeError: x holds no real numbers.
        ValueError: the axis is out of range.

    >>> [round(float(v), 3) for v in autocov([[1.0, 2.0, 4.0, 1.0]])[0]]
    [1.5, -0.5, -0.5, 0.25]
    """
    data, axes = check("autocov", {"x": x}, axis, real=REAL)
    return _autocov(data, axes[0])


def autocorr(x: Numbers, *, axis: int = 1) -> Array:
    """Return the autocorrelation at each lag: `autocov` over that of lag 0.

    Args:
        x: as in `autocov`.
        axis: as in `autocov`.

    Returns:
        An array of x's shape; nan along a constant, whose autocovariance is 0 throughout, and
        where `autocov` is nan.

    Raises: TypeError, ValueError, as `autocov`.

    >>> [round(float(v), 3) for v in autocorr([1.0, 2.0, 4.0, 1.0], axis=0)]
    [1.0, -0.333, -0.333, 0.167]
    """
    data, axes = check("autocorr", {"x": x}, axis, real=REAL)
    return _autocorr(data, axes[0])


@compiled("axis")
def _autocov(data: Data, axis: int) -> Array:
    y, unit = centred(in_floats(data.values[0], (axis,)), (axis,))
    return answer(times(lagged(y, axis), unit, unit), data, (), False)


@compiled("axis")
def _autocorr(data: Data, axis: int) -> Array:
    y, _ = centred(in_floats(data.values[0], (axis,)), (axis,))
    value = jnp.moveaxis(lagged(y, axis), axis, 0)
    return answer(jnp.moveaxis(value / value[:1], 0, axis), data, (), False)


def lagged(y: Array, axis: int, over: tuple[int, ...] = ()) -> Array:
    """Return the autocovariance of what has mean 0, about, along an axis.

    Args:
        y: deviations from a value near the mean, of one scale with 1.
        axis: that of the draws.
        over: an axis, of which the mean is taken; it is taken of the spectra, so that one
            transform back does for all.
    """
    n = y.shape[axis]
    if n == 0:
        return jnp.mean(y, axis=over)
    y = y - mean(y, axis=axis, keepdims=True)
    length = 1 << (2 * n - 1).bit_length()  # so long that no pair is met around the end
    waves = jnp.fft.rfft(y, length, axis=axis)
    power = jnp.mean(waves.real**2 + waves.imag**2, axis=over, keepdims=True)
    value = jnp.fft.irfft(power, length, axis=axis)
    value = jnp.moveaxis(jnp.moveaxis(value, axis, 0)[:n] / n, 0, axis)
    return jnp.squeeze(value, over)
