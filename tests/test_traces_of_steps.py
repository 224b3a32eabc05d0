"""How often a step is traced: once where its callbacks can stop, once more where they turn out not.

A trace runs the user's Python, which for a large model takes seconds; a program is compiled once.
"""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import counted
from jax import lax
from jax.sharding import Mesh, PartitionSpec

import jfoundations as jf

N = 6
P = PartitionSpec
HEARD = {
    "none": (),
    "idle": (lambda x: (x, False),),
    "record": (jf.callbacks.history(), jf.callbacks.best(jnp.sum)),
    "stop": (jf.callbacks.history(capacity=9), jf.stop_when(lambda x: jnp.sum(x) < 0.2)),
    "before": (jf.Callback(before_run=lambda x: (x, jnp.sum(x) < 0)),),
}
STATES = {"strong": lambda: jnp.ones(3), "weak": lambda: 1.0, "promoted": lambda: 1}


def halve(x):
    return 0.5 * x


def batch(start):
    return jnp.stack([jnp.asarray(start())] * 2)


def run(driver):
    return lambda step, heard: lambda x: jf.iterate(step, x, *heard, max_steps=N, driver=driver)


def scan(step, heard):
    def body_of(x):
        body = jf.as_scan_body(step, *heard, max_steps=N)
        return body.result(lax.scan(body, body.init(x), None, length=N)[0])

    return body_of


def again(step, heard):
    def both(x):
        first = jf.iterate(lambda x: x * 0.5, x, *heard, max_steps=2)
        return jf.resume(first, step, *heard, max_steps=N)

    return both


def nested(step, heard):
    inner = run("while")(step, heard)
    outer = jf.stop_when(lambda x: jnp.sum(x) < 0.01)
    return lambda x: jf.iterate(lambda x: inner(x).state, x, outer, max_steps=N)


def on_mesh(step, heard):
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))

    def device(x):
        return jax.tree.map(lambda leaf: leaf[None], run("while")(step, heard)(x[0]).state)

    return jax.shard_map(device, mesh=mesh, in_specs=P("data"), out_specs=P("data"))


FORMS = {
    "while": run("while"),
    "scan": run("scan"),
    "checkpointed": run("checkpointed"),
    "scan_body": scan,
    "resume": again,
    "nested": nested,
}
REVERSE = ("scan", "checkpointed", "scan_body")


def programs():
    """Yield every loop form: its name, the function of a step, and what it is called with."""
    for heard, callbacks in HEARD.items():
        for form, make in FORMS.items():
            for kind, start in STATES.items():
                yield f"{form} {heard} {kind}", make, callbacks, start()
            name = f"{form} {heard}"
            mapped = lambda step, heard, make=make: jax.vmap(make(step, heard))  # noqa: E731
            yield f"vmap {name}", mapped, callbacks, batch(STATES["strong"])
            if form in REVERSE:
                slope = lambda s, h, make=make: jax.grad(lambda x: jnp.sum(make(s, h)(x).state))  # noqa: E731
                yield f"grad {name}", slope, callbacks, jnp.ones(3)
                yield (
                    f"vmap grad {name}",
                    lambda s, h, slope=slope: jax.vmap(slope(s, h)),
                    callbacks,
                    batch(STATES["strong"]),
                )
        if heard != "before":
            yield f"mesh {heard}", on_mesh, callbacks, jnp.ones((2, 3))


PROGRAMS = {name: parts for name, *parts in programs()}


def on_the_host(form, heard):
    """Run a loop that a host drives, or describes; return how often its step was traced."""
    step, traces = counted(lambda x: 0.5 * x)
    if form == "python":
        jf.iterate(step, jnp.ones(3), *heard, max_steps=N, driver="python")
    elif form == "chunks":
        list(jf.chunks(step, jnp.ones(3), *heard, max_steps=N, every=2))
    elif form == "chunks over lanes":
        list(jf.chunks(step, jnp.ones((2, 3)), *heard, max_steps=N, every=2, lanes=True))
    elif form == "describe_loop":
        jf.describe_loop(step, *heard, state=jnp.ones(3), max_steps=N)
    else:
        jf.describe_loop(step, *heard, state=1, max_steps=N)
    return len(traces)


HOSTED = ("python", "chunks", "chunks over lanes", "describe_loop", "describe_loop of a number")
