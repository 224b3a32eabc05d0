"""The gradient of what a loop converged to, by the implicit function theorem.

A loop that converges ends at a state x that is the step's fixed point: x = f(x, θ), where θ is all
that the step holds. However it got there, dx = (I − ∂f/∂x)⁻¹ ∂f/∂θ dθ: one linear system instead
of the gradient of every step. Nothing of the steps is stored.

>>> import jax
>>> import jfoundations as jf
>>> def root(a):
...     newton = lambda x: 0.5 * (x + a / x)
...     still = jf.callbacks.converged(rtol=1e-6)
...     return jf.iterate(newton, 1.0, still, max_steps=50, driver="implicit").state
>>> float(jax.grad(root)(4.0)), float(jax.jvp(root, (4.0,), (1.0,))[1])
(0.25, 0.25)

Blondel et al. (2022), "Efficient and modular implicit differentiation", section 2.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from .._core.checks import tracing
from .._core.compat import call_jaxpr, depends_on, on_a_mesh
from .._core.programs import compiled
from .._core.pytrees import function, pytree
from .._core.sharding import explicit_axes
from .._core.shown import see
from .._core.types import Function, PyTree
from .._core.values import Structural, describe
from .linear import Map, Solver, as_solver, one_or_nan, pack, solve_or_nan
from .plan import StepAndCallbacks, make_plan
from .result import LoopResult

if TYPE_CHECKING:
    from jax.extend.core import ClosedJaxpr, Jaxpr


@pytree
class Implicit(Structural):
    """`driver="implicit"` with settings: how the linear system is solved, what has converged.

    The loop runs as with `driver="while"`. Its gradient, in reverse and forward mode and of any
    order, is that of the equation `state = step(state)` at the state returned, which costs two
    linear solves and the memory of one step, whose derivatives are taken in both modes:

    - with respect to all floats that the step holds (leaves of a Pipe, of `partial` and `lift`,
      what a closure captured), and to leaves of the state that the step returns as they are;
    - zero with respect to the rest of the start, to callbacks, and of all that is not the state:
      memories have no gradient. (A leaf that the step computes of itself alone is nan where the
      fixed point is not the only one near, as where it is kept by `a * 1`.)

    The equation is the step's alone. What callbacks do to the state is no part of it: what is to
    be, such as a projection, is a stage of the step. Integers, bools and keys in the state, and
    the words `step` and `key`, are constants with their last values.

    A gradient that would be wrong is nan: where a Newton step from the state returned is longer
    than `atol + rtol·|state|` in its largest element, since then the run did not converge, whatever
    `reasons` say: let it run on, or allow more by `rtol`; and where the linear system was not
    solved, since then the fixed point is not isolated, or the solver too weak.

    Args:
        solve: how to solve the system of a real vector, one element for each float of the state
            that changes and two for a complex: a function of `jax.scipy.sparse.linalg`, also with
            settings (`jf.partial(bicgstab, maxiter=99)`); your own of that form, `(matvec, b, *,
            tol) -> (x, anything)`; or a solver of `lineax`. By default LU factors of the whole
            matrix up to 64 unknowns, beyond GMRES, of 20 vectors and at most 200 restarts.
        tol: what the system's residual is to be, relative to its right side; a leaf. A solution
            that misses it tenfold is nan. By default ε^⅔ of the coarsest dtype in the state, in
            float32 2.4e-5.
        atol: how far a state of size 0 may be from the fixed point; a leaf.
        rtol: how far a state may be from it, relative to its largest element; a leaf.

    Raises:
        TypeError: `solve` cannot be called, a tolerance is no number.
        ValueError: a tolerance is negative.

    >>> import jfoundations as jf
    >>> weaken = jf.partial(lambda rate, x: x - 0.5 * (x - rate), 3.0)
    >>> def end(step, n):
    ...     return jf.iterate(step, 0.0, max_steps=n, driver=jf.Implicit(rtol=1e-4)).state
    >>> [float(jax.grad(end)(weaken, n).args[0]) for n in (30, 3)]  # the second has not converged
    [1.0, nan]
    """

    solve: Solver | PyTree | None = function(default=None)
    tol: ArrayLike | None = None
    atol: ArrayLike = 1e-5
    rtol: ArrayLike = 1e-3

    def __post_init__(self) -> None:
        if self.tol is not None:
            _check_tolerance(self.tol, "tol")
        _check_tolerance(self.atol, "atol")
        _check_tolerance(self.rtol, "rtol")
        if self.solve is not None:
            object.__setattr__(self, "solve", as_solver(self.solve))


def settings_of(driver: object) -> Implicit | None:
    """Return the settings of the implicit driver; None where it is another one."""
    if isinstance(driver, Implicit):
        return driver
    return Implicit() if driver == "implicit" else None


def run_implicit(
    run: Function,
    settings: Implicit,
    program: StepAndCallbacks,
    start: PyTree,
    state: PyTree,
    key: Array | None,
    **options: Any,
) -> LoopResult[PyTree]:
    """Return the result of a loop, its state with the gradient of the step's fixed point.

    Args:
        run: `(program, start, key, *, driver, **options) -> LoopResult`, of a module.
        settings: of the driver.
        program: the step and the callbacks.
        start: what `run` starts from.
        state: the state in it.
        key: the loop's key.
        **options: what else `run` is told, `max_steps` among it.
    """
    if on_a_mesh():
        raise ValueError(
            "driver='implicit' inside shard_map: each device would solve a linear system of its "
            "own; put the shard_map into the step, or use driver='scan'" + see("how_to_choose")
        )
    if tracing():
        return _run_implicit(program, settings, start, state, key, run=run, **options)
    return compiled(_run_implicit, program, settings, run=run, **options)(start, state, key)


def _run_implicit(
    program: StepAndCallbacks,
    settings: Implicit,
    start: PyTree,
    state: PyTree,
    key: Array | None,
    *,
    run: Function,
    **options: Any,
) -> LoopResult[PyTree]:
    run = functools.partial(run, driver="while", **options)
    given = program, start, key
    jaxpr, shapes = jax.make_jaxpr(run, return_shape=True)(*given)
    # No derivative goes into the loop, not even by what a closure captured.
    consts, leaves = lax.stop_gradient((jaxpr.consts, jax.tree.leaves(given)))
    leaves = call_jaxpr(jaxpr, *leaves, consts=consts)
    result = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
    alone = StepAndCallbacks(program.step, ())
    end = _with_gradient(alone, settings, state, result, key, options["max_steps"])
    return replace(result, state=end)


def _with_gradient(
    program: StepAndCallbacks,
    settings: Implicit,
    state: PyTree,
    result: LoopResult[PyTree],
    key: Array | None,
    max_steps: int,
) -> Any:
    """Return the result's state, with the gradient of `state = step(state)`."""
    leaves, structure = jax.tree.flatten(result.state)
    jaxpr = jax.make_jaxpr(_take_step, static_argnums=(0, 1))(
        structure, max_steps, leaves, program, result.steps, key
    )
    # All that the step reads is an operand: what a rule captured may be gone when it is applied.
    held = [*jaxpr.consts, *jax.tree.leaves((program, result.steps, key))]
    floats = [k for k, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not floats:
        raise TypeError(
            f"driver='implicit': the state {describe(result.state)} has no float leaf, so it has "
            "no gradient; use driver='while'"
        )
    known = [k for k in floats if _returns(jaxpr.jaxpr, k) or not leaves[k].size]
    unknown = [k for k in floats if k not in known]
    # Such a leaf may be kept in a way that is not seen: then there is more than one fixed point.
    alone = [_alone(jaxpr, k) for k in unknown]
    places, m, n = (*known, *unknown), len(known), len(jaxpr.consts)

    def apply(held: Sequence[Array], leaves: Sequence[Array]) -> list[Array]:
        new = call_jaxpr(jaxpr, *leaves, *held[n:], consts=held[:n])
        return [new[k] for k in unknown]

    @jax.custom_jvp
    def end_of(settings: Implicit, held: PyTree, start: PyTree, leaves: PyTree) -> Any:
        return [leaves[k] for k in places]

    @functools.partial(end_of.defjvp, symbolic_zeros=True)
    def _(primals: Any, tangents: Any) -> Any:
        settings, held, start, leaves = primals
        ends = end_of(*primals)
        given, moves = [*held, *ends[:m]], [*tangents[1], *tangents[2][:m]]
        moving = [k for k, t in enumerate(moves) if not _is_zero(t)]
        moves = {k: jnp.asarray(moves[k], given[k].dtype) for k in moving}
        # A leaf that the step keeps, but a callback changed, is no function of the start.
        for k, (a, b) in enumerate(zip(start, ends, strict=False), len(held)):
            if k in moves:
                moves[k] *= one_or_nan(jnp.all(a == b), b.dtype)
        changes = [moves.get(k, jnp.zeros_like(x)) for k, x in enumerate(ends, len(held))]
        started = [t for t, is_alone in zip(tangents[2][m:], alone, strict=True) if is_alone]
        started = [t for t in started if not _is_zero(t)]
        if not (unknown and (moves or started)):
            return ends, changes
        if axes := {axis for end in ends for axis in explicit_axes(jax.typeof(end))}:
            raise ValueError(
                f"driver='implicit': the state lies over the mesh axes {sorted(axes)} explicitly, "
                "and its linear system's vectors cannot; give the mesh automatic axes: "
                "jax.make_mesh(…, axis_types=(jax.sharding.AxisType.Auto, …))"
            )
        x, unpack = pack(ends[m:])

        def f(given: Sequence[Array], x: Array) -> Array:
            filled = _put(leaves, places, (*given[len(held) :], *unpack(x)))
            return pack(apply(given[: len(held)], filled))[0]

        def linearized(given: Sequence[Array], x: Array) -> tuple[Array, Map]:
            after, push = jax.linearize(functools.partial(f, given), x)
            return after - x, lambda v: v - push(v)

        eps = max(float(jnp.finfo(end.dtype).eps) for end in ends[m:])
        tol = eps ** (2 / 3) if settings.tol is None else settings.tol
        solve = functools.partial(solve_or_nan, settings.solve, tol)
        still, end = lax.stop_gradient((given, x))
        residual, matvec = linearized(still, end)
        newton = jnp.max(jnp.abs(solve(matvec, residual)))
        atol, rtol = jnp.asarray(settings.atol, x.dtype), jnp.asarray(settings.rtol, x.dtype)
        good = one_or_nan(newton <= atol + rtol * jnp.max(jnp.abs(end)), x.dtype)
        dx = jnp.zeros_like(x)
        if moves:
            at = [given[k] for k in moves]
            _, force = jax.jvp(lambda *v: f(_put(given, moves, v), x), at, [*moves.values()])
            _, push = linearized(given, x)
            dx = lax.custom_linear_solve(push, good * force, solve, transpose_solve=solve)
        if started:
            # Zero, if there is but one fixed point near: if each right side has a solution.
            probe = solve(matvec, 1 + jnp.abs(jnp.sin(jnp.arange(x.size, dtype=x.dtype))))
            none = 0 * good * jnp.sum(probe)
            dx += none * sum(jnp.sum(jnp.real(t)).astype(x.dtype) for t in started)
        return ends, [*changes[:m], *unpack(dx)]

    before = jax.tree.leaves(state)
    start = [jnp.asarray(before[k], leaves[k].dtype) for k in places]
    ends = end_of(settings, held, start, leaves)
    return jax.tree.unflatten(structure, _put(leaves, places, ends))


def _take_step(
    structure: PyTree,
    max_steps: int,
    leaves: Sequence[Array],
    program: StepAndCallbacks,
    count: Array,
    key: Array | None,
) -> list[Any]:
    """Return the leaves of the state after a step, without callbacks."""
    plan = make_plan(program, key, max_steps)
    new = plan.take(jax.tree.unflatten(structure, leaves), plan.context(count, True))
    return jax.tree.leaves(new)


def _alone(jaxpr: ClosedJaxpr, k: int) -> bool:
    """Tell whether a program computes its k-th output of no floats but its k-th input."""
    read = depends_on(jaxpr, k)
    floats = [v for v in read if jnp.issubdtype(v.aval.dtype, jnp.inexact)]
    return all(v is jaxpr.jaxpr.invars[k] for v in floats)


def _returns(jaxpr: Jaxpr, k: int) -> bool:
    """Tell whether a program returns its k-th input as its k-th output, through jits."""
    return _origin(jaxpr, jaxpr.outvars[k]) is jaxpr.invars[k]


def _origin(jaxpr: Jaxpr, value: PyTree) -> Any:
    """Return what a value in a program is a copy of."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit") and value in equation.outvars:
            inner = equation.params["jaxpr"].jaxpr
            origin = _origin(inner, inner.outvars[equation.outvars.index(value)])
            if origin in inner.invars:
                return _origin(jaxpr, equation.invars[inner.invars.index(origin)])
    return value


def _is_zero(tangent: PyTree) -> bool:
    return type(tangent) is SymbolicZero or jnp.result_type(tangent) == jax.dtypes.float0


def _put(values: Sequence[Any], places: Iterable[int], new: Iterable[Any]) -> list[Any]:
    values = list(values)
    for k, value in zip(places, new, strict=True):
        values[k] = value
    return values


def _check_tolerance(value: PyTree, name: str) -> None:
    dtype = getattr(value, "dtype", None)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and (dtype is None or not jnp.issubdtype(dtype, np.floating)):
        raise TypeError(f"Implicit: {name} is {value!r}, a number is needed")
    if number and not value >= 0:
        raise ValueError(f"Implicit: {name} is {value}; it must be ≥ 0")
