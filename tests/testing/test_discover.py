"""Laws are found: those known by hand, exactly or to a bound, and the others' smallest failures."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import breach
from known_laws import BREACHES, GENERAL, KNOWN, missed

import jfoundations as jf
from jfoundations import stats
from jfoundations.testing import laws

# of each kind one or two that compile fast; tests/benchmarks/discover.py takes them all
CHEAP = (
    *("tanh", "sqrt", "abs", "negative", "reciprocal", "floor", "sort", "max", "diff", "softmax"),
    *("argmax", "relu", "non_negative", "add", "subtract", "dot", "cross"),
    *("folds.maximum", "pipe"),
)


def textbook(x):
    return jnp.mean(x * x) - jnp.mean(x) ** 2


def found(f, **options):
    return laws.discover(f, **{"dtypes": (), "max_examples": 200, **options})


@pytest.fixture(scope="module")
def reports():
    return {name: found(KNOWN[name][0]) for name in CHEAP}


def test_known_laws_are_found(reports):
    lacking = {name: missed(report, *KNOWN[name][1]) for name, report in reports.items()}
    count = sum(len(KNOWN[name][1][0]) for name in CHEAP)
    assert sum(map(len, lacking.values())) <= 0.05 * count, lacking


@pytest.mark.parametrize("name", ["negative", "sort", "softmax", "subtract", "cross"])
def test_what_is_found_holds_of_further_examples(name):
    few, many = (found(KNOWN[name][0], max_examples=n) for n in (1024, 4096))
    for law in set(few.held) - GENERAL:
        before, now = few[law], many[law]
        assert now.holds and now.constant == before.constant, (before, now)
        # what is reported is four times what was seen
        assert now.exact >= before.exact and now.units <= 4 * before.units, (before, now)


def test_functions_of_sciences_wrong_by_little():
    """What holds nearly is no law: 0.01 % is a thousand times what rounding does."""

    def nearly_odd(x):
        return jnp.sin(x) + 1e-4 * x * x

    report = found(nearly_odd)
    assert report["odd"].holds is False and "x = [1.]" in report["odd"].why
    assert report["elementwise"].holds

    def nearly_sum(x):
        return jnp.sum(x) + 1e-4 * x[0]

    assert found(nearly_sum)["permutation_invariant"].holds is False
    assert found(nearly_sum)["linear"].holds


def test_the_smallest_failure_has_few_elements_and_small_integers(reports):
    assert reports["abs"]["odd"].why == "[1.] and [-1.], x = [1.]"
    assert reports["sort"]["odd"].why.endswith("x = [0., 1.]")  # of one element it is odd
    assert reports["dot"]["antisymmetric"].why == "1. and -1., x = [1.], y = [1.]"
    assert reports["add"]["odd in x"].why == "[1.] and [-1.], x = [0.], w = [1.]"


def test_exact_and_to_a_bound():
    def anchored(x):
        y = x - x[0]
        return jnp.mean(y * y) - jnp.mean(y) ** 2

    sound, naive = found(anchored), found(textbook)
    assert sound["translation_invariant"].exact
    assert sound["zero_of_constants"].verdict == "exact"
    assert naive["translation_invariant"].holds is False
    # well-conditioned data do not tell them apart
    assert sound["permutation_invariant"].offset == 1e6
    assert naive["permutation_invariant"].holds is False
    assert naive["permutation_invariant"].offset <= 100
    assert naive["odd"].offset is None
    one = found(jnp.sum)["permutation_invariant"]
    assert one.holds and not one.exact and one.verdict == f"to {one.units:.3g} ulp"


def test_dtypes_and_constants(reports):
    report = laws.discover(jnp.cbrt, dtypes=(jnp.bfloat16, jnp.int32), max_examples=256)
    assert report["homogeneous"].constant == pytest.approx(1 / 3)
    assert "bfloat16" in report["odd"].dtypes
    assert reports["softmax"]["lipschitz"].constant <= 1
    assert laws.discover(jnp.negative, dtypes=(jnp.int32, jnp.complex64), max_examples=64)[
        "involution"
    ].dtypes == ("float32", "int32", "complex64")


def test_doubles():
    with jax.enable_x64(True):
        report = found(jnp.negative)
        assert report["linear"].holds and report["odd"].dtypes == ("float64",)
        assert found(jnp.sum)["additive"].exact is False


def test_matrices_numbers_and_complex_numbers():
    report = found(jnp.transpose, shape=(3, 3))
    assert report["involution"].verdict == "exact" and report["linear"].holds
    report = found(jnp.square, shape=())
    assert report["even"].holds and report["permutation_invariant"].holds is None
    report = found(jnp.sin, dtype=jnp.bfloat16)
    assert report["odd"].holds and not report["idempotent"].holds
    assert found(np.sort, max_examples=32)["idempotent"].holds  # which JAX cannot trace
    report = found(jnp.conj, dtype=jnp.complex64)
    assert report["additive"].holds and report["increasing"].holds is None
    assert report["linear"].holds is False  # its factors are complex
    assert found(jnp.imag, dtype=jnp.complex64)["translation_invariant"].holds is False
    assert found(jnp.fft.fft, dtype=jnp.complex64)["linear"].holds


def test_several_answers_and_answers_of_the_host():
    report = found(lambda x: (x[:2], x[2:]))
    assert report["shape"].holds is False and report["involution"].holds is None
    assert report["linear"].holds and report["permutation_equivariant"].holds is None

    def on_the_host(x):
        return float(np.sum(np.asarray(x)))  # to 64 bits, of sums rounded to 32

    report = found(on_the_host, max_examples=32)
    assert report["permutation_invariant"].holds and report["jit"].holds is False
    with pytest.warns(UserWarning, match="truncated to dtype float32"):
        report = found(jnp.negative, dtype="float64", max_examples=32)
    assert report["odd"].dtypes == ("float32",)


def test_gradients_and_transforms():
    @jax.custom_vjp
    def wrong(x):
        return jnp.sin(x)

    wrong.defvjp(lambda x: (jnp.sin(x), x), lambda x, y: (1.01 * y * jnp.cos(x) + 0.1,))
    report = found(wrong)
    assert report["grad"].holds is False and "differences say" in report["grad"].why
    assert report["finite_grad"].holds
    assert found(jnp.cbrt)["finite_grad"].holds is False  # at 0

    def looks(x):
        return abs(x) if float(x.sum()) > 0 else abs(-x)

    report = found(looks)
    assert report["jit"].holds is False and "Concret" in report["jit"].why
    assert report["even"].holds and report["shape"].holds


def test_inverses():
    report = found(jnp.expm1, inverse=jnp.log1p)
    assert report["inverse"].holds and not report["inverse"].exact
    assert found(jnp.arctan, inverse=jnp.tan)["inverse"].holds is not None
    assert found(jnp.negative, inverse=jnp.negative)["inverse"].verdict == "exact"
    assert found(jnp.negative, inverse=jnp.abs)["inverse"].holds is False


def test_nouns():
    report = laws.discover(jf.callbacks.history(), max_examples=200)
    assert report["observer"].verdict == "exact" and report["chain_monoid"].holds

    def large(x):
        return x, jnp.max(x) > 2

    report = laws.discover(large, max_examples=200)  # seen by what it returns
    assert set(report) == {*KNOWN["history"][1][0]} and report["lane"].holds

    def halve(state):
        return state / 2

    report = found(halve, max_examples=200)
    assert report["driver_equivalence"].holds and report["linear"].holds


CAUGHT = ("merges unevenly", "clips", "looks at other lanes", "asks how it is called")


@pytest.mark.parametrize("name", CAUGHT)  # tests/benchmarks/discover.py takes them all
def test_breaches_are_not_found_to_hold(name):
    noun, broken = BREACHES[name]
    report = found(noun, max_examples=200)
    assert not broken & set(report.held)
    assert all(report[law].why for law in broken)


def test_statistics_with_masks():
    def mean(x, where=None):
        return jnp.mean(x) if where is None else jnp.sum(jnp.where(where, x, 0)) / x.size

    report = found(mean, max_examples=200)
    assert report["deletion"].holds is False and report["repetition"].holds is None
    assert report["poison"].holds


def test_masks_of_a_spread_about_a_rounded_mean():
    """Of six numbers that are equal the mean is rounded, and their deviations are not 0."""
    assert found(jnp.std, max_examples=6000)["deletion"].holds


def test_an_order_that_few_neighbours_break():
    def nearly(x):
        """One float in 4,099 is three units too small."""
        units = jax.lax.bitcast_convert_type(x, jnp.int32)
        return jnp.where(units % 4099 == 0, x * (1 - 3 * jnp.finfo(x.dtype).eps), x)

    increasing = laws.discover(nearly, dtypes=())["increasing"]
    assert increasing.holds and not increasing.exact
    assert laws.discover(jnp.negative, dtypes=())["decreasing"].exact


def test_the_report_is_a_value():
    report = found(jnp.negative, max_examples=64)
    assert "odd" in report.held and len(report) == len(list(report))
    text = repr(report)
    assert text.startswith("negative: float32[5], all numbers, 64 examples, seed 0\n")
    assert "involution" in text and "f(f(x)) == x" in text
    with pytest.raises(KeyError, match="not tried on a law 'ood'"):
        report["ood"]
    again = found(jnp.negative, max_examples=64)
    assert again == report


def test_a_plain_two_pass_variance_passes():
    """Its mean is rounded, and squared deviations from it see that: by `(t * max|x|)**2`."""

    @jax.jit
    def two_pass(x):
        d = x - jnp.mean(x)
        return jnp.mean(d * d)

    laws.statistic(two_pass, power=2, shift=0, lower=0, exact=False)
    with breach("fails scale, translation|fails translation"):
        laws.statistic(two_pass, power=2, shift=0)
    with breach("f\\(x \\+ c\\) is not f\\(x\\)"):
        laws.statistic(jax.jit(textbook), power=2, shift=0, exact=False)


def test_bad_input():
    with pytest.raises(TypeError, match="takes 3 arrays by its signature"):
        laws.discover(lambda x, y, z: x)
    with pytest.raises(TypeError, match=r"needs n by keyword; fix it: jf.partial\(.*, n=…\)"):
        laws.discover(lambda x, *, n: n * x)
    with pytest.raises(ValueError, match="answers two calls on one input differently"):
        laws.discover(lambda x: x + np.random.default_rng().random())
    with pytest.raises(TypeError, match="discover: 3 is no function"):
        laws.discover(3)
    with pytest.raises(TypeError, match=r"shape is 5; give a tuple, as \(5,\)"):
        laws.discover(jnp.sin, shape=5)
    with pytest.raises(ValueError, match="dtype is bool"):
        laws.discover(jnp.logical_not, dtype=bool)
    with pytest.raises(TypeError, match="answers no array"):
        laws.discover(lambda x: None)
    with pytest.raises(ValueError, match="have no elements"):
        laws.discover(jnp.sin, shape=(0,))
    with pytest.raises(ValueError, match="takes one at least"):
        laws.discover(jnp.sin, max_examples=0)
    with pytest.raises(ValueError) as caught:
        laws.discover(jnp.linalg.inv)
    assert "float32s of shape (5,), one array of them; shape=" in caught.value.__notes__[-1]
    with pytest.raises(ValueError, match=r'source="module.name"'):
        found(lambda x: x, max_examples=16).write("nowhere.py")


MINE = """
import jax.numpy as jnp
from jfoundations import Fold

