"""What a fold promises: its memories are a monoid, and it maps concatenation to merge."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..._core.types import PyTree
from ..._core.values import partial
from ..._folds.fold import Fold, like_of_block
from ..._folds.rows import is_by_rows
from ..strategies import LENGTHS, arrays, floats_with_offset, ill_conditioned, strategy_of
from ._check import check
from ._failure import law, same

ULPS = 128
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
        AssertionError: a law fails; the counter-example is in its notes.

    >>> import jfoundations as jf
    >>> fold(jf.folds.maximum(), max_examples=3)
    """
    answers = jax.jit(_answers) if jit else _answers
    law = _homomorphism if a_fold.merge is not None else _goes_on

    def fold_laws(elements: PyTree) -> None:
        found, scales = answers(a_fold, elements)
        law(found, partial(_near, rtol, scales))
        same(found["map"], found["whole"], what="f.map(identity), and f")
        same(found["map twice"], found["map once"], what="f.map(g).map(h), and f.map(h ∘ g)")
        same(found["of twice"], found["of once"], what="f.of(g).of(h), and f.of(g ∘ h)")

    given = _samples() if elements is None else strategy_of(elements)
    check(fold_laws, max_examples, elements=given)


def _samples() -> Any:
    return arrays(shape=LENGTHS) | ill_conditioned() | floats_with_offset()


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


def _near(rtol: float | None, scales: Iterable[Array], a: PyTree, b: PyTree, what: str) -> None:
    if jax.tree.structure(a) != jax.tree.structure(b):
        same(a, b, what=what)
    for x, y, scale in zip(jax.tree.leaves(a), jax.tree.leaves(b), scales, strict=True):
        inexact = jnp.issubdtype(x.dtype, jnp.inexact)
        bound = rtol if rtol is not None else ULPS * float(jnp.finfo(x.dtype).eps) if inexact else 0
        same(x, y, atol=bound * float(scale), what=what)


def _answers(f: Fold[Any], xs: PyTree) -> tuple[dict[str, Any], Any]:
    """Return the answers by every road the laws speak of, and how large an answer gets."""
    n = jax.tree.leaves(xs)[0].shape[0]
    i, j = n // 3, n - n // 4
    a, b, c = (jax.tree.map(lambda x, s=s: x[s], xs) for s in np.s_[:i, i:j, j:])
    m = f.block(xs)
    found = {"whole": f.extract(m)} | _functor_answers(f, m, xs)
    empty = jax.tree.map(jnp.asarray, f.init(like_of_block(xs)))
    first = jax.tree.map(lambda x: x[0], xs)
    one = f.block(jax.tree.map(lambda x: x[:1], xs))
    if f.merge is None:
        memory = empty
        for k in range(n):
            memory = f.step(memory, jax.tree.map(lambda x, k=k: x[k], xs))
        found["steps"] = f.extract(memory)
        return found, _scales([found["whole"], f.extract(one)])
    ma, mb, mc = (f.block(part) for part in (a, b, c))
    memories = {
        "identity left": f.merge(empty, m),
        "identity right": f.merge(m, empty),
        "left": f.merge(f.merge(ma, mb), mc),
        "right": f.merge(ma, f.merge(mb, mc)),
        "step": f.step(ma, first),
        "merge one": f.merge(ma, one),
    }
    if not is_by_rows(f.block_where):
        memories["kept"] = f.block_where(xs, jnp.arange(n) % 3 == 0)  # type: ignore[misc]
        memories["alone"] = f.block(jax.tree.map(lambda x: x[::3], xs))
    if f.undo is not None:
        memories |= {"a": ma, "both": f.merge(ma, mb)}
        memories["undone"] = f.unmerge(memories["both"], mb)
        memories["put back"] = f.merge(memories["undone"], mb)
        memories |= {"emptied": f.unmerge(memories["undone"], ma), "nothing": empty}
    found |= {name: f.extract(memory) for name, memory in memories.items()}
    return found, _scales([*found.values(), *map(f.extract, (ma, mb, mc, one))])


def _functor_answers(f: Fold[Any], memory: PyTree, xs: PyTree) -> dict[str, Any]:
    twice, once = f.of(_double).of(_double), f.of(_double_twice)
    return {
        "map": f.map(_itself).extract(memory),
        "map twice": f.map(_wrap).map(_wrap).extract(memory),
        "map once": f.map(_wrap_twice).extract(memory),
        "of twice": twice.extract(twice.block(xs)),
        "of once": once.extract(once.block(xs)),
    }


def _integers(answer: PyTree) -> list[jax.Array]:
    return [x for x in jax.tree.leaves(answer) if not jnp.issubdtype(x.dtype, jnp.inexact)]


def _scales(answers: list[PyTree]) -> list[jax.Array]:
    """Return how large each leaf of an answer gets, over answers of one structure."""
    flat = [jax.tree.leaves(a) for a in answers]
    return [jnp.max(jnp.stack([_largest(x) for x in leaf])) for leaf in zip(*flat, strict=True)]


def _largest(x: PyTree) -> Any:
    kind = jnp.result_type(float)
    size = jnp.abs(x).astype(kind) if jnp.iscomplexobj(x) else jnp.abs(x.astype(kind))
    return jnp.max(jnp.where(jnp.isfinite(size), size, 0), initial=0)


def _itself(answer: PyTree) -> Any:
    return answer


def _wrap(answer: PyTree) -> Any:
    return (answer,)


def _wrap_twice(answer: PyTree) -> Any:
    return ((answer,),)


def _double(x: PyTree) -> Any:
    return jax.tree.map(lambda a: a + a, x)


def _double_twice(x: PyTree) -> Any:
    return _double(_double(x))
