"""driver="implicit": gradients of fixed points are those of the unrolled loop, or nan."""

import collections
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, hlo
from jax.scipy.sparse.linalg import bicgstab
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jfoundations as jf


def still(of=jf.identity):
    return jf.callbacks.converged(of, rtol=1e-6, atol=1e-7)


def newton(theta):
    """Newton's iteration for square roots, by a closure."""
    return (lambda x: 0.5 * (x + theta / x)), jnp.ones_like(theta), jnp.sum


def contraction(theta):
    """x = tanh(W x + b), by a partial."""
    weight = 0.8 * jnp.eye(4, k=1, dtype=theta.dtype)
    layer = lambda b, x: jnp.tanh(weight @ x + b)  # noqa: E731
    return jf.partial(layer, theta), jnp.zeros_like(theta), lambda x: jnp.sum(x**3)


def design(dtype):
    x = np.random.default_rng(0).normal(size=(12, 4))
    return jnp.asarray(x / np.linalg.norm(x, 2), dtype)


def ridge(theta):
    """Gradient descent on least squares with a strength a feature, by a stage of a Pipe."""
    x = design(theta.dtype)
    y = x @ jnp.arange(1.0, 5.0, dtype=theta.dtype)
    descend = lambda strength, w: w - x.T @ (x @ w - y) - strength * w  # noqa: E731
    step = jf.Pipe(descend=jf.partial(descend, jnp.exp(theta) / 10))
    return step, jnp.zeros_like(theta), lambda w: jnp.sum((w - 1) ** 2)


def lasso(theta):
    """Proximal gradient (ISTA) on the data, by a lifted closure; the last weight is 0."""
    x = design(theta.dtype)
    y = x @ theta

    @jf.lift
    def step(w):
        w = w - x.T @ (x @ w - y)
        return jnp.sign(w) * jnp.maximum(jnp.abs(w) - 0.05, 0)

    return step, jnp.zeros_like(theta), lambda w: jnp.sum(w**2)


def sinkhorn(theta):
    """Entropic transport with costs of theta, in logarithms; a constant pins the potential."""
    cost, eps = jnp.abs(theta[:, None] - jnp.arange(3, dtype=theta.dtype)[None]), 0.5
    soft = functools.partial(jax.scipy.special.logsumexp, axis=0)

    def first(g):
        return -eps * soft(((g[None] - cost) / eps).T)

    def step(g):
        g = -eps * soft((first(g)[:, None] - cost) / eps)
        return g - jnp.mean(g)

    def paid(g):
        plan = jnp.exp((first(g)[:, None] + g[None] - cost) / eps)
        return jnp.sum(plan * cost)

    return step, jnp.zeros(3, theta.dtype), paid


def momentum(theta):
    """Polyak's heavy ball, whose matrix is not symmetric."""
    scale = jnp.asarray([1.0, 0.5, 0.2], theta.dtype)

    def step(s):
        slope = scale * s["w"] + 0.1 * jnp.tanh(s["w"]) - theta
        v = 0.5 * s["v"] - 0.8 * slope
        return {"w": s["w"] + v, "v": v}

    zero = jnp.zeros_like(theta)
    return step, {"w": zero, "v": zero}, lambda s: jnp.sum(s["w"] ** 2)


PROBLEMS = {
    "newton": (newton, (3.0, 0.5)),
    "contraction": (contraction, (0.3, -0.2, 0.5, 0.1)),
    "ridge": (ridge, (0.1, -0.3, 0.2, 0.5)),
    "lasso": (lasso, (1.0, -2.0, 1.5, 0.01)),
    "sinkhorn": (sinkhorn, (0.2, 0.9, 1.7)),
    "momentum": (momentum, (0.3, -0.4, 0.2)),
}


def loss(problem, driver, theta, *, rtol=1e-6):
    step, start, of = problem(theta)
    ends = () if driver == "scan" else (jf.callbacks.converged(rtol=rtol, atol=rtol / 10),)
    return of(jf.iterate(step, start, *ends, max_steps=200, driver=driver).state)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def derivatives(problem, driver, rtol, theta, along):
    """Value, gradient, derivative and second derivative along a direction, of each lane."""

    def lane(theta, along):
        of = functools.partial(loss, problem, driver, rtol=rtol)
        slope, curve = jax.jvp(jax.grad(of), (theta,), (along,))
        return *jax.jvp(of, (theta,), (along,)), slope, curve

    return jax.vmap(lane)(theta, along)


