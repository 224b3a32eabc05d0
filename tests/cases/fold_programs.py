"""Programs that tests run in processes of their own, to kill them: `fold_programs.py NAME …`."""

import contextlib
import multiprocessing
import os
import sys
from pathlib import Path

import fold_workers as w
import jax
import numpy as np
from fold_children import SECONDS

import jfoundations as jf
from jfoundations import executors


def say(*words):
    print(*words, flush=True)


def slow(data, checkpoint):
    """Fold some of twelve slow chunks with a checkpoint; all is compiled before it says go.

    It hangs after six, two of which are loaded of any checkpoint: who would kill it comes in time.
    """
    options = {"size": 31, "fold": w.total()}
    w.run(data, **options)
    say("go")
    options |= {"checkpoint": checkpoint, "progress": lambda *done: say("done", *done)}
    say("bits", w.run(data, load=w.Hanging(w.Rows(data, 0.05, 31), 6), **options))


def interrupted(data, chunks=w.CHUNKS):
    """Fold in a pool, whose workers hang after so many chunks, and say who is there and left."""

    def progress(done, total):
        say("done", done, *(child.pid for child in multiprocessing.active_children()))

    load = w.Hanging(w.Rows(data, 0.1), int(chunks))
    try:
        w.run(data, executors.Pool(2), load=load, progress=progress)
    except KeyboardInterrupt:
        say("stopped", *(child.pid for child in multiprocessing.active_children()))


def join(rank, port):
    patient = {"initialization_timeout": SECONDS, "heartbeat_timeout_seconds": SECONDS}
    jax.distributed.initialize(
        f"localhost:{port}", num_processes=2, process_id=int(rank), **patient
    )


@contextlib.contextmanager
def told(what):
    try:
        yield
    except (RuntimeError, TypeError, ValueError, w.Unreadable) as error:
        say("error", what, type(error).__name__, error, *getattr(error, "__notes__", []))


def joined(rank, port, data, folder):
    """Fold in two processes, in every way that does not kill them."""
    join(rank, port)
    mine = int(rank)
    for shares in (None, (0.3, 0.7), (1, 0), (0, 1)):
        say("bits", shares, w.run(data, executors.Processes(shares=shares)))
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("data",))
    say("bits", "Devices", w.run(data, executors.Processes(executors.Devices(mesh, "data"))))
    left_out = jf.jackknife(w.total(), w.source(data, w.SIZE), executors.Processes())
    say("left out", w.digest(left_out))
    failing = w.Raising(w.Rows(data), 30)  # of the second process
    path = Path(folder) / "kept"
    with told("loader"):
        w.run(data, executors.Processes(), load=failing, checkpoint=path)
    loaded = []
    seen = lambda i: loaded.append(i) or w.Rows(data)(i)  # noqa: E731
    say("bits", "resumed", w.run(data, executors.Processes(), load=seen, checkpoint=path))
    say("loaded", *loaded)
    say("bits", "finished", w.run(data, executors.Processes(), checkpoint=path))
    with told("reshared"):
        w.run(data, executors.Processes(shares=(0.3, 0.7)), checkpoint=path)
    if mine:
        path.with_name("kept.1-of-2").write_bytes(b"nonsense")
    with told("damaged"):
        w.run(data, executors.Processes(), checkpoint=path)
    with told("shares"):
        w.run(data, executors.Processes(shares=(1, 2, 3)))
    mixed = lambda i: w.Rows(data)(i) if i < 18 else w.whole_numbers(w.Rows(data)(i))  # noqa: E731
    with told("alike"):
        w.run(data, executors.Processes(), load=mixed)
    with told("order"):
        jf.fold(w.smooth(), w.source(data), executors.Processes())
    say("end")


def lost(rank, port, data, folder, marker):
    """Fold in two processes, the second of which dies unless there is a marker."""
    join(rank, port)
    load = w.Killing(w.Rows(data, 0.02), 30, marker)
    with told("lost"):
        path = Path(folder) / "lost"
        say("bits", w.run(data, executors.Processes(), load=load, checkpoint=path))
        return
    os._exit(0)  # JAX would wait for who is dead


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 2)
    globals()[sys.argv[1]](*sys.argv[2:])
