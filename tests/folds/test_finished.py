"""Folds that end early, over streams: what is not wanted is not read."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf

FIRST = jf.Pipe(jf.map_(lambda x: 2 * x), jf.take(15)).over(jf.folds.mean())


class Read:
    """Endless blocks that remember which of them were read."""

    def __init__(self):
        self.seen = []

    def __call__(self, i):
        self.seen.append(i)
        return np.arange(10.0 * i, 10.0 * (i + 1), dtype=np.float32)

    def stream(self):
        return map(self, itertools.count())


def test_no_more_is_read_than_one_block_ahead():
    for data in (lambda read: jf.Source(100, read), Read.stream):
        read = Read()
        assert jf.fold(FIRST, data(read)) == 14.0
        assert read.seen in ([0, 1], [0, 1, 2])


def test_a_finished_checkpoint_wants_no_more(tmp_path):
    for name, data in (("source", lambda read: jf.Source(100, read)), ("stream", Read.stream)):
        answers, read = [], Read()
        for _ in range(2):
            read.seen.clear()
            answers.append(float(jf.fold(FIRST, data(read), checkpoint=tmp_path / name)))
        assert answers == [14.0, 14.0]
        assert read.seen in ([0], [0, 1])  # to know the data by, and one ahead


def test_a_stream_is_no_source_to_go_on_with(tmp_path):
    jf.fold(FIRST, jf.Source(100, Read()), checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="a source of 100 chunks, and this is a stream; give what"):
        jf.fold(FIRST, Read().stream(), checkpoint=tmp_path / "run")


def test_what_ends_early_cannot_be_split():
    with pytest.raises(TypeError, match="take.*depends on the order.*so Pool cannot split it"):
        jf.fold(FIRST, jf.Source(2, Read()), jf.executors.Pool(1))


def test_what_never_ends_reads_all():
    blocks = [jnp.arange(3.0), jnp.arange(3.0, 5.0)]
    assert jf.fold(jf.Pipe(jf.take(99)).over(jf.folds.count()), blocks) == 5
