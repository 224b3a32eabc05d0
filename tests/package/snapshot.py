"""What the package computes, as a file of hashes, to show that a change of its code changes none.

    python tests/package/snapshot.py OUT.json
    python tests/package/snapshot.py --compare OLD.json NEW.json

A snapshot has an entry for each case of the tables: the SHA-256 of an answer's bytes with its
dtypes and shapes, or the first line of an error; of a loop also the SHA-256 and the length of its
StableHLO, without names of functions and locations. Snapshots are compared on one machine and one
version of JAX: others may round otherwise.
"""

import argparse
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "cases"), str(TESTS.parent)]

import conftest  # noqa: E402, F401  JAX's settings in tests
import loop_cases  # noqa: E402
import public_cases  # noqa: E402
from helpers import bits, nameless  # noqa: E402
from public_cases import CALLS, COMBINED, MAKERS, options_of  # noqa: E402

import jfoundations as jf  # noqa: E402
from jfoundations import folds, stats  # noqa: E402

X64 = jax.config.jax_enable_x64
SMALL, LARGE = 7, 3000
FLOAT, OTHERS = ("float64", ("int64",)) if X64 else ("float32", ("bfloat16", "int32", "complex64"))
# Each of these compiles for seconds.
SLOW = {*public_cases.WINDOWS, "bootstrap", "ema", "ema_var", "grouped", "rank_corr"}
SPECIAL = {"accuracy": "high", "reproducible": True, "return_bound": True}
DRIVERS = ("while", "scan", "checkpointed")
COMPILED = ("iterate while", "iterate while lanes", "as_scan_body")  # of others the text is enough
WHOLE = ("several", "listener of every event")  # callbacks of which every form is run


# Hashes


def digest(value):
    """Return the hash of all leaves, and their dtypes and shapes."""
    hashed, like = hashlib.sha256(), []
    for path, leaf in jax.tree_util.tree_leaves_with_path(_public(value)):
        dtype, shape, data = ("str", (), leaf.encode()) if isinstance(leaf, str) else bits(leaf)
        like.append(f"{dtype}{list(shape)}")
        hashed.update(f"{jax.tree_util.keystr(path)} {like[-1]} {len(data)}:".encode() + data)
    return {"answer": hashed.hexdigest(), "like": " ".join(like)}


def _public(value):
    # What a result goes on from is no public part of it.
    is_result = lambda r: isinstance(r, jf.LoopResult)  # noqa: E731
    return jax.tree.map(lambda r: _parts(r) if is_result(r) else r, value, is_leaf=is_result)


def _parts(result):
    parts = {"steps": result.steps, "stopped_by": result.stopped_by, "memory": result.memory}
    return _public({**parts, "state": result.state}) | {"reasons": str(result.reasons)}


def entry(run):
    """Return what a case gives: the digest of an answer, or an error."""
    try:
        return run()
    except Exception as error:  # any: a case that fails is a case too
        first = str(error).partition("\n")[0]
        return {"error": f"{type(error).__name__}: {first}"}


def answered(function, *args):
    """Return the digest of a function's answer."""
    return digest(function(*args))


def compiled(function, *args, runs=True):
    """Return the digest of a jitted function's program, and of its answer where it is run."""
    lowered = jax.jit(function).lower(*args)
    text = nameless(lowered.as_text())
    program = {"text": hashlib.sha256(text.encode()).hexdigest(), "length": len(text)}
    return program | (answered(lowered.compile(), *args) if runs else {})


# Statistics


@functools.cache
def samples(n, dtype, gap=False):
    """Return two arrays, of some columns where n is small, weights and a mask of the elements."""
    rng = np.random.default_rng(n)
    shape = (n, 3) if n < 100 else (n,)
    x = rng.normal(3.0, 2.0, shape)
    x[1] = x[0]
    y = 0.5 * x + rng.normal(size=shape)
    weights, mask = rng.integers(0, 4, shape), rng.integers(0, 4, shape) > 0
    if dtype.startswith("complex"):
        x, y = x + 1j * y, y - 1j
    if dtype.startswith("int"):
        x, y = 100 * x, 100 * y
    if gap:
        x[2] = np.nan
    arrays = jnp.asarray(x.astype(dtype)), jnp.asarray(y.astype(dtype))
    return *arrays, jnp.asarray(weights, jnp.int32), jnp.asarray(mask)


