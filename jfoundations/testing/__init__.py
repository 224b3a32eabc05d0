"""Property tests: strategies that draw values, laws to hold them to, checks of transforms.

A law is a plain function that takes your own value and raises `AssertionError` with the smallest
counter-example found. It needs no knowledge of Hypothesis, and goes into any test function:

>>> import jax.numpy as jnp
>>> import jfoundations as jf
>>> from jfoundations.testing import laws
>>> total = jf.Fold(lambda like: jnp.zeros(like.shape, like.dtype), jnp.add, jnp.add)
>>> laws.fold(total)
>>> laws.constant(jf.stats.var)

This namespace needs Hypothesis; the rest of the library does not.
"""

try:
    import hypothesis as _hypothesis
except ModuleNotFoundError as _error:
    if (_error.name or "").partition(".")[0] != "hypothesis":
        raise
    raise ModuleNotFoundError(
        "jfoundations.testing needs Hypothesis, which is not installed: "
        "pip install 'jfoundations[testing]'",
        name=_error.name,
    ) from _error

del _hypothesis

from . import checks, laws, strategies  # noqa: E402

__all__ = ["checks", "laws", "strategies"]
