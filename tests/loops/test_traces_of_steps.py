"""How often a step is traced: once where its callbacks can stop, once more where they turn out not.

A trace runs the user's Python, which for a large model takes seconds; a program is compiled once.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
        return run("while")(step, heard)(x[0]).state[None]

    return jax.shard_map(device, mesh=mesh, in_specs=P("data"), out_specs=P("data"))


# What each form is traced at most, for each of HEARD in turn. A number that the step promotes is
# traced more often: alone, with callbacks, and until the dtypes stay.
MOST = {
    "while strong": (1, 2, 2, 1, 1),
    "while weak": (3, 4, 5, 3, 3),
    "while promoted": (4, 5, 5, 4, 4),
    "scan_body strong": (1, 2, 2, 1, 1),
    "scan_body weak": (4, 5, 6, 4, 4),
    "scan_body promoted": (4, 5, 5, 4, 4),
    "resume strong": (1, 1, 1, 1, 1),
    "resume weak": (1, 1, 1, 1, 1),
    "resume promoted": (1, 1, 1, 1, 1),
    "nested strong": (1, 2, 2, 1, 1),
    "nested weak": (9, 12, 15, 9, 9),
    "nested promoted": (7, 11, 11, 7, 7),
    "mesh": (1, 2, 3, 3, 3),
    "python": (1, 1, 1, 1, 1),
    "chunks": (1, 2, 2, 1, 1),
    "chunks over lanes": (1, 2, 2, 1, 1),
    "sweep": (1, 1, 1, 1, 1),
    "sweep_chunks": (1, 1, 1, 1, 1),
    "describe_loop": (1, 1, 1, 1, 1),
    "describe_loop of a number": (4, 4, 4, 4, 4),
}
FORMS = {
    "while": run("while"),
    "scan": run("scan"),
    "checkpointed": run("checkpointed"),
    "scan_body": scan,
    "resume": again,
    "nested": nested,
}
REVERSE = ("scan", "checkpointed", "scan_body")
DESCRIBED = {"describe_loop": jnp.ones(3), "describe_loop of a number": 1}
TRANSFORMS = {
    "vmap": jax.vmap,
    "grad": lambda function: jax.grad(lambda x: jnp.sum(function(x).state)),
    "vmap grad": lambda function: jax.vmap(TRANSFORMS["grad"](function)),
    "jvp": lambda function: lambda x: jax.jvp(lambda x: function(x).state, (x,), (x,)),
}
MAPPED = [(t, form) for t in TRANSFORMS for form in (REVERSE if "grad" in t else FORMS)]


def most(form, kind, heard):
    form = "while" if form in ("scan", "checkpointed") else form
    return MOST[f"{form} {kind}"][list(HEARD).index(heard)]


def lowered(program, *args):
    """Return the program's text and how often its step was traced for it."""
    step, traces = counted(halve)
    text = jax.jit(program(step)).lower(*args).as_text()
    return text, len(traces)


@pytest.mark.parametrize("heard", HEARD)
@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_traced_until_its_dtype_stays(form, heard):
    for kind, start in STATES.items():
        _, traces = lowered(lambda step: FORMS[form](step, HEARD[heard]), start())
        assert traces <= most(form, kind, heard), kind


@pytest.mark.parametrize("heard", HEARD)
@pytest.mark.parametrize("transform, form", MAPPED)
def test_a_transform_traces_no_step_again(transform, form, heard):
    start = jnp.ones((2, 3)) if "vmap" in transform else jnp.ones(3)
    program = lambda step: TRANSFORMS[transform](FORMS[form](step, HEARD[heard]))  # noqa: E731
    assert lowered(program, start)[1] <= most(form, "strong", heard)


@pytest.mark.parametrize("heard", HEARD)
def test_types_over_a_mesh_cost_one_trace_a_change(heard):
    program = lambda step: on_mesh(step, HEARD[heard])  # noqa: E731
    _, traces = lowered(program, jnp.ones((2, 3)))
    assert traces <= MOST["mesh"][list(HEARD).index(heard)]


@pytest.mark.parametrize("heard", HEARD)
@pytest.mark.parametrize(
    "form", ("python", "chunks", "chunks over lanes", "sweep", "sweep_chunks", *DESCRIBED)
)
def test_a_loop_on_the_host(form, heard):
    step, traces = counted(lambda x: 0.5 * x)
    options: Any = {"max_steps": N}
    if form == "python":
        jf.iterate(step, jnp.ones(3), *HEARD[heard], driver="python", **options)
    elif form == "chunks":
        list(jf.chunks(step, jnp.ones(3), *HEARD[heard], every=2, **options))
    elif form == "chunks over lanes":
        list(jf.chunks(step, jnp.ones((2, 3)), *HEARD[heard], every=2, lanes=True, **options))
    elif form == "sweep":
        jf.sweep(step, jnp.ones((5, 3)), *HEARD[heard], lanes=4, **options)
    elif form == "sweep_chunks":
        states = jnp.ones((3, 3))
        list(jf.sweep_chunks(step, states, *HEARD[heard], every=2, lanes=2, **options))
    else:
        jf.describe_loop(step, *HEARD[heard], state=DESCRIBED[form], **options)
    assert len(traces) <= MOST[form][list(HEARD).index(heard)]
