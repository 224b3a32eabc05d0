"""What is public lowers for every platform, and compiles for accelerators that are not there.

The compilers of a TPU and of a GPU are those of the extra `platforms`; without it they are not run.
They take a quick set by default, and with `-m platforms` the whole table.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax
import platform_cases
import pytest

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
COMPILERS = {"tpu": "libtpu", "cuda": "jax_cuda13_plugin"}
IN_64_BITS = ("mean", "var", "corr", "median", "ema", "rank_corr", "fold describe", "loop")


def lower(name, dtype):
    like = jax.ShapeDtypeStruct((platform_cases.SIZE,), dtype)
    traced = jax.jit(platform_cases.cases()[name]).trace(like, like)
    for platform in PLATFORMS:
        traced.lower(lowering_platforms=(platform,))


@pytest.mark.slow
@pytest.mark.parametrize("name", platform_cases.cases())
def test_lowers_for_every_platform(name):
    lower(name, "float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_64_BITS)
def test_lowers_for_every_platform_in_64_bits(name):
    with jax.enable_x64(True):
        lower(name, "float64")


def compile_elsewhere(platform, names, size, limit):
    """Compile in a process of its own, whose JAX may load other plugins."""
    if importlib.util.find_spec(COMPILERS[platform]) is None:
        pytest.skip(f"{COMPILERS[platform]} is not there: pip install 'jfoundations[platforms]'")
    here = Path(platform_cases.__file__)
    paths = [str(here.parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(here), platform, *names, "--size", str(size)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=limit,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("platform", COMPILERS)
def test_compiles_for_an_accelerator(platform):
    compile_elsewhere(platform, platform_cases.QUICK, platform_cases.SIZE, limit=1200)


@pytest.mark.platforms
@pytest.mark.parametrize("size", [1 << 10, 1 << 20])
@pytest.mark.parametrize("name", platform_cases.cases())
@pytest.mark.parametrize("platform", COMPILERS)
def test_all_compile_for_an_accelerator(platform, name, size):
    compile_elsewhere(platform, [name], size, limit=1200)