def variants(name):
    """Yield, of a statistic, how each case is called, and its n, dtype and options."""
    known = options_of(getattr(stats, name))
    axis = {"axis": 0} if "axis" in known else {}
    yield "", SMALL, FLOAT, axis
    weighed = {"weights": stats.Frequency, "where": True}
    omits = {"nan": "omit"} if "nan" in known else {}
    yield "frequency where nan=omit", SMALL, FLOAT, {**axis, **weighed, **omits}
    if not X64:
        yield "", LARGE, FLOAT, axis
    if name in SLOW:
        return
    yield from (("", SMALL, dtype, axis) for dtype in OTHERS)
    if X64:
        return
    if axis:
        yield "", SMALL, FLOAT, {"axis": -1}
        yield "", SMALL, FLOAT, {"axis": None}
    for option, value in SPECIAL.items():
        if option in known:
            yield f"{option}={value}", SMALL, FLOAT, {**axis, option: value}


def statistic(name, n, dtype, options):
    """Return the answer of a statistic, all arrays being arguments of its program."""
    x, y, weights, mask = samples(n, dtype, options.get("nan") == "omit")
    if name.endswith("_matrix"):
        rows = x.size // 4 if x.ndim == 1 else n
        weights, mask = weights.reshape(-1)[:rows], mask.reshape(-1)[:rows]
    arrays = {}
    if "weights" in options:
        arrays["weights"] = options["weights"](weights)
    if "where" in options:
        arrays["where"] = mask
    fixed = {key: value for key, value in options.items() if key not in arrays}
    run = jax.jit(lambda x, y, arrays: CALLS[name](x, y, **arrays, **fixed))
    return answered(run, x, y, arrays)


def key_of(module, name, dtype, n, *words):
    words = (f"{module}.{name}", dtype, f"n={n}" if n != SMALL else "", *words)
    return " ".join(word for word in words if word)


def statistics():
    for name in sorted(CALLS.keys() - (SLOW if X64 else set())):
        for words, n, dtype, options in variants(name):
            along = f"axis={options['axis']}" if "axis" in options else ""
            key = key_of("stats", name, dtype, n, along, words)
            yield key, functools.partial(statistic, name, n, dtype, options)


# Folds


def with_memory(fold):
    """Return a fold whose answer is also its memory."""
    extract = lambda memory: (fold.extract(memory), memory)  # noqa: E731
    functions = fold.init, fold.step, fold.merge, extract, fold.block
    return jf.Fold(*functions, finished=fold.finished, name=fold.name)


