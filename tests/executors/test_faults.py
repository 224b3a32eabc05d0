"""What goes wrong while folding: loaders that raise, odd blocks, workers that die, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time

import fold_workers as w
import jax
import numpy as np
import pytest
from fold_children import SECONDS, Child
from helpers import raises

import jfoundations as jf
from jfoundations import executors

EXECUTORS = {
    "none": lambda: None,
    "Local": executors.Local,
    "Devices": lambda: executors.Devices(jax.make_mesh((4,), ("data",)), "data"),
    "Processes": executors.Processes,
}
everywhere = pytest.mark.parametrize("executor", EXECUTORS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return w.write_data(tmp_path_factory.mktemp("data"))


@everywhere
@pytest.mark.parametrize("error", [w.Unreadable("no such tape"), EOFError("no data"), OSError(5)])
def test_what_a_loader_raises_comes_out(data, tmp_path, executor, error):
    path = tmp_path / "run"
    load = w.Raising(w.Rows(data), 30, type(error)(*error.args))
    with pytest.raises(type(error)) as raised:
        w.run(data, EXECUTORS[executor](), load=load, checkpoint=path)
    assert raised.value.args == error.args
    told = "\n".join(raised.value.__notes__)
    assert "loading chunk 30 of 37" in told and "what was done is kept in" in told
    if executor == "Processes":
        path = executors.Processes().checkpoint_path(path)
    assert w.run(data, checkpoint=path) == w.run(data)


def test_what_a_stream_raises_comes_out(data):
    def blocks():
        yield np.ones(3)
        raise w.Unreadable("no such tape")

    with pytest.raises(w.Unreadable, match="no such tape") as raised:
        jf.fold(w.total(), blocks())
    assert raised.value.__notes__ == ["fold: this came out of loading chunk 1"]


def refuse(memory, x):
    raise w.Unreadable("no such element")


@everywhere
def test_what_a_fold_raises_comes_out(data, executor):
    bad = jf.Fold(w.zeros, refuse, jax.numpy.add)
    with pytest.raises(w.Unreadable, match="no such element"):
        jf.fold(bad, w.source(data), EXECUTORS[executor]())


ODD = {
    "another shape": (w.narrower, TypeError, "chunk 20 of 37 has elements", "all must be alike"),
    "another dtype": (w.whole_numbers, TypeError, "chunk 20 of 37 has elements int32", "alike"),
    "another tree": (w.renamed, TypeError, "chunk 20 of 37 has elements", "all must be alike"),
    "no array": (str, TypeError, "fold's chunk 20 of 37: a leaf is str, which is no array"),
    "nothing": (w.nothing, ValueError, "fold's chunk 20 of 37: its leaves have no arrays"),
    "one number": (np.sum, TypeError, "fold's chunk 20 of 37: a leaf has no leading axis"),
    "an empty one of another shape": (w.empty_narrower, TypeError, "chunk 20 of 37 has elements"),
}


@everywhere
@pytest.mark.parametrize("odd", ODD)
def test_odd_blocks_are_named(data, executor, odd):
    change, kind, *parts = ODD[odd]
    with raises(kind, *parts):
        w.run(data, EXECUTORS[executor](), load=w.Changed(w.Rows(data), 20, change))


@everywhere
@pytest.mark.parametrize("chunk", [0, 20, 36])
def test_an_empty_block_adds_nothing(data, executor, chunk):
    load = w.Changed(w.Rows(data), chunk, w.emptied)
    found = jf.fold(w.several(), jf.Source(37, load), EXECUTORS[executor]())
    here = [np.array(w.source(data).load(i)) for i in range(37) if i != chunk]
    right = jf.fold(w.several(), [np.concatenate(here)])
    assert found["mixed"] == right["mixed"]
    np.testing.assert_array_equal(found["minmax"], right["minmax"])
    np.testing.assert_allclose(found["var"], right["var"], rtol=1e-5)


def test_an_executor_that_forgets_a_chunk():
    class Forgetful(executors.Executor):
        def run(self, chunks, progress):
            for i, block in chunks:
                if i != 1:
                    progress.fold(i, block)

    with raises(RuntimeError, "the executor gave 2 of 3 chunks"):
        jf.fold(w.total(), jf.Source.of(np.ones(30), 10), Forgetful())


@pytest.mark.slow
@pytest.mark.parametrize("error", [w.Unreadable("no such tape"), EOFError("no data")])
def test_what_a_loader_raises_in_a_pool(data, tmp_path, error):
    path = tmp_path / "run"
    with pytest.raises(type(error)) as raised:
        w.run(data, executors.Pool(1), load=w.Raising(w.Rows(data), 7, error), checkpoint=path)
    told = "\n".join(raised.value.__notes__)
    assert raised.value.args == error.args and "loading chunk 7 of 37" in told
    loaded = []
    seen = lambda i: loaded.append(i) or w.Rows(data)(i)  # noqa: E731
    assert w.run(data, load=seen, checkpoint=path) == w.run(data)
    assert sorted({*loaded}) == [0, *range(6, 37)]  # all before it was kept


@pytest.mark.slow
def test_odd_blocks_in_a_pool(data):
    for odd in ("another dtype", "no array"):
        change, kind, *parts = ODD[odd]
        with raises(kind, *parts):
            w.run(data, executors.Pool(1), load=w.Changed(w.Rows(data), 20, change))


@pytest.mark.slow
def test_a_worker_that_always_dies(data, tmp_path):
    path = tmp_path / "run"
    load = w.Killing(w.Rows(data), 30)
    with raises(RuntimeError, "the worker of chunk 30 of 37 died 2 times (signal SIGKILL)") as died:
        w.run(data, executors.Pool(2, retries=1), load=load, checkpoint=path)
    assert "what was done is kept" in died.value.__notes__[-1]
    loaded = []
    seen = lambda i: loaded.append(i) or w.Rows(data)(i)  # noqa: E731
    assert w.run(data, load=seen, checkpoint=path) == w.run(data)
    assert 30 in loaded and len(loaded) < 20


@pytest.mark.slow
def test_settings_and_closures_travel_to_a_pool(data):
    wide = not jax.config.jax_enable_x64
    with jax.enable_x64(wide):
        fold = w.total().of(lambda x: jax.numpy.asarray(x, float))
        found = jf.fold(fold, w.source(data), executors.Pool(1))
        assert found.dtype == jax.numpy.result_type(float)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_no_process_behind(data):
    with Child("interrupted", data, 3) as child:  # each hangs with its fourth chunk
        line = child.wait_for("done 3")
        assert line, child.errors
        workers = list(map(int, line.split()[2:]))
        assert len(workers) == 2 and not any(map(gone, workers))
        child.process.send_signal(signal.SIGINT)
        assert child.wait_for("stopped") == "stopped"
        assert all(map(gone, workers))
        assert child.process.wait(SECONDS) == 0


@pytest.mark.slow
def test_workers_end_with_a_process_that_is_killed(data):
    with Child("interrupted", data) as child:
        line = child.wait_for("done 3")
        assert line, child.errors
        workers = list(map(int, line.split()[2:]))
        child.process.kill()
        deadline = time.monotonic() + SECONDS
        while not all(map(gone, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert all(map(gone, workers))


UNGUARDED = """
import fold_workers as w, sys
from jfoundations import executors
print(w.run(sys.argv[1], executors.Pool(1, retries=0)))
"""


@pytest.mark.slow
def test_a_script_without_its_guard_is_told_so(data, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    paths = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), str(data)],
        env={**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode != 0 and '`if __name__ == "__main__":`' in done.stderr
    assert "died 1 times (exit code 1)" in done.stderr
    assert "with checkpoint= what is done would be kept" in done.stderr
