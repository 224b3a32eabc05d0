"""Files: what is saved is what is loaded, or an error says why; nothing else on the disk is harmed.

The causes: bytes were written in the array's own order, a mask is no part of an array's bytes, what
JAX has no dtype for was cast; a path was replaced without a look at what it is; what a header said
was believed. The same acts in checkpoints of folds, which are such files.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import zlib

import jax
import numpy as np
import pytest

import jfoundations as jf
from jfoundations._core.save import MAGIC

x64 = jax.config.jax_enable_x64


@pytest.mark.parametrize("dtype", [">f4", ">i2", ">c8", ">f8", ">i8", "<u4", "?"])
def test_any_byte_order(tmp_path, dtype):
    x = np.array([1, 2, 6], dtype)
    jf.save(tmp_path / "x", [x, x[0], x[::-1]])
    native = x.astype(x.dtype.newbyteorder("="))
    for like in (x, native):
        found, first, back = jf.load(tmp_path / "x", like=[like, like[0], like])
        assert found.tolist() == x.tolist() and first == x[0] and found.dtype.isnative
        assert back.tolist() == x.tolist()[::-1]


def test_masks_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"save: tree\['x'\] is a masked array.*where=~x.mask"):
        jf.save(tmp_path / "x", {"x": np.ma.array([1.0, 2.0], mask=[True, False])})
    with pytest.raises(TypeError, match="which is not written"):
        jf.save(tmp_path / "x", np.zeros(2, [("a", "f4")]))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", "complex128"])
def test_64_bits_are_not_cut(tmp_path, dtype):
    x = np.array([2**40 + 1], dtype)
    jf.save(tmp_path / "x", x)
    assert jf.load(tmp_path / "x", like=x).tolist() == x.tolist()
    like = jax.ShapeDtypeStruct(x.shape, np.dtype(dtype))
    if x64:
        assert jf.load(tmp_path / "x", like=like).tolist() == x.tolist()
    else:
        with pytest.raises(ValueError, match="x64 is off.*jax_enable_x64.*NumPy array"):
            jf.load(tmp_path / "x", like=like)


def test_a_link_leads_to_its_target_and_a_mode_is_kept(tmp_path):
    (tmp_path / "in").mkdir()
    target, link = tmp_path / "in" / "target", tmp_path / "link"
    link.symlink_to(target)
    jf.save(link, 1.0)
    assert link.is_symlink() and jf.load(target, like=0.0) == 1.0
    target.chmod(0o640)
    jf.save(link, 2.0)
    assert link.is_symlink() and jf.load(target, like=0.0) == 2.0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    mask = os.umask(0o027)
    try:
        jf.save(tmp_path / "new", 1.0)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    long = tmp_path / ("x" * 250)
    jf.save(long, 3.0)
    assert jf.load(long, like=0.0) == 3.0


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="no regular file"):
            jf.load(path, like=0.0)
        with pytest.raises(OSError, match="no regular file"):
            jf.save(path, 1.0)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


KILLED = """
import os, sys, signal
from jfoundations._core import files
def killed(_): print("there", flush=True); (os.kill(os.getpid(), 9) if sys.argv[2] == "die"
                                             else sys.stdin.read())
