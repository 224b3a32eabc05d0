"""A statistic of your own, held to all that statistics keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume
from jax.typing import DTypeLike

from ..._core.types import PyTree
from ..._core.values import name_of, partial
from ..strategies import condition, tolerance
from ._check import MAX_EXAMPLES, NotApplicable, check, check_all
from ._failure import claim, law
from ._near import LENGTHS, Statistic, of_mean, samples_of
from ._selection import deletion, gradient, permutation, poison, repetition
from ._stats import constant, scale, translation

Bound = float | Callable[[jax.Array], Any] | None


@law
def statistic(
    f: Statistic,
    *,
    power: int | None = None,
    shift: int | None = None,
    lower: Bound = None,
    upper: Bound = None,
    least: int = 1,
    ordered: bool = False,
    exact: bool = True,
    differentiable: bool = True,
    rtol: float | None = None,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic of one sample to all that its kind keeps.

    Which laws those are follows from what you say of it: with `power` there is `scale`; with
    `shift` there is `translation`, and `constant` for what is no pure number; with a bound
    `bounds`; without `ordered` there is `permutation`. If it takes `where=`, what is hidden is
    deleted (`deletion`) and touches neither value nor gradient (`poison`); if it takes `weights=`,
    whole ones repeat (`repetition`). All laws are run, and the message has every one that fails.

    Args:
        f: `x -> statistic`, of one axis.
        power: `f(s * x) == s**power * f(x)`: 1 for a mean or a deviation, 2 for a variance, 0 for
            a pure number.
        shift: `f(x + c) == f(x) + shift * c`: 0 for a measure of spread, 1 for one of location.
        lower: what it is never below: a number, or a function of the sample.
        upper: what it is never above.
        least: of how many elements it is a number: 2 for an unbiased variance.
        ordered: whether the order of the data matters.
        exact: hold `translation`, `scale` and `constant` to the last bit; else to what rounding
            can do, and grant a measure of spread what its rounded mean costs: with t of
            `strategies.tolerance`, which a mean may be off by relative to the largest value, it may
            be off by `(t * max|x|)**power`. A plain two-pass variance in jnp keeps that, one of a
            mean of squares minus a square of a mean does not.
        differentiable: hold its gradient to being finite where it is.
        rtol: for the laws that are to rounding; by default what rounding can do to the data drawn.
        dtype: of the samples; by default JAX's default float.
        max_examples: how many examples each law tries.

    Raises:
        AssertionError: a law fails; the message holds the counter-examples.
        NotApplicable: no law says anything of f.

    >>> from jfoundations import stats
    >>> statistic(stats.std, power=1, shift=0, lower=0, max_examples=3)
    >>> statistic(lambda x: jnp.max(x) - x[0], power=1, shift=0, max_examples=9)
    Traceback (most recent call last):
    AssertionError: lambda: scale, translation, constant, permutation, ...
      fails permutation...
    """
    plain = not exact and rtol is None
    kind = {"power": power, "shift": shift, "rtol": rtol, "plain": plain}
    slack = tolerance(jnp.result_type(float), max(LENGTHS)) if rtol is None else rtol
    laws: list[Any] = []
    if power is not None:
        laws.append(partial(scale, power=power, rtol=0.0 if exact else slack))
    if shift is not None:
        how = {"power": power or 1, "plain": plain}
        laws.append(partial(translation, shift=shift, rtol=0.0 if exact else rtol, **how))
        laws += _of_constants(power, shift, least, exact, slack)
    if not ordered:
        laws.append(partial(permutation, **kind))
    if lower is not None or upper is not None:
        mean = power if plain and shift == 0 else None
        laws.append(partial(bounds, lower=lower, upper=upper, rtol=rtol, mean=mean))
    laws += [gradient] if differentiable else []
    laws += [partial(deletion, **kind), partial(repetition, **kind)]
    laws.append(partial(poison, least=max(2, least)))
    check_all(name_of(f), laws, f, dtype=dtype, max_examples=max_examples)


def _of_constants(
    power: int | None, shift: int, least: int, exact: bool, slack: float
) -> list[Any]:
    if shift == 0 and power and exact:
        return [partial(constant, least=least)]
    if shift == 1 and power == 1:
        value, rtol = _itself, 0.0 if exact else slack
        return [partial(constant, value=value, least=least, rtol=rtol)]
    return []  # a pure number may be nan of a constant


def _itself(c: jax.Array) -> jax.Array:
    return c


@law
def bounds(
    f: Statistic,
    *,
    lower: Bound = None,
    upper: Bound = None,
    rtol: float | None = None,
    mean: int | None = None,
    samples: PyTree = None,
    dtype: DTypeLike | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold a statistic of samples that vary to its bounds, and to being a number at all.

    A number is a bound exactly; a function of the sample is rounded itself.

    Args:
        f: `x -> statistic`.
        lower: what it is never below: a number, or a function of the sample.
        upper: what it is never above.
        rtol: how far beyond a bound that is a function it may be, relative to that bound; by
            default what rounding can do to this data.
        mean: the power of a plain measure of spread, which is granted what its rounded mean costs;
            see `permutation`.
        samples: an array or a strategy of arrays; by default well- and ill-conditioned floats.
        dtype: of the default samples; by default JAX's default float.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.
        NotApplicable: f answers complex numbers.

    >>> from jfoundations import stats
    >>> def popoviciu(x):
    ...     return (jnp.max(x) - jnp.min(x)) ** 2 / 4
    >>> bounds(stats.var, lower=0, upper=popoviciu, max_examples=5)
    """

    def within_bounds(x: jax.Array) -> None:
        host = np.asarray(x)
        assume(bool(np.any(host != host[0])))
        found = f(x)
        for leaf in jax.tree.leaves(found):
            nan = bool(np.any(np.isnan(np.asarray(leaf))))
            claim(not nan, "f(x) is nan, of x that varies", found, "a number")
            slack = tolerance(leaf.dtype, x.size, condition(x)) if rtol is None else rtol
            more = of_mean(x, leaf, mean) if mean else 0.0
            _beyond(leaf, lower, x, slack, more, -1)
            _beyond(leaf, upper, x, slack, more, 1)

    given = samples_of(samples, dtype, tuple(n for n in LENGTHS if n > 1))
    check(within_bounds, max_examples, x=given)


def _beyond(
    found: PyTree, bound: Bound, x: jax.Array, slack: float, more: float, sign: int
) -> None:
    if bound is None:
        return
    if jnp.iscomplexobj(found):
        raise NotApplicable("bounds: the answer is complex, and complex numbers have no order")
    most = bound(x) if callable(bound) else bound
    limit = most + sign * (slack * abs(most) + more) if callable(bound) else most
    side, within = ("above", "at most") if sign > 0 else ("below", "at least")
    beyond = bool(np.any(sign * np.asarray(found) > sign * np.asarray(limit)))
    claim(not beyond, f"f(x) is {side} {most}", found, f"{within} {limit}")
