"""Folds whose answers the tests of `stats` take."""

from __future__ import annotations

from .._core.types import PyTree
from .._folds.fold import Fold
from .._kernels.moments.moments import Moments
from .._kernels.sample.weights import Frequency, Probability, Reliability
from ..stats._significance import NO_COUNT, as_values
from ._elements import Nan
from ._moments import make_fold, only


def moments(*, weights: type[Frequency] | None = None, nan: Nan = "propagate") -> Fold[Moments]:
    """Return the fold of the `stats.Moments` of real elements, elementwise: for `stats.ttest`.

    Args:
        weights: `stats.Frequency`, the class, or None: a test counts observations.
        nan: as in `mean`.

    >>> import jax.numpy as jnp
    >>> import jfoundations as jf
    >>> found = jf.fold(moments(), jnp.array([1.0, 2.0, 4.0, 18.0]))
    >>> float(found.mean), float(jf.stats.ttest(found, mean=1.0).freedom)
    (6.25, 3.0)
    """
    if weights is Reliability or weights is Probability:
        raise TypeError(NO_COUNT.format(who="folds.moments", weights=weights.__name__))
    return make_fold("moments", 2, _as_values, weights, nan)


def _as_values(memory: PyTree) -> Moments:
    return as_values(only(memory, "moments").moments(None))
