"""JAX's settings, carried to where they would not hold by themselves: other threads and processes.

`with jax.enable_x64(True):` is true of its own thread alone, and a spawned process knows nothing of
`jax.config.update`. What is loaded and folded elsewhere must come out as it would here.

>>> import jax
>>> with jax.enable_x64(True):
...     wide = settings()
>>> with under(wide):
...     jax.numpy.ones(2).dtype
dtype('float64')
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

# those that the values of a fold may depend on; each is also a context manager of JAX's
NAMES = (
    "enable_x64",
    "default_matmul_precision",
    "numpy_dtype_promotion",
    "default_prng_impl",
    "threefry_partitionable",
)


def settings() -> dict[str, Any]:
    """Return the settings that hold here and can be sent to another process."""
    return {name: getattr(jax.config, f"jax_{name}") for name in NAMES}


@contextmanager
def under(held: Mapping[str, object]) -> Iterator[None]:
    """Let settings hold in this thread for a while."""
    with ExitStack() as stack:
        for name, value in held.items():
            stack.enter_context(getattr(jax, name)(value))
        yield
