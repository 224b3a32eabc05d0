"""What others get wrong: one test a row, beside the peer's answer where the peer is installed.

No peer is a dependency. What a peer is shown to answer is what its version of the day answers;
where it has been mended its test fails, and the claim goes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf

jc = jf.callbacks
NAN, INF = float("nan"), float("inf")


def follow(values, state, *, step):
    return {**state, "x": values[step]}


def run(values, *callbacks):
    step = jf.partial(follow, jnp.array(values, jnp.float32))
    start = {"x": jnp.float32(0), "rate": jnp.float32(1)}
    return jf.iterate(step, start, *callbacks, max_steps=len(values))


def metric(state):
    return state["x"]


def scaled(state, ratio):
    return {**state, "rate": state["rate"] * ratio}


def stopping(values, **options):
    """Return the index at which early stopping with patience 2 stops, or None."""
    result = run(values, jc.early_stopping(metric, patience=2, **options))
    return int(result.steps) - 1 if result.stopped_by else None


@pytest.mark.parametrize(
    "values, options, index",
    [
        pytest.param([5.0] * 5, {}, 2, id="patience 2 stops at index 2"),
        pytest.param([5.0, 4.9, 4.8, 4.8, 4.8], {}, 4, id="less is better"),
        pytest.param([5.0, 5.1, 5.2, 5.2, 5.2], {"mode": "max"}, 4, id="mirrored"),
        pytest.param([5.0, 4.0, 4.0, 4.0, 3.0], {}, 3, id="an equal is a wait"),
        pytest.param([INF, INF, 5.0], {}, 1, id="inf is no better than the inf it begins at"),
        pytest.param([NAN, 5.0, 4.0, 4.0, 4.0], {}, 4, id="nan first"),
        pytest.param([5.0, NAN, 4.0, NAN, NAN], {}, 4, id="improvement after nan counts"),
        pytest.param([5.0, NAN, NAN, 4.0], {}, 2, id="nan is a wait"),
        pytest.param([-INF, -1.0, -2.0], {}, 2, id="-inf is an ordinary best"),
        pytest.param([INF, 1.0, 2.0], {"mode": "max"}, 2, id="inf is, too"),
        pytest.param([3.0, -INF, 0.0, -5.0], {}, 3, id="-inf improves"),
        pytest.param([5.0, 4.5, 4.0, 3.5], {"min_delta": 1.0}, 2, id="min_delta"),
        pytest.param([5.0, 4.5, 3.9, 3.5, 3.0], {"min_delta": 1.0}, 4, id="since the best"),
        pytest.param([-1.0, -1.4, -1.8], {"min_delta": 0.5}, None, id="absolute"),
    ],
)
def test_early_stopping(values, options, index):
    assert stopping(values, **options) == index


@pytest.mark.parametrize(
    "values, options, index",
    [
        pytest.param([5.0, 4.0, 3.0, 2.0], {"stopping_threshold": 3.5}, 2, id="good enough"),
        pytest.param([5.0, 4.0, 3.0, 2.0], {"stopping_threshold": 3.0}, 3, id="better, not equal"),
        pytest.param(
            [5.0, 4.9, 4.8], {"min_delta": 9.0, "stopping_threshold": 4.95}, 1, id="best or not"
        ),
        pytest.param([5.0, 6.0, 4.0, 9.0], {"divergence_threshold": 5.5}, 1, id="bad enough"),
        pytest.param(
            [5.0, 4.0, 5.0, 3.0], {"divergence_threshold": 5.0}, None, id="worse, not equal"
        ),
        pytest.param([5.0, NAN, 4.0], {"divergence_threshold": 9.0}, None, id="nan is a wait"),
        pytest.param([5.0, INF, 4.0], {"divergence_threshold": 9.0}, 1, id="inf is worse"),
        pytest.param(
            [1.0, 2.0, 3.0], {"mode": "max", "stopping_threshold": 2.5}, 2, id="mirrored good"
        ),
        pytest.param(
            [5.0, 6.0, 1.0], {"mode": "max", "divergence_threshold": 2.0}, 2, id="mirrored bad"
        ),
        pytest.param(
            [5.0, 1.0],
            {"stopping_threshold": -1.0, "divergence_threshold": 4.0},
            0,
            id="both, of which one holds",
        ),
    ],
)
def test_thresholds(values, options, index):
    assert stopping(values, **options) == index


@pytest.mark.parametrize("value", [-1.0, -1e-3, 1.0, 0.0, -1e30])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_constant_reduces_whatever_its_sign(value, mode):
    plateau = jc.reduce_on_plateau(metric, scaled, factor=0.5, patience=2, rtol=0.1, mode=mode)
    # The first improves on the infinity all begins at; then two waits a reduction.
    assert run([value] * 7, plateau).state["rate"] == 0.125


def test_optax_never_reduces_on_a_negative_constant():
    optax = pytest.importorskip("optax", reason="shows what a peer answers; no dependency")
    contrib = pytest.importorskip("optax.contrib", reason="shows what a peer answers")

    def reductions(value):
        transform = contrib.reduce_on_plateau(factor=0.5, patience=2, rtol=0.1)
        params = {"w": jnp.ones(2)}
        state = transform.init(params)
        for _ in range(7):
            _, state = transform.update(params, state, value=jnp.float32(value))
        return -np.log2(float(optax.tree.get(state, "scale")))

    with jax.numpy_dtype_promotion("standard"):  # as optax expects it
        assert reductions(1.0) == 3
        assert reductions(-1.0) == 0  # (1 - rtol) best is above best: each step "improves"


def test_what_a_relative_threshold_is_relative_to():
    plateau = jc.reduce_on_plateau(metric, scaled, factor=0.5, patience=1, rtol=0.25)
    rate = lambda *values: float(run(values, plateau).state["rate"])  # noqa: E731
    assert rate(-4.0, -5.5) == 1.0  # better than -4 by more than a quarter of 4
    assert rate(-4.0, -5.0) == 0.5  # by just a quarter
    assert rate(4.0, 2.5) == 1.0 and rate(4.0, 3.0) == 0.5


@pytest.mark.parametrize("values, at", [([3.0, 2.0, 1.0], 1.0), ([1.0, 3.0, 0.0], 0.0)])
def test_the_best_state_includes_the_last_step(values, at):
    assert run(values, jc.best(metric)).memory["best"].state["x"] == at
    # also where the last step is the one that stops
    stop = jf.stop_when(lambda s, *, step: step == 2)
    assert run([*values, -9.0], stop, jc.best(metric)).memory["best"].state["x"] == at


@pytest.mark.parametrize("values, best", [([NAN, 2.0, 3.0], 2.0), ([1.0, -INF, 0.0], -INF)])
def test_nan_and_inf_as_the_best(values, best):
    assert run(values, jc.best(metric)).memory["best"].value == best


def test_the_guard_looks_at_what_it_is_told():
    values = [1.0, 2.0, NAN, 4.0]
    assert int(run(values, jc.terminate_on_nonfinite(metric)).steps) == 3
    assert int(run(values, jc.terminate_on_nonfinite(lambda s: s["rate"])).steps) == 4
    blind = jc.rollback_on_nonfinite(lambda s: s["rate"], retries=0)
    assert int(run(values, blind).steps) == 4


@pytest.mark.parametrize("retries", [0, 1, 2, 3])
def test_after_k_failures_the_state_is_the_last_finite_one(retries):
    values = [1.0, 2.0, *[NAN] * (retries + 1), 7.0]
    result = run(values, jc.rollback_on_nonfinite(retries=retries))
    assert result.state["x"] == 2.0 and result.reasons == ("rollback_on_nonfinite",)
    assert int(result.steps) == 3 + retries
    assert int(result.memory["rollback_on_nonfinite"]["retries"]) == retries


def test_optax_applies_the_nan_in_the_end():
    optax = pytest.importorskip("optax", reason="shows what a peer answers; no dependency")
    transform = optax.apply_if_finite(optax.sgd(1.0), max_consecutive_errors=2)
    params = jnp.float32(2.0)
    state = transform.init(params)
    seen = []
    for _ in range(4):
        update, state = transform.update(jnp.float32(NAN), state, params)
        params = optax.apply_updates(params, update)
        seen.append(float(params))
    assert seen[:2] == [2.0, 2.0] and np.isnan(seen[-1])


def test_two_stoppers_are_both_named():
    both = (jc.terminate_on_nonfinite(metric), jc.early_stopping(metric, patience=1))
    result = run([1.0, NAN, 0.0], *both)
    assert result.reasons == ("terminate_on_nonfinite", "early_stopping")
    assert result.stopped("early_stopping") and result.stopped("terminate_on_nonfinite")
    joined = run([1.0, NAN, 0.0], both[0] & both[1])
    assert joined.reasons == ("terminate_on_nonfinite & early_stopping",)


def test_running_out_of_steps_is_a_status():
    result = jax.jit(lambda: run([3.0, 2.0, 1.0], jc.early_stopping(metric, patience=2)))()
    assert result.reasons == ("max_steps",) and result.state["x"] == 1.0
    assert int(result.stopped_by) == 0 and int(result.steps) == 3
