"""A fold of every window, of so many neighbours or of a span of time.

Windows of one length are the end of a block of that length and the beginning of the next: all
blocks are gone through side by side, backward for their ends and forward for their beginnings,
with three merges an element whatever the length. Windows of many lengths, and those so long that
few blocks lie side by side, are put together from stretches of 1, 2, 4, … elements.

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.array([3.0, 1.0, 2.0, 5.0, 4.0])
>>> jf.rolling(jf.folds.maximum() - jf.folds.minimum(), x, 3).tolist()
[2.0, 4.0, 3.0]

Sources: van Herk (1992), "A fast algorithm for local minimum and maximum filters on rectangular and
octagonal kernels", and Gil and Werman (1993), "Computing 2-D min, median, and max filters".
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from .._core.checks import check_count, tracing
from .._core.compat import vary_as
from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.types import PyTree
from .._kernels.moments.moving import chunked
from .._kernels.sample.arguments import Numbers
from .blocks import like_of_block
from .fold import Fold
from .given import Given, check_given, length, which_count
from .rows import ROOM, element, pick, replaced
from .spans import bounds_of_spans, check_spans

FEW = 64  # blocks side by side, below which stretches of 1, 2, 4, ... pay
LARGE = 1 << 11  # bytes of a memory that is larger than a window of elements


class _Cut(NamedTuple):
    """Which windows there are: static.

    Attributes:
        back: how many elements before its own a window holds.
        ahead: how many after it.
        least: how many must count for an answer; None: all windows are full ones.
    """

    back: int
    ahead: int
    least: int | None


def rolling(
    a_fold: Fold[Any],
    x: PyTree,
    window: int | None = None,
    *,
    min_periods: int | None = None,
    center: bool = False,
    times: Numbers | None = None,
    span: Numbers | None = None,
    weights: Numbers | None = None,
    where: Numbers | None = None,
    nan: str = "propagate",
) -> Any:
    """Return a fold's answer for every window of an array.

    See also `stats.rolling_var` and its like, for moments; `folds.window`, of a stream's end.

    Each is what folding the window's elements alone gives: to the bit where the fold is exact.

    Args:
        a_fold: any fold that can be merged.
        x: an array of n elements along its leading axis, or a dict or tuple of such arrays: what
            `fold` takes as one block.
        window: how many elements a window spans, a Python int ≥ 1.
        min_periods: how many of a window's elements must count, for it to have an answer. If it is
            given there is one for each element, of the window that ends with it and is cut off at
            the ends of the data, as pandas has them; by default there are only those of full
            windows. With `center` it is `window` by default, with `times` 1.
        center: whether windows lie around their element: of an even number of elements one more
            comes before it than after it. There is an answer for each element.
        times: instead of `window`: when each element was, n real numbers that never fall.
        span: how much time a window spans, a number > 0 in the unit of `times`. It holds what came
            later than `span` before its own time and no later than itself; with `center` what lies
            after time − span / 2 and not after time + span / 2.
        weights: one for each element, of shape (n,); the fold is then given pairs `(x, weight)`.
            Weight 0 is deletion.
        where: bools of shape (n,); elements at False do not exist.
        nan: "propagate": what the fold makes of it; "omit" leaves out the elements in which one is.

    Returns:
        The fold's answer with a leading axis: of n − window + 1 full windows, or of n. Where too
        few elements count it is nan, of integers and bools the answer over nothing; so are all
        of them where `times` are traced and fall somewhere, or are nan.

    Raises:
        TypeError: the fold is none, or has no merge; window or min_periods is no int (or is
            traced); x holds no arrays.
        ValueError: the window is longer than the data where full ones are asked for; min_periods
            is larger than it; lengths differ; times fall; both window and times are given, or
            neither.

    >>> import jfoundations as jf
    >>> x = jnp.array([3.0, 1.0, 2.0, 6.0])
    >>> rolling(jf.folds.mean(), x, 3, min_periods=1).tolist()
    [3.0, 2.0, 2.0, 3.0]
    >>> rolling(jf.folds.maximum(), x, times=jnp.array([0.0, 1.0, 5.0, 6.5]), span=2).tolist()
    [3.0, 3.0, 2.0, 6.0]
    """
    given = check_given("rolling", a_fold, x, weights, where, nan)
    n = length(given.xs)
    if times is None and span is None and window is not None:
        cut, timing = _check_window(window, min_periods, bool(center), n), None
    elif window is None and times is not None and span is not None:
        least = 1 if min_periods is None else check_count(min_periods, "min_periods", "rolling")
        cut, timing = _Cut(0, 0, least), check_spans("rolling", times, span, n)
    else:
        raise ValueError(
            "rolling: give a window, of so many elements, or times and span, of so much time: "
            "one of the two"
        )
    options = {"cut": cut, "center": bool(center), "nan": nan}
    if tracing():
        return _rolling(a_fold, given, timing, **options)
    return compiled(_rolling, a_fold, **options)(given, timing)


def _check_window(window: object, least: object, center: bool, n: int) -> _Cut:
    window = check_count(window, "window", "rolling", least=1)
    ahead = (window - 1) // 2 if center else 0
    back = window - 1 - ahead
    if least is None and not center:
        if window > n:
            raise ValueError(
                f"rolling: window is {window}, longer than the {n} elements; give min_periods for "
                "windows that are cut off at the ends of the data"
            )
        return _Cut(back, ahead, None)
    least = window if least is None else check_count(least, "min_periods", "rolling")
    if least > window:
        raise ValueError(f"rolling: min_periods is {least}, more than the window's {window}")
    return _Cut(min(back, max(n - 1, 0)), min(ahead, max(n - 1, 0)), least)


def _rolling(a_fold: Fold[Any], given: Given, timing: Any, **options: Any) -> Any:
    return automatic(partial(_answers, a_fold, **options))(given, timing)


def _answers(
    a_fold: Fold[Any], given: Given, timing: Any, *, cut: _Cut, center: bool, nan: str
) -> Any:
    xs, kept = which_count(given, nan)
    n, answers = length(xs), length(xs)
    empty = vary_as(jax.tree.map(jnp.asarray, a_fold.init(like_of_block(xs))), (xs, kept))
    if n == 0:
        return jax.tree.map(lambda v: jnp.zeros((0, *v.shape), v.dtype), a_fold.extract(empty))
    if timing is not None:
        times, span = timing
        start, stop, good = bounds_of_spans(times, span, center)
        found = _of_bounds(a_fold, empty, xs, kept, start, stop, n.bit_length())
        through = _through(kept, n)
        counts = jnp.where(good, through[stop] - through[start], -1)
    elif cut.least is None:
        return _of_length(a_fold, empty, xs, kept, cut.back + 1)
    else:
        kept = jnp.ones(n, np.bool_) if kept is None else kept
        around = (cut.back, cut.ahead)
        xs = jax.tree.map(lambda v: jnp.pad(v, (around, *((0, 0),) * (v.ndim - 1)), "edge"), xs)
        kept = jnp.pad(kept, around)
        window = cut.back + cut.ahead + 1
        found = _of_length(a_fold, empty, xs, kept, window)
        through = _through(kept, len(kept))
        counts = through[window:] - through[:answers]
    return _where(counts >= (cut.least or 0), found, a_fold.extract(empty))


def _through(kept: Array | None, n: int) -> Array:
    """Return how many elements count before each, and in all."""
    kept = jnp.ones(n, np.bool_) if kept is None else kept
    return jnp.concatenate([jnp.zeros(1, np.int32), jnp.cumsum(kept, dtype=np.int32)])


def _where(enough: Array, found: PyTree, nothing: PyTree) -> Any:
    """Return answers where enough elements count; elsewhere nan, or the answer over nothing."""

    def show(v: Array, none: Array) -> Array:
        none = jnp.full_like(none, jnp.nan) if jnp.issubdtype(v.dtype, jnp.inexact) else none
        return jnp.where(enough.reshape(-1, *(1,) * (v.ndim - 1)), v, none)

    return jax.tree.map(show, found, jax.tree.map(jnp.asarray, nothing))


def _of_length(
    a_fold: Fold[Any], empty: PyTree, xs: PyTree, kept: Array | None, window: int
) -> Any:
    """Return the answers of all full windows."""
    size = _bytes(empty)
    if size >= max(LARGE, window * _bytes(like_of_block(xs))):
        return _one_by_one(a_fold, xs, kept, window, max(ROOM // (16 * size), 1))

    def of(part: tuple[Any, Array | None]) -> Any:
        xs, kept = part
        n = length(xs)
        if window <= FEW or n >= FEW * window:
            return _side_by_side(a_fold, empty, xs, kept, window)
        start = lax.iota(np.int32, n - window + 1)
        return _of_bounds(a_fold, empty, xs, kept, start, start + window, window.bit_length())

    return chunked((xs, kept), window, of, max(ROOM // max(size, 1), 1))


def _bytes(tree: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _one_by_one(a_fold: Fold[Any], xs: PyTree, kept: Array | None, window: int, batch: int) -> Any:
    """Return the answers of windows folded each by itself, some at a time.

    A memory that is larger than the window costs more to merge than the window to fold.
    """
    answers = length(xs) - window + 1
    batch = min(batch, answers)

    def one(start: Array) -> Any:
        part = jax.tree.map(lambda v: lax.dynamic_slice_in_dim(v, start, window), (xs, kept))
        memory = a_fold.block(part[0]) if kept is None else a_fold.block_where(*part)  # type: ignore
        return a_fold.extract(memory)

    pieces = -(-answers // batch)
    starts = jnp.minimum(lax.iota(np.int32, pieces * batch), answers - 1).reshape(pieces, batch)
    found = lax.map(jax.vmap(one), starts)
    return jax.tree.map(lambda v: v.reshape(pieces * batch, *v.shape[2:])[:answers], found)


def _side_by_side(
    a_fold: Fold[Any], empty: PyTree, xs: PyTree, kept: Array | None, window: int
) -> Any:
    """Return the answers of windows, each made of a block's end and the next one's beginning."""
    answers = length(xs) - window + 1
    blocks = -(-answers // window)  # in which windows begin

    def dealt(v: Array) -> Array:  # (window, blocks + 1, ...)
        more = (blocks + 1) * window - len(v)
        # the last element again: a derivative of what no answer is made of must be finite too
        v = jnp.pad(v, ((0, max(more, 0)), *((0, 0),) * (v.ndim - 1)), "edge")
        return jnp.swapaxes(v[: (blocks + 1) * window].reshape(-1, window, *v.shape[1:]), 0, 1)

    @jax.jit  # one function of the program, which is called three times
    def join(a: PyTree, b: PyTree) -> Any:
        return jax.vmap(a_fold.merge)(a, b)  # type: ignore[arg-type]

    def end(later: PyTree, one: PyTree) -> tuple[Any, Any]:
        found = join(one, later)
        return found, found

    def beginning(earlier: PyTree, parts: PyTree) -> tuple[Any, Any]:
        end, one = parts
        return join(earlier, one), jax.vmap(a_fold.extract)(join(end, earlier))

    none = jax.tree.map(lambda v: jnp.broadcast_to(v, (blocks, *v.shape)), empty)
    ones = _memories(a_fold, empty, *jax.tree.map(dealt, (replaced(kept, xs), kept)), lanes=2)
    _, ends = lax.scan(end, none, element(ones, np.s_[:, :-1]), reverse=True)
    _, found = lax.scan(beginning, none, (ends, element(ones, np.s_[:, 1:])))
    return jax.tree.map(lambda v: jnp.swapaxes(v, 0, 1).reshape(-1, *v.shape[2:])[:answers], found)


def _memories(
    a_fold: Fold[Any], empty: PyTree, xs: PyTree, kept: Array | None, lanes: int = 1
) -> Any:
    """Return the memory of each element alone; of what does not count the empty one."""

    def one(x: PyTree, kept: Array | None) -> Any:
        new = a_fold.step(empty, x)
        return new if kept is None else pick(kept, new, empty)

    for _ in range(lanes):
        one = jax.vmap(one)
    return one(xs, kept)


def _of_bounds(
    a_fold: Fold[Any],
    empty: PyTree,
    xs: PyTree,
    kept: Array | None,
    start: Array,
    stop: Array,
    levels: int,
) -> Any:
    """Return the answers of windows from `start` until before `stop`, shorter than 2**levels.

    The binary digits of its length say of which stretches of 1, 2, 4, ... a window is made.
    """
    n, place = length(xs), lax.iota(np.int32, length(xs))
    longest = jnp.max(stop - start)
    join = jax.vmap(a_fold.merge)  # type: ignore[arg-type]

    def level(held: tuple[Any, Any, Array], k: Array) -> tuple[tuple[Any, Any, Array], None]:
        return lax.cond(longest >> k > 0, longer, lambda held, _: held, held, k), None

    def longer(held: tuple[Any, Any, Array], k: Array) -> tuple[Any, Any, Array]:
        stretches, found, at = held
        size = lax.shift_left(np.int32(1), k)
        takes = (stop - start) & size != 0
        more = join(found, element(stretches, jnp.minimum(at, n - 1)))
        found = jax.vmap(pick)(takes, more, found)
        both = join(stretches, element(stretches, jnp.minimum(place + size, n - 1)))
        return both, found, at + jnp.where(takes, size, 0)

    ones = _memories(a_fold, empty, replaced(kept, xs), kept)
    none = jax.tree.map(lambda v: jnp.broadcast_to(v, (len(start), *v.shape)), empty)
    (_, found, _), _ = lax.scan(level, (ones, none, start), lax.iota(np.int32, levels))
    return jax.vmap(a_fold.extract)(found)