def f(x):
    return -2j * x

def apart(x, y):
    return x - y

def step(m, x):
    return m + x

total = Fold(jnp.zeros_like, step, jnp.add)
"""
CHANGED = {"-2j * x": "-2j * x + 1", "x - y": "x - 0.99 * y", "jnp.add": "jnp.maximum"}
WRITE = """
import jax.numpy as jnp
import of_mine
from jfoundations.testing import laws

few = {"dtypes": (), "max_examples": 64}
laws.discover(of_mine.f, dtype=jnp.complex64, **few).write("test_f.py")
laws.discover(of_mine.apart, **few).write("test_apart.py")
laws.discover(of_mine.total, **few).write("test_total.py", source="of_mine.total")
"""


def test_written_tests_pass_and_fail(tmp_path):
    module = tmp_path / "of_mine.py"
    module.write_text(MINE)
    run(tmp_path, "-c", WRITE)
    text = (tmp_path / "test_f.py").read_text()
    assert "from of_mine import f as subject" in text
    assert "dtype='complex64'" in text and "max_examples=64" in text
    test = "-m", "pytest", "-q", "-p", "no:cacheprovider", "."
    assert "passed" in run(tmp_path, *test).stdout
    for before, after in CHANGED.items():
        module.write_text(module.read_text().replace(before, after))
    broken = run(tmp_path, *test, "-k", "odd or antisymmetric or fold", fails=True).stdout
    for law in ("f.py::test_law_is_kept[odd]", "apart.py::test_law_is_kept[antisymmetric]",
                "total.py::test_law_is_kept[fold]"):  # fmt: skip
        assert f"FAILED test_{law}" in broken
    assert "it was odd: exact" in broken


def run(folder: Path, *words: str, fails: bool = False):
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done


def test_a_statistic_of_ours_is_exact():
    report = found(lambda x: stats.var(x))
    assert report["translation_invariant"].exact and report["zero_of_constants"].exact
    assert report["homogeneous"].exact and report["homogeneous"].constant == 2
    assert report["translation_invariant"].offset == report["homogeneous"].offset == 1e6
    assert np.isfinite(report["permutation_invariant"].units)
