"""Types with names, for signatures: what an editor shows of a parameter."""

from typing import Any, TypeAlias

# A pytree of arrays: numbers, tuples, dicts, dataclasses; JAX itself has no narrower type for it.
PyTree: TypeAlias = Any
