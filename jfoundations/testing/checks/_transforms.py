"""Whether a transform changes an answer: `jit`, `vmap`, and a mesh of devices."""

from __future__ import annotations

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..._core.types import Function, PyTree
from ._same import assert_same


def assert_jit_invariant(
    function: Function, *args: PyTree, ulp: float = 0, rtol: float = 0.0, **kwargs: PyTree
) -> None:
    """Assert that `jax.jit(function)` answers what `function` does.

    Args:
        function: any function of pytrees of arrays.
        *args: what to call it with.
        ulp: see `assert_same`.
        rtol: see `assert_same`.
        **kwargs: what to call it with.

    >>> import jax.numpy as jnp
    >>> assert_jit_invariant(jnp.sum, jnp.arange(3.0))
    """
    eager, jitted = function(*args, **kwargs), jax.jit(function)(*args, **kwargs)
    assert_same(eager, jitted, ulp=ulp, rtol=rtol, what="eager and jitted")


def assert_vmap_invariant(
    function: Function, *args: PyTree, ulp: float = 0, rtol: float = 0.0
) -> None:
    """Assert that lane i of `jax.vmap(function)(*args)` is `function` of the i-th slices.

    Args:
        function: any function of pytrees of arrays.
        *args: batches, along the leading axis.
        ulp: see `assert_same`.
        rtol: see `assert_same`.

    >>> import jax.numpy as jnp
    >>> assert_vmap_invariant(lambda x, y: x @ y, jnp.ones((4, 2)), jnp.ones((4, 2)))
    """
    lanes = jax.vmap(function)(*args)
    for k in range(jax.tree.leaves(args)[0].shape[0]):
        alone = function(*jax.tree.map(lambda a, k=k: a[k], args))
        lane = jax.tree.map(lambda a, k=k: a[k], lanes)
        assert_same(lane, alone, ulp=ulp, rtol=rtol, what=f"lane {k} and its like alone")


def assert_shard_invariant(
    function: Function,
    *args: PyTree,
    mesh: Mesh | None = None,
    ulp: float = 0,
    rtol: float = 0.0,
) -> None:
    """Assert that `jax.jit(function)` answers the same of arrays spread over devices.

    Args:
        function: any function of pytrees of arrays.
        *args: what to call it with; every array is split along its leading axis.
        mesh: split over its first axis, which must be automatic; by default over as many of the
            devices there are as divide the leading axes.
        ulp: see `assert_same`.
        rtol: see `assert_same`.

    Raises:
        AssertionError: the answers differ.
        ValueError: there is nothing to split, or nothing to split it over.

    >>> one = Mesh(np.array(jax.devices()[:1]), "data")  # of one device only for the example
    >>> assert_shard_invariant(jax.numpy.sin, jax.numpy.arange(4.0), mesh=one)
    """
    mesh = mesh or _mesh(jax.tree.leaves(args))
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    split = jax.tree.map(lambda a: jax.device_put(a, rows), args)
    whole, parts = jax.jit(function)(*args), jax.jit(function)(*split)
    what = f"on one device, and over {mesh.shape[mesh.axis_names[0]]}"
    assert_same(whole, parts, ulp=ulp, rtol=rtol, what=what)


def _mesh(arrays: list[Array]) -> Mesh:
    devices = jax.devices()
    common = np.gcd.reduce([np.shape(a)[0] if np.ndim(a) else 1 for a in arrays]) if arrays else 1
    most = max(n for n in range(1, len(devices) + 1) if common % n == 0)
    if most == 1:
        shapes = [np.shape(a) for a in arrays]
        raise ValueError(
            f"assert_shard_invariant: arrays of shapes {shapes} cannot be split over "
            f"{len(devices)} devices; take leading axes they divide, and for more devices "
            'jax.config.update("jax_num_cpu_devices", 8) before the first use of JAX'
        )
    return Mesh(np.array(devices[:most]), "data")
