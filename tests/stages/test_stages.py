"""The stages that are given: their numbers, their inverses, and data that are hard."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, raises

import jfoundations as jf
from jfoundations import executors, folds, stages, stats
from jfoundations.testing import laws

U = float(np.finfo(np.float32).eps) / 2
RNG = np.random.default_rng(5)
MIX = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.8], [0.0, 0.0, 1.0]])
X = ((RNG.normal(size=(200, 3)) @ MIX + [5, -2, 300]) * [1e-3, 1.0, 1e4]).astype(np.float32)
HOLES = np.where(RNG.random(X.shape) < 0.05, np.nan, X).astype(np.float32)
MAKERS = {
    "standardize": stages.standardize,
    "quantile_clip": functools.partial(stages.quantile_clip, 0.01, 0.99),
    "whiten": stages.whiten,
    "pca": lambda k=3, **settings: stages.pca(k, **settings),
}
REVERSIBLE = [name for name in MAKERS if name != "quantile_clip"]
every = pytest.mark.parametrize("name", MAKERS)


@functools.cache
def fitted_to_x(name):
    return jf.fit(jf.Pipe(MAKERS[name]()), X)


def fitted(name, data, *executor, **settings):
    return jf.fit(jf.Pipe(MAKERS[name](**settings)), data, *executor)


def test_every_stage_is_in_the_table():
    assert set(MAKERS) == set(stages.__all__)


def test_standardize_is_its_formula():
    fold = jf.combine(mean=folds.mean(), std=folds.std())
    answer = jf.fold(fold, X)
    found, x = jax.jit(fitted_to_x("standardize"))(X[7]), X[7]
    assert_same(found, jax.jit(lambda x, m, s: (x - m) / s)(x, answer["mean"], answer["std"]))
    np.testing.assert_allclose(
        fitted_to_x("standardize")(X), stats.standardize(X, axis=0), atol=300 * U
    )


def test_quantile_clip_is_its_formula():
    low, high = jf.fold(folds.quantile((0.01, 0.99)), X)
    found = fitted_to_x("quantile_clip")(X)
    assert_same(found, jnp.asarray(np.clip(X, low, high)))
    assert float(jnp.max(fitted_to_x("quantile_clip")(X[0] + 1e9))) == float(jnp.max(high))


def test_two_passes_clip_far_from_0():
    x = (1000 + RNG.normal(size=(500, 2))).astype(np.float32)
    tree = {"far": x, "near": np.arange(500.0, dtype=np.float32)}
    for data, pick in ((x, lambda clipped: clipped), (tree, lambda clipped: clipped["far"])):
        found = pick(fitted("quantile_clip", data, passes=2)(data))
        low, high = np.quantile(x.astype(np.float64), (0.01, 0.99), axis=0)
        np.testing.assert_allclose(found, np.clip(x, low, high), rtol=1e-6)


def test_whiten_is_the_root_of_the_inverse():
    """The covariance becomes the identity, and the way there is symmetric in deviations."""
    white = np.asarray(fitted_to_x("whiten")(X), np.float64)
    np.testing.assert_allclose(np.cov(white.T, ddof=0), np.eye(3), atol=2e-5)
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-4)
    z = (X.astype(np.float64) - X.mean(0, np.float64)) / X.std(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.corrcoef(X.T.astype(np.float64)))
    np.testing.assert_allclose(white, z @ (vectors / np.sqrt(values)) @ vectors.T, atol=3e-4)


def test_pca_is_the_eigenvectors():
    found = np.asarray(fitted("pca", X[:, :2] * [1000, 1], k=2)(X[:, :2] * [1000, 1]))
    data = X[:, :2].astype(np.float64) * [1000, 1]
    values, vectors = np.linalg.eigh(np.cov(data.T, ddof=0))
    axes = vectors[:, ::-1]
    axes = axes * np.sign(axes[np.argmax(np.abs(axes), axis=0), range(2)])
    np.testing.assert_allclose(found, (data - data.mean(0)) @ axes, atol=3e-5)
    np.testing.assert_allclose(found.var(0), values[::-1], rtol=1e-4)


def test_the_signs_of_pca_are_fixed():
    """The largest entry of each axis is positive, so negated data give negated numbers."""
    one = jf.fit(jf.Pipe(stages.pca(2)), X * np.float32([1e3, 1, 1e-4]))
    other = jf.fit(jf.Pipe(stages.pca(2)), -X * np.float32([1e3, 1, 1e-4]))
    assert_same(one[0].numbers[1], other[0].numbers[1])
    axes = np.asarray(one[0].numbers[1])
    assert (axes[range(2), np.argmax(np.abs(axes), axis=1)] > 0).all()


# What is promised of `inverse(forward(x)) - x`, in units of u.
def bound(name, pipe, x):
    x = np.asarray(x, np.float64)
    far = np.abs(x - X.mean(0, np.float64))
    if name == "standardize":
        return 5 * (np.abs(x) + far)
    deviation = X.std(0, dtype=np.float64)
    if name == "whiten":
        values = np.linalg.eigvalsh(np.corrcoef(X.T.astype(np.float64)))
        k = np.sqrt(values[-1] / values[0])
        length = np.linalg.norm((np.abs(x) + far) / deviation, axis=-1, keepdims=True)
        return 4 * 3 * k * length * deviation
    return 4 * 3 * np.linalg.norm(np.abs(x) + far, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", REVERSIBLE)
def test_inverses(name):
    pipe = fitted_to_x(name)
    away = (X * 3 + 1).astype(np.float32)
    for x in (X, away):
        error = np.abs(np.asarray(pipe.inverse(pipe(x)), np.float64) - x)
        assert (error <= U * bound(name, pipe, x)).all()
    assert pipe.inverse.inverse == pipe and pipe.inverse.names == (f"{name}_inverse",)


def test_what_has_no_inverse():
    with raises(TypeError, "quantile_clip has no inverse"):
        fitted_to_x("quantile_clip").inverse  # noqa: B018
    with raises(TypeError, "pca has no inverse"):
        fitted("pca", X, k=2).inverse  # noqa: B018


@every
def test_a_block_is_its_elements(name):
    pipe = fitted_to_x(name)
    block = pipe(X[:6])
    scale = np.abs(np.asarray(block)).max(0) * 50 * U
    for other in (jax.vmap(pipe)(X[:6]), jnp.stack([pipe(x) for x in X[:6]])):
        assert (np.abs(np.asarray(block) - other) <= scale).all()
    assert pipe(X[:6].reshape(2, 3, 3)).shape == (2, 3, 3)
    assert block.dtype == np.float32 and pipe(X[:0]).shape == (0, 3)


TREE = {"a": X, "b": (X[:, 0], (X[:, 1] * 10).astype(np.int32))}


@every
def test_trees_of_features(name):
    pipe = fitted(name, TREE, **({"k": 5} if name == "pca" else {}))
    found = pipe(jax.tree.map(lambda leaf: leaf[0], TREE))
    if name == "pca":
        assert found.shape == (5,)
    else:
        shapes = [(leaf.shape, leaf.dtype.name) for leaf in jax.tree.leaves(found)]
        assert shapes == [((3,), "float32"), ((), "float32"), ((), "float32")]
    if name in ("standardize", "quantile_clip"):
        assert_same(found["a"], fitted_to_x(name)(X[0]))
    if name in REVERSIBLE:
        back = pipe.inverse(pipe(TREE))
        for mine, its in zip(jax.tree.leaves(back), jax.tree.leaves(TREE), strict=True):
            scale = 3e-4 * np.asarray(its, np.float64).std(0)
            if name == "pca":  # turning there and back rounds to the largest of the columns
                scale = 8 * 2.0**-24 * np.abs(X - X.mean(0)).max()
            assert (np.abs(np.asarray(mine) - its) <= scale + 1e-5 * np.abs(its)).all()


FLAT = np.stack([np.full(200, 7.25), X[:, 0], np.full(200, 3e8)], axis=1).astype(np.float32)


@every
def test_constants_become_0_and_come_back(name):
    pipe = fitted(name, FLAT)
    found = np.asarray(pipe(FLAT))
    assert np.isfinite(found).all()
    if name in ("standardize", "whiten"):
        assert (found[:, [0, 2]] == 0).all() and (
            pipe.inverse(found)[:, [0, 2]] == FLAT[:, [0, 2]]
        ).all()
        assert float(jnp.std(found[:, 1])) == pytest.approx(1, abs=1e-3)
        away = np.asarray(pipe(FLAT[0] + np.float32([2, 0, 64])))
        np.testing.assert_allclose(away[[0, 2]], [2, 64])
    if name == "quantile_clip":
        np.testing.assert_allclose(found[:, 0], 7.25, rtol=0.02)


def test_dependent_numbers_are_not_stretched():
    x = np.stack([X[:, 0] * 1e3, X[:, 0] * 2e3, X[:, 1]], axis=1).astype(np.float32)
    pipe = fitted("whiten", x)
    white = np.asarray(pipe(x))
    assert np.linalg.matrix_rank(np.cov(white.T), tol=1e-3) == 2 and np.abs(white).max() < 6
    np.testing.assert_allclose(pipe.inverse(white), x, rtol=1e-5, atol=1e-5)


@every
def test_nan_is_propagated_or_left_out(name):
    pipe = fitted(name, HOLES)
    assert np.isnan(pipe(X[0])).all()
    pipe = fitted(name, HOLES, nan="omit")
    assert np.isfinite(pipe(X)).all()
    whole = HOLES[~np.isnan(HOLES).any(1)]
    if name in ("whiten", "pca"):  # the elements without nan alone
        reference = fitted(name, whole)
        np.testing.assert_allclose(pipe(X), reference(X), rtol=1e-3, atol=1e-3)
        one = jnp.asarray([jnp.nan, *X[0, 1:]])
        assert np.isnan(pipe(one)).all()
    else:  # each number by itself
        column = HOLES[~np.isnan(HOLES[:, 1]), 1:2]
        np.testing.assert_allclose(pipe(X)[:, 1:2], fitted(name, column)(X[:, 1:2]), rtol=1e-4)
        assert np.isnan(pipe(HOLES)).sum() == np.isnan(HOLES).sum()


@every
def test_nothing_and_one(name):
    assert np.isnan(fitted(name, X[:0])(X[0])).all()
    assert np.isfinite(fitted(name, X[:1])(X[0])).all()


@every
def test_dtypes(name):
    pipe = fitted_to_x(name)
    assert pipe(X[0].astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert pipe(jnp.arange(3)).dtype == pipe(jnp.array([True, False, True])).dtype == jnp.float32
    assert pipe(np.zeros(3)).dtype == jnp.float32
    half = fitted(name, X.astype(jnp.bfloat16))
    assert np.isfinite(half(X[0])).all() and half(X[0]).dtype == jnp.float32


def test_complex_numbers_are_standardized():
    z = (X[:, 0] * 1e3 + 1j * X[:, 1]).astype(np.complex64)
    pipe = fitted("standardize", z)
    np.testing.assert_allclose(pipe(z), (z - z.mean()) / z.std(), atol=1e-5)
    with raises(TypeError, "fitted to complex numbers, and x is real"):
        pipe(X[0, 0])
    with raises(TypeError, "complex"):
        fitted("quantile_clip", z)


@pytest.mark.parametrize("name", ["whiten"])
def test_executors_and_cuts(name):
    source, mesh = jf.Source.of(X, 50), jax.make_mesh((4,), ("data",))
    here = fitted(name, source)
    assert here == fitted(name, [X[k : k + 50] for k in range(0, 200, 50)])
    assert here == fitted(name, source, executors.Devices(mesh, "data"))


@every
def test_sharded(name):
    mesh = jax.make_mesh((8,), ("data",))
    x = jax.device_put(X, jax.NamedSharding(mesh, jax.P("data")))
    pipe = fitted_to_x(name)
    assert str(jax.typeof(pipe(x)).sharding.spec[0]) == "data"
    np.testing.assert_allclose(pipe(x), pipe(X), rtol=1e-5, atol=1e-4)


@every
def test_other_fits_are_the_same_program(name):
    run = jax.jit(lambda pipe, x: pipe(x))
    pipes = [fitted_to_x(name), fitted(name, X * 2), fitted(name, X[::-1] + 1)]
    assert len({str(run(pipe, X[0])) for pipe in pipes}) == 3 and run._cache_size() == 1


@every
def test_gradients_and_maps_over_fits(name):
    pipe = fitted_to_x(name)
    assert jnp.isfinite(jax.grad(lambda x: jnp.sum(pipe(x)))(X[0])).all()
    pipes = jax.vmap(lambda x: jf.fit(jf.Pipe(MAKERS[name]()), x))(jnp.stack([X, X + 1]))
    found = jax.vmap(lambda pipe, x: pipe(x))(pipes, jnp.stack([X[0], X[0] + 1]))
    np.testing.assert_allclose(found[0], pipe(X[0]), rtol=1e-3, atol=1e-3)


@every
def test_saved_and_loaded(name, tmp_path):
    pipe = fitted_to_x(name)
    jf.save(tmp_path / "pipe", pipe)
    like = jax.eval_shape(lambda x: jf.fit(jf.Pipe(MAKERS[name]()), x), X)
    assert jf.load(tmp_path / "pipe", like=like) == pipe
    assert repr(pipe) == name == repr(pipe[0])


def test_a_fitted_pipe_keeps_the_laws_of_pipes():
    build = lambda: jf.Pipe(jnp.negative, *jf.fit(jf.Pipe(stages.standardize()), X))  # noqa: E731
    laws.pipe(build(), X[:4], rebuild=build, ulp=2, max_examples=3)


@every
def test_64_bits(name):
    with jax.enable_x64(True):
        x = X.astype(np.float64)
        pipe = fitted(name, x)
        assert pipe(x).dtype == np.float64 and pipe(X[0]).dtype == np.float32
        assert {leaf.dtype.name for leaf in jax.tree.leaves(pipe)} == {"float64"}
        rough = 1e-6 * np.abs(X).max() if name == "pca" else 2e-3
        np.testing.assert_allclose(pipe(x), fitted_to_x(name)(X), rtol=2e-3, atol=rough)
        if name in REVERSIBLE:
            rough = 1e-14 * np.abs(x).max() if name == "pca" else 0
            np.testing.assert_allclose(pipe.inverse(pipe(x)), x, rtol=1e-13, atol=rough)


def test_weights():
    often = RNG.integers(0, 4, 200).astype(np.int32)
    weighted = stages.standardize(weights=stats.Frequency, correction=1)
    pipe = jf.fit(jf.Pipe(jnp.negative, weighted, stages.whiten()), (X, often))
    repeated = np.repeat(-X, often, axis=0).astype(np.float64)
    right = (-X - repeated.mean(0)) / repeated.std(0, ddof=1)
    np.testing.assert_allclose(pipe[:2](X), right, rtol=1e-4, atol=1e-4)
    assert pipe(X[0]).shape == (3,)


WRONG = {
    "low above high": (
        lambda: stages.quantile_clip(0.9, 0.1),
        ValueError,
        "stages.quantile_clip: low is 0.9 and high is 0.1; give two probabilities",
    ),
    "no probability": (lambda: stages.quantile_clip(0.1, 1.1), ValueError, "high is 1.1"),
    "nan": (lambda: stages.quantile_clip(float("nan"), 1), ValueError, "low is nan"),
    "passes": (lambda: stages.quantile_clip(0.1, 0.9, passes=3), ValueError, "passes is 3"),
    "no number": (lambda: stages.quantile_clip("a", 1), TypeError, "low is 'a'; a real number"),
    "k": (lambda: stages.pca(0), ValueError, "stages.pca: k is 0"),
    "k is too much": (
        lambda: fitted("pca", X, k=4),
        ValueError,
        "stages.pca: k is 4, and an element has 3 numbers; give k <= 3",
    ),
    "what of nan": (lambda: stages.whiten(nan="x"), ValueError, "stages.whiten: nan is 'x'"),
    "weights": (lambda: stages.standardize(weights=3), TypeError, "weights is 3; give one of"),
    "a number, whitened": (lambda: fitted("whiten", X[:, 0]), TypeError, "vectors of real numbers"),
    "another shape": (
        lambda: fitted_to_x("standardize")(np.zeros(4, np.float32)),
        ValueError,
        "fitted to elements float32[3], and x is float32[4]",
    ),
    "another tree": (
        lambda: fitted_to_x("whiten")({"a": X}),
        TypeError,
        "fitted to elements float32[3], and this one is {'a': float32[200,3]}",
    ),
    "words": (lambda: fitted_to_x("pca")("words"), TypeError, "pca: x is str, which holds no"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(case):
    call, kind, *parts = WRONG[case]
    with raises(kind, *parts):
        call()
