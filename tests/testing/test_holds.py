"""Laws as tests of pytest: items and their names, reports, repros, and where examples come from."""

import functools
import re
import sys
import textwrap
import traceback

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from hypothesis import given, settings

import jfoundations as jf
from jfoundations import folds, stats
from jfoundations.testing import laws, strategies
from jfoundations.testing.laws._code import Code, Unwritable

pytest_plugins = ["pytester"]
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
REPRO = "repro, with the smallest input found:\n"

MINE = """
import jax.numpy as jnp
import pytest
import jfoundations as jf
from jfoundations.testing import laws

def textbook(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2

@pytest.fixture
def dtype():
    return jnp.bfloat16

@laws.holds(laws.translation, laws.constant, jf.partial(laws.scale, power=2),
            of=[textbook, jf.partial(jf.stats.var, correction=0)], max_examples=4)
def test_spread(law, f):
    law(f)

class TestTotal:
    @laws.holds(laws.permutation, of={"sum": jnp.sum}, max_examples=2)
    def test_total(self, law, f, dtype):
        law(f, dtype=dtype)

@laws.holds(laws.fold)
def test_count(law):
    law(jf.folds.count(), max_examples=1)
"""


@pytest.fixture
def mine(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # there pytest says all a second time, in its summary
    pytester.makepyfile(test_mine=MINE)
    yield functools.partial(pytester.runpytest_inprocess, "test_mine.py", *QUIET)
    sys.modules.pop("test_mine", None)


def test_each_law_of_each_value_is_an_item(mine):
    names = [line.partition("::")[2] for line in mine("--collect-only").outlines if "::" in line]
    assert names == [
        *(f"test_spread[{law}-{f}]"
          for law in ("translation", "constant", "scale-power=2")
          for f in ("textbook", "var-correction=0")),
        "TestTotal::test_total[permutation-sum]",
        "test_count[fold]",
    ]  # fmt: skip


def test_items_run_by_name_with_fixtures_and_in_classes(mine):
    mine("-k", "sum or fold or (var and scale)").assert_outcomes(passed=3, deselected=5)


def test_a_report_is_short_and_its_repro_repeats_it(mine, monkeypatch, pytester):
    result = mine("-k", "textbook and translation")
    result.assert_outcomes(failed=1, deselected=7)
    assert len(result.outlines) <= 30
    said = "\n".join(line.removeprefix("E").removeprefix("   ") for line in result.outlines)
    assert "ExceptionGroup" not in said and "hypothesis" not in said
    for part in ("f(x + c) is not f(x), c = ", "law: translation of textbook: Hold a measure",
                 "expected: ", "came: ", "x = jnp.array([", "ulp apart"):  # fmt: skip
        assert part in said
    program = re.search(rf"{REPRO}(.*?)\n(?:\S|$)", said, re.DOTALL)
    monkeypatch.syspath_prepend(pytester.path)
    with pytest.raises(AssertionError, match="f\\(x \\+ c\\) is not"):
        exec(textwrap.dedent(program[1]), {})


def failure(run):
    """Return what a law says, as Python prints it without pytest."""
    with pytest.raises(AssertionError) as caught:
        run()
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    return str(caught.value)


def first(x):
    return x[0]


def halves(factor):
    def half(x):
        return first(x) * factor

    return half


def biggest(x):
    return jnp.max(x)


def meddles(x):
    return x * 0.5, False


class Dropped:
    """A pytree that loses a leaf."""


jax.tree_util.register_pytree_node(Dropped, lambda d: ((1.0, 2.0), None), lambda _, parts: parts[0])
DROPPED = {"dropped": Dropped()}
FAILING = {
    "a function": lambda: laws.permutation(first, max_examples=20),
    "a closure": lambda: laws.permutation(jax.jit(halves(0.5)), rtol=0.0, max_examples=20),
    "a lambda": lambda: laws.gradient(lambda x: jnp.sqrt(x - x)[0]),
    "a partial": lambda: laws.bounds(jf.partial(jnp.add, 1.0), upper=0.5, max_examples=20),
    "complex": lambda: laws.scale(lambda x: x[0].imag, power=2, dtype=jnp.complex64),
    "masks": lambda: laws.deletion(lambda x, where=True: x[0], max_examples=20),
    "narrow": lambda: laws.constant(jnp.max, dtype=jnp.bfloat16, max_examples=9),
    "pairs": lambda: laws.correlation(lambda x, y: stats.corr(x, y) * 2, max_examples=9),
    "a loop": lambda: laws.observer(meddles, max_examples=3),
    "a callback": lambda: laws.observer(
        jf.Callback(biggest, after_step=lambda m, x: (m, x * 0.5, False)), max_examples=3
    ),
    "a fold": lambda: laws.fold(
        jf.Fold(jnp.zeros_like, lambda m, x: x, lambda a, b: (a + b) / 2), jnp.ones(4)
    ),
    "a value of the module": lambda: laws.pytree(DROPPED["dropped"]),
    "what is drawn by a strategy": lambda: laws.monoid(
        lambda p, q: q, 0.0, strategies.pipes().map(len)
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_repro_raises_the_same(name):
    text = failure(FAILING[name])
    report, _, program = text.partition(REPRO)
    assert "  law: " in report and "\n  expected: " in report and "\n  came: " in report
    with pytest.raises(AssertionError) as again:
        exec(textwrap.dedent(program), {})
    assert str(again.value).partition(REPRO)[0] == report


def test_a_traceback_without_pytest_has_no_frame_of_hypothesis():
    with pytest.raises(AssertionError) as caught:
        laws.permutation(first, max_examples=20)
    lines = "".join(traceback.format_exception(caught.value)).splitlines()
    assert len(lines) <= 24 and not [line for line in lines if "/hypothesis/" in line]


def test_an_error_of_the_function_stays_what_it_is():
    with pytest.raises(NameError, match="missing") as caught:
        laws.gradient(lambda x: x + missing)  # noqa: F821
    names = [frame.frame.f_globals["__name__"] for frame in caught.traceback]
    assert not [name for name in names if name.startswith("hypothesis")]
    assert "law: gradient of lambda: " in caught.value.__notes__[0]
    assert "x = jnp.array(" in caught.value.__notes__[0]


def test_an_example_takes_the_place_of_what_is_drawn():
    x = jnp.array([1.0, 2.0, 4.0])
    with laws.example(x=x, c=1):
        laws.translation(stats.var)
    with pytest.raises(AssertionError), laws.example(x=x, c=1):
        laws.translation(first)
    with pytest.raises(ValueError, match="no law inside draws y, and nothing else"):
        with laws.example(y=x):
            laws.translation(first)


def drawn():
    seen = []

    def watch(x):
        seen.append(np.asarray(x).tobytes())
        return x

    laws.inverse(watch, watch, strategies.arrays(shape=(3,)), max_examples=5)
    return seen


def test_examples_are_the_same_until_a_seed_or_a_profile_asks_for_others(monkeypatch):
    usual, profile = drawn(), settings.get_current_profile_name()
    assert drawn() == usual
    with monkeypatch.context() as seeded:
        seeded.setattr(hypothesis.core, "global_force_seed", 7)
        others = drawn()
        assert drawn() == others != usual
    settings.register_profile("of the test", derandomize=False)
    try:
        settings.load_profile("of the test")
        assert drawn() != drawn()
    finally:
        settings.load_profile(profile)


def test_a_law_inside_given_draws_one_example_of_each():
    calls = []

    @settings(max_examples=6, database=None, derandomize=True, deadline=None)
    @given(strategies.arrays(shape=(2,)))
    def run(x):
        calls.append(1)
        laws.inverse(jnp.negative, jnp.negative, x)

    run()
    assert len(calls) <= 6


def test_mistakes_are_named(monkeypatch):
    with pytest.raises(TypeError, match="the law monoid takes no dtype=; give it to the laws that"):
        laws.holds(laws.constant, laws.monoid, dtype=jnp.float16)
    with pytest.raises(TypeError, match="holds: there is no law"):
        laws.holds(of=[first])
    with pytest.raises(TypeError, match="3 is no law; what is to keep laws is given by of="):
        laws.holds(laws.constant, 3)
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install pytest 'jfoundations\[testing\]'"):
        laws.holds(laws.constant)


VALUES = [
    *(jnp.array([0.1, -0.0, 3e38], kind) for kind in (jnp.float32, jnp.bfloat16, jnp.complex64)),
    *(jnp.array([[1, 0]], kind) for kind in (jnp.int8, jnp.uint32, bool)),
    jnp.array([jnp.nan, jnp.inf, -jnp.inf]),
    jnp.zeros((0, 2)),
    jnp.full((3, 4), 0.3),
    np.float32(0.1),
    np.arange(3.0),
    (1, (2.5,), [None, {"a": float("inf"), "b": 0}], 1j),
    jax.random.key(3),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_are_written_to_the_bit(value):
    code = Code({})
    program = code.text([f"value = {code.of(value)}"])
    space = {}
    exec(program, space)
    assert_same(space["value"], value)
    assert jax.tree.map(type, space["value"]) == jax.tree.map(type, value)


def test_functions_are_written_by_name_or_source():
    space = globals()
    for value in (stats.var, jnp.add, first, jf.Pipe(jnp.abs, twice=first),
                  jf.partial(stats.std, correction=1),
                  jf.Callback(biggest, after_step=first), jf.Fold(jnp.zeros_like, jnp.add, None),
                  jf.Fold(first, jnp.add, jnp.add, block=jnp.sum, unmerge=first),
                  jf.callbacks.best(biggest)):  # fmt: skip
        code = Code(space)
        made = {}
        exec(code.text([f"value = {code.of(value)}"]), made)
        assert made["value"] == value
    for value in (object(), folds.mean()):
        with pytest.raises(Unwritable):
            Code({}).of(value)


SPREAD_LAWS = {
    "constant": {},
    "translation": {},
    "scale": {"power": 1},
    "permutation": {"power": 1, "shift": 0},
    "bounds": {"lower": 0},
    "gradient": {},
    "deletion": {"rtol": 0.0},
    "repetition": {"rtol": 0.0},
    "poison": {},
}


@pytest.mark.parametrize("name", SPREAD_LAWS)
def test_a_law_draws_few_shapes(name):
    """Each compiles anew: it is what a law costs."""
    traces = []

    @jax.jit
    def extent(x, where=None, weights=None):
        traces.append(x.shape)
        where = jnp.ones(x.shape, bool) if where is None else where
        where = where if weights is None else weights > 0
        high, low = jnp.where(where, x, -jnp.inf), jnp.where(where, x, jnp.inf)
        return jnp.max(high) - jnp.min(low)

    getattr(laws, name)(extent, **SPREAD_LAWS[name])
    assert len(traces) <= 8, traces
