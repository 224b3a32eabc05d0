"""Operators: every dunder method that a noun has, whence it is known, and the law it keeps.

Nothing changes in place: no noun has a method like `__iadd__`, so that `p >>= q` binds the name p
to a new pipe and leaves the old one alone; and what is set cannot be set again.
"""

import copy
import operator
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import Pipe, Reversible, Source, chain, juxt, map_, partial
from jfoundations._loops.callback import Chain
from jfoundations._loops.combined import StopPredicate

NOUNS = {
    "Pipe": jf.Pipe,
    "juxt": jf.juxt,
    "partial": jf.partial,
    "Reversible": jf.Reversible,
    "Learned": jf.Learned,
    "transducer": jf.map_,
    "Callback": jf.Callback,
    "chain": Chain,
    "stop predicate": StopPredicate,
    "Fold": jf.Fold,
    "LoopResult": jf.LoopResult,
    "Source": jf.Source,
}
DATA = jnp.array([1.0, 2.0, 6.0])


def f(x):
    return 2 * x


def g(x):
    return x + 1


def back(x):
    return x / 2


def halt(x):
    return x, True


def load(k):
    return k


def look(memory, x):
    return memory + 1, x, False


def zero(x):
    return 0


def at(k, name):
    return jf.stop_when(jf.partial(operator.le, k), name=name)


def stop(predicate):
    return int(jf.iterate(g, 0, predicate, max_steps=9).steps)


def same(a, b):
    return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b)


