"""A statistic of one's own, said once: a formula of moments.

The coefficient of variation, of an array and of its columns, with weights and masks:

>>> import jax.numpy as jnp
>>> from jfoundations import stats
>>> variation = stats.Statistic(lambda m: m.std() / m.mean, name="variation")
>>> t = jnp.array([1.0, 2.0, 4.0, 18.0])
>>> round(float(variation(t)), 4), round(float(variation(t, where=t < 10)), 4)
(1.0991, 0.5345)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jax import Array

from .._core.programs import compiled
from .._core.sharding import automatic
from .._core.values import describe
from .._kernels.moments.formulas import Call
from .._kernels.moments.groups import of_segments
from .._kernels.moments.moments import Moments
from .._kernels.moments.moving import of_windows
from .._kernels.sample.arguments import REAL, Axes, Axis, Data, Nan, Numbers, answer, check
from .._kernels.sample.group_ids import segments_of
from .._kernels.sample.weights import Weights
from ._rolling import check_windows


@dataclass(frozen=True)
class Statistic:
    """A statistic that is a formula of moments: of arrays, streams, windows and groups.

    Called, it reduces arrays as `var` does, with the same keywords; `rolling` and `segment` are its
    forms of windows and of groups, and `folds.statistic` makes a fold of it. It can be
    differentiated, batched and masked like any other, and is as exact as the moments that it is
    made of.

    Attributes:
        formula: `Moments -> Array`, computed element by element of arrays of any shape.
        order: the highest power of deviations that it needs: 0 for means alone, 2, or 4 for
            `m.skew`, `m.kurtosis` and `m.central`.
        variables: 1, or 2 for pairs, whose formulas may use `m.cov()` and `m.corr`.
        name: what errors call it.

    An index of dispersion, and a slope of least squares:

    >>> import jax, jax.numpy as jnp
    >>> dispersion = Statistic(lambda m: m.var(1) / m.mean)
    >>> float(dispersion(jnp.array([2.0, 4.0, 6.0])))
    1.0
    >>> round(float(jax.grad(dispersion)(jnp.array([2.0, 4.0, 6.0]))[1]), 4)
    -0.0833
    >>> slope = Statistic(lambda m: m.cov() / m.var(), variables=2)
    >>> x = jnp.array([[0.0, 1.0, 2.0], [0.0, 1.0, 5.0]])
    >>> slope(x, 2 * x + 1, axis=1)
    Array([2., 2.], dtype=float32)
    """

    formula: Callable[[Moments], Array]
    order: int = 2
    variables: int = 1
    name: str = "statistic"

    def __repr__(self) -> str:
        return f"Statistic({self.name}, order={self.order}, variables={self.variables})"

    def __post_init__(self) -> None:
        if self.order not in (0, 2, 4):
            raise ValueError(f"Statistic: order is {self.order!r}; it must be 0, 2 or 4")
        if self.variables not in (1, 2):
            raise ValueError(f"Statistic: variables is {self.variables!r}; it must be 1 or 2")
        if self.variables == 2 and self.order != 2:
            raise ValueError("Statistic: pairs have moments of order 2 alone; leave order out")

    def __call__(
        self,
        *values: Numbers,
        axis: Axis = None,
        keepdims: bool = False,
        weights: Weights | Numbers | None = None,
        where: Numbers | None = None,
        nan: Nan = "propagate",
    ) -> Array:
        """Return the statistic over axes, by default over all.

        Args:
            *values: a real array, or two of one shape.
            axis: the axis or axes to reduce; all by default.
            keepdims: keep reduced axes with length 1.
            weights: as in `var`.
            where: as in `var`.
            nan: "propagate", or "omit" to leave nan out, of pairs listwise.

        Raises:
            TypeError: not as many arrays as variables; they hold no real numbers.
            ValueError: shapes or axes do not fit.
        """
        data, axes = check(self.name, self._named(values), axis, weights, where, nan, real=REAL)
        run = compiled(_of_array, self, order=self.order, axes=axes, nan=nan)
        return answer(run(data), data, axes, bool(keepdims))

    def rolling(
        self,
        *values: Numbers,
        window: int,
        axis: int = 0,
        weights: Weights | Numbers | None = None,
        where: Numbers | None = None,
        nan: Nan = "propagate",
    ) -> Array:
        """Return the statistic of every full window along an axis, as `rolling_std` does.

        Args:
            *values: a real array, or two of one shape.
            window: how many elements a window spans.
            axis: along which axis; samples run along the first by default.
            weights: as in `rolling_var`.
            where: as in `rolling_var`.
            nan: as in `rolling_var`.

        Raises:
            TypeError, ValueError: as `rolling_var`; windows keep no cubes, so order must not be 4.

        >>> statistic = Statistic(lambda m: m.std() / m.mean)
        >>> statistic.rolling([1.0, 3.0, 3.0], window=2)
        Array([0.5, 0. ], dtype=float32)
        """
        who = f"{self.name}.rolling"
        if self.order > 2:
            raise ValueError(
                f"{who}: order is {self.order}, and windows keep powers up to 2; take segment or a "
                "fold of each window"
            )
        named = self._named(values)
        data, window, axis = check_windows(who, named, window, axis, weights, where, nan)
        words = {"order": self.order, "power": 2, "window": window, "axis": axis, "nan": nan}
        return compiled(_of_windows, self, **words)(data)

    def segment(
        self,
        *values: Numbers,
        segment_ids: Numbers,
        num_segments: int,
        weights: Weights | Numbers | None = None,
        where: Numbers | None = None,
        nan: Nan = "propagate",
    ) -> Array:
        """Return the statistic of each segment along axis 0, as `segment_std` does.

        Args:
            *values: a real array of shape (n, ...), or two of one shape.
            segment_ids: as in `segment_mean`.
            num_segments: as in `segment_mean`.
            weights: as in `segment_var`.
            where: as in `segment_var`.
            nan: as in `segment_var`.

        Raises:
            TypeError, ValueError: as `segment_var`.

        >>> statistic = Statistic(lambda m: m.std() / m.mean)
        >>> statistic.segment([1.0, 3.0, 3.0], segment_ids=[0, 0, 1], num_segments=2)
        Array([0.5, 0. ], dtype=float32)
        """
        who = f"{self.name}.segment"
        data, _ = check(who, self._named(values), None, weights, where, nan, real=REAL)
        place, segments = segments_of(who, segment_ids, num_segments, data.values[0].shape)
        run = compiled(_of_groups, self, order=self.order, segments=segments, nan=nan)
        return run(data, place)

    def from_moments(self, moments: Moments) -> Array:
        """Return the statistic of moments.

        Raises:
            TypeError: the formula returns no array.
        """
        try:
            value = self.formula(moments)
        except Exception as error:
            error.add_note(
                f"in {self.name}, of order {self.order} and {self.variables} variables; skew, "
                "kurtosis and central need order=4, var, std and sem order=2, cov and corr "
                "variables=2"
            )
            raise
        if not isinstance(value, Array):
            raise TypeError(f"{self.name}: its formula returned {describe(value)}, no array")
        return value

    def _named(self, values: tuple[Numbers, ...]) -> dict[str, Numbers]:
        if len(values) != self.variables:
            raise TypeError(
                f"{self.name}: {len(values)} arrays were given, and it is of {self.variables}"
            )
        return dict(zip(("x", "y"), values, strict=False))


def _of_array(statistic: Statistic, data: Data, *, order: int, axes: Axes, nan: Nan) -> Array:
    def call(data: Data) -> Array:
        found = Call.of(data, nan, axes, signed=True)
        return statistic.from_moments(found.moments(data.values, order))

    return automatic(call, reduced=axes)(data)


def _of_windows(statistic: Statistic, data: Data, **words: Any) -> Array:
    return automatic(lambda data: of_windows(statistic.from_moments, data, **words))(data)


def _of_groups(statistic: Statistic, data: Data, place: Array, **words: Any) -> Array:
    return automatic(lambda pair: of_segments(statistic.from_moments, *pair, **words))(
        (data, place)
    )
