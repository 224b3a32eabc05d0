"""A run that is interrupted or killed, in a process of its own: what it had done is not lost."""

import os
import random
import signal
import subprocess
import sys
import time

import jax
import pytest
from helpers import assert_same, bits

import jfoundations as jf

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
ROUNDS = 8

PROGRAM = """
import gc, signal, sys, time
import jax, jax.numpy as jnp
import jfoundations as jf

def step(s):
    return {"n": s["n"] + 1, "x": jnp.sin(s["x"]) + 0.5}

watchers = (jf.callbacks.best(lambda s: s["x"][0]), jf.watch(jf.folds.mean(), lambda s: s["x"][1]))
start = {"n": jnp.zeros((), jnp.int32), "x": jnp.linspace(0.0, 1.0, 64)}
"""

INTERRUPTED = (
    PROGRAM
    + """
signal.signal(signal.SIGINT, signal.default_int_handler)
gc.disable()  # what is raised in a function that JAX has told to hear of it is lost

def say(*words):
    # a whole line: an interrupt comes before or after it, and not between words
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

result, begun = start, []
for _ in range(int(sys.argv[1])):
    done = 0
    try:
        say("go")
        begun.append(time.monotonic())
        for result in jf.chunks(step, result, *watchers, max_steps=2**30):
            done = int(result.steps)
            say("chunk", done)
            begun.append(time.monotonic())  # of the chunk that is next
    except KeyboardInterrupt:
        assert done <= int(result.steps), "the last result was lost"
        say("stopped", *([0.0] + begun)[-2:], int(result.steps), int(result.state["n"]))
more = int(result.steps) + 1000
resumed = jf.resume(result, step, *watchers, max_steps=more)
whole = jf.iterate(step, start, *watchers, max_steps=more)
pairs = zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True)
say("same", all(a.tobytes() == b.tobytes() for a, b in pairs))
"""
)

KILLED = (
    PROGRAM
    + """
import os
path = sys.argv[1]
like = jax.eval_shape(lambda: jf.iterate(step, start, *watchers, max_steps=400))
first = jf.load(path, like=like) if os.path.exists(path) else start
for result in jf.chunks(step, first, *watchers, max_steps=400, every=7):
    jf.save(path, result)
    print("chunk", int(result.steps), flush=True)
"""
)


def child(program, *arguments):
    x64 = {"JAX_ENABLE_X64": str(int(jax.config.jax_enable_x64)), "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **x64},
    )


def wait_for(process, word):
    """Return the words of the next line that begins with a word."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        if line.startswith(word):
            return line.split()
    raise AssertionError(f"it ended before it said {word!r}")


def test_an_interrupt_at_any_moment_loses_at_most_its_chunk():
    """It comes out with the chunk in which it came: of those after it, at most one begins."""
    draw = random.Random(3)
    reached = [0]
    with child(INTERRUPTED, str(ROUNDS)) as process:
        try:
            for k in range(ROUNDS):
                wait_for(process, "go")
                if k % 2 == 0:
                    wait_for(process, "chunk")  # it goes on; at first, all is compiled
                time.sleep(draw.uniform(0, 0.4))
                process.send_signal(signal.SIGINT)
                sent = time.monotonic()
                _, one, two, steps, counted = wait_for(process, "stopped")
                assert float(one) <= sent, f"chunks began at {one} and {two}, after {sent}"
                assert steps == counted and int(steps) >= reached[-1]
                reached.append(int(steps))
            assert wait_for(process, "same") == ["same", "True"]
            assert process.wait(1200) == 0
        finally:
            process.kill()
    assert len(set(reached)) > ROUNDS // 2  # it did go on in between


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_file(tmp_path):
    path = tmp_path / "run"
    reached = []
    for k in range(3):
        with child(KILLED, str(path)) as process:
            try:
                for _ in range(5 * (k + 1)):
                    said = wait_for(process, "chunk")
                if k < 2:
                    process.kill()  # in the middle of a chunk or of a file
                else:
                    while int(said[1]) < 400:
                        said = wait_for(process, "chunk")
                    assert process.wait(1200) == 0
            finally:
                process.kill()
        reached.append(int(said[1]))
    assert reached[0] < reached[1] < reached[2] == 400
    space = {}
    exec(PROGRAM, space)  # noqa: S102
    whole = jf.iterate(space["step"], space["start"], *space["watchers"], max_steps=400)
    found = jf.load(path, like=whole)
    assert_same(found, whole)
    assert [bits(leaf) for leaf in jax.tree.leaves(found)]
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == ["run"]
