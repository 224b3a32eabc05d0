"""The snapshot of what the package computes: the same twice, and it finds what differs."""

import json

import jax
import pytest
import snapshot
from helpers import raises

import jfoundations as jf

HANDFUL = (
    "stats.var float32 axis=0",
    "stats.segment_var complex64",  # refused, with an error
    "folds.mean float32 chunks=1",
    "iterate while, stop_when",
    "grad scan, every",
    "Pipe compose juxt lift partial identity Reversible",
    "describe_loop",
)


def handful():
    found = snapshot.cases()
    return snapshot.snapshot({name: found[name] for name in HANDFUL})


@pytest.fixture(scope="module")
def before():
    return handful()


def test_a_second_snapshot_is_the_same(before):
    jax.clear_caches()
    after = handful()
    assert snapshot.differences(before, after) == []
    assert "TypeError" in before["stats.segment_var complex64"]["error"]
    assert before["stats.var float32 axis=0"]["like"] == "float32[3]"
    assert before["grad scan, every"].keys() == {"text", "length"}


def test_planted_differences_are_found(before, tmp_path, capsys):
    after = {name: dict(entry) for name, entry in before.items()}
    after["stats.var float32 axis=0"]["answer"] = "0"
    after["folds.mean float32 chunks=1"]["like"] = "bfloat16[3]"
    after["stats.segment_var complex64"]["error"] = "TypeError: no"
    after["grad scan, every"] |= {"text": "0", "length": 7}
    after["new"] = after.pop("describe_loop")
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, entries in zip(paths, (before, after), strict=True):
        path.write_text(json.dumps(entries))
    assert snapshot.main(["--compare", *map(str, paths)]) == 1
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.partition(":")[0] for line in lines[:-1]]
    assert kinds == ["gone", "new", "error", "dtypes and shapes", "bits", "text"]
    length = before["grad scan, every"]["length"]
    assert lines[5] == f"text: grad scan, every: {length} -> 7 characters"
    assert snapshot.main(["--compare", str(paths[0]), str(paths[0])]) == 0


def test_a_bit_is_a_difference():
    x = jax.numpy.ones(3)
    assert snapshot.digest(x) != snapshot.digest(x.at[0].set(1 + 2.0**-23))
    assert snapshot.digest(0.0 * x) != snapshot.digest(-0.0 * x)
    assert snapshot.digest({"a": x}) != snapshot.digest({"b": x})


@pytest.mark.parametrize("module", [jf, jf.stats, jf.folds, jf.callbacks], ids=lambda m: m.__name__)
def test_a_public_name_without_a_case_is_told(module, monkeypatch):
    monkeypatch.setattr(module, "__all__", [*module.__all__, "brand_new"])
    with raises(AssertionError, "brand_new"):
        snapshot.cases()
