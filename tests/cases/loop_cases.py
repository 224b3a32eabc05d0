"""Every public callback and combinator by name, every form of a loop, and small pipelines.

A step, its states and whatever a name stands for are the same objects each time, so that a loop is
compiled once. The dtype is that of the state, so that a state of float64 serves the tests of x64.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from public_cases import COMBINED

import jfoundations as jf

N = 6
KEY = jax.random.key(3)
FLOAT = jnp.zeros(()).dtype
START = {"x": jnp.array([4.0, -1.0, 0.5], FLOAT), "rate": jnp.asarray(0.2, FLOAT)}
LANES = {
    "x": START["x"][None] + jnp.arange(2.0, dtype=FLOAT)[:, None],
    "rate": jnp.array([0.2, 0.9], FLOAT),
}
TARGET = np.array([3.0, 2.0, -1.0], FLOAT)
jc = jf.callbacks


def loss(s):
    return jnp.sum((s["x"] - np.asarray(TARGET, s["x"].dtype)) ** 2)


def descend(s):
    return {**s, "x": s["x"] - 2 * s["rate"] * (s["x"] - np.asarray(TARGET, s["x"].dtype))}


def diverge(s):
    return {**s, "x": s["x"] * jnp.asarray(1e30, s["x"].dtype)}


def noisy(s, *, key):
    return {**s, "x": s["x"] + s["rate"] * jax.random.normal(key, s["x"].shape, s["x"].dtype)}


def slower(s, ratio=0.5):
    return {**s, "rate": s["rate"] * ratio}


def fed(s, x):
    return descend({**s, "x": s["x"] + x})


def x_of(s):
    return s["x"]


def small(s):
    return loss(s) < 0.5


class Listener:
    """Hears every event, and changes the state in some."""

    def before_run(self, s):
        return slower(s, 2.0), False

    def before_step(self, s, step):
        return slower(s), step > 3

    def after_step(self, s, live):
        return slower(s, 2.0), loss(s) < 0.1

    def after_run(self, s):
        return slower(s), False


class Stages:
    """Hears a stage of a Pipe."""

    def before_second(self, s):
        return slower(s), False

    def after_first(self, s):
        return s, small(s)


def _add(memory, s):
    return memory + loss(s), s, False


def _most(members, state):
    state, stops = yield members(state)
    return state, 2 * jnp.sum(jnp.array(stops)) > len(stops)


def _rated(s, value):
    return {**s, "rate": value.astype(s["rate"].dtype)}


def _averaged(s, average):
    return {**s, "x": average.value}


falling = jc.schedules.cosine(0.3, 0.1, steps=4)
low = jf.stop_when(small, name="low")
late = jf.stop_when(lambda s, step: step >= 2, name="late")
rested = jc.early_stopping(loss, patience=2, min_delta=0.5)
total = jf.Callback(
    lambda s: jnp.zeros((), s["x"].dtype), name="total", after_step=_add, after_run=_add
)
clip = lambda s: ({**s, "x": jnp.clip(s["x"], -3, 3)}, False)  # noqa: E731

# The first word is the public name.
CALLBACKS = {
    "no callbacks": (),
    "Callback with memory": (total,),
    "function": (clip,),
    "listener of every event": (Listener(),),
    "proceed": (jf.proceed,),
    "after": (jc.after(2, low),),
    "agree": (jf.agree(low, "lanes"),),
    "agree of all": (jf.agree(low | rested, "lanes", "all"),),
    "best": (jc.best(loss),),
    "best max": (jc.best(loss, mode="max"),),
    "chain": (jf.chain(total, clip, low),),
    "Combined": (jf.Combined((low, late, rested), _most, name="most"),),
    "converged": (jc.converged(x_of, rtol=0.1),),
    "early_stopping": (rested,),
    "early_stopping max": (
        jc.early_stopping(
            loss, 1, mode="max", stopping_threshold=1e3, divergence_threshold=jnp.asarray(0.1)
        ),
    ),
    "ema": (jc.ema(x_of, decay=0.5),),
    "every": (jf.every(2, clip, total),),
    "history": (jc.history(loss),),
    "history of every second": (
        jc.history({"x": x_of, "l": loss}, every=2, capacity=3, initial=True, steps=True),
    ),
    "once": (jc.once(2, total, clip),),
    "reduce_on_plateau": (jc.reduce_on_plateau(loss, slower, patience=1, rtol=0.5),),
    "rollback_on_nonfinite": (jc.rollback_on_nonfinite(retries=2, update=slower),),
    "snapshots": (jc.history(loss), jc.snapshots(capacity=3), clip),
    "rollback_on_nonfinite best": (jc.rollback_on_nonfinite(loss, retries=2, to="best"),),
    "schedule": (jc.schedule(_rated, jc.schedules.warm_up(falling, steps=2)),),
    "spike_guard": (jc.spike_guard(loss, window=2, factor=1.0, retries=2, update=slower),),
    "stop_when": (low,),
    "stop_when | &": ((low | late) & rested,),
    "stop_when ~ of a function": (~low & late | clip,),
    "swap": (jc.swap(jc.ema(x_of, decay=0.5), _averaged, jc.best(loss), jc.history(loss)),),
    "terminate_on_nonfinite": (jc.terminate_on_nonfinite(),),
    "until": (jc.until(jf.folds.mean(), loss, when=lambda mean: mean < 3.0),),
    "until of a callback": (jc.until(jc.best(loss), when=lambda best: best.value < 0.5) | late,),
    "watch": (jf.watch(jf.folds.var(), x_of),),
    "watch of two": (jf.watch(jf.combine(m=jf.folds.mean(), n=jf.folds.count()), loss, name="w"),),
    "when": (jf.when(lambda s, step: step > 1, total),),
    "when in when": (jf.when(small, jf.every(2, jc.history(loss))),),
    "several": (total, jc.history(loss), jc.best(loss), clip, rested | low),
}
DIVERGING = ("rollback_on_nonfinite", "rollback_on_nonfinite best", "terminate_on_nonfinite")
NO_CALLBACKS = {"Best", "Ema", "History", "Snapshots", "records", "schedules"}
AXIS = {"agree", "agree of all"}  # of lanes alone


def step_of(name):
    """Return the step that a named callback is to hear."""
    return diverge if name in DIVERGING else descend


def iterate(name, driver="while"):
    """Return the loop of the named callbacks as a function of the state."""
    heard, step = CALLBACKS[name], step_of(name)
    return lambda s: jf.iterate(step, s, *heard, max_steps=N, driver=driver)


def resumed(name, driver="while"):
    heard, step = CALLBACKS[name], step_of(name)

    def run(s):
        half = jf.iterate(step, s, *heard, max_steps=N // 2)
        return jf.resume(half, step, *heard, max_steps=N, driver=driver)

    return run


def scanned(name):
    body = jf.as_scan_body(step_of(name), *CALLBACKS[name], max_steps=N, of=loss)

    def run(s):
        carry, losses = lax.scan(body, body.init(s), length=N)
        return body.result(carry), losses

    return run


def lanes(name, driver="while"):
    return jax.vmap(iterate(name, driver), axis_name="lanes")


def gradient(name, driver):
    run = iterate(name, driver)
    return jax.grad(lambda s: loss(run(s).state))


def chunked(name, **options):
    """Return the chunks of a run, on the host."""
    heard, step = CALLBACKS[name], step_of(name)
    return lambda s: list(jf.chunks(step, s, *heard, max_steps=N, every=4, **options))


def _with_data(s):
    body = jf.as_scan_body(fed, *CALLBACKS["several"], max_steps=N)
    carry, _ = lax.scan(body, body.init(s), jnp.ones((N, 3), s["x"].dtype))
    return body.result(carry)


def _by_name(s):
    return jf.iterate(noisy, s, jc.history(loss), low, max_steps=N, key=KEY)


def _staged(s):
    step = jf.Pipe(first=descend, second=clip_state)
    return jf.iterate(step, s, Stages(), jc.history(loss), max_steps=N)


def clip_state(s):
    return clip(s)[0]


def _back(s):
    heard = (*CALLBACKS["snapshots"], low)
    result = jf.iterate(descend, s, *heard, max_steps=N)
    at = jf.first(result, descend, *heard, where=small)
    soon = jf.first(result, descend, *heard, where=small, monotone=True)
    return jf.replay(result, descend, *heard, at=at), soon


def _nested(s):
    seen = jc.history(loss, capacity=9)
    epoch = lambda run: jf.resume(run.again(), descend, seen, low, max_steps=2)  # noqa: E731
    start = jf.iterate(descend, s, seen, low, max_steps=0)
    return jf.iterate(epoch, start, lambda run: (run, run.stopped("low")), max_steps=3)


def _on_mesh(s):
    mesh = Mesh(np.array(jax.devices()[:2]), ("lanes",))
    split = PartitionSpec("lanes")

    def run(s):
        one = jax.tree.map(lambda a: a[0], s)
        heard = CALLBACKS["agree"]
        result = jf.iterate(descend, one, *heard, max_steps=N)
        return jax.tree.map(lambda a: a[None], (result.state, result.steps))

    return jax.shard_map(run, mesh=mesh, in_specs=(split,), out_specs=split)(s)


def _pipeline(s):
    half = jf.partial(jnp.multiply, 0.5)
    both = jf.juxt(half, jf.compose(jnp.negative, jf.lift(jnp.exp)), jf.identity)
    undone = jf.Reversible(jnp.exp, jnp.log) >> jf.Pipe(late=jnp.tanh)
    return both(s["x"]), undone(s["x"]), jf.Reversible(jnp.exp, jnp.log).inverse(s["rate"])


def _learned(s):
    x = jnp.linspace(s["rate"], 2.0, 5)[:, None] * s["x"][None, :]
    pipe = jf.Pipe(jnp.exp, jf.stages.standardize()) >> jf.Learned(jf.folds.maximum(), _below)
    return jf.fit(pipe, x)(s["x"])


def _below(largest):
    return jf.partial(jnp.subtract, largest)


def _starts(s):
    return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), s)


def _described(s):
    return str(jf.describe_loop(descend, *CALLBACKS["several"], state=s, max_steps=N))


def _eager(s):
    return iterate("several")(s)


# Public names that are of no case here, and those that run the cases.
ELSEWHERE = {
    "Fold",
    "Source",
    "callbacks",
    "diagnostics",
    "executors",
    "folds",
    "guide",
    "load",
    "records",
    "reduce",
    "rolling",
    "save",
    "segment",
    "stats",
    "testing",
}
DRIVEN = {"iterate", "resume", "as_scan_body", "chunks", "fold"}


# Of one state (of lanes, where the name says so), all but HOST within one jit.
FORMS = {
    "as_scan_body with data": _with_data,
    "iterate step with key": _by_name,
    "iterate lanes of keys": lambda s: jax.vmap(
        lambda key: jf.iterate(noisy, s, low, max_steps=N, key=key)
    )(jax.random.split(KEY, 2)),
    "iterate Pipe stages": _staged,
    "sweep": lambda s: jf.sweep(descend, _starts(s), *CALLBACKS["several"], max_steps=N, lanes=1),
    "iterate Implicit": lambda s: jf.iterate(descend, s, max_steps=N, driver=jf.Implicit()),
    "jackknife": lambda s: jf.jackknife(jf.folds.var(), [s["x"], -s["x"], s["x"][:1]]),
    "iterate none": lambda s: jf.iterate(descend, s, max_steps=0),
    "LoopResult again in a loop": _nested,
    "replay first": _back,
    "agree on a mesh, lanes": _on_mesh,
    "Pipe compose juxt lift partial identity Reversible": _pipeline,
    "fit Learned stages": _learned,
}
HOST = {
    "iterate eager": _eager,
    "describe_loop": _described,
    **{
        f"chunks {name}": functools.partial(lambda name, s: chunked(name)(s), name)
        for name in ("no callbacks", "listener of every event", "several", "stop_when | &")
    },
    "chunks lanes": lambda s: chunked("several", lanes=True)(LANES),
    "sweep_chunks": lambda s: list(
        jf.sweep_chunks(descend, _starts(s), *CALLBACKS["several"], max_steps=N, every=4, lanes=1)
    ),
}


def check_that_none_is_missing():
    """Raise where the tables lack a public callback, or a public name of the root."""
    first = {name.split()[0] for name in CALLBACKS}
    missing = set(jc.__all__) - NO_CALLBACKS - first
    words = {word for name in (*CALLBACKS, *FORMS, *HOST, *COMBINED) for word in name.split()}
    missing |= set(jf.__all__) - ELSEWHERE - DRIVEN - words
    assert not missing, f"no case of {sorted(missing)}"
