"""What any value keeps: a monoid its unit, a pytree its parts, an inverse the way back."""

from __future__ import annotations

from collections.abc import Callable

import jax

from ..._core.types import PyTree
from ..strategies import arrays, strategy_of
from ._check import MAX_EXAMPLES, check
from ._failure import Breach, claim, law, same


@law
def monoid(
    join: Callable[[PyTree, PyTree], PyTree],
    unit: PyTree,
    elements: PyTree = None,
    *,
    ulp: float = 0,
    rtol: float = 0.0,
    atol: float = 0.0,
    view: Callable[[PyTree], PyTree] | None = None,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold an operation to being a monoid: a unit on either side, and brackets of no matter.

    Exact unless a bound is given, in structure, shapes and dtypes too.

    Args:
        join: `(a, b) -> joined`.
        unit: what joins without a trace; a value, or a strategy of several units.
        elements: a strategy of what is joined, pytrees; by default float arrays of one shape.
        ulp: how many units in the last place floats may differ by.
        rtol: how far they may differ relative to the larger.
        atol: how far they may differ absolutely.
        view: compare `view(a)` in the place of a: what is to be equal about elements.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> import jax.numpy as jnp
    >>> monoid(jnp.maximum, jnp.full(3, -jnp.inf), max_examples=5)
    >>> monoid(jnp.subtract, jnp.zeros(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: join(unit, a), and a: ...
    """
    see = view or (lambda element: element)

    def it_is_a_monoid(a: PyTree, b: PyTree, c: PyTree, u: PyTree) -> None:
        def alike(x: PyTree, y: PyTree, what: str) -> None:
            same(see(x), see(y), ulp=ulp, rtol=rtol, atol=atol, what=what)

        alike(join(u, a), a, "join(unit, a), and a")
        alike(join(a, u), a, "join(a, unit), and a")
        left, right = join(join(a, b), c), join(a, join(b, c))
        alike(left, right, "join(join(a, b), c), and join(a, join(b, c))")
        alike(join(a, b), join(a, b), "join(a, b) a second time")

    one = arrays(shape=(3,)) if elements is None else strategy_of(elements)
    check(it_is_a_monoid, max_examples, a=one, b=one, c=one, u=strategy_of(unit))


@law
def inverse(
    f: Callable[[PyTree], PyTree],
    g: Callable[[PyTree], PyTree],
    inputs: PyTree = None,
    *,
    ulp: float = 0,
    rtol: float = 0.0,
    atol: float = 0.0,
    max_examples: int = MAX_EXAMPLES,
) -> None:
    """Hold g to leading back from f: `g(f(x))` is x, and `f(g(y))` is y where y is `f(x)`.

    Exact unless a bound is given; structure, shapes and dtypes come back too.

    Args:
        f: there.
        g: and back.
        inputs: what f takes, or a strategy of such; by default float arrays.
        ulp: how many units in the last place floats may differ by.
        rtol: how far they may differ relative to the larger.
        atol: how far they may differ absolutely.
        max_examples: how many examples to try.

    Raises:
        AssertionError: the law fails; the message holds the counter-example.

    >>> import jax.numpy as jnp
    >>> inverse(lambda x: 4 * x, lambda y: y / 4, max_examples=5)
    >>> inverse(jnp.abs, jnp.abs)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: g(f(x)), and x: ...
    """

    def there_and_back(x: PyTree) -> None:
        y = f(x)
        back = g(y)
        same(back, x, ulp=ulp, rtol=rtol, atol=atol, what="g(f(x)), and x")
        same(f(back), y, ulp=ulp, rtol=rtol, atol=atol, what="f(g(f(x))), and f(x)")

    check(there_and_back, max_examples, x=arrays() if inputs is None else strategy_of(inputs))


@law
def pytree(value: PyTree, *, max_examples: int = 10) -> None:
    """Hold a value to being a pytree: taken apart and put together, it is what it was.

    Its leaves come back in order and to the bit; its structure is equal to that of the value
    rebuilt, its static parts are hashable, and each leaf has a path of its own; any objects at all
    may stand in the leaves' places, as JAX's own transforms put there; and where the leaves are
    arrays it passes through `jit` unchanged.

    Args:
        value: yours, or a strategy of such.
        max_examples: how many examples to try.

    Raises:
        AssertionError: a law fails; the message holds the counter-example.

    >>> import jfoundations as jf
    >>> pytree(jf.callbacks.early_stopping(abs, patience=2))
    >>> pytree({"b": 1.0, "a": None})
    """

    def it_is_a_pytree(value: PyTree) -> None:
        leaves, structure = jax.tree.flatten(value)
        _hashable(structure)
        rebuilt = jax.tree.unflatten(structure, leaves)
        kinds = type(rebuilt), type(value)
        claim(kinds[0] is kinds[1], f"rebuilt, it is of {kinds[0]}", *kinds)
        _same_parts(rebuilt, leaves, structure, "rebuilt from its leaves")
        paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(value)]
        claim(len(set(paths)) == len(leaves), "two leaves have one path", paths, "one path each")
        _takes_any_object(structure, len(leaves))
        if leaves and all(isinstance(leaf, jax.Array) for leaf in leaves):
            passed = jax.jit(lambda tree: tree)(value)
            _same_parts(passed, leaves, structure, "passed through jit")

    check(it_is_a_pytree, max_examples, value=strategy_of(value))


def _hashable(structure: PyTree) -> None:
    node = structure.node_data()
    if node is not None and not issubclass(node[0], tuple | list | dict):
        try:
            hash(node[1])
        except TypeError as error:
            wrong = f"the static part of {node[0].__name__}, {node[1]!r}, has no hash"
            cure = "a hash: take tuples for lists, and make arrays leaves"
            raise Breach(wrong, error, cure) from error
    for child in structure.children():
        _hashable(child)


def _same_parts(value: PyTree, leaves: list[PyTree], structure: PyTree, what: str) -> None:
    others, other = jax.tree.flatten(value)
    claim(other == structure, f"{what}, its structure is another", other, structure)
    hashes = hash(other), hash(structure)
    claim(hashes[0] == hashes[1], f"{what}, its structure is equal but has another hash", *hashes)
    for k, (a, b) in enumerate(zip(others, leaves, strict=True)):
        if a is not b:
            same(a, b, bits=True, what=f"{what}, leaf {k}")


def _takes_any_object(structure: PyTree, n: int) -> None:
    marks = [object() for _ in range(n)]
    try:
        found = jax.tree.leaves(jax.tree.unflatten(structure, marks))
    except Exception as error:
        wrong = "objects that are no arrays cannot take its leaves' places"
        cure = "an unflatten that neither checks nor converts"
        raise Breach(wrong, f"{type(error).__name__}: {error}", cure) from error
    kept = len(found) == n and all(a is b for a, b in zip(found, marks, strict=True))
    claim(kept, "unflatten changes, drops or reorders what it is given", found, marks)
