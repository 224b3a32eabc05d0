"""What an editor and `help` show of every public name, and where messages send their readers."""

import dataclasses
import importlib
import inspect
import pydoc
import re
import typing
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import callbacks, folds, stages, stats

ROOT = Path(jf.__file__).parent
ROOMS = ("", ".stats", ".folds", ".callbacks", ".callbacks.schedules", ".executors", ".stages")
ROOMS += (".diagnostics", ".testing.laws", ".testing.checks", ".testing.strategies")


def public():
    """Yield every public name that can be called, and the methods of those that are classes."""
    for room in ROOMS:
        module = importlib.import_module(f"jfoundations{room}")
        for name in module.__all__:
            found = getattr(module, name)
            if callable(found):
                yield f"{module.__name__}.{name}", found
            if inspect.isclass(found):
                for method in dir(found):
                    inner = getattr(found, method)
                    ours = (getattr(inner, "__module__", "") or "").startswith("jfoundations")
                    if method[0] != "_" and inspect.isroutine(inner) and ours:
                        yield f"{module.__name__}.{name}.{method}", inner


NAMES = dict(public())


def test_signatures_are_read_at_a_glance():
    assert len(NAMES) > 250
    long, private = [], []
    for name, found in NAMES.items():
        owner = NAMES.get(name.rpartition(".")[0])
        if any(isinstance(one, type) and issubclass(one, tuple) for one in (found, owner)):
            continue  # Python makes it of types, which pdoc could not resolve as strings
        said = str(inspect.signature(found)) if not issubclass_of_exception(found) else ""
        long += [(name, len(said))] if len(said) > 350 else []
        private += [name] if re.search(r"jfoundations\._|Union\[|jaxlib", said) else []
    assert (long, private) == ([], [])


def issubclass_of_exception(found):
    return inspect.isclass(found) and issubclass(found, Exception)


LATE = dict.fromkeys(("Report", "Chunks", "Progress"), object)  # imported when they are used


def test_names_in_signatures_can_be_looked_up():
    for found in NAMES.values():
        if inspect.isfunction(found):
            typing.get_type_hints(found, localns=LATE)


def test_every_name_begins_with_a_sentence():
    for name, found in NAMES.items():
        first = (inspect.getdoc(found) or "").split("\n")[0]
        assert first.endswith((".", ":", "`")), name


CLASSES = {found for found in NAMES.values() if inspect.isclass(found)}


def test_completion_shows_no_machinery():
    assert len(CLASSES) > 25
    for found in CLASSES:
        assert not [name for name in dir(found) if "flatten" in name and name[0] != "_"]


def test_rooms_complete_to_public_names_alone():
    for room in ROOMS:
        module = importlib.import_module(f"jfoundations{room}")
        assert {name for name in dir(module) if name[0] != "_"} == set(module.__all__)


NEAREST = {
    (stats, "variance"): "var",
    (stats, "average"): "mean",
    (stats, "nanvar"): "var",
    (stats, "correlation"): "corr",
    (stats, "percentile"): "quantile",
    (folds, "average"): "mean",
    (callbacks, "EarlyStopping"): "early_stopping",
    (callbacks, "ReduceLROnPlateau"): "reduce_on_plateau",
    (callbacks.schedules, "cosin"): "cosine",
    (jf.executors, "Process"): "Processes",
    (stages, "standardise"): "standardize",
    (jf.diagnostics, "r_hat"): "rhat",
    (jf.testing.laws, "discovr"): "discover",
}


@pytest.mark.parametrize(("module", "name"), NEAREST, ids=[name for _, name in NEAREST])
def test_rooms_suggest_the_nearest_name(module, name):
    with raises(AttributeError, f"{name!r}; did you mean {NEAREST[module, name]}?"):
        getattr(module, name)


def test_rooms_suggest_nothing_where_nothing_is_near():
    for name in ("zzzz", "__wrapped__"):
        with pytest.raises(
            AttributeError, match=f"'jfoundations.stats' has no attribute '{name}'$"
        ):
            getattr(stats, name)


def double(by, x):
    return by * x


PIPE = jf.Pipe(double=jf.partial(double, 2.0), shift=jf.partial(double, jnp.array([1.0, 3.0])))


def test_a_pipe_and_its_gradient_print_differently():
    assert repr(PIPE) == "double(by=2) >> shift(by=[1, 3])"
    slope = jax.grad(lambda pipe: pipe(5.0).sum())(PIPE)
    assert repr(slope) == "double(by=20) >> shift(by=[10, 10])"
    assert repr(jf.Pipe(big=jf.partial(double, jnp.zeros(9)))) == "big(by=float32[9])"
    assert repr(jf.Pipe(none=jf.partial(double, 0.0))) == "none(by=0)"


def test_replace_puts_another_function_in_a_stages_place():
    other = PIPE.replace(double=jf.partial(double, 3.0))
    assert PIPE.replace(double=PIPE["double"]) == PIPE == PIPE.replace()
    assert other.names == PIPE.names and other[1:] == PIPE[1:]
    assert other(1.0).tolist() == [3.0, 9.0] and PIPE(1.0).tolist() == [2.0, 6.0]
    assert other.replace(double=PIPE["double"]) == PIPE
    inner = PIPE.replace(double=PIPE)  # stays one stage
    assert len(inner) == 2 and inner(1.0).tolist() == [2.0, 18.0]
    assert PIPE.replace(shift=jf.identity)(1.0) == 2.0


