"""Pipes that learn: passes, places, checkpoints, executors, and what is said of what cannot be."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, raises

import jfoundations as jf
from jfoundations import executors, folds, stages

X = np.random.default_rng(2).normal(3.0, 2.0, (23, 2)).astype(np.float32)


def less(mean, x):
    return x - mean


def plus(mean, y):
    return y + mean


def times(k, x):
    return k * x


def double(x):
    return 2 * x


def size(x):
    return jnp.abs(x)


def centring(mean):
    return jf.Reversible(jf.partial(less, mean), jf.partial(plus, mean))


def centred(name="centred"):
    return jf.Learned(folds.mean(), centring, name=name)


def by_largest(largest):
    return jf.partial(times, 1 / largest)


def scaled():
    return jf.Learned(folds.maximum(), by_largest, name="scaled")


def apart(mean, x):
    return jnp.abs(x - mean)


def by_farthest(mean):
    return jf.Learned(folds.maximum().of(jf.partial(apart, mean)), by_largest)


def twice():
    return jf.Learned(folds.mean(), by_farthest, name="twice")


PIPE = jf.Pipe(double, centred(), size, scaled=scaled())
BLOCKS = [X[:10], X[10:20], X[20:]]


def by_hand(data, run=jf.fold):
    """Return what `fit` makes of PIPE, pass by pass."""
    first = centring(run(jf.Pipe(double).over(folds.mean()), data))
    before = jf.Pipe(double, first, size)
    second = by_largest(run(before.over(folds.maximum()), data))
    return jf.Pipe(double, centred=first, size=size, scaled=second)


def test_a_fitted_pipe_is_the_one_made_by_hand():
    fitted, hand = jf.fit(PIPE, BLOCKS), by_hand(BLOCKS)
    assert fitted.names == ("double", "centred", "size", "scaled")
    assert fitted == hand and hash(fitted) == hash(hand)
    found = jax.vmap(fitted)(X)
    assert_same(found, jax.vmap(hand)(X))
    assert np.array_equal(jnp.max(found, axis=0), [1, 1])


@pytest.mark.parametrize(
    "data",
    [
        lambda: jf.Source.of(X, 10),
        lambda: jf.Source(3, lambda i: X[10 * i : 10 * i + 10]),
        lambda: [jnp.asarray(block) for block in BLOCKS],
    ],
    ids=["rows of an array", "source", "jax blocks"],
)
def test_the_bits_depend_on_the_cut_alone(data):
    assert jf.fit(PIPE, data()) == jf.fit(PIPE, BLOCKS)


EXECUTORS = {
    "Local": lambda: executors.Local(),
    "Devices": lambda: executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
    "Pool": lambda: executors.Pool(1),
}


@pytest.mark.parametrize("name", EXECUTORS)
def test_the_bits_are_the_same_everywhere(name):
    assert jf.fit(PIPE, jf.Source.of(X, 10), EXECUTORS[name]()) == jf.fit(PIPE, BLOCKS)


def reading(seen):
    return jf.Source(3, lambda i: seen.append(i) or X[10 * i : 10 * i + 10])


@pytest.mark.parametrize(
    ("pipe", "passes"),
    [
        (jf.Pipe(), 0),
        (jf.Pipe(double, jf.juxt(double, size)), 0),
        (jf.Pipe(double, centred()), 1),
        (jf.Pipe(double, jf.juxt(centred(), jf.Pipe(size, scaled()), double)), 1),
        (PIPE, 2),
        (jf.Pipe(jf.juxt(PIPE, scaled())), 2),
        (jf.Pipe(twice()), 2),
        (jf.Pipe(first=PIPE[:2], then=PIPE[2:]) >> centred(), 3),
    ],
    ids=lambda value: repr(value),
)
def test_one_pass_for_all_that_is_known(pipe, passes):
    seen = []
    fitted = jf.fit(pipe, reading(seen))
    assert sorted(seen) == sorted(passes * [0, 1, 2])
    assert "unfitted" not in repr(fitted) and fitted.names == pipe.names
    if passes == 0:
        assert fitted is pipe and jf.fit(pipe, None) is pipe
    fitted(X[0])


def test_stages_side_by_side_are_those_alone():
    both = jf.fit(jf.Pipe(double, jf.juxt(centred(), jf.Pipe(size, scaled()))), BLOCKS)
    one = jf.fit(jf.Pipe(double, centred()), BLOCKS)[1]
    other = jf.fit(jf.Pipe(double, size, scaled()), BLOCKS)[1:]
    assert both[1] == jf.juxt(one, other)


def test_a_stage_may_ask_for_a_second_pass():
    fitted = jf.fit(jf.Pipe(twice()), BLOCKS)
    farthest = np.abs(X - X.mean(0)).max(0)
    np.testing.assert_allclose(fitted(farthest), [1, 1], rtol=1e-6)


def test_behind_a_filter():
    pipe = jf.Pipe(jf.filter_(lambda x: x[0] > 3), centred())
    fitted = jf.fit(pipe, X)
    kept = X[X[:, 0] > 3]
    np.testing.assert_allclose(fitted["centred"].inverse(jnp.zeros(2)), kept.mean(0), rtol=1e-6)
    total = jf.fold(fitted.over(folds.sum()), X)  # and so is what stands behind it
    np.testing.assert_allclose(total, 0, atol=1e-4)


def test_weights_go_with_the_elements():
    mean = folds.mean(weights=jf.stats.Frequency)
    weighted = jf.Learned(mean, centring, weighted=True, name="weighted")
    often = np.random.default_rng(1).integers(0, 3, 23).astype(np.int32)
    fitted = jf.fit(jf.Pipe(double, jf.juxt(weighted, centred())), (X, often))
    both = jf.juxt(
        centring(jf.fold(mean, (2 * X, often))),
        centring(jf.fold(folds.mean(), 2 * X)),
    )
    assert fitted == jf.Pipe(double, juxt=both)
    assert float(fitted(X[0])[0][0]) != float(fitted(X[0])[1][0])
    second = jf.fit(jf.Pipe(centred(), weighted), (X, often))  # a plain one sees x alone
    assert second[0] == jf.fit(jf.Pipe(centred()), X)[0]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_killed_and_resumed(tmp_path, count):
    said = []

    def killing(done, total):
        said.append((done, total))
        if len(said) == count:
            raise KeyboardInterrupt

    path = tmp_path / "fit.jf"
    with pytest.raises(KeyboardInterrupt):
        jf.fit(PIPE, reading([]), checkpoint=path, progress=killing)
    seen, told = [], []
    fitted = jf.fit(
        PIPE, reading(seen), checkpoint=path, progress=lambda *numbers: told.append(numbers)
    )
    assert fitted == jf.fit(PIPE, BLOCKS)
    assert told[-1] == (3, 3) and len(told) == 6 - count
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.jf", "fit.jf.2"]
    assert jf.fit(PIPE, reading([]), checkpoint=str(path), checkpoint_every=1) == fitted


def test_a_checkpoint_of_other_numbers_is_refused(tmp_path):
    path = tmp_path / "fit.jf"
    jf.fit(PIPE, BLOCKS, checkpoint=path)
    path.unlink()  # so that the first pass learns other numbers, and the second is another
    with raises(ValueError, "fit.jf.2 is of the fold", "made otherwise"):
        jf.fit(PIPE, [block + 1 for block in BLOCKS], checkpoint=path)
    fold = jf.Pipe(lambda x: 2 * x, centred())
    assert jf.fit(fold, BLOCKS, checkpoint=tmp_path / "other", checkpoint_id="mine") is not None


def test_fits_of_other_data_trace_once():
    first, traces = counted(double)
    pipe = jf.Pipe(first, centred(), size, scaled())
    data = [jnp.asarray(X[:20]), jnp.asarray(X[:20] + 3), jnp.asarray(X[:20] * 2)]
    one = jf.fit(pipe, data[0])
    passes = len(traces)
    run = jax.jit(lambda fitted, x: fitted(x))
    assert jnp.isfinite(run(one, X[0])).all()
    known = len(traces)
    for other in data[1:]:
        fitted = jf.fit(pipe, other)
        assert fitted != one and jax.tree.structure(fitted) == jax.tree.structure(one)
        run(fitted, X[0])
    assert len(traces) == known > passes


def test_under_jit_and_by_shapes():
    fitted = jf.fit(PIPE, X)
    inside = jax.jit(lambda x: jf.fit(PIPE, x))(X)
    checks = zip(jax.tree.leaves(fitted), jax.tree.leaves(inside), strict=True)
    assert all(jnp.allclose(a, b, rtol=1e-6) for a, b in checks)
    shapes = jax.eval_shape(lambda x: jf.fit(PIPE, x), jax.ShapeDtypeStruct((1, 2), jnp.float32))
    assert jax.tree.structure(shapes) == jax.tree.structure(fitted)


def test_saved_and_loaded(tmp_path):
    fitted = jf.fit(PIPE, X)
    jf.save(tmp_path / "pipe.jf", fitted)
    like = jax.eval_shape(lambda x: jf.fit(PIPE, x), X[:1])
    assert jf.load(tmp_path / "pipe.jf", like=like) == fitted
    assert pickle.loads(pickle.dumps(fitted)) == fitted


def test_inverse_where_all_can_be_undone():
    fitted = jf.fit(jf.Pipe(centred("a"), centred("b")), X)
    assert fitted.inverse.inverse == fitted
    np.testing.assert_allclose(fitted.inverse(fitted(X[3])), X[3], atol=1e-6)
    with raises(TypeError, "has no inverse", "'scaled' is not reversible"):
        jf.fit(PIPE[3:], X).inverse  # noqa: B018


def test_unfitted_it_says_so():
    pipe = jf.Pipe(double, centred(), both=jf.juxt(size, scaled()))
    assert repr(pipe) == "double >> centred (unfitted) >> both (unfitted)"
    assert repr(pipe["centred"]) == "centred (unfitted)" and repr(PIPE[:1]) == "double"
    with raises(TypeError, "centred learns from data and is not fitted yet", "jf.fit(") as error:
        pipe(X)
    assert "in stage 2 of 3, 'centred'" in error.value.__notes__[0]
    with raises(TypeError, "centred", "not fitted yet, so it cannot be inverted", "jf.fit("):
        pipe[:2].inverse  # noqa: B018
    with raises(TypeError, "centred learns from data"):
        jf.fold(pipe.over(folds.mean()), X)
    with raises(TypeError, "scaled learns from data"):
        jf.iterate(pipe[2], X, max_steps=1)


def test_learned_is_a_value():
    assert centred() == centred() and hash(centred()) == hash(centred()) and centred() != scaled()
    assert jf.Learned(folds.mean(), centring).name == "centring"
    assert jf.Pipe(centred()).names == ("centred",) and jf.Pipe(x=centred()).names == ("x",)
    leaves, structure = jax.tree.flatten(PIPE)
    assert jax.tree.unflatten(structure, leaves) == PIPE


WRONG = {
    "no pipe": (lambda: jf.fit(double, X), TypeError, "fit: pipe is", "no Pipe; give Pipe(it)"),
    "a stage": (lambda: jf.fit(centred(), X), TypeError, "centred (unfitted), which is no Pipe"),
    "no fold": (lambda: jf.Learned(3, abs), TypeError, "Learned: fold is 3, which is no Fold"),
    "no maker": (lambda: jf.Learned(folds.mean(), 3), TypeError, "Learned: make is 3", "answer"),
    "a stream": (
        lambda: jf.fit(PIPE, iter(BLOCKS)),
        TypeError,
        "fit: data is a list_iterator, which can be read once",
        "give a list of blocks, or a Source",
    ),
    "a stream, and a second pass that shows late": (
        lambda: jf.fit(jf.Pipe(twice()), iter(BLOCKS)),
        TypeError,
        "can be read once",
    ),
    "out of reach": (
        lambda: jf.fit(jf.Pipe(jf.Reversible(centred(), double)), X),
        TypeError,
        "centred is to be learned within a Reversible",
        "make it a stage of a Pipe",
    ),
    "no function": (
        lambda: jf.fit(jf.Pipe(jf.Learned(folds.mean(), lambda mean: mean)), X),
        TypeError,
        "make of the stage 'lambda' returned float32[2], which is not callable",
    ),
    "no pairs": (
        lambda: jf.fit(jf.Pipe(stages.standardize(weights=jf.stats.Frequency)), X),
        TypeError,
        "pairs (x, weight), and an element of the data is float32[2]",
    ),
    "no data": (lambda: jf.fit(PIPE, 3), TypeError, "fold: data is int"),
    "no block": (lambda: jf.fit(PIPE, []), ValueError, ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case):
    call, kind, *parts = WRONG[case]
    with raises(kind, *parts):
        call()


def test_notes_say_which_pass_and_which_stage():
    with raises(ZeroDivisionError) as error:
        jf.fit(jf.Pipe(centred(), jf.Learned(folds.mean(), lambda mean: 1 / 0, name="bad")), X)
    assert error.value.__notes__ == ["fit: this came out of making the stage 'bad'"]
    with raises(TypeError) as error:
        jf.fit(jf.Pipe(centred(), lambda x: x + "a", scaled()), X)
    assert "fit: this came out of pass 2, which learns scaled" in error.value.__notes__