@pytest.mark.parametrize(("name", "bits"), [*((name, 32) for name in PROBLEMS), ("lasso", 64)])
def test_derivatives_are_those_of_the_unrolled_loop(name, bits):
    problem, theta = PROBLEMS[name]
    bound, rtol = (2e-4, 1e-6) if bits == 32 else (1e-8, 1e-12)
    with jax.enable_x64(bits == 64):
        theta = np.asarray([theta, np.add(theta, 0.05)], f"float{bits}")
        along = np.full_like(theta, 0.5)
        one, other = (derivatives(problem, d, rtol, theta, along) for d in ("implicit", "scan"))
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype == theta.dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=bound * float(1 + jnp.max(jnp.abs(b))))


def test_every_order_and_mode_of_a_root():
    of = functools.partial(loss, newton, "implicit")
    modes = [(f, g) for f in (jax.jacfwd, jax.jacrev) for g in (jax.jacfwd, jax.jacrev)]
    found = jax.jit(lambda a: [outer(inner(of))(a) for outer, inner in modes])(4.0)
    assert list(map(float, found)) == pytest.approx([-1 / 32] * 4)
    assert float(jax.grad(of)(4.0)) == float(jax.grad(jax.jit(of))(4.0)) == 0.25


def root(a, driver="implicit", *callbacks, start=1.0, max_steps=50):
    run = jf.iterate(
        lambda x: 0.5 * (x + a / x), start, *callbacks, still(), max_steps=max_steps, driver=driver
    )
    return run.state


def test_the_result_is_that_of_while_and_holds_no_other_gradient():
    step, heard = jf.partial(lambda rate, x: rate * x + 1.0, 0.5), (jf.callbacks.history(), still())
    run = functools.partial(jf.iterate, max_steps=50, driver="implicit")
    result = run(step, 0, *heard)
    assert_same(result, jf.iterate(step, 0, *heard, max_steps=50))
    assert result.reasons == ("converged",)

    def rest(step):
        memory = run(step, 0, *heard).memory
        return jnp.sum(memory["history"].values) + memory["converged"]

    assert jax.grad(rest)(step).args == (0.0,)


def test_without_a_gradient_the_program_does_what_that_of_while_does():
    def operations(driver):
        text = hlo(lambda a: jnp.sum(root(a, driver, start=a)), jnp.ones(3))
        return collections.Counter(re.findall(r"stablehlo\.(?!constant|convert)\w+", text))

    assert operations("implicit") == operations("while")


def test_nothing_of_the_steps_is_stored_and_settings_are_not_traced():
    def size(n):
        of = jax.grad(lambda a: jnp.sum(root(a, start=jnp.ones(32), max_steps=n)))
        return jax.jit(of).lower(jnp.ones(32)).compile().memory_analysis().temp_size_in_bytes

    assert size(100) == size(100_000)
    step, traces = counted(lambda x: 0.5 * x + 1.0)
    seen = []
    for tol in (1e-3, 1e-4):
        jf.iterate(step, 1.0, max_steps=9, driver=jf.Implicit(tol=tol, rtol=tol))
        seen.append(len(traces))
    assert seen[0] == seen[1]


def noise(a):
    step = lambda x, key: x - 0.5 * (x - a) + 0.1 * jax.random.normal(key)  # noqa: E731
    key = jax.random.key(0)
    return jf.iterate(step, 0.0, max_steps=50, key=key, driver="implicit").state


def short(a):
    step = lambda x: x + 1e-6 * (a - x)  # noqa: E731
    return jf.iterate(step, 1.0, still(), max_steps=50, driver="implicit").state


def drift(a):
    return jf.iterate(lambda x: x + a, 1.0, max_steps=50, driver="implicit").state