os.fsync = killed
from pathlib import Path
files.replace(Path(sys.argv[1]), [b"half"])
"""


def writer(path, fate):
    command = [sys.executable, "-c", KILLED, str(path), fate]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}, **pipes)


def test_what_killed_writers_left_is_swept_and_live_ones_are_left_alone(tmp_path):
    with writer(tmp_path / "g", "live") as live:
        assert live.stdout.readline() == b"there\n"  # it has swept before another dies
        with writer(tmp_path / "f", "die") as dead:
            assert dead.wait(1200) == -signal.SIGKILL
        assert len(os.listdir(tmp_path)) == 2
        jf.save(tmp_path / "f", 1.0)
        left = [name for name in os.listdir(tmp_path) if name != "f"]
        assert len(left) == 1 and left[0].startswith(".g.")
        live.communicate(timeout=1200)
    assert live.returncode == 0 and sorted(os.listdir(tmp_path)) == ["f", "g"]
    assert (tmp_path / "g").read_bytes() == b"half"


LEAF = {
    "path": "tree",
    "dtype": "float32",
    "impl": None,
    "shape": [2],
    "start": 0,
    "bytes": 8,
    "crc": zlib.crc32(bytes(8)),
}
CRAFTED = {
    "no dict": [1],
    "no version": {"leaves": []},
    "no leaves": {"version": 1},
    "leaves of numbers": {"version": 1, "leaves": [1]},
    "leaves of text": {"version": 1, "leaves": "ab"},
    **{f"version {v}": {"version": v, "leaves": [LEAF]} for v in (-1, 0, 1.5, True, "1", None)},
    **{
        f"{key} {value}": {"version": 1, "leaves": [{**LEAF, key: value}]}
        for key, value in [
            ("bytes", -8),
            ("bytes", 4),
            ("bytes", 2**70),
            ("start", 4),
            ("start", -1),
            ("shape", [-2]),
            ("shape", [2**62]),
            ("shape", 2),
            ("dtype", "nonsense"),
            ("dtype", 3),
            ("dtype", "object"),
            ("impl", "threefry2x32"),
            ("impl", 4),
            ("path", None),
            ("crc", "0"),
        ]
    },
    "a leaf without a path": {"version": 1, "leaves": [{"dtype": "float32"}]},
    "the same leaf twice": {"version": 1, "leaves": [LEAF, LEAF]},
    "the same path twice": {"version": 1, "leaves": [LEAF, {**LEAF, "start": 8, "bytes": 0}]},
}


def crafted(path, header, body=bytes(8)):
    front = np.array([len(header), zlib.crc32(header)], "<u8").tobytes()
    path.write_bytes(MAGIC + front + header + body)
    return path


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_headers(tmp_path, name):
    path = crafted(tmp_path / "f", json.dumps(CRAFTED[name]).encode())
    with pytest.raises(ValueError, match=f"load: .*{path.name}"):
        jf.load(path, like=np.zeros(2, np.float32))


def test_crafted_bytes(tmp_path):
    for header in (b"[" * 100_000, b"\xff", b"", b"nan", b'{"version": NaN, "leaves": []}'):
        with pytest.raises(ValueError, match=f"load: .*{tmp_path.name}"):
            jf.load(crafted(tmp_path / "f", header), like=np.zeros(2, np.float32))
    path = tmp_path / "long"
    path.write_bytes(MAGIC + np.array([2**63, 0], "<u8").tobytes())
    with pytest.raises(ValueError, match="cut off"):
        jf.load(path, like=0.0)
    with path.open("wb") as file:  # a hole, which is not read
        file.truncate(2**40)
    with pytest.raises(ValueError, match="was not written by"):
        jf.load(path, like=0.0)
    leaf = {**LEAF, "dtype": "bool", "bytes": 2, "crc": zlib.crc32(b"\1\2")}
    header = json.dumps({"version": 1, "leaves": [leaf]}).encode()
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        jf.load(crafted(tmp_path / "f", header, b"\1\2"), like=np.zeros(2, bool))


def test_no_keys_at_all_come_back(tmp_path):
    keys = jax.random.split(jax.random.key(0), 2)[:0]
    jf.save(tmp_path / "k", keys)
    assert jf.load(tmp_path / "k", like=keys).shape == (0,)


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": [[300_000_000, 0]]},
        {"nodes": [[0, 0], [1, 0]]},
        {"nodes": [[0, -1]]},
        {"nodes": [[0, 99]]},
        {"nodes": 3},
        {"nodes": [3]},
        {"done": -1},
        {"rows": "many"},
        {"samples": [["a", 1]]},
    ],
    ids=str,
)
def test_crafted_checkpoints(tmp_path, change):
    path = tmp_path / "c"
    source = jf.Source.of(np.arange(4.0, dtype=np.float32), 1)
    jf.fold(jf.folds.mean(), source, checkpoint=path)
    jf.fold(jf.folds.mean(), source, checkpoint=path)  # a sound one passes
    from jfoundations._core.save import first_leaf

    about = json.loads(first_leaf(path)) | change
    told = np.frombuffer(json.dumps(about).encode(), np.uint8)
    jf.save(path, {"checkpoint of a fold": told, "memories": []})
    with pytest.raises(ValueError, match="no checkpoint that can be read.*contradicts itself"):
        jf.fold(jf.folds.mean(), source, checkpoint=path)
