"""Which group an element belongs to: integers of any type, brought into the range of the groups.

>>> import numpy as np
>>> places("f", "ids", np.array([0, 1, -1, 2**40]), 2).tolist()  # 2: of no group
[0, 1, 2, 2]
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.checks import check_count
from .arguments import Numbers, numbers


def places(who: str, name: str, ids: Numbers, groups: int) -> jax.Array:
    """Return ids as int32, those outside 0 … groups − 1 as `groups`.

    NumPy's integers are looked at as they are: JAX would cut off what it has no bits for.

    Raises:
        TypeError: the ids are no integers and no bools.
    """
    ids = numbers(who, name, _on_host(ids, groups))
    if ids.dtype != np.bool_ and not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{who}: {name} have dtype {ids.dtype}, ints are needed")
    return placed(ids, groups)


def placed(ids: jax.Array, groups: int) -> jax.Array:
    """Return integers or bools as int32, those outside 0 … groups − 1 as `groups`."""
    if ids.dtype == np.bool_ or ids.dtype.itemsize < 4:
        ids = ids.astype(np.int32)  # a narrow type may not hold the number of groups
    # without a sign a negative id is a large one: of no group either
    return jnp.minimum(ids.astype(f"uint{8 * ids.dtype.itemsize}"), groups).astype(np.int32)


def _on_host(ids: Numbers, groups: int) -> Any:
    """Return ids that are no arrays of JAX's as int32, where they are integers."""
    if isinstance(ids, jax.Array | np.ma.MaskedArray):
        return ids
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(ids)):
        return ids  # a list of them
    try:
        array = np.asarray(ids)
    except (TypeError, ValueError):
        return ids
    whole = array.dtype.kind in "iu"
    if array.dtype.kind == "O":  # integers that no type of NumPy's holds
        whole = array.size > 0 and all(isinstance(v, int) for v in array.flat)
    return (
        np.where((array >= 0) & (array < groups), array, groups).astype(np.int32) if whole else ids
    )


def segments_of(
    who: str, ids: Numbers, num_segments: int, shape: tuple[int, ...]
) -> tuple[jax.Array, int]:
    """Return where each element along axis 0 belongs, and how many segments there are.

    Raises:
        TypeError: the ids are no integers, or num_segments is no int.
        ValueError: there is not one id for each element of an array of that shape.
    """
    segments = check_count(num_segments, "num_segments", who, least=1)
    place = places(who, "segment_ids", ids, segments)
    if not shape or shape[:1] != place.shape:
        raise ValueError(
            f"{who}: segment_ids have shape {place.shape}, x has shape {shape}; "
            "one id for each element along axis 0 is needed"
        )
    return place, segments
