"""The example of accumulators for other engines: driven by hand, in one and several parts."""

import functools
import importlib.util
import pickle
import random
import sys
from pathlib import Path

import jax
import numpy as np
from helpers import raises

import jfoundations as jf
from jfoundations import folds, stats

EXAMPLE = Path(__file__).parent.parent / "examples" / "beam_accumulators.py"
spec = importlib.util.spec_from_file_location("beam_accumulators", EXAMPLE)
sys.modules[spec.name] = example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
Accumulators = example.Accumulators

X = np.random.default_rng(2).normal(3.0, 1.0, 30).astype(np.float32)
VAR = Accumulators(folds.var())


class CombineFn:
    """The part of an engine's own class that one must inherit from."""

    def __init__(self):
        self.hints = ["none"]

    def default_label(self):
        return type(self).__name__


class Combine(Accumulators, CombineFn):
    pass


def close(found, right):
    np.testing.assert_allclose(found, right, rtol=1e-6)


def accumulate(combine, elements):
    return functools.reduce(combine.add_input, elements, combine.create_accumulator())


def test_by_hand():
    parts = [accumulate(VAR, part) for part in (X[:7], X[7:8], X[:0], X[8:])]
    assert parts[2] is None
    for _ in range(3):  # in any order, some of them merged before
        random.Random(1).shuffle(parts)
        early = VAR.compact(VAR.merge_accumulators(parts[:2]))
        whole = VAR.merge_accumulators(iter([early, *parts[2:], VAR.create_accumulator()]))
        close(VAR.extract_output(whole), stats.var(X))


def test_blocks_are_elements():
    for start in (None, accumulate(VAR, X[:3])):
        found = VAR.add_inputs(start, iter(X[3:]))
        close(VAR.extract_output(found), stats.var(X if start is not None else X[3:]))
    assert VAR.add_inputs(None, []) is None
    exact = Accumulators(jf.combine(n=folds.count(), top=folds.maximum()))
    found = exact.extract_output(exact.add_inputs(None, np.arange(2500)))
    assert (int(found["n"]), int(found["top"])) == (2500, 2499)


def test_elements_may_be_trees():
    combine = Accumulators(folds.mean())
    found = accumulate(combine, [{"a": 1.0, "b": np.ones(2)}, {"a": 2.0, "b": np.zeros(2)}])
    found = combine.extract_output(found)
    assert found["a"] == 1.5 and found["b"].tolist() == [0.5, 0.5]


def test_nothing_at_all():
    nothing = VAR.merge_accumulators([None, VAR.merge_accumulators([])])
    with raises(ValueError, "Accumulators(Fold(var))", "give Accumulators(like=an_element)"):
        VAR.extract_output(nothing)
    for like in (0.0, jax.ShapeDtypeStruct((), np.float32)):
        known = Accumulators(folds.mean(), like=like)
        assert np.isnan(known.extract_output(known.merge_accumulators([])))
        close(known.extract_output(accumulate(known, X)), stats.mean(X))
        mixed = known.add_inputs(accumulate(known, [1, 2.5]), [np.int8(3), np.float32(1.5)])
        close(known.extract_output(mixed), 2.0)


def test_it_travels():
    both = jf.combine(mean=folds.mean(), high=folds.maximum())
    for kind in (Accumulators, Combine):
        here = kind(both, like=np.float32(0))
        there = pickle.loads(pickle.dumps(here))
        assert isinstance(there, kind) and there.fold == both
        sent = pickle.loads(pickle.dumps(there.add_inputs(there.create_accumulator(), X[:5])))
        whole = here.merge_accumulators([sent, here.add_inputs(None, X[5:])])
        close(here.extract_output(whole)["mean"], stats.mean(X))
    assert there.hints == ["none"] and there.default_label() == "Combine"


def test_what_is_refused():
    with raises(TypeError, "Accumulators: 3 is no Fold"):
        Accumulators(3)
    with raises(TypeError, "ema depends on the order", "write a merge"):
        Accumulators(folds.ema(0.5))
