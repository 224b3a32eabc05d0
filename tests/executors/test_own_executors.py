"""Executors that users write: the one of the docstring, and what the base class promises of any."""

import doctest
import inspect
import os
import signal
import subprocess
import sys
import threading
import time

import fold_workers as w
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations import executors, folds


def threads_class():
    """Return `Threads`, made by exactly the code in the docstring of `Executor`."""
    space = {"Executor": executors.Executor}
    examples = doctest.DocTestParser().get_examples(executors.Executor.__doc__ or "")
    for example in examples[:3]:
        exec(example.source, space)  # noqa: S102
    assert examples[2].source.count("\n") <= 20
    return space["Threads"]


Threads = threads_class()


class InThread(executors.Executor):
    """One that keeps the order, in a thread of its own."""

    keeps_order = True

    def run(self, chunks, progress):
        failed = []

        def work():
            try:
                with jax.enable_x64(wide):
                    for i, block in chunks:
                        progress.fold(i, block)
            except BaseException as error:
                failed.append(error)

        wide = jax.config.jax_enable_x64
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]


MINE = {"Threads": lambda: Threads(3), "InThread": InThread}
mine = pytest.mark.parametrize("executor", MINE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return w.write_data(tmp_path_factory.mktemp("data"))


@mine
def test_the_bits_are_those_of_local(data, executor):
    assert w.run(data, MINE[executor]()) == w.run(data)
    wide = not jax.config.jax_enable_x64
    with jax.enable_x64(wide):  # settings of this thread hold in the others
        assert w.run(data, MINE["Threads"]()) == w.run(data)


def test_folds_of_order(data):
    right = jf.fold(w.smooth(), w.source(data))
    np.testing.assert_array_equal(jf.fold(w.smooth(), w.source(data), InThread()), right)
    with raises(TypeError, "smooth depends on the order of its elements", "so Threads cannot"):
        jf.fold(w.smooth(), w.source(data), Threads(2))


def test_streams():
    blocks = [np.ones(3), np.ones(2)]
    assert float(jf.fold(folds.count(), iter(blocks), InThread())) == 5.0
    with raises(TypeError, "fold: Threads has its workers load", "give Source(n_chunks, load)"):
        jf.fold(folds.count(), iter(blocks), Threads(2))


class Stop(Exception):
    """What ends a run in the tests."""


@pytest.mark.parametrize(
    ("executor", "order"), [("Threads", False), ("InThread", False), ("InThread", True)]
)
def test_checkpoints(data, tmp_path, executor, order):
    fold = w.smooth() if order else w.raw(w.several())
    path, said = tmp_path / "run", []

    def progress(done, total):
        said.append((done, total))
        if done == 20:
            raise Stop

    with pytest.raises(Stop) as stopped:
        w.run(data, MINE[executor](), fold=fold, checkpoint=path, progress=progress)
    assert said == [(k, 37) for k in range(1, 21)]
    assert "what was done is kept" in stopped.value.__notes__[-1]
    more = []
    found = w.run(data, fold=fold, checkpoint=path, progress=lambda *numbers: more.append(numbers))
    assert found == w.run(data, fold=fold) and more == [(k, 37) for k in range(21, 38)]


@mine
def test_what_a_loader_raises_comes_out(data, tmp_path, executor):
    path = tmp_path / "run"
    load = w.Raising(w.Rows(data), 30)
    with pytest.raises(w.Unreadable, match="no such tape") as raised:
        w.run(data, MINE[executor](), load=load, checkpoint=path)
    told = "\n".join(raised.value.__notes__)
    assert "of 37" in told and "loading chunk 3" in told and "what was done is kept in" in told
    assert w.run(data, checkpoint=path) == w.run(data)


def test_odd_blocks_are_named(data):
    for change, kind in ((w.whole_numbers, TypeError), (w.nothing, ValueError)):
        with raises(kind, "chunk 20 of 37"):
            w.run(data, Threads(2), load=w.Changed(w.Rows(data), 20, change))


def test_few_chunks_are_on_their_way():
    loaded, most = [], []
    load = lambda i: loaded.append(i) or np.ones(2)  # noqa: E731
    jf.fold(
        folds.count(),
        jf.Source(60, load),
        Threads(2),
        progress=lambda done, total: most.append(len(loaded) - done),
    )
    assert max(most) <= 4


INTERRUPTED = """
import signal, sys, threading
import numpy as np
import jfoundations as jf
from test_own_executors import Threads
signal.signal(signal.SIGINT, signal.default_int_handler)
hang = threading.Event()

def load(i):
    if i == 3:
        print("hangs", flush=True)
        print("waited in vain" if not hang.wait(600) else "let go", flush=True)
    return np.ones(2)

try:
    jf.fold(jf.folds.count(), jf.Source(9, load), Threads(1), checkpoint=sys.argv[1])
except KeyboardInterrupt:
    print("stopped", flush=True)
    hang.set()
assert float(jf.fold(jf.folds.count(), jf.Source(9, load), checkpoint=sys.argv[1])) == 18.0
print("same", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_waits_for_no_loader(tmp_path):
    words = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "run")]
    where = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": where, "JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "hangs\n"
            time.sleep(0.1)  # by now it waits, as a rule
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "stopped\n"  # the loader hangs as yet
            assert process.stdout.read().split()[-1] == "same" and process.wait(1200) == 0
        finally:
            process.kill()


class Wrong(executors.Executor):
    """One that does something wrong, in the order it says or not."""

    def __init__(self, run, order=False):
        self.wrong, self.keeps_order = run, order

    def run(self, chunks, progress):
        self.wrong(chunks, progress)


def twice(chunks, progress):
    for i, block in chunks:
        progress.fold(i, block)
        progress.fold(i, block)


def backwards(chunks, progress):
    for i, block in reversed(list(chunks)):
        progress.fold(i, block)


def added_twice(chunks, progress):
    function, numbers = chunks.for_workers(chunks)
    for i in [*numbers, *numbers]:
        progress.add(i, function(i))


def split(chunks, progress):
    function, numbers = chunks.for_workers(chunks)
    for i in numbers:
        progress.add(i, function(i))


def shifted(chunks, progress):
    function, numbers = chunks.for_workers(chunks)
    for i in numbers:
        progress.add(i + 1, function(i))


def negative(chunks, progress):
    for i, block in chunks:
        progress.fold(i - 1, block)


def nothing(chunks, progress):
    pass


def reading(chunks, progress):
    list(chunks)


FAULTS = {
    "twice": (w.total, Wrong(twice), "the executor gave chunk 0 of 3 twice"),
    "added twice": (w.total, Wrong(added_twice), "the executor gave chunk 0 of 3 twice"),
    "none": (w.total, Wrong(nothing), "the executor gave 0 of 3 chunks"),
    "shifted": (w.total, Wrong(shifted), "gave a chunk the number 3, which none has"),
    "negative": (w.total, Wrong(negative), "gave a chunk the number -1, which none has"),
    "order, twice": (w.smooth, Wrong(twice, True), "the executor gave chunk 0 of 3 twice"),
    "order, backwards": (w.smooth, Wrong(backwards, True), "gave chunk 2 where chunk 0 is next"),
    "order, split": (w.smooth, Wrong(split, True), "is to call progress.fold(i, block)"),
}


def test_of_a_stream_a_wrong_number_or_none_is_told():
    blocks = [np.ones(3), np.ones(2)]
    with raises(RuntimeError, "gave a chunk the number -1, which none has"):
        jf.fold(w.total(), blocks, Wrong(negative))
    with raises(RuntimeError, "the executor gave none of 2 chunks"):
        jf.fold(w.total(), blocks, Wrong(reading))


@pytest.mark.parametrize("fault", FAULTS)
def test_an_executor_that_breaks_its_word_is_told(fault):
    make, executor, message = FAULTS[fault]
    with raises((RuntimeError, ValueError), message):
        jf.fold(make(), jf.Source.of(np.ones(30), 10), executor)


def test_what_is_no_executor_is_refused():
    class Runs:
        def run(self, chunks, progress):
            raise AssertionError

    with raises(TypeError, "fold: executor is", "a class that extends executors.Executor"):
        jf.fold(w.total(), np.ones(3), Runs())
    with raises(TypeError, "abstract"):
        executors.Executor()
    with raises(TypeError, "Processes: inner is", "give an executor"):
        executors.Processes(Runs())


def test_all_executors_have_one_base():
    for name in executors.__all__:
        assert issubclass(getattr(executors, name), executors.Executor), name
        assert inspect.getdoc(getattr(executors, name).run)


def test_the_function_of_a_chunk_can_be_sent(data):
    """A pool of processes may be a user's own too: the function is pickled as `Pool` does."""
    import pickle

    class Sent(executors.Executor):
        def run(self, chunks, progress):
            function, numbers = chunks.for_workers(self)
            for i in numbers:
                there = pickle.loads(pickle.dumps(function))
                progress.add(i, pickle.loads(pickle.dumps(there(i))))

    assert w.run(data, Sent()) == w.run(data)
    lock = threading.Lock()
    with raises(TypeError, "Sent: the loader cannot be sent to another process"):
        jf.fold(w.total(), jf.Source(2, lambda i: lock), Sent())


class Interrupted(executors.Executor):
    """Raise KeyboardInterrupt before the n-th line that runs while chunk 15 is taken in."""

    keeps_order = True
    files = ("progress.py", "merge_tree.py", "in_order.py")

    def __init__(self, lines):
        self.left = lines

    def run(self, chunks, progress):
        before = sys.gettrace()
        for i, block in chunks:
            if i == 15:  # sixteen memories become one
                sys.settrace(self.trace)
            try:
                progress.fold(i, block)
            finally:
                sys.settrace(before)

    def trace(self, frame, event, arg):
        if os.path.basename(frame.f_code.co_filename) not in self.files:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.trace


@pytest.mark.parametrize("order", [False, True])
def test_an_interrupt_while_a_chunk_is_taken_in_loses_it_alone(tmp_path, order):
    """What is done changes at once: no chunk is in the memories and not in the count, or half."""
    fold = w.smooth() if order else w.total()
    source = jf.Source.of(np.arange(200.0, dtype=np.float32), 10)
    right = np.asarray(jf.fold(fold, source))
    for lines in range(1, 1000):
        path, first = tmp_path / f"run{lines}", []
        try:
            jf.fold(fold, source, Interrupted(lines), checkpoint=path)
            break
        except KeyboardInterrupt:
            found = jf.fold(
                fold,
                source,
                checkpoint=path,
                progress=lambda done, _, first=first: first.append(done),
            )
            assert np.asarray(found).tobytes() == right.tobytes()
            assert first[0] in (16, 17)
    assert lines > 20


def test_jnp_is_not_needed_to_write_one():
    """The functions of `progress` take what the loader gave: NumPy's arrays too."""
    found = jf.fold(folds.maximum(), jf.Source(3, lambda i: np.full(2, i)), Threads(1))
    assert int(found) == 2 and isinstance(found, jnp.ndarray)