def raises(wrong, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        wrong()
    return True


def frozen(value, field):
    with pytest.raises(AttributeError):
        setattr(value, field, None)
    with pytest.raises(AttributeError):
        delattr(value, field)
    return True


def rebuilt(value):
    leaves, structure = jax.tree.flatten(value)
    return jax.tree.unflatten(structure, leaves)


def ask(fold):
    return jf.fold(fold, DATA)


x, array, copied = 3, np.asarray(DATA), copy.copy
p, q, j, h = Pipe(f), Pipe(g), juxt(f, g), partial(pow, 2)
e = jf.Learned(jf.folds.mean(), f)
v, t, s, u = Reversible(f, back), map_(f), at(3, "s"), at(5, "u")
c, d = (jf.Callback(zero, name=name, after_step=look) for name in "cd")
m, n = jf.folds.mean(), jf.folds.maximum()
result, source = jf.iterate(g, 0, max_steps=2), Source(2, load)

# noun, its dunders, whence they are known, the law they keep
ROWS = [
    ("Pipe", "__call__", "toolz.compose", lambda: Pipe(f, g)(x) == g(f(x))),
    ("Pipe", "__rshift__", "F#, Elm", lambda: (p >> q)(x) == q(p(x))),
    ("Pipe", "__rrshift__", "toolz.pipe", lambda: x >> p == p(x)),
    ("Pipe", "__array_ufunc__", "numpy", lambda: same(array >> p, p(array))),
    ("Pipe", "__len__ __iter__", "sklearn Pipeline", lambda: list(p >> q) == [*p, *q]),
    ("Pipe", "__getitem__", "sklearn Pipeline", lambda: p[:1] >> p[1:] == p),
    ("Pipe", "__contains__", "dict, list", lambda: f in Pipe(a=f) and "a" in Pipe(a=f)),
    ("Pipe", "__bool__", "functions", lambda: bool(Pipe()) and len(Pipe()) == 0),
    ("Pipe", "__eq__ __hash__", "frozen dataclass", lambda: {p >> q, Pipe(*p, *q)} == {p >> q}),
    ("Pipe", "__repr__", "F#, Elm", lambda: repr(Pipe(f, b=g)) == "f >> b"),
    ("Pipe", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(p, "names")),
    ("juxt", "__call__", "toolz.juxt", lambda: juxt(f, g)(x) == (f(x), g(x))),
    ("juxt", "__len__ __iter__", "tuple", lambda: juxt(*j) == j),
    ("juxt", "__getitem__", "tuple", lambda: j[1](x) == j(x)[1]),
    ("juxt", "__bool__", "functions", lambda: bool(juxt()) and len(juxt()) == 0),
    ("juxt", "__eq__ __hash__", "frozen dataclass", lambda: {j, juxt(f, g)} == {j}),
    ("juxt", "__repr__", "functools.partial", lambda: repr(j) == "juxt(f, g)"),
    ("juxt", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(j, "functions")),
    ("partial", "__call__", "functools.partial", lambda: partial(pow, 2)(x) == pow(2, x)),
    ("partial", "__eq__ __hash__", "frozen dataclass", lambda: {h, partial(pow, 2)} == {h}),
    ("partial", "__repr__", "functools.partial", lambda: repr(h) == "partial(pow, 2)"),
    ("partial", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(h, "func")),
    ("Reversible", "__call__", "sklearn, distrax", lambda: v.inverse(v(x)) == x),
    ("Reversible", "__eq__ __hash__", "frozen dataclass", lambda: {v, v.inverse.inverse} == {v}),
    ("Reversible", "__repr__", "functools.partial", lambda: repr(v) == "Reversible(f, back)"),
    ("Reversible", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(v, "forward")),
    ("Learned", "__call__", "sklearn, unfitted", lambda: raises(lambda: e(x), "jf.fit(pipe")),
    ("Learned", "__eq__ __hash__", "frozen dataclass", lambda: {e, rebuilt(e)} == {e}),
    ("Learned", "__repr__", "sklearn", lambda: repr(e) == "f (unfitted)"),
    ("Learned", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(e, "make")),
    ("transducer", "__call__", "Clojure, on folds", lambda: raises(lambda: t(x), "Pipe(…).over")),
    ("transducer", "__eq__ __hash__", "frozen dataclass", lambda: {t, map_(f)} == {t}),
    ("transducer", "__repr__", "functools.partial", lambda: repr(t) == "map_(f)"),
    ("transducer", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(t, "in_front_of")),
    ("Callback", "__eq__ __hash__", "frozen dataclass", lambda: {c, rebuilt(c)} == {c}),
    ("Callback", "__repr__", "dataclass", lambda: "after_step" in repr(c)),
    ("Callback", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(c, "name")),
    ("chain", "__call__", "optax.chain", lambda: chain(halt, halt)(x) == halt(x)),
    ("chain", "__len__ __iter__", "list", lambda: chain(*chain(c, d)) == chain(c, d)),
    ("chain", "__getitem__", "list", lambda: chain(c, d)[1] == d),
    ("chain", "__eq__ __hash__", "frozen dataclass", lambda: len({chain(c, d), chain(c, d)}) == 1),
    ("chain", "__repr__", "optax.chain", lambda: repr(chain(f, g)) == "chain(f, g)"),
    (
        "chain",
        "__setattr__ __delattr__",
        "frozen dataclass",
        lambda: frozen(chain(c, d), "callbacks"),
    ),
    (
        "stop predicate",
        "__or__ __ror__",
        "numpy, django Q",
        lambda: stop(s | u) == min(stop(s), stop(u)),
    ),
    (
        "stop predicate",
        "__and__ __rand__",
        "numpy, django Q",
        lambda: stop(s & u) == max(stop(s), stop(u)),
    ),
    ("stop predicate", "__invert__", "numpy, django Q", lambda: stop(~~s) == stop(s)),
    ("stop predicate", "__bool__", "numpy", lambda: raises(lambda: s or u, "| & ~")),
    ("stop predicate", "__array_ufunc__", "numpy", lambda: raises(lambda: array | s, "callback")),
    ("stop predicate", "__eq__ __hash__", "frozen dataclass", lambda: {s | u, s | u} == {s | u}),
    ("stop predicate", "__repr__", "dataclass", lambda: "s | u" in repr(s | u)),
    ("stop predicate", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(s, "name")),
    ("Fold", "__add__ __radd__", "foldl Num", lambda: ask(m + n + 1) == ask(m) + ask(n) + 1),
    ("Fold", "__sub__ __rsub__", "foldl Num", lambda: ask(1 - (m - n)) == ask(1 - m + n)),
    ("Fold", "__mul__ __rmul__", "foldl Num", lambda: ask(2 * m * n) == 2 * ask(m) * ask(n)),
    (
        "Fold",
        "__truediv__ __rtruediv__",
        "foldl Fractional",
        lambda: ask(1 / (m / n)) == 1 / ask(m / n),
    ),
    ("Fold", "__floordiv__ __rfloordiv__", "numpy", lambda: ask(9 // n // 2) == 9 // ask(n) // 2),
    ("Fold", "__mod__ __rmod__", "numpy", lambda: ask(n // 2 * 2 + n % 2) == ask(n)),
    ("Fold", "__pow__ __rpow__", "foldl Floating", lambda: ask(2**m**2) == 2 ** ask(m) ** 2),
    ("Fold", "__neg__ __pos__", "foldl Num", lambda: ask(-m) == -ask(+m)),
    ("Fold", "__abs__", "foldl Num", lambda: ask(abs(-m)) == abs(ask(m))),
    ("Fold", "__array_ufunc__", "numpy", lambda: same(ask(array * m), array * ask(m))),
    ("Fold", "__eq__ __hash__", "frozen dataclass", lambda: {m + n, m + n} == {m + n}),
    ("Fold", "__repr__", "dataclass", lambda: repr(m) == "Fold(mean)"),
    ("Fold", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(m, "step")),
    ("Fold", "__getstate__", "pickle", lambda: len({m + n, copied(m + n)}) == 1),
    ("LoopResult", "__repr__", "scipy.optimize", lambda: "max_steps" in repr(result)),
    ("LoopResult", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(result, "state")),
    ("Source", "__iter__", "range", lambda: [*source] == [load(0), load(1)]),
    (
        "Source",
        "__eq__ __hash__",
        "frozen dataclass",
        lambda: {source, Source(2, load)} == {source},
    ),
    ("Source", "__repr__", "dataclass", lambda: "n_chunks=2" in repr(source)),
    ("Source", "__setattr__ __delattr__", "frozen dataclass", lambda: frozen(source, "load")),
]
PYTHONS_OWN = {  # what classes and dataclasses have anyway
    *("__init__", "__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__orig_bases__"),
    *("__parameters__", "__post_init__", "__replace__", "__firstlineno__", "__name__"),
    *("__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__"),
    "__slotnames__",  # of whatever has been pickled
}


def dunders(noun):
    """Return the dunder methods that classes of ours give a noun."""
    ours = [c for c in noun.__mro__ if c.__module__.startswith("jfoundations")]
    return {n for c in ours for n in vars(c) if re.fullmatch("__.*__", n)} - PYTHONS_OWN


def test_the_table_has_all_nouns():
    assert {noun for noun, *_ in ROWS} == set(NOUNS)


@pytest.mark.parametrize("noun", NOUNS)
def test_the_table_has_every_dunder_of_a_noun_and_no_other(noun):
    written = [d for row, several, *_ in ROWS if row == noun for d in several.split()]
    assert len(written) == len(set(written)) and set(written) == dunders(NOUNS[noun])


@pytest.mark.parametrize(
    ("noun", "dunder", "known_from", "law"), ROWS, ids=[f"{n} {d}" for n, d, *_ in ROWS]
)
def test_law(noun, dunder, known_from, law):
    assert law()


IN_PLACE = {
    ">>=": (operator.irshift, p, q),
    "|=": (operator.ior, s, u),
    "&=": (operator.iand, s, u),
    "+=": (operator.iadd, m, n),
    "**=": (operator.ipow, m, 2),
}


@pytest.mark.parametrize("op", IN_PLACE)
def test_nothing_changes_in_place(op):
    assign, old, other = IN_PLACE[op]
    copy, text = rebuilt(old), repr(old)
    new = assign(old, other)
    assert new is not old and new != old and old == copy and repr(old) == text


def test_no_noun_has_an_operator_in_place():
    for noun in NOUNS.values():
        assert not [d for d in dir(noun) if re.fullmatch("__i(?!n|ter).*__", d)]


@pytest.mark.parametrize("left", [np.arange(3.0), np.float32(2), np.arange(2) > 0, np.int8(1)])
def test_numpy_on_the_left(left):
    pipe = jf.Pipe(f, jf.juxt(g, np.shape))
    found, shape = left >> pipe
    assert np.array_equal(found, f(left) + 1) and shape == np.shape(left)