WEAK = jf.Implicit(solve=lambda matvec, b, *, tol: (0.9 * b, None))
WRONG = {
    "out of steps": lambda a: root(a, max_steps=1),
    "another stopped it": lambda a: root(a, "implicit", lambda x, step: (x, step >= 1)),
    "no fixed point": drift,
    "noise": noise,
    "short steps are not near": short,
    "a callback holds it elsewhere": lambda a: root(
        a, "implicit", lambda x: (jnp.minimum(x, 1.5), False)
    ),
    "after_run": lambda a: root(a, "implicit", jf.Callback(after_run=lambda x: (x / 2, False))),
    "nan": lambda a: root(-a),
    "a weak solver": lambda a: root(a, WEAK),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_gradient_that_would_be_wrong_is_nan(name):
    of = WRONG[name]
    reverse, (_, forward) = jax.jit(lambda a: (jax.grad(of)(a), jax.jvp(of, (a,), (1.0,))))(4.0)
    assert np.isnan(reverse) and np.isnan(forward)


def test_lanes_that_converged_keep_their_gradient():
    of = jax.grad(lambda a: jnp.sum(jax.vmap(lambda a: root(a, max_steps=5))(a)))
    np.testing.assert_allclose(of(jnp.array([4.0, 1e9, 1.0])), [0.25, np.nan, 0.5], rtol=1e-5)


KEEPS = {
    "plain": lambda s: {**s, "x": s["x"] - 0.3 * (s["x"] - s["w"] ** 2)},
    "jitted": jax.jit(lambda s: {**s, "x": s["x"] - 0.3 * (s["x"] - s["w"] ** 2)}),
}


@pytest.mark.parametrize("name", KEEPS)
def test_a_leaf_that_the_step_returns_as_it_is_has_the_gradient_of_the_start(name):
    def of(w, *callbacks):
        start = {"n": 0, "w": w, "x": jnp.zeros_like(w)}
        run = jf.iterate(KEEPS[name], start, *callbacks, still(), max_steps=99, driver="implicit")
        return run.state["x"] + run.state["w"]

    assert float(jax.jit(jax.grad(of))(3.0)) == pytest.approx(7)
    assert float(jax.hessian(of)(3.0)) == pytest.approx(2)
    shrink = lambda s, step: ({**s, "w": jnp.where(step < 5, 0.9, 1.0) * s["w"]}, False)  # noqa: E731
    assert np.isnan(jax.grad(of)(3.0, shrink))


def test_the_start_and_what_led_to_it_have_the_gradient_zero():
    def warm(a):
        return root(a, start=jf.iterate(lambda x: 0.5 * (x + a / x), 1.0, max_steps=3).state)

    assert float(jax.grad(warm)(4.0)) == 0.25
    assert float(jax.grad(lambda x: root(4.0, start=x))(3.0)) == 0.0

    def resumed(a):
        step = lambda x: 0.5 * (x + a / x)  # noqa: E731
        first = jf.iterate(step, 1.0, still(), max_steps=2, driver="implicit")
        return jf.resume(first, step, still(), max_steps=50, driver="implicit").state

    assert float(jax.grad(resumed)(4.0)) == 0.25


def test_counts_keys_and_the_step_word_are_constants():
    def of(a):
        def step(s, step):
            x, n, key = s
            rate = 1 / (2.0 + n.astype(jnp.float32) + step.astype(jnp.float32) / 100)
            return x - rate * (x - a), jnp.minimum(n + 1, 2), jax.random.split(key)[0]

        start = 0.0, 0, jax.random.key(0)
        return jf.iterate(step, start, max_steps=99, driver="implicit").state[0]

    assert float(jax.grad(jax.jit(of))(3.0)) == pytest.approx(1)


def test_complex_states_whose_step_conjugates():
    def of(driver, a):
        step = lambda z: 0.3 * jnp.conj(z) + 0.2j * z + a  # noqa: E731
        z = jf.iterate(step, jnp.zeros_like(a), max_steps=60, driver=driver).state
        return jnp.sum(jnp.abs(z) ** 2)

    a = jnp.array([1.0 + 2.0j, 0.5 - 1.0j])
    one, other = (jax.grad(functools.partial(of, d))(a) for d in ("implicit", "scan"))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats_beside_wide_ones(dtype):
    def of(a):
        half = jnp.asarray(0.5, dtype)
        step = lambda s: (s[0] - (s[0] - a) * half, 0.5 * s[1] + s[0].astype(np.float32))  # noqa: E731
        start = jnp.zeros((), dtype), jnp.zeros(())
        return jf.iterate(step, start, max_steps=40, driver="implicit").state[1]

    gradient = jax.grad(of)(jnp.asarray(1.5, dtype))
    assert gradient.dtype == dtype and float(gradient) == 2


def dense(matvec, b, *, tol):
    return jnp.linalg.solve(jax.vmap(matvec, out_axes=1)(jnp.eye(b.size)), b), None


def lineaxs():
    lineax = pytest.importorskip("lineax", reason="a solver of lineax's needs lineax")
    return lineax.GMRES(rtol=1e-6, atol=1e-6)


SOLVERS = {
    "by default": lambda: None,
    "bicgstab": lambda: jf.partial(bicgstab, maxiter=40),
    "my own": lambda: dense,
    "lineax": lineaxs,
}


def many(b, driver):
    weight = 0.5 * jnp.eye(80)[::-1] + 0.2 * jnp.eye(80, k=3)
    step = lambda x: jnp.tanh(weight @ x + b)  # noqa: E731
    return jnp.sum(jf.iterate(step, jnp.zeros(80), max_steps=60, driver=driver).state ** 2)


@functools.cache
def unrolled():
    return jax.jit(jax.grad(many), static_argnums=1)(jnp.linspace(-1, 1, 80), "scan")


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_of_many_unknowns(name):
    found = jax.jit(jax.grad(many))(jnp.linspace(-1, 1, 80), jf.Implicit(solve=SOLVERS[name]()))
    np.testing.assert_allclose(found, unrolled(), atol=2e-4)


def nested(inner, a):
    close = functools.partial(root, driver=inner, max_steps=9)
    step = lambda x: 0.5 * x + 0.5 * close(a + 0.1 * x)  # noqa: E731
    return jf.iterate(step, 1.0, max_steps=60, driver="implicit").state


def test_loops_nest_where_the_inner_one_has_a_gradient():
    # x = √(a + x/10) at a = 4
    x = (0.1 + np.sqrt(0.01 + 16)) / 2
    for inner in ("implicit", "scan"):
        assert float(jax.grad(nested, argnums=1)(inner, 4.0)) == pytest.approx(1 / (2 * x - 0.1))
    with pytest.raises(ValueError, match="driver='while'.*driver='implicit'"):
        jax.grad(nested, argnums=1)("while", 4.0)


BAD = {
    "no floats": (lambda: root_of_ints(), TypeError, r"int32\[\] has no float leaf.*'while'"),
    "a solver": (lambda: jf.Implicit(solve=3), TypeError, "solve is 3, which is not callable"),
    "its answer": (
        lambda: jax.grad(root)(4.0, jf.Implicit(solve=lambda matvec, b, *, tol: b)),
        TypeError,
        r"Implicit\(solve=lambda\).*returned float32\[1\]; let it return \(x, anything\)",
    ),
    "a tolerance": (lambda: jf.Implicit(rtol=-1.0), ValueError, "rtol is -1.0; it must be ≥ 0"),
    "no number": (lambda: jf.Implicit(tol="low"), TypeError, "tol is 'low', a number is needed"),
    "not made": (lambda: root(4.0, jf.Implicit), ValueError, "no driver.*implicit"),
    "explicit axes": (
        lambda: jax.grad(lambda a: jnp.sum(root(a, start=a)))(over_devices()),
        ValueError,
        r"over the mesh axes \['i'\] explicitly.*AxisType.Auto",
    ),
    "shard_map": (
        lambda: jax.shard_map(root, mesh=jax.make_mesh((8,), "i"), in_specs=P(), out_specs=P())(
            jnp.ones(8)
        ),
        ValueError,
        "inside shard_map.*driver='scan'",
    ),
}


def over_devices():
    mesh = jax.make_mesh((8,), "i")
    return jax.device_put(jnp.ones(8), NamedSharding(mesh, P("i")))


def root_of_ints():
    return jf.iterate(lambda n: n + 1, 0, max_steps=3, driver="implicit")


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, match = BAD[name]
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    "keep", [jax.checkpoint(lambda a: a), lambda a: a * 1, lambda a: jnp.clip(a, 0, 9)]
)
def test_a_leaf_that_is_kept_unseen_has_no_gradient(keep):
    def root(a, keep):
        step = lambda s: {"x": 0.5 * (s["x"] + s["a"] / s["x"]), "a": keep(s["a"])}  # noqa: E731
        still = jf.callbacks.converged(lambda s: s["x"], rtol=1e-6)
        start = {"x": 1.0, "a": a}
        return jf.iterate(step, start, still, max_steps=50, driver="implicit").state["x"]

    assert jax.grad(root)(4.0, lambda a: a) == 0.25
    assert np.isnan(jax.grad(root)(4.0, keep))
    assert np.isnan(jax.jvp(lambda a: root(a, keep), (4.0,), (1.0,))[1])


def test_the_start_alone_moves():
    def end(step, n=60):
        return lambda x: jf.iterate(lambda s: step(s, x), x, max_steps=n, driver="implicit").state

    assert jax.grad(end(lambda s, x: 0.5 * s + 1))(1.0) == 0
    assert np.isnan(jax.grad(end(lambda s, x: 0.9 * s, 2))(1.0))  # not converged
    assert np.isnan(jax.jacrev(end(lambda s, x: 0.5 * (s + s[::-1])))(jnp.array([1.0, 2.0]))).all()
    np.testing.assert_allclose(jax.grad(end(lambda s, x: 0.5 * s + x**2))(3.0), 12, rtol=1e-5)
