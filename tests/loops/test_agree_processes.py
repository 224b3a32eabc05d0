"""A loop with a collective on two processes: it ends on both at the same step, or never begins."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import pytest

fcntl = pytest.importorskip("fcntl")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="jaxlib's gloo is tested on Linux alone"),
]
SECONDS = 1200  # for all of it; a process that hangs is killed then

PROGRAM = """
import sys
import jax
index, port = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_enable_preemption_service", False)
jax.distributed.initialize(
    f"127.0.0.1:{port}", num_processes=2, process_id=index,
    initialization_timeout=900, heartbeat_timeout_seconds=900, shutdown_timeout_seconds=900,
)
import jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import jfoundations as jf

mesh = Mesh(np.array(jax.devices()), ("data",))
assert mesh.size == 2 and jax.process_count() == 2
mine = np.array([[1.0, 3.0][index]], np.float32)
targets = jax.make_array_from_process_local_data(NamedSharding(mesh, P("data")), mine)

def run(agrees):
    def loop(target):
        step = lambda w: w + 0.25 * jax.lax.pmean(target[0] - w, "data")  # towards 2
        best = jf.callbacks.best(lambda w: jnp.abs(w - target[0]))
        near = jf.stop_when(lambda w: jnp.abs(w - target[0]) < 0.3, name="near")
        late = jf.stop_when(lambda w: jnp.abs(w - target[0]) < 1.1, name="late")
        stops = [agrees(near, "any"), agrees(late, "all")]
        result = jf.iterate(step, jnp.float32(0.0), best, *stops, max_steps=50)
        return result.steps, result.stopped_by, result.state
    shards = jax.shard_map(loop, mesh=mesh, in_specs=P("data"), out_specs=P())
    return jax.jit(shards)(targets)

agree = lambda stop, how: jf.agree(stop, "data", how)
first = run(agree)
print("any", *(np.asarray(a.addressable_data(0)) for a in first), flush=True)
only = run(lambda stop, how: agree(stop, how) if how == "all" else jf.proceed)
print("all", *(np.asarray(a.addressable_data(0)) for a in only), flush=True)
try:
    run(lambda stop, how: stop)
except ValueError as error:
    print("refused", error, flush=True)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_two(program):
    """Return what two processes print; both are dead afterwards, whatever they do."""
    with open(Path(tempfile.gettempdir()) / "jfoundations-processes.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one such test at a time: the machine may be small
        return _run_two(program)


def _run_two(program):
    port, deadline = free_port(), time.monotonic() + SECONDS
    x64 = {"JAX_ENABLE_X64": str(int(jax.config.jax_enable_x64)), "JAX_PLATFORMS": "cpu"}
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(k), port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **x64},
        )
        for k in range(2)
    ]
    try:
        said = [p.communicate(timeout=max(1.0, deadline - time.monotonic())) for p in pair]
    finally:
        for process in pair:
            process.kill()  # SIGKILL: jax.distributed swallows SIGTERM
            process.wait()
    assert [p.returncode for p in pair] == [0, 0], [err[-2000:] for _, err in said]
    return [[line for line in out.splitlines() if line[0] != "["] for out, _ in said]


def test_two_processes_stop_at_the_same_step():
    found = run_two(PROGRAM)
    assert found[0] == found[1]
    ways = {words[0]: words[1:] for words in map(str.split, found[0])}
    # w = 2 - 2 * 0.75**k; process 0 is near its 1 at step 2, process 1 within 1.1 of its 3 at 11
    assert ways["any"][:2] == ["2", "2"] and ways["all"][:2] == ["11", "2"]
    assert ways["refused"][:4] == "callback 2 of 3, near,".split()[:4]
