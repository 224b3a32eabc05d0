"""One file for a pytree: what is read is what was written, or there is an error that says why."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf

DTYPES = ["bool", "int4", "int8", "uint16", "int32", "uint32", "float16", "bfloat16", "float32"]
DTYPES += ["float8_e4m3fn", "complex64"]


def tree():
    return {
        "weights": [jnp.arange(6.0).reshape(2, 3), jnp.ones((0, 2)), jnp.float32(-0.0)],
        "key": jax.random.split(jax.random.key(3, impl="rbg"), 2),
        "numpy": np.asarray([np.nan, np.inf, 1.5]),
        "numbers": (3, 2.5, True, 1j),
        "scalar": np.float64(0.1),
        "nothing": None,
    }


def same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def test_every_kind_of_leaf_comes_back(tmp_path):
    jf.save(tmp_path / "t", tree())
    same_bits(jf.load(tmp_path / "t", like=tree()), tree())
    assert os.listdir(tmp_path) == ["t"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back(tmp_path, dtype):
    x = jnp.asarray(np.arange(6).reshape(3, 2)).astype(dtype)
    jf.save(tmp_path / "x", x)
    same_bits(jf.load(tmp_path / "x", like=x), x)
    same_bits(jf.load(tmp_path / "x", like=jax.ShapeDtypeStruct(x.shape, x.dtype)), x)


def test_what_python_numbers_became_promotes_as_before(tmp_path):
    x = jnp.asarray(2.0)
    jf.save(tmp_path / "x", x)
    assert jf.load(tmp_path / "x", like=x).weak_type


def test_a_sharding_is_kept(tmp_path):
    mesh = jax.make_mesh((8,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("i"))
    x = jax.device_put(jnp.arange(16.0), sharding)
    jf.save(tmp_path / "x", x)
    found = jf.load(tmp_path / "x", like=x)
    assert found.sharding == sharding
    same_bits(found, x)


class TestRefusals:
    def refuses(self, path, like, match):
        with pytest.raises(ValueError, match=match):
            jf.load(path, like=like)

    def test_foreign_and_empty_files(self, tmp_path):
        for content in (b"", b"\x93NUMPY\x01\x00", b"jfoundations but not so", b"PK\x03\x04"):
            (tmp_path / "f").write_bytes(content)
            self.refuses(tmp_path / "f", 1.0, "was not written by")
        with pytest.raises(FileNotFoundError):
            jf.load(tmp_path / "none", like=1.0)

    def test_every_way_to_be_cut_off(self, tmp_path):
        jf.save(tmp_path / "f", tree())
        content = (tmp_path / "f").read_bytes()
        for length in range(1, len(content)):
            (tmp_path / "cut").write_bytes(content[:length])
            self.refuses(tmp_path / "cut", tree(), "is cut off after")
        (tmp_path / "more").write_bytes(content + b"!")
        self.refuses(tmp_path / "more", tree(), "1 bytes too many")

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_no_flipped_bit_passes(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("flip")
        jf.save(folder / "f", tree())
        content = bytearray((folder / "f").read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        (folder / "f").write_bytes(content)
        self.refuses(folder / "f", tree(), "damaged|cut off|not written|too many")

    @pytest.mark.parametrize(
        ("like", "match"),
        [
            ({"a": 1.0}, r"the file also has tree\['b'\]"),
            ({"a": 1.0, "b": np.ones(2, np.float32), "c": 0}, r"the file lacks tree\['c'\]"),
            ({"a": 1.0, "c": 2.0}, r"like has tree\['c'\], the file has tree\['b'\]"),
            (
                {"a": 1.0, "b": np.ones(3, np.float32)},
                r"is float32\[2\], but like has float32\[3\]",
            ),
            ({"a": 1.0, "b": np.ones(2, np.int32)}, r"but like has int32\[2\]"),
            (
                {"a": 1, "b": np.ones(2, np.float32)},
                r"tree\['a'\] of .* is Python float\[\], but like has Python",
            ),
        ],
    )
    def test_another_structure(self, tmp_path, like, match):
        jf.save(tmp_path / "f", {"a": 1.0, "b": np.ones(2, np.float32)})
        self.refuses(tmp_path / "f", like, match)

    def test_x64_is_named_as_the_cure(self, tmp_path):
        jf.save(tmp_path / "f", np.ones(2))
        self.refuses(tmp_path / "f", np.ones(2, np.float32), "enable x64")

    def test_a_newer_format(self, tmp_path, monkeypatch):
        monkeypatch.setattr("jfoundations._core.save.VERSION", 2)
        jf.save(tmp_path / "f", 1.0)
        monkeypatch.undo()
        self.refuses(tmp_path / "f", 1.0, "format 2, newer than the 1")

    @pytest.mark.parametrize("leaf", ["text", np.array(["a"]), object(), np.array([None]), 2**70])
    def test_what_is_no_number(self, tmp_path, leaf):
        with pytest.raises(TypeError, match=r"save: tree\['x'\] is"):
            jf.save(tmp_path / "f", {"x": leaf})
        assert not os.listdir(tmp_path)

    def test_what_is_being_traced(self, tmp_path):
        with pytest.raises(TypeError, match="being traced"):
            jax.jit(lambda x: jf.save(tmp_path / "f", x))(1.0)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    jf.save(tmp_path / "f", 1.0)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        jf.save(tmp_path / "f", 2.0)
    monkeypatch.undo()
    assert jf.load(tmp_path / "f", like=0.0) == 1.0
    assert os.listdir(tmp_path) == ["f"]


PROGRAM = """
import sys, jax, jax.numpy as jnp, jfoundations as jf
step = lambda x: x - 0.1 * jnp.sin(3 * x)
loss = lambda x: jnp.sum(x * x)
watchers = (jf.callbacks.history(loss), jf.callbacks.best(loss),
            jf.callbacks.early_stopping(loss, patience=30))
start = jnp.linspace(0.5, 1.0, 5)
run = lambda n: jf.iterate(step, start, *watchers, max_steps=n)
half = run(20)
if sys.argv[1] == "first":
    jf.save(sys.argv[2], half)
else:
    half = jf.load(sys.argv[2], like=jax.eval_shape(lambda: run(20)))
    jf.save(sys.argv[2], jf.resume(half, step, *watchers, max_steps=40))
"""


def test_a_run_goes_on_in_another_process_with_equal_bits(tmp_path):
    for part in ("first", "second"):
        command = [sys.executable, "-c", PROGRAM, part, str(tmp_path / "run")]
        x64 = {"JAX_ENABLE_X64": str(int(jax.config.jax_enable_x64))}
        subprocess.run(command, check=True, timeout=1200, env=os.environ | x64)
    whole = {}
    exec(PROGRAM.split("half = ")[0].replace("import sys, ", "import "), whole)  # noqa: S102
    once = whole["run"](40)
    assert_same(jf.load(tmp_path / "run", like=once), once)
