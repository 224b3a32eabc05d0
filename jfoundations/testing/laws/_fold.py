"""What a fold promises: its memories are a monoid, and it maps concatenation to merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.types import Function, PyTree
from ..._core.values import is_key, name_of
from ..._folds.fold import Fold, like_of
from ..._folds.rows import is_by_rows
from ..strategies import arrays, floats_with_offset, ill_conditioned, strategy_of
from ..strategies._arrays import cut
from ._check import check
from ._failure import law, same

ULPS = 128
# thirds of one are of a length of another, for each compiles; one element alone is an edge
DRAWN = (9, 27, 9, 27, 1)
Near: TypeAlias = Callable[[PyTree, PyTree, str], None]  # two answers, and what they are


@law
def fold(
    a_fold: Fold[Any],
    elements: PyTree = None,
    *,
    rtol: float | None = None,
    jit: bool = True,
    max_examples: int = 60,
) -> None:
    """Hold a fold to its laws.

    Exact: the memory of nothing changes no answer, merged from either side; `f.map` and `f.of`
    keep identity and composition. To rounding, and exact for integer answers: bracketing three
    merges either way; the answer of `xs ++ ys` and of the merge of both; a step and the merge of a
    block of one; a `block_where` of your own and the block of what is kept. With an `unmerge`: what
    is taken out and put back, and what it was; what is left of all, and nothing. A fold whose
    `merge` is None is held to going on where it left.

    To rounding means that answers differ by no more than `rtol` times the largest of the answers
    of the whole, its parts and its first element. So data with a large offset tells a stable
    variance from an unstable one.

    Args:
        a_fold: yours.
        elements: data: an array, or a tuple or dict of arrays, whose leading axis runs over the
            elements, or a strategy of such; by default floats that are ill-conditioned as well.
        rtol: by default 128 units in the last place of the answer's dtype.
        jit: compile the fold, as `jfoundations.fold` does; else call it eagerly.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> fold(jf.folds.maximum(), max_examples=3)
    """
    if not isinstance(a_fold, Fold):
        cure = "hold a function of an array to laws.statistic"
        raise TypeError(f"laws.fold: {name_of(a_fold)} is no Fold; {cure}")
    ways = _Ways(a_fold, *(jax.jit(way, static_argnums=0) if jit else way for way in WAYS))
    law = _homomorphism if a_fold.merge is not None else _goes_on

    def fold_laws(elements: PyTree) -> None:
        found, scales = _answers(ways, elements)
        law(found, partial(_near, rtol, scales))
        same(found["map"], found["whole"], what="f.map(identity), and f")
        same(found["map twice"], found["map once"], what="f.map(g).map(h), and f.map(h ∘ g)")
        same(found["of twice"], found["of once"], what="f.of(g).of(h), and f.of(g ∘ h)")

    given = _samples() if elements is None else strategy_of(elements)
    check(fold_laws, max_examples, elements=given)


def _samples() -> Any:
    shapes = tuple((n,) for n in DRAWN)
    return arrays(shape=shapes) | ill_conditioned(length=DRAWN) | floats_with_offset(shape=shapes)


def _homomorphism(found: PyTree, near: Near) -> None:
    whole = found["whole"]
    same(found["identity left"], whole, what="merge(init, m), and m")
    same(found["identity right"], whole, what="merge(m, init), and m")
    near(found["left"], found["right"], "merge(merge(a, b), c), and merge(a, merge(b, c))")
    near(whole, found["left"], "the fold of xs ++ ys, and the merge of their folds")
    near(found["step"], found["merge one"], "step(m, x), and merge(m, block([x]))")
    if "kept" in found:
        near(found["kept"], found["alone"], "block_where(xs, kept), and block(xs[kept])")
    if "undone" in found:
        undone, a = map(_integers, (found["undone"], found["a"]))
        same(undone, a, what="unmerge(merge(a, b), b), and a")
        # floats lose what the whole had lost of a; to the whole, put together again, it is nothing
        near(found["put back"], found["both"], "merge(unmerge(m, b), b), and m")
        near(found["emptied"], found["nothing"], "unmerge(unmerge(merge(a, b), b), a), and init")


def _goes_on(found: PyTree, near: Near) -> None:
    near(found["steps"], found["whole"], "block(xs), and step by step")


def _near(rtol: float | None, scales: Iterable[float], a: PyTree, b: PyTree, what: str) -> None:
    if jax.tree.structure(a) != jax.tree.structure(b):
        same(a, b, what=what)
    for x, y, scale in zip(jax.tree.leaves(a), jax.tree.leaves(b), scales, strict=True):
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        bound = rtol if rtol is not None else ULPS * float(jnp.finfo(x.dtype).eps) if inexact else 0
        same(x, y, atol=bound * scale, what=what)


class _Ways(NamedTuple):
    """A fold, and its functions: each a program of its own, for a merge compiles once for all."""

    fold: Fold[Any]
    empty: Function
    block: Function
    block_where: Function
    merge: Function
    unmerge: Function
    step: Function
    extract: Function
    maps: Function
    ofs: Function


def _maps(f: Fold[Any], memory: PyTree) -> dict[str, Any]:
    return {
        "map": f.map(_itself).extract(memory),
        "map twice": f.map(_wrap).map(_wrap).extract(memory),
        "map once": f.map(_wrap_twice).extract(memory),
    }


def _ofs(f: Fold[Any], xs: PyTree) -> dict[str, Any]:
    return {name: of(f).block(xs) for name, of in DOUBLED.items()}


def _empty(f: Fold[Any], x: PyTree) -> Any:
    return jax.tree.map(jnp.asarray, f.init(like_of(x)))


WAYS: tuple[Function, ...] = (
    _empty,
    lambda f, xs: f.block(xs),
    lambda f, xs, kept: f.block_where(xs, kept),
    lambda f, a, b: f.merge(a, b),
    lambda f, whole, part: f.unmerge(whole, part),
    lambda f, memory, x: f.step(memory, x),
    lambda f, memory: f.extract(memory),
    _maps,
    _ofs,
)
DOUBLED: dict[str, Callable[[Fold[Any]], Fold[Any]]] = {
    "of twice": lambda f: f.of(_double).of(_double),
    "of once": lambda f: f.of(_double_twice),
}


def _answers(ways: _Ways, xs: PyTree) -> tuple[dict[str, Any], list[float]]:
    """Return the answers by every road the laws speak of, and how large an answer gets."""
    f, *functions = ways
    held = (partial(function, f) for function in functions)
    init, block, block_where, merge, unmerge, step, extract, maps, ofs = held
    xs = jax.device_put(xs)

    def part(at: Any) -> PyTree:
        return jax.tree.map(lambda x: cut(x, at), xs)

    n = jax.tree.leaves(xs)[0].shape[0]
    m = block(xs)
    found = {"whole": extract(m)} | maps(m)
    for name, memory in ofs(part(np.arange(5) % n)).items():  # of one length, for each compiles
        other = DOUBLED[name](f)  # of one `extract`: asked by a program that there is
        found[name] = ways.extract(f if other.extract is f.extract else other, memory)
    first, one = part(0), block(part(np.s_[:1]))
    empty = init(first)
    if f.merge is None:
        memory = empty
        for k in range(n):
            memory = step(memory, part(k))
        found["steps"] = extract(memory)
        return found, _scales([found["whole"], extract(one)])
    i, j = n // 3, n // 3 + (n + 1) // 3  # of equal lengths
    ma, mb, mc = (block(part(third)) for third in np.s_[:i, i:j, j:])
    memories = {
        "identity left": merge(empty, m),
        "identity right": merge(m, empty),
        "left": merge(merge(ma, mb), mc),
        "right": merge(ma, merge(mb, mc)),
        "step": step(ma, first),
        "merge one": merge(ma, one),
    }
    if not is_by_rows(f.block_where):
        memories["kept"] = block_where(xs, jax.device_put(np.arange(n) % 3 == 0))
        memories["alone"] = block(part(np.s_[::3]))
    if f.undo is not None:
        memories |= {"a": ma, "both": merge(ma, mb)}
        memories["undone"] = unmerge(memories["both"], mb)
        memories["put back"] = merge(memories["undone"], mb)
        memories |= {"emptied": unmerge(memories["undone"], ma), "nothing": empty}
    found |= {name: extract(memory) for name, memory in memories.items()}
    return found, _scales([*found.values(), *map(extract, (ma, mb, mc, one))])


def _integers(answer: PyTree) -> list[jax.Array]:
    return [x for x in jax.tree.leaves(answer) if not jnp.issubdtype(x.dtype, jnp.inexact)]


def _scales(answers: list[PyTree]) -> list[float]:
    """Return how large each leaf of an answer gets, over answers of one structure."""
    flat = [jax.tree.leaves(a) for a in answers]
    return [max(map(_largest, leaf)) for leaf in zip(*flat, strict=True)]


def _largest(x: PyTree) -> float:
    numbers = np.asarray(x)
    kind = np.complex128 if np.iscomplexobj(numbers) else np.float64
    size = np.abs(numbers.astype(kind))
    return float(np.max(np.where(np.isfinite(size), size, 0), initial=0))


def _itself(answer: PyTree) -> Any:
    return answer


def _wrap(answer: PyTree) -> Any:
    return (answer,)


def _wrap_twice(answer: PyTree) -> Any:
    return ((answer,),)


def _double(x: PyTree) -> Any:
    # a key for random numbers has no sum, and stays
    return jax.tree.map(lambda a: a if is_key(a) else a + a, x)


def _double_twice(x: PyTree) -> Any:
    return _double(_double(x))
