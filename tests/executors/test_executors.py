"""The table of bits: one cut of the data, one hash of the memory, wherever it is folded."""

import functools
import logging
import warnings

import fold_workers as w
import jax
import numpy as np
import pytest
from helpers import raises
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jfoundations as jf
from jfoundations import executors, folds


class Backwards(executors.Executor):
    """An executor that takes chunks from the last to the first."""

    def run(self, chunks, progress):
        for i, block in reversed(list(chunks)):
            progress.fold(i, block)


class Shuffled(executors.Executor):
    """An executor that takes chunks in no order, from the middle on."""

    def run(self, chunks, progress):
        for i, block in sorted(chunks, key=lambda numbered: numbered[0] * 17 % 37):
            progress.fold(i, block)


class Stop(Exception):
    """What ends a run in the tests."""


def mesh(count, *more, kind=AxisType.Explicit):
    names = ("data", "model")[: 1 + len(more)]
    size = int(np.prod([count, *more]))
    shape, kinds = (count, *more), (kind,) * len(names)
    return jax.make_mesh(shape, names, kinds, devices=jax.devices()[:size])


def devices(*shape, axis="data", **how):
    return lambda data, other: w.run(data, executors.Devices(mesh(*shape, **how), axis))


def resumed(data, other):
    def progress(done, total):
        if done == 20:
            raise Stop

    path = data.with_name("resumed.jf")
    with pytest.raises(Stop):
        w.run(data, checkpoint=path, progress=progress)
    return w.run(data, executors.Devices(mesh(4), "data"), checkpoint=path)


def one_killed(data, made):
    load = w.Killing(w.Rows(data), 20, data.with_name(f"killed-{type(made).__name__}"))
    found = w.run(data, made, load=load)
    assert load.marker.exists()
    return found


HERE = {
    "nowhere in particular": lambda data, other: w.run(data),
    "Local()": lambda data, other: w.run(data, executors.Local()),
    "a numbered source": lambda data, other: w.run(data, load=w.Rows(data)),
    "a stream": lambda data, other: w.digest(
        jf.fold(w.raw(w.several()), (np.array(block) for block in w.source(data)))
    ),
    "from the last to the first": lambda data, other: w.run(data, Backwards()),
    "in no order": lambda data, other: w.run(data, Shuffled()),
    "Devices: 1": devices(1),
    "Devices: 2": devices(2),
    "Devices: 4": devices(4),
    "Devices: 8": devices(8),
    "Devices: 3, automatic axes": devices(3, kind=AxisType.Auto),
    "Devices: 2 of 2 x 2": devices(2, 2, axis="model"),
    "Processes(): 1": lambda data, other: w.run(data, executors.Processes()),
    "stopped, resumed on 4 devices": resumed,
}
ELSEWHERE = {
    "Pool(1)": lambda data, other: w.run(data, executors.Pool(1)),
    "Pool(2), a worker killed": lambda data, other: one_killed(data, executors.Pool(2)),
    "Dask: 2 workers": lambda data, other: w.run(data, executors.Dask(other("dask")())),
    "Dask, a worker killed": lambda data, other: one_killed(data, executors.Dask(other("dask")())),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return w.write_data(tmp_path_factory.mktemp("data"))


# A machine may be slow: who hangs is given up after minutes, and who starts is waited for.
DASK = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-ttl": "20 minutes",
    "distributed.deploy.lost-worker-timeout": "20 minutes",
    "distributed.comm.timeouts.connect": "2 minutes",
    "distributed.comm.timeouts.tcp": "20 minutes",
    "logging.distributed": "critical",
}


@pytest.fixture(scope="module")
def dask():
    """Return what gives a client of two processes, whose tasks may die with a worker once.

    Both are there when it is asked for: one that was killed before has been replaced.
    """
    config = pytest.importorskip("dask").config
    distributed = pytest.importorskip("distributed")
    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    class Nanny(distributed.Nanny):
        async def close(self, timeout=120, reason="nanny-close"):  # 5 by default, or an error
            return await super().close(timeout, reason)

    with warnings.catch_warnings(), config.set(DASK):
        warnings.simplefilter("ignore")  # of its own sockets, when a worker is killed
        cluster = distributed.LocalCluster(
            2, threads_per_worker=1, dashboard_address=None, worker_class=Nanny
        )
        with cluster, distributed.Client(cluster) as client:
            yield lambda: client.wait_for_workers(2, 1200) or client