def folded(fold, data, chunks):
    rows = jax.tree.leaves(data)[0].shape[0]
    data = data if chunks == 1 else jf.Source.of(jax.tree.map(np.asarray, data), -(-rows // chunks))
    return answered(jf.fold, with_memory(fold), data)


def fold_of(name, n, dtype, chunks, options):
    x, y, weights, _ = samples(n, dtype, options.get("nan") == "omit")
    weighed = "weights" in options
    rows = x.size // 4 if x.ndim == 1 and name.endswith("_matrix") else n
    data = public_cases.elements(name, x, y, weights.reshape(-1)[:rows] if weighed else None)
    return folded(MAKERS[name](**options), data, chunks)


def combined(name):
    return folded(COMBINED[name], samples(SMALL, FLOAT)[0], 3)


def all_folds():
    several = [(FLOAT, SMALL, 3, {})]
    if not X64:
        several += [(dtype, SMALL, 1, {}) for dtype in (FLOAT, *OTHERS)]
    for name in sorted(MAKERS.keys() - (SLOW if X64 else set())):
        known = options_of(folds.var if name == "grouped" else getattr(folds, name))
        options = {"weights": stats.Frequency} if "weights" in known else {}
        options |= {"nan": "omit"} if "nan" in known else {}
        cases = several[:1] if name in SLOW else list(several)
        if not X64:
            cases.append((FLOAT, LARGE, 3, options))
        for dtype, n, chunks, options in cases:
            words = ["frequency"] * ("weights" in options) + ["nan=omit"] * ("nan" in options)
            key = key_of("folds", name, dtype, n, f"chunks={chunks}", *words)
            yield key, functools.partial(fold_of, name, n, dtype, chunks, options)
    for name in COMBINED:
        yield f"fold {name} {FLOAT} chunks=3", functools.partial(combined, name)


# Loops


def loops():
    """Yield each form of each loop: texts of those that are one program, and answers of all."""
    one, many = loop_cases.START, loop_cases.LANES
    for name in loop_cases.CALLBACKS:
        forms = {"iterate while lanes": loop_cases.lanes(name)}
        if name not in loop_cases.AXIS:
            for driver in DRIVERS:
                forms[f"iterate {driver}"] = loop_cases.iterate(name, driver)
            for driver in DRIVERS[1:]:
                forms[f"grad {driver}"] = loop_cases.gradient(name, driver)
            forms["resume while"] = loop_cases.resumed(name)
            forms["as_scan_body"] = loop_cases.scanned(name)
        if name in WHOLE:
            python = loop_cases.iterate(name, "python")
            yield f"iterate python, {name}", functools.partial(answered, python, one)
        for form, run in forms.items():
            state = many if "lanes" in form else one
            runs = form in COMPILED or name in WHOLE
            yield f"{form}, {name}", functools.partial(compiled, run, state, runs=runs)
    for form, run in loop_cases.FORMS.items():
        yield form, functools.partial(compiled, run, many if "lanes" in form else one)
    for form, run in loop_cases.HOST.items():
        yield form, functools.partial(answered, run, one)


def cases():
    """Return all cases by name, each a function without arguments that returns its entry."""
    public_cases.check_that_none_is_missing()
    loop_cases.check_that_none_is_missing()
    listed = [*statistics(), *all_folds(), *(() if X64 else loops())]
    found = dict(listed)
    assert len(found) == len(listed), "two cases have one name"
    return found


def snapshot(chosen):
    """Return the entries of cases by name."""
    return {name: entry(run) for name, run in chosen.items()}


def snapshot_of_both():
    """Return the entries of this process and of one with 64-bit types beside it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x64.json"
        environment = {**os.environ, "JFOUNDATIONS_X64": "1"}
        with subprocess.Popen([sys.executable, __file__, str(path)], env=environment) as other:
            entries = snapshot(cases())
        if other.returncode:
            raise RuntimeError(f"the process with 64-bit types ended with {other.returncode}")
        return entries | {
            f"x64 {key}": value for key, value in json.loads(path.read_text()).items()
        }


# Comparing


def differences(old, new):
    """Return a line for each thing that differs, those of a kind together."""
    lines = [f"gone: {key}" for key in sorted(old.keys() - new.keys())]
    lines += [f"new: {key}" for key in sorted(new.keys() - old.keys())]
    both = [(key, old[key], new[key]) for key in sorted(old.keys() & new.keys())]
    for key, a, b in both:
        if a.get("error") != b.get("error"):
            lines.append(f"error: {key}: {a.get('error')} -> {b.get('error')}")
    for key, a, b in both:
        if a.get("like") != b.get("like") and "like" in a and "like" in b:
            lines.append(f"dtypes and shapes: {key}: {a['like']} -> {b['like']}")
    for key, a, b in both:
        if a.get("answer") != b.get("answer") and a.get("like") == b.get("like"):
            lines.append(f"bits: {key}: {a['like']}")
    for key, a, b in both:
        if a.get("text") != b.get("text"):
            lines.append(f"text: {key}: {a.get('length')} -> {b.get('length')} characters")
    return lines


def compare(old, new):
    """Print what differs, and return the exit code."""
    lines = differences(old, new)
    print(*lines, f"{len(lines)} differences, in {len(old)} and {len(new)} cases", sep="\n")
    return 1 if lines else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, help="where to write a snapshot")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"))
    given = parser.parse_args(arguments)
    if given.compare:
        return compare(*(json.loads(path.read_text()) for path in given.compare))
    if given.out is None:
        parser.error("a path to write to, or --compare OLD NEW")
    entries = snapshot(cases()) if X64 else snapshot_of_both()
    entries["versions"] = {"like": f"jax {jax.__version__}, numpy {np.__version__}"}
    given.out.write_text(json.dumps(entries, indent=0, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
