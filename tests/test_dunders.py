"""The table of operators in `help("jfoundations._dunders")`: complete, every law as it stands."""

import copy
import operator
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations import _dunders
from jfoundations._loops.callback import Chain
from jfoundations._loops.combined import StopPredicate

NOUNS = {
    "Pipe": jf.Pipe,
    "juxt": jf.juxt,
    "partial": jf.partial,
    "Reversible": jf.Reversible,
    "transducer": jf.map_,
    "Callback": jf.Callback,
    "chain": Chain,
    "stop predicate": StopPredicate,
    "Fold": jf.Fold,
    "LoopResult": jf.LoopResult,
    "Source": jf.Source,
}
ROW = re.compile(
    r"^(\w+(?: \w+)?) {2,}(__\w+__(?: __\w+__)*) {2,}(\S.*?) {2,}(\S.*)$", re.MULTILINE
)
ROWS = ROW.findall(_dunders.__doc__)
DATA = jnp.array([1.0, 2.0, 6.0])
X = 3


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


NAMES = {
    **{name: getattr(jf, name) for name in ("Pipe", "juxt", "partial", "map_", "chain", "Source")},
    **dict(f=f, g=g, back=back, halt=halt, load=load, x=X),
    **dict(stop=stop, same=same, raises=raises, frozen=frozen, rebuilt=rebuilt),
    "copied": copy.copy,
    **dict(p=jf.Pipe(f), q=jf.Pipe(g), j=jf.juxt(f, g), h=jf.partial(pow, 2)),
    **dict(v=jf.Reversible(f, back), t=jf.map_(f), s=at(3, "s"), u=at(5, "u")),
    **{name: jf.Callback(zero, name=name, after_step=look) for name in "cd"},
    **dict(m=jf.folds.mean(), n=jf.folds.maximum(), ask=lambda fold: jf.fold(fold, DATA)),
    **dict(array=np.asarray(DATA), result=jf.iterate(g, 0, max_steps=2), source=jf.Source(2, load)),
}
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


@pytest.mark.parametrize("noun", NOUNS)
def test_the_table_has_every_dunder_of_a_noun_and_no_other(noun):
    written = [d for row, several, *_ in ROWS if row == noun for d in several.split()]
    assert len(written) == len(set(written)) and set(written) == dunders(NOUNS[noun])


def test_the_table_is_read_whole():
    assert {noun for noun, *_ in ROWS} == set(NOUNS)
    assert len(ROWS) == _dunders.__doc__.count("  __")


@pytest.mark.parametrize(
    ("noun", "dunder", "known_from", "law"), ROWS, ids=[f"{n} {d}" for n, d, *_ in ROWS]
)
def test_law(noun, dunder, known_from, law):
    assert eval(law, dict(NAMES))


IN_PLACE = {
    ">>=": (operator.irshift, NAMES["p"], NAMES["q"]),
    "|=": (operator.ior, NAMES["s"], NAMES["u"]),
    "&=": (operator.iand, NAMES["s"], NAMES["u"]),
    "+=": (operator.iadd, NAMES["m"], NAMES["n"]),
    "**=": (operator.ipow, NAMES["m"], 2),
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
