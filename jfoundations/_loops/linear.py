"""Linear systems of a state's floats: as real vectors, solved, or nan where they are not.

>>> import jax.numpy as jnp
>>> vector, unpack = pack([jnp.array([1.0, 2.0]), jnp.array(3.0 + 4.0j)])
>>> vector.tolist(), unpack(2 * vector)[1]
([1.0, 2.0, 3.0, 4.0], Array(6.+8.j, dtype=complex64))
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike

from .._core.types import PyTree
from .._core.values import describe, name_of, partial

MOST_DENSE = 64  # unknowns of which the matrix is made: its LU compiles in a fifth of GMRES's time
Map = Callable[[Array], Array]


class Solver(Protocol):
    """What solves `matvec(x) = b`, as `gmres` of `jax.scipy.sparse.linalg`: `(x, anything)`."""

    def __call__(self, matvec: Map, b: Array, /, *, tol: ArrayLike) -> tuple[Array, Any]:
        """Solve for a vector with `norm(b - matvec(x)) <= tol * norm(b)`."""
        ...


def pack(leaves: Sequence[Array]) -> tuple[Array, Callable[[Array], list[Array]]]:
    """Return leaves as one real vector, and the function that undoes it.

    It is real, since a step that conjugates is linear in real and imaginary parts alone.
    """
    wide = any(jnp.finfo(leaf.dtype).bits > 32 for leaf in leaves)
    parts = [_as_real(leaf) for leaf in leaves]
    ends = np.cumsum([part.size for part in parts])
    shapes = [(leaf.shape, leaf.dtype) for leaf in leaves]

    def unpack(vector: Array) -> list[Array]:
        cut = jnp.split(vector, ends[:-1])
        return [_as_leaf(part, *shape) for part, shape in zip(cut, shapes, strict=True)]

    dtype = np.float64 if wide else np.float32
    return jnp.concatenate([part.astype(dtype) for part in parts]), unpack


def _as_real(leaf: Array) -> Array:
    return jnp.ravel(jnp.stack([leaf.real, leaf.imag]) if jnp.iscomplexobj(leaf) else leaf)


def _as_leaf(part: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    part = part.astype(jnp.finfo(dtype).dtype)
    if not jnp.issubdtype(dtype, np.complexfloating):
        return part.reshape(shape)
    return lax.complex(*part.reshape(2, *shape))


def solve_or_nan(solve: Solver | None, tol: ArrayLike, matvec: Map, b: Array) -> Array:
    """Solve `matvec(x) = b` for a vector, which is nan where it misses the tolerance tenfold."""
    tol = jnp.asarray(tol, b.dtype)
    size = jnp.max(jnp.abs(b))
    unit = jnp.where((size > 0) & (size < jnp.inf), size, 1)  # solvers square what they are given
    b = b / unit
    answer = (solve or _solve)(matvec, b, tol=tol)
    if not isinstance(answer, tuple):
        raise TypeError(
            f"driver=Implicit(solve={name_of(solve)}): it returned {describe(answer)}; "
            "let it return (x, anything), as jax.scipy.sparse.linalg.gmres does"
        )
    missed = jnp.linalg.norm(b - matvec(answer[0]))
    return answer[0] * unit * one_or_nan(missed <= 10 * tol * jnp.linalg.norm(b), b.dtype)


def _solve(matvec: Map, b: Array, *, tol: Any) -> tuple[Any, Any]:
    if b.size > MOST_DENSE:
        # imported here: jax itself does not
        from jax.scipy.sparse.linalg import gmres

        return gmres(matvec, b, tol=tol, maxiter=200)
    matrix = jax.vmap(matvec, out_axes=1)(jnp.eye(b.size, dtype=b.dtype))
    return jnp.linalg.solve(matrix, b), None


def as_solver(value: Any) -> Any:
    """Return what solves, of a function or a solver of lineax.

    Raises:
        TypeError: it is neither.
    """
    if callable(value):
        return value
    lineax = sys.modules.get("lineax")  # it has been imported where the solver is its
    if lineax is None or not isinstance(value, lineax.AbstractLinearSolver):
        raise TypeError(
            f"Implicit: solve is {value!r}, which is not callable; give a function (matvec, b, *, "
            "tol) -> (x, anything), as jax.scipy.sparse.linalg.gmres is, or a solver of lineax"
        )
    return partial(_solve_by_lineax, value)


def _solve_by_lineax(solver: PyTree, matvec: Map, b: Array, *, tol: ArrayLike) -> tuple[Array, Any]:
    lineax: Any = sys.modules["lineax"]
    operator = lineax.FunctionLinearOperator(matvec, jax.ShapeDtypeStruct(b.shape, b.dtype))
    solution = lineax.linear_solve(operator, b, solver, throw=False)
    return solution.value, solution.result


def one_or_nan(good: Array, dtype: DTypeLike) -> Array:
    """Return a factor that makes what is not good nan; a cotangent too, as a select would not."""
    return jnp.where(good, 1.0, jnp.nan).astype(dtype)