@pytest.fixture(scope="module")
def bits_of(data, request):
    other = request.getfixturevalue
    return functools.cache(lambda name: (HERE | ELSEWHERE)[name](data, other))


@pytest.mark.parametrize("name", HERE)
def test_the_bits_are_those_of_local(bits_of, name):
    assert bits_of(name) == bits_of("Local()")


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_bits_are_those_of_local_elsewhere(bits_of, name):
    assert bits_of(name) == bits_of("Local()")


@pytest.mark.slow
def test_the_table_of_bits(bits_of, data):
    """Print it all; see test_processes.py and test_checkpoint.py for the rest of it."""
    rows = {name: bits_of(name) for name in HERE | ELSEWHERE}
    print("\n" + "\n".join(f"{name:32} {bits}" for name, bits in rows.items()))
    assert len(set(rows.values())) == 1
    other_cut = w.digest(jf.fold(w.raw(w.several()), w.source(data, 11)))
    assert other_cut not in rows.values()  # the hash does see how it was cut


LAID = {
    "whole": lambda x: x,
    "explicit": lambda x: jax.device_put(x, NamedSharding(mesh(8), PartitionSpec("data"))),
    "automatic": lambda x: jax.device_put(
        x, NamedSharding(mesh(8, kind=AxisType.Auto), PartitionSpec("data"))
    ),
    "along another axis": lambda x: jax.device_put(
        x, NamedSharding(mesh(2, 4), PartitionSpec("model", "data"))
    ),
}


@pytest.mark.parametrize("kind", [AxisType.Explicit, AxisType.Auto])
@pytest.mark.parametrize("laid", LAID)
def test_an_array_is_folded_where_it_lies(laid, kind):
    x = np.random.default_rng(1).normal(9.0, 3.0, (8 * 24, 2)).astype(np.float32)
    executor = executors.Devices(mesh(8, kind=kind), "data")
    right = w.digest(jf.fold(w.total(), jf.Source.of(x, 12)))
    placed = LAID[laid](jax.numpy.asarray(x))
    assert w.digest(jf.fold(w.total(), jf.Source.of(placed, 12), executor)) == right
    for size in (24, 12, 10, 7, 500):  # whole chunks a device, and not
        source = jf.Source.of(placed, size)
        there = jf.fold(folds.count(), source, executor)
        assert int(there) == len(x)
    cut = jf.fold(w.total(), placed, executor)
    assert w.digest(cut) == w.digest(jf.fold(w.total(), x, executors.Local()))


def test_what_lies_there_is_not_moved(monkeypatch):
    """No block is laid out anew of what is sharded in whole chunks."""
    x = LAID["explicit"](jax.numpy.ones((64, 2)))
    executor = executors.Devices(mesh(8), "data")
    monkeypatch.setattr(executors.Devices, "_spread", None)
    assert jf.fold(w.total(), jf.Source.of(x, 4), executor).tolist() == [64.0, 64.0]
    tree = {"x": x, "y": x}
    found = jf.fold(w.total().of(lambda e: e["x"] + e["y"]), jf.Source.of(tree, 8), executor)
    assert found.tolist() == [128.0, 128.0]
    with pytest.raises(TypeError):
        jf.fold(w.total(), jf.Source.of(x, 10), executor)


