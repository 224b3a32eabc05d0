"""Where a fold runs over chunks. The bits are the same everywhere.

`Executor` is the base class of all, and shows how to write one of your own.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> x = jnp.linspace(0.0, 1.0, 1000) ** 3
>>> here = jf.fold(jf.folds.var(), x, jf.executors.Local())
>>> there = jf.fold(jf.folds.var(), x, jf.executors.Devices(jax.make_mesh((1,), ("data",)), "data"))
>>> bool(here == there)
True
"""

from .._core.checks import suggest_nearest as _suggest_nearest
from .._running.executor import Executor, Local
from ._dask import Dask
from ._devices import Devices
from ._pool import Pool
from ._processes import Processes

__all__ = [
    "Dask",
    "Devices",
    "Executor",
    "Local",
    "Pool",
    "Processes",
]

_suggest_nearest(globals())
