"""A fold can be interrupted, bounded and killed, and leaves nothing behind.

The causes: a pool of threads whose end is waited for; no clock over a worker; the environment of
this process written for the sake of another; loaders that raise what ends loops. They act in

* every executor that loads in a thread (none, Local, Devices, Processes), sources and streams;
* workers that hang, close or write to file descriptors that are not theirs, or are killed;
* `list(source)` as well as `fold`; a Pool in a Pool; a checkpoint behind what progress reported.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import time

import jax
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import executors, folds

HERE = {
    "none": lambda: None,
    "Local": executors.Local,
    "Devices": lambda: executors.Devices(jax.make_mesh((2,), ("data",)), "data"),
    "Processes": executors.Processes,
}


HANGING, LET_GO = threading.Event(), threading.Event()  # a loader hangs, and until then
WAITED = []  # in vain


def hang():
    HANGING.set()
    if not LET_GO.wait(600):
        WAITED.append("in vain")


@pytest.fixture(autouse=True)
def nothing_hangs_for_ever():
    HANGING.clear()
    LET_GO.clear()
    yield
    LET_GO.set()


class Loader:
    """A loader that misbehaves at one chunk."""

    def __init__(self, how, at=1):
        self.how, self.at = how, at

    def __call__(self, i):
        if i == self.at:
            getattr(self, self.how)()
        on_cpu = os.environ.get("JAX_PLATFORMS") == "cpu"
        return np.full(3, on_cpu if self.how == "nothing" else i, np.float32)

    def nothing(self):
        pass

    def hang(self):
        hang()

    def close(self):
        os.closerange(3, 200)

    def write(self):
        for name in range(3, 60):
            with contextlib.suppress(OSError):
                if os.fstat(name).st_mode & 0o170000 == 0o140000:  # a socket: the pipe to the Pool
                    os.write(name, b"hello world")

    def interrupt(self):
        raise KeyboardInterrupt

    def stop(self):
        next(iter(()))

    def nest(self):
        jf.fold(folds.maximum(), jf.Source(2, Loader("nothing")), executors.Pool(1))


def run(how, executor=None, **words):
    return jf.fold(folds.maximum(), jf.Source(3, Loader(how)), executor, **words)


@contextlib.contextmanager
def ctrl_c():
    """Send SIGINT to this process once its loader hangs, and see it come out while it still does.

    What waited for the loader would come out with a loader that was let go, after ten minutes.
    """

    def send():
        HANGING.wait(600)
        time.sleep(0.1)  # by now it is waited for, as a rule
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    sender.join()
    assert HANGING.is_set() and WAITED == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
@pytest.mark.parametrize("executor", HERE)
def test_ctrl_c_waits_for_no_loader(executor):
    run("nothing", HERE[executor]())
    with ctrl_c():
        run("hang", HERE[executor]())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_waits_for_no_stream():
    def blocks():
        yield np.ones(3, np.float32)
        hang()

    with ctrl_c():
        jf.fold(folds.maximum(), blocks())


@pytest.mark.parametrize("executor", HERE)
def test_what_ends_loops_ends_none_in_silence(executor):
    with raises(RuntimeError, "the loader raised StopIteration", "chunk 1 of 3", "default"):
        run("stop", HERE[executor]())
    with pytest.raises(KeyboardInterrupt) as stopped:
        run("interrupt", HERE[executor]())
    assert "chunk 1 of 3" in stopped.value.__notes__[0]


def test_a_list_of_a_source_is_whole_or_an_error():
    with raises(RuntimeError, "the loader raised StopIteration", "chunk 1 of 3"):
        list(jf.Source(3, Loader("stop")))
    assert len(list(jf.Source(3, Loader("nothing")))) == 3


IN_A_POOL = {
    "close": (RuntimeError, "the worker of chunk 1 of 3 died", "close, file descriptors"),
    "write": (RuntimeError, "the worker of chunk 1 of 3 died", "write to, or close"),
    "interrupt": (KeyboardInterrupt,),
    "stop": (RuntimeError, "the loader raised StopIteration", "chunk 1 of 3"),
    "nest": (RuntimeError, "Pool: this process is a worker itself", "without an executor"),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", IN_A_POOL)
def test_a_pool_names_what_a_loader_does_to_it(how):
    kind, *parts = IN_A_POOL[how]
    with pytest.raises(kind) as told:
        run(how, executors.Pool(1, retries=0))
    assert all(part in str(told.value) for part in parts), told.value
    assert not multiprocessing.active_children()


def hang_at_once(path, executor):
    """Fold where chunk 1 hangs and chunk 0 is done: no slow machine makes another one late."""

    def stop(done, total):
        raise Stop

    with contextlib.suppress(Stop):
        run("nothing", checkpoint=path, checkpoint_every=1, progress=stop)
    run("hang", executor, checkpoint=path)


class Stop(Exception):
    """What ends a run in the tests."""


@pytest.mark.slow
def test_a_pool_names_the_chunk_that_hangs(tmp_path):
    with raises(TimeoutError, "chunk 1 of 3 took longer than Pool(timeout=1", "may hang"):
        hang_at_once(tmp_path / "run", executors.Pool(1, timeout=1))
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_pools_in_threads_leave_the_environment_alone(monkeypatch):
    """Their workers have the CPU alone, and a worker that is killed is replaced by one such."""
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    before, answers = dict(os.environ), []

    def one():
        answers.append(float(run("nothing", executors.Pool(1))))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    killed = False
    while any(thread.is_alive() for thread in threads):
        assert dict(os.environ) == before
        children = multiprocessing.active_children()
        if children and not killed:
            killed = True
            children[0].kill()
        time.sleep(0.01)
    assert killed and answers == [1.0] * 3 and dict(os.environ) == before
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_chunk_that_hangs_in_dask_is_named(tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        1, processes=False, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster) as client:
        with raises(TimeoutError, "chunk 1 took longer than Dask(timeout=1)", "may hang"):
            hang_at_once(tmp_path / "run", executors.Dask(client, timeout=1))
        assert float(run("nothing", executors.Dask(client, timeout=1200))) in (0.0, 1.0)


@pytest.mark.parametrize("bad", [0, -1.0, float("nan")])
def test_time_limits_are_positive(bad):
    with raises(ValueError, "Pool: timeout is", "seconds > 0"):
        executors.Pool(1, timeout=bad)


@pytest.mark.parametrize("bad", ["1", True])
def test_time_limits_are_numbers(bad):
    with raises(TypeError, "Pool: timeout is", "give seconds"):
        executors.Pool(1, timeout=bad)


def test_the_file_holds_what_progress_told(tmp_path):
    """At each chunk, as it would after a kill: the run that goes on loads what is left alone."""
    path, data = tmp_path / "run.jf", np.arange(40.0, dtype=np.float32).reshape(20, 2)
    seen = []

    def progress(done, total):
        if done == 8:
            seen.append(path.read_bytes())

    source = jf.Source.of(data, 2)
    right = jf.fold(folds.mean(), source, checkpoint=path, checkpoint_every=1, progress=progress)
    path.write_bytes(seen[0])
    told = []
    again = jf.fold(folds.mean(), source, checkpoint=path, progress=lambda *k: told.append(k[0]))
    assert told == [9, 10] and again.tobytes() == right.tobytes()
