"""Two processes of `jax.distributed` on this machine: equal bits, and failures that all hear of."""

import fold_workers as w
import pytest
from fold_children import Child, free_port

import jfoundations as jf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return w.write_data(tmp_path_factory.mktemp("data"))


def pair(program, *arguments):
    """Run a program in two processes, and return what each said."""
    port = free_port()
    with (
        Child(program, 0, port, *arguments) as first,
        Child(program, 1, port, *arguments) as second,
    ):
        said = [list(first), list(second)]
        for child, lines in zip((first, second), said, strict=True):
            lines.append("".join(child.errors))
    return said


@pytest.fixture(scope="module")
def joined(data, tmp_path_factory):
    said = pair("joined", data, tmp_path_factory.mktemp("kept"))
    for lines in said:
        assert "end" in lines, lines[-1]
    return said


def lines_of(said, word):
    return [line for line in said if line.startswith(word)]


@pytest.mark.parametrize("process", [0, 1])
def test_the_bits_are_those_of_one_process(joined, data, process):
    """Even and uneven shares, a process with nothing to do, two devices in each, and resumed."""
    rows = lines_of(joined[process], "bits")
    print("\n" + "\n".join(rows))
    assert len(rows) == 7 and {row.split()[-1] for row in rows} == {w.run(data)}


def test_each_chunk_left_out_in_both(joined, data):
    right = w.digest(jf.jackknife(w.total(), w.source(data, w.SIZE)))
    assert [lines_of(said, "left out") for said in joined] == [[f"left out {right}"]] * 2


def test_a_loader_that_raises_in_one_raises_in_both(joined):
    (here,), (there,) = (lines_of(said, "error loader") for said in joined)
    assert here.startswith("error loader RuntimeError fold: process 1 of 2 failed: Unreadable: no")
    assert there.startswith("error loader Unreadable no such tape fold: this came out of loading")
    assert "chunk 30 of 37" in there
    assert "what was done is kept in" in here and "what was done is kept in" in there


def test_each_goes_on_from_its_own_checkpoint(joined):
    loaded = [list(map(int, lines_of(said, "loaded")[0].split()[1:])) for said in joined]
    assert sorted({*loaded[0]}) == [0, 17] and sorted({*loaded[1]}) == [18, *range(29, 37)]


@pytest.mark.parametrize("case", ["reshared", "damaged", "shares", "alike", "order"])
def test_what_is_refused_in_one_is_refused_in_both(joined, case):
    told = [lines_of(said, f"error {case}") for said in joined]
    assert [len(lines) for lines in told] == [1, 1]
    if case == "reshared":
        assert "ValueError Processes: the checkpoint has chunks that are now another" in told[0][0]
    if case == "damaged":
        assert "RuntimeError fold: process 1 of 2 failed: ValueError" in told[0][0]
        assert "is no checkpoint that can be read" in told[1][0]
    if case == "alike":
        assert "TypeError fold: process 1 has elements int32[2], and others had" in told[0][0]
        assert "TypeError fold: process 0 has elements float32[2], and others" in told[1][0]
    if case == "shares":
        assert all("one number ≥ 0 for each of the 2 processes" in lines[0] for lines in told)


def test_a_process_that_is_killed(data, tmp_path):
    """The other says so and keeps what it has done; run again, both go on."""
    marker = tmp_path / "marker"
    said = pair("lost", data, tmp_path, marker)
    assert marker.exists() and not lines_of(said[1], "error")
    (told,) = lines_of(said[0], "error lost")
    assert "RuntimeError fold: another process was lost" in told and "what was done is kept" in told
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {
        "lost.0-of-2",
        "lost.1-of-2",
        "marker",
    }
    again = pair("lost", data, tmp_path, marker)
    assert [lines_of(lines, "bits") for lines in again] == [[f"bits {w.run(data)}"]] * 2
