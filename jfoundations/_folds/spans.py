"""Where windows of so much time begin and end.

A window holds what came later than a span before its own time, and no later than its element; or,
around it, what lies after time − span / 2 and not after time + span / 2.

>>> import jax.numpy as jnp
>>> start, stop, good = bounds_of_spans(jnp.array([0.0, 1.0, 5.0, 6.5]), jnp.float32(2), False)
>>> start.tolist(), stop.tolist(), bool(good)
([0, 0, 2, 2], [1, 2, 3, 4], True)
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from .._kernels.sample.arguments import Numbers, numbers, scalar
from .given import one_each


def check_spans(who: str, times: Numbers, span: Numbers, n: int) -> tuple[Array, Any]:
    """Return times and a span, checked as far as they are known.

    Raises:
        TypeError: they are no real numbers.
        ValueError: there is not one time an element, times fall or are nan, the span is not > 0.
    """
    times = one_each(who, "times", times, n)
    if jnp.iscomplexobj(times) or times.dtype == np.bool_:
        raise TypeError(f"{who}: times have dtype {times.dtype}, real numbers are needed")
    span = numbers(who, "span", scalar(who, "span", span))
    if not isinstance(span, Tracer) and not np.asarray(span) > 0:
        raise ValueError(f"{who}: span is {span}; it must be > 0")
    if not isinstance(times, Tracer):
        known = np.asarray(times)
        rises = known[1:] >= known[:-1]
        if not np.all(rises) or np.any(known != known):
            k = int(np.argmin(rises)) + 1 if not np.all(rises) else int(np.argmax(known != known))
            raise ValueError(
                f"{who}: times fall, or are nan, at element {k}; sort the elements by time first: "
                "order = jnp.argsort(times)"
            )
    return times, span


def bounds_of_spans(times: Array, span: Array, center: bool) -> tuple[Array, Array, Array]:
    """Return where each window begins, where it ends (int32, exclusive), and if times are sorted.

    Args:
        times: real numbers that never fall; of integers the windows are exact.
        span: a number > 0, of any real dtype.
        center: whether windows lie around their element.
    """
    place = jnp.arange(len(times), dtype=np.int32)
    good = jnp.all(times[1:] >= times[:-1]) & ~jnp.any(times != times) & (span > 0)
    if jnp.issubdtype(times.dtype, jnp.integer):
        # since the first one: without a sign no difference is beyond the type
        kind = np.dtype(f"uint{max(8 * times.dtype.itemsize, 32)}")
        times = times.astype(kind) - times[:1].astype(kind)
        back, ahead = _whole(span, 2 if center else 1, kind)
        early = jnp.where(times > back, times - back, 0)
        first = jnp.where(times < back, 0, _count(times, early, "right"))
        late = jnp.minimum(times, np.array(np.iinfo(kind).max, kind) - ahead) + ahead
    else:
        half = span.astype(times.dtype) / (2 if center else 1)
        first, late = _count(times, times - half, "right"), times + half
    stop = _count(times, late, "right") if center else place + 1
    # unsorted times have bounds without a meaning, which are in range
    return jnp.minimum(first, place), jnp.maximum(stop, place + 1), good


def _whole(span: Array, parts: int, kind: Any) -> tuple[Array, Array]:
    """Return a span, or half of it, in whole units: rounded up and down."""
    if jnp.issubdtype(span.dtype, jnp.integer):
        span = span.astype(kind)
        down = span // np.array(parts, kind)
        return span - down if parts == 2 else span, down
    part, most = span / parts, float(np.iinfo(kind).max // 2)
    up, down = (jnp.minimum(v, most).astype(kind) for v in (jnp.ceil(part), jnp.floor(part)))
    return up, down


def _count(times: Array, bounds: Array, side: str) -> Array:
    return jnp.searchsorted(times, bounds, side=side).astype(np.int32)  # type: ignore[arg-type]