BAD = {
    "Devices: no mesh": (lambda: executors.Devices(8, "data"), "mesh is 8; make one with"),
    "Devices: no axis": (lambda: executors.Devices(mesh(2), "x"), "no axis 'x'; it has ['data']"),
    "Pool: workers": (lambda: executors.Pool(0), "Pool: workers is 0"),
    "Pool: retries": (lambda: executors.Pool(1, retries=-1), "Pool: retries is -1"),
    "Dask": (lambda: executors.Dask("tcp://"), "client is 'tcp://'; give a distributed.Client"),
    "a class": (lambda: jf.fold(w.total(), [], executors.Local), "give one of jfoundations.exec"),
    "a mesh": (lambda: jf.fold(w.total(), [], mesh(2)), "fold: executor is Mesh"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_executors(name):
    make, message = BAD[name]
    with raises((TypeError, ValueError), message):
        make()


@pytest.mark.parametrize("name", ["Devices", "Processes", "Pool"])
def test_order_and_streams_are_refused(name):
    made = {
        "Devices": executors.Devices(mesh(2), "data"),
        "Processes": executors.Processes(),
        "Pool": executors.Pool(1),
    }[name]
    with raises(TypeError, "smooth depends on the order of its elements", f"so {name} cannot"):
        jf.fold(w.smooth(), np.ones(3), made)
    if name != "Devices":
        with raises(TypeError, f"fold: {name} has its workers load", "give Source(n_chunks, load)"):
            jf.fold(w.total(), iter([np.ones(3)]), made)


@pytest.mark.slow
def test_a_dask_worker_that_always_dies(data, dask):
    path = data.with_name("dask.jf")
    load = w.Rows(data)
    with raises(RuntimeError, "workers died of chunk 30 of 37", "try source.load of it"):
        w.run(data, executors.Dask(dask()), load=w.Killing(load, 30), checkpoint=path)
    loaded = []
    seen = lambda i: loaded.append(i) or load(i)  # noqa: E731
    assert w.run(data, load=seen, checkpoint=path) == w.run(data)
    assert sorted({*loaded}) == [0, 30, 36]  # all others were done, and are kept


def none_came(client, batch):
    """Say of all chunks that their worker died."""
    return [None] * len(batch)


@pytest.mark.slow
def test_who_waited_at_a_worker_that_died_is_not_lost(data, dask, monkeypatch):
    """All are blamed, as by Dask those that waited there; each then shows by itself."""
    monkeypatch.setattr("jfoundations.executors._dask._gathered", none_came)
    path, load = data.with_name("blamed.jf"), w.Killing(w.Rows(data), 3)
    with raises(RuntimeError, "workers died of chunk 3 of 37: it"):
        w.run(data, executors.Dask(dask()), load=load, checkpoint=path)
    loaded = []
    seen = lambda i: loaded.append(i) or load.load(i)  # noqa: E731
    assert w.run(data, load=seen, checkpoint=path) == w.run(data)
    assert sorted({*loaded}) == [0, 3, 36]


@pytest.mark.slow
def test_three_chunks_that_kill_end_the_run(data, dask, monkeypatch):
    alone = []
    monkeypatch.setattr("jfoundations.executors._dask._gathered", none_came)
    monkeypatch.setattr("jfoundations.executors._dask._result", alone.append)
    with raises(RuntimeError, "workers died of chunk ", " of 37, chunk ", " of 37: it"):
        w.run(data, executors.Dask(dask()))
    assert len(alone) == 3


@pytest.mark.slow
def test_all_dask_workers_killed_at_once(data, dask):
    """What they must know is not lost with them."""
    load = w.KillingTogether(w.Rows(data), data.parent)
    assert w.run(data, executors.Dask(dask()), load=load) == w.run(data)
    assert all((data.parent / f"together{k}").exists() for k in range(2))


@pytest.mark.slow
def test_settings_hold_in_dask_workers(data, dask):
    """They serve folds with 64 bits and with 32 by turns, the same work again too."""
    fold = w.total().of(functools.partial(jax.numpy.asarray, dtype=float))
    for wide in (False, True, False):
        with jax.enable_x64(wide):
            found = jf.fold(fold, w.source(data), executors.Dask(dask()))
            assert found.dtype == jax.numpy.result_type(float)


@pytest.mark.slow
def test_what_a_loader_raises_in_dask(data, dask):
    load = w.Raising(w.Rows(data), 7)
    with pytest.raises(w.Unreadable, match="no such tape") as raised:
        w.run(data, executors.Dask(dask()), load=load)
    assert "loading chunk 7 of 37" in "".join(raised.value.__notes__)