def test_replace_does_not_retrace():
    with jf.testing.checks.assert_traces(1) as counted:
        run = jax.jit(counted(lambda pipe, x: pipe(x)))
        for by in (2.0, 3.0):
            run(PIPE.replace(double=jf.partial(double, by)), 1.0)


def test_replace_names_the_stages():
    with raises(KeyError, "no stage named 'doubel'", "double(by=2) >> ", "did you mean double?"):
        PIPE.replace(doubel=abs)
    with raises(KeyError, "2 stages named 'abs'"):
        jf.Pipe(abs, abs).replace(abs=abs)
    with raises(TypeError, "Pipe.replace: stage 'double' is 3, which is not callable"):
        PIPE.replace(double=3)


CALLBACKS = (
    jf.watch(folds.var(correction=1)),
    jf.every(2, callbacks.until(folds.minmax(), when=lambda ends: ends[1] > 99, name="ends")),
    callbacks.swap(jf.watch(folds.maximum()), lambda x, _: x, callbacks.best(abs)),
)


@jax.jit
@jax.vmap
def run(x):
    return jf.iterate(lambda x: x + 1.0, x, *CALLBACKS, max_steps=4)


def test_tables_show_the_answers_of_folds():
    lanes = run(jnp.array([0.0, 10.0]))
    answers = ["var", "ends[0]", "ends[1]", "swap['best'].value", "swap['best'].state"]
    assert [line.split()[-6:] for line in lanes.table().splitlines()] == [
        [*answers, "swap['maximum']"],
        ["1.66667", "2", "4", "1", "1", "4"],
        ["1.66667", "12", "14", "11", "11", "14"],
    ]
    shown = "memory={var: float32[2], ends: (float32[2], float32[2]), swap: {'best': Best("
    assert shown in repr(lanes)
    one = jax.tree.map(lambda leaf: leaf[1], lanes)
    assert "\nvar                 1.66667\nends[0]             12\n" in one.table()
    broken = jax.tree.map(
        lambda leaf: leaf[0], one.memory["var"], is_leaf=lambda v: type(v) is tuple
    )
    assert "memory={var: " in repr(dataclasses.replace(one, memory={"var": broken}))


def test_a_donated_result_leaves_its_fold_whole():
    twice = folds.maximum().map(jf.partial(double, jnp.float32(2.0)))
    seen = jf.watch(twice, name="seen")
    first = jf.iterate(lambda x: x + 1.0, 0.0, seen, max_steps=2)
    jax.jit(lambda result: jax.tree.map(lambda x: x + 1, result), donate_argnums=0)(first)
    assert float(twice.extract(jnp.float32(3.0))) == 6.0


PAGES = {path.stem for path in (ROOT / "guide").glob("*.md")}


def test_messages_name_pages_that_there_are():
    named = {
        page
        for path in ROOT.rglob("*.py")
        for page in re.findall(r"\bsee\(['\"](\w+)['\"]\)", path.read_text())
    }
    assert {"how_to_choose", "array_to_cluster", "limits", "testing_your_own"} <= named <= PAGES


def test_the_package_warns_of_nothing():
    """Whoever adds a warning has it name a page too."""
    assert not [path for path in ROOT.rglob("*.py") if "warnings.warn(" in path.read_text()]


def ordered():
    return jf.Fold(lambda like: jnp.zeros(()), lambda m, x: m * 0.5 + x, None, name="ordered")


CHOICES = {
    "reverse mode": (
        lambda: jax.grad(lambda x: jf.iterate(lambda x: x / 2, x, max_steps=3).state)(1.0),
        "how_to_choose",
    ),
    "a driver": (lambda: jf.iterate(abs, 1.0, max_steps=1, driver="whlie"), "how_to_choose"),
    "eager": (
        lambda: jax.jit(lambda x: jf.iterate(abs, x, max_steps=1, driver="python").state)(1.0),
        "how_to_choose",
    ),
    "accuracy": (lambda: stats.var([1.0], accuracy="higher"), "how_to_choose"),
    "executor": (lambda: jf.fold(folds.mean(), jnp.ones(3), "pool"), "how_to_choose"),
    "no merge": (
        lambda: jf.fold(ordered(), jf.Source.of(jnp.ones(4), 2), jf.executors.Pool(1)),
        "array_to_cluster",
    ),
    "jackknife": (lambda: jf.jackknife(ordered(), [jnp.ones(2)]), "array_to_cluster"),
    "windows": (lambda: jf.rolling(ordered(), jnp.ones(4), 2), "array_to_cluster"),
    "x64": (lambda: stats.var([2**40]), "limits"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_messages_about_choices_name_a_page(name):
    wrong, page = CHOICES[name]
    with pytest.raises(Exception, match=f"; see jfoundations.guide.{page}") as caught:
        wrong()
    assert isinstance(caught.value, TypeError | ValueError | OverflowError)


def test_help_prints_short_names():
    said = pydoc.plain(pydoc.render_doc(stats.var)).replace("'", "")  # quotes before Python 3.14
    assert "var(x: Numbers, *, axis: Axis = None, correction: ArrayLike = 0," in said
