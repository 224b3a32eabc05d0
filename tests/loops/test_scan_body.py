"""Callbacks in a scan of one's own: the bits of `iterate`, with data and outputs a step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same, counted, hlo, lane, raises, size, steps
from jax import lax

import jfoundations as jf

N = 8
jc = jf.callbacks
FLOAT = jnp.zeros(()).dtype


class Ends:
    """Changes the state before and after the run."""

    def before_run(self, x):
        return jax.tree.map(lambda x: x + x, x), False

    def after_run(self, x):
        return jax.tree.map(lambda x: -x, x), False


def scan(body, start, xs=None, length=N):
    carry, ys = lax.scan(body, body.init(start), xs, length=length if xs is None else None)
    return body.result(carry), ys


def stopping(bound):
    return (
        jc.history(size),
        jc.best(size, mode="max"),
        jf.every(2, jc.history(size)),
        jc.early_stopping(size, patience=3) & jf.stop_when(lambda s, step: step > 5, name="late"),
        jf.stop_when(lambda s: size(s) > bound, name="large"),
        jf.watch(jf.folds.minimum(), size),
    )


def recording():
    return (jc.history(), jc.ema(size, decay=0.5), Ends())


CASES = {
    "none": ("logistic", ()),
    "recording": ("affine", recording()),
    "stopping": ("affine", stopping(2.9)),
    "key": ("walk", stopping(1.5)),
    "integers": ("lcg", stopping(3e9)),
}


@pytest.mark.parametrize("name, heard", CASES.values(), ids=CASES)
def test_a_scan_gives_the_bits_of_iterate(name, heard):
    step, start = steps()[name]
    result, ys = scan(jf.as_scan_body(step, *heard, max_steps=N), start)
    assert ys is None
    expected = jf.iterate(step, start, *heard, max_steps=N)
    assert_same(result, expected)
    assert result.reasons == expected.reasons


def test_a_run_stopped_before_it_began():
    heard = (jf.Callback(before_run=lambda x: (x, x > 2), after_step=lambda x: (x, False)),)
    for start in (1, 3):
        result, _ = scan(jf.as_scan_body(lambda x: x + 1, *heard), start)
        assert_same(result, jf.iterate(lambda x: x + 1, start, *heard, max_steps=N))


def test_python_numbers_are_promoted_as_in_iterate():
    for start, step in ((1, lambda x: x / 2), (1.0, lambda x: x * jnp.bfloat16(2))):
        heard = (jc.history(), jf.stop_when(lambda x: x < 0.1))
        result, _ = scan(jf.as_scan_body(step, *heard, max_steps=N), start)
        assert_same(result, jf.iterate(step, start, *heard, max_steps=N))
    with raises(TypeError, "the step", "was int", "became float", "start from the wider"):
        scan(jf.as_scan_body(lambda s, x: s / 2 * x), 1, jnp.ones(3))


def test_the_key_is_folded_with_the_step():
    def noisy(x, *, key):
        return x + jax.random.uniform(key, x.shape, x.dtype)

    key, start = jax.random.key(5), jnp.zeros(2)
    result, _ = scan(jf.as_scan_body(noisy, jc.history(), max_steps=N, key=key), start)
    assert_same(result, jf.iterate(noisy, start, jc.history(), max_steps=N, key=key))


# Data and outputs


def take_in(mean, element):
    return mean + 0.25 * (element - mean)


XS = jnp.asarray([4.0, 2.0, 8.0, 1.0, 5.0, 3.0, 9.0, 7.0])

TAKES = {
    "by place": take_in,
    "by name": lambda mean, *, x: take_in(mean, x),
    "with context": lambda mean, batch, *, step: take_in(mean, batch) + 0 * step.astype(FLOAT),
    "stage by name": jf.Pipe(take_in=lambda m, x: take_in(m, x), same=lambda m: m),
    "stage by place": jf.Pipe(same=lambda m: m, take_in=take_in),
    "partial": jf.partial(lambda rate, m, b: m + rate * (b - m), np.asarray(0.25, FLOAT)),
}


@pytest.mark.parametrize("step", TAKES.values(), ids=TAKES)
def test_the_step_takes_an_element_a_step(step):
    stop = jf.stop_when(lambda mean, *, x: (mean > 3) & (x > 4), name="both")
    body = jf.as_scan_body(step, jf.every(2, jc.history(capacity=4)), stop, of=lambda m: 2 * m)
    result, ys = jax.jit(lambda xs: scan(body, 0.0, xs))(XS)
    means = [jnp.zeros(())]
    for x in XS[:5]:
        means.append(jax.jit(take_in)(means[-1], x))
    means = jnp.stack([*means[1:], *means[-1:] * 3])
    assert result.reasons == ("both",) and int(result.steps) == 5
    assert_same(result.state, means[-1])
    assert_same(ys, 2 * means)
    assert_same(result.memory["history"].values, np.asarray(means[1:4:2]))


def test_data_may_be_a_pytree_and_is_none_at_the_ends():
    seen = []

    def note(state, *, x):
        seen.append(x)
        return state, False

    ends = jf.Callback(before_run=note, after_run=note)
    body = jf.as_scan_body(lambda s, batch: s + batch["a"] * batch["b"][1], ends)
    result, _ = scan(body, 0.0, {"a": XS, "b": (XS, 2 * XS)})
    assert_same(result.state, jnp.sum(2 * XS * XS))
    assert set(seen) == {None}


def test_what_is_missing_is_named():
    with raises(TypeError, "history, init", "max_steps", "pass max_steps= to it"):
        jf.as_scan_body(take_in, jc.history()).init(0.0)
    with raises(TypeError, "history", "pass max_steps= to it"):
        jf.as_scan_body(take_in, jf.when(lambda s: s > 0, jc.history())).init(0.0)
    body = jf.as_scan_body(lambda s, *, x: s + x)
    with raises(TypeError, "it names x", "an element of the scan's xs"):
        scan(body, 0.0)
    with raises(TypeError, "the step", "needs 'element', which a loop does not know"):
        scan(jf.as_scan_body(take_in), 0.0)
    with raises(TypeError, "the carry is float", "start the scan from body.init(state)"):
        lax.scan(body, 0.0, XS)
    with raises(TypeError, "as_scan_body: of is 3"):
        jf.as_scan_body(take_in, of=3)
    with raises(TypeError, "the step lambda: it names x, but the loop has none"):
        jf.iterate(lambda s, *, x: s + x, 0.0, max_steps=3)
    assert jf.as_scan_body(take_in, jc.best(size)).__repr__() == "as_scan_body(take_in, best)"


# Transforms


def root(x):
    return jnp.sqrt(x - 1.0)  # nan from 1 down: one step beyond the stop


BELOW = jf.stop_when(lambda x: x < 1.0, name="below")
STARTS = jnp.array([9.0, 3.0, 400.0])


def test_lanes_stop_apart_with_their_own_bits():
    heard = (jc.history(), jc.best(lambda x: x), BELOW)
    body = jf.as_scan_body(root, *heard, max_steps=N)
    lanes = jax.jit(jax.vmap(lambda x: scan(body, x)[0]))(STARTS)
    assert_same(lanes, jax.vmap(lambda x: jf.iterate(root, x, *heard, max_steps=N))(STARTS))
    assert len(set(lanes.steps.tolist())) > 1
    for i in range(3):
        assert_same(lane(lanes, i), scan(body, STARTS[i])[0])
    grid = jax.vmap(jax.vmap(lambda x: scan(body, x)[0].state))(STARTS[None])
    assert_same(grid[0], lanes.state)


def test_a_history_under_vmap_writes_one_row():
    rows = 1237
    body = jf.as_scan_body(lambda x: 0.9 * x, jc.history(capacity=rows), BELOW)
    text = hlo(jax.vmap(lambda x: scan(body, x)[0]), STARTS)
    loop = text[text.index("stablehlo.while") :]
    copies = [s for s in loop.splitlines() if "select" in s and f"x{rows}" in s]
    assert f"3x{rows}" in loop and copies == []


@pytest.mark.parametrize("heard", [(BELOW,), (BELOW, jc.history(), jc.ema(decay=0.5))], ids=len)
def test_reverse_mode_is_that_of_iterate(heard):
    body = jf.as_scan_body(root, *heard, max_steps=N)

    def by_iterate(x):
        return jf.iterate(root, x, *heard, max_steps=N, driver="scan").state

    expected = jnp.stack([jax.grad(by_iterate)(x) for x in STARTS])
    one = lambda x: scan(body, x)[0].state  # noqa: E731
    assert np.isfinite(expected).all()
    assert_same(jnp.stack([jax.grad(one)(x) for x in STARTS]), expected)
    np.testing.assert_allclose(jax.vmap(jax.grad(one))(STARTS), expected, rtol=1e-6)
    lanes = jax.grad(lambda x: jnp.sum(jax.vmap(one)(x)))(STARTS)
    np.testing.assert_allclose(lanes, expected, rtol=1e-6)


def test_a_gradient_reaches_a_callback_and_the_data():
    def run(k, xs):
        push = jf.partial(lambda k, s: (s * k, False), k)
        return scan(jf.as_scan_body(take_in, push), 1.0, xs)[0].state

    slope, slopes = jax.grad(run, (0, 1))(jnp.asarray(0.5), XS[:2])
    # s2 = k (3/4 k (3/4 + x0/4) + x1/4)
    np.testing.assert_allclose(slope, 0.75 * 1.75 + 0.5, rtol=1e-6)
    np.testing.assert_allclose(slopes, [0.25 * 0.75 * 0.25, 0.125], rtol=1e-6)


# Loops of other kinds


def test_a_scan_may_be_cut_in_two_and_nested():
    heard = (jc.history(), jc.early_stopping(lambda x: -x, patience=2), Ends())
    body = jf.as_scan_body(lambda x: 0.5 * x + 1.0, *heard, max_steps=N)
    whole, _ = scan(body, 8.0)

    @jax.jit
    def nested(carry):
        return lax.scan(lambda c, _: lax.scan(body, c, None, length=2), carry, None, length=4)[0]

    assert_same(body.result(nested(body.init(8.0))), whole)
    part = jf.iterate(lambda x: 0.5 * x + 1.0, 8.0, *heard, max_steps=1)
    step = lambda x: 0.5 * x + 1.0  # noqa: E731
    body = jf.as_scan_body(step, *heard, max_steps=N)
    carry, _ = lax.scan(body, body.resume(part), None, length=N - 1)
    assert_same(body.result(carry), whole)
    assert_same(jf.resume(body.result(carry), step, *heard, max_steps=N), whole)


def test_loops_that_are_no_scan():
    heard = (jc.best(lambda x: x), jf.stop_when(lambda x: x < 0.1, name="small"))
    step = lambda x: x / 2  # noqa: E731
    expected = jf.iterate(step, 1.0, *heard, max_steps=N)
    body = jf.as_scan_body(step, *heard)
    ended = lax.while_loop(body.going, lambda c: body(c)[0], body.init(1.0))
    assert_same(body.result(ended), expected)
    carry, taken = body.init(1.0), 0
    while body.going(carry):
        carry, taken = jax.jit(body)(carry)[0], taken + 1
    assert_same(body.result(carry), expected)
    assert taken == 4 and float(carry.state) == float(expected.state)


def test_what_cannot_stop_is_not_guarded():
    body = jf.as_scan_body(lambda x: x + 1, jc.history(capacity=3))
    assert "stablehlo.case" not in hlo(lambda x: scan(body, x)[0], jnp.ones(()))
    guarded = jf.as_scan_body(lambda x: x + 1, jc.history(capacity=3), BELOW)
    assert "stablehlo.case" in hlo(lambda x: scan(guarded, x)[0], jnp.ones(()))


def test_a_rebuilt_body_does_not_retrace():
    step, traces = counted(lambda x: 0.5 * x)
    stop = lambda k: jc.early_stopping(jnp.abs, patience=k)  # noqa: E731
    start = jnp.ones(())

    @jax.jit
    def run(body, start):
        return scan(body, start)[0]

    one, other = (jf.as_scan_body(step, stop(2), jc.history(), max_steps=N) for _ in range(2))
    assert one == other and hash(one) == hash(other)
    run(one, start)
    first = len(traces)
    for k in (2, 3):
        run(jf.as_scan_body(step, stop(k), jc.history(), max_steps=N), start)
    assert len(traces) == first
    scan(one, start)
    first = len(traces)
    lax.scan(other, other.init(start), None, length=N)
    assert len(traces) == first


@jax.numpy_dtype_promotion("standard")  # optax promotes
def test_an_optax_loop_with_callbacks():
    optax = pytest.importorskip("optax", reason="the optax loop needs optax")
    optimiser = optax.adam(0.3)
    loss = lambda w, batch: jnp.mean((w[0] * batch[:, 0] + w[1] - batch[:, 1]) ** 2)  # noqa: E731
    x = jnp.linspace(-1, 1, 40).reshape(20, 2)
    batches = jnp.stack([x, 3 * x + 1], axis=-1)

    def step(state, batch):
        value, slope = jax.value_and_grad(loss)(state["w"], batch)
        updates, moments = optimiser.update(slope, state["moments"])
        return {"w": optax.apply_updates(state["w"], updates), "moments": moments, "loss": value}

    start = {"w": jnp.zeros(2), "moments": optimiser.init(jnp.zeros(2)), "loss": jnp.zeros(())}
    of = lambda state: state["loss"]  # noqa: E731
    heard = (jc.early_stopping(of, patience=3), jc.best(of), jc.terminate_on_nonfinite(of))
    result, losses = jax.jit(lambda: scan(jf.as_scan_body(step, *heard, of=of), start, batches))()
    k = int(result.steps)
    assert result.reasons == ("early_stopping",) and 3 < k < 20

    plain = jax.jit(lambda xs: lax.scan(lambda s, b: (step(s, b), step(s, b)["loss"]), start, xs))
    state, expected = plain(batches[:k])
    assert_same(result.state, state)
    assert_same(losses[:k], expected)
    assert np.argmin(expected) == k - 4 and float(jnp.min(expected)) == result.memory["best"].value
    assert_same(losses[k:], jnp.broadcast_to(expected[-1], (20 - k,)))
