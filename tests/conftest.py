"""The strictest mode JAX has, on eight CPU devices."""

import os
import platform
import signal
import time
from pathlib import Path

import jax
import kept_programs
import pytest

# Tables, oracles and programs that tests share; here too for the processes that tests start.
CASES = Path(__file__).parent / "cases"
os.environ["PYTHONPATH"] = os.pathsep.join([str(CASES), os.environ.get("PYTHONPATH", "")])

# What a process prints that is killed is whole lines: with this, each word is written by itself.
os.environ.pop("PYTHONUNBUFFERED", None)

# What is started in the background of a script is deaf to Ctrl-C, and so is all that it starts;
# tests that interrupt themselves, or processes of theirs, would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiling is most of the suite's time, and most of that is spent on fast programs that run once.
# Without optimisation some products are fused with sums, others not, whatever a user's step is: so
# without instructions for that. `.ci/processors` has the numeric tests with the flags of users.
FLAGS = "--xla_cpu_parallel_codegen_split_count=1"
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS += " --xla_backend_optimization_level=0 --xla_cpu_max_isa=AVX"
if jax.__version_info__ < (0, 11):  # the older of two ways to write kernels, which later ones lack
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    for name, value in kept_programs.SETTINGS.items():
        jax.config.update(name, value)
if os.environ.get("JFOUNDATIONS_X64"):
    jax.config.update("jax_enable_x64", True)


def pytest_collection_modifyitems(config, items):
    """Begin with the modules that hold slow tests, and run those of `platforms` when asked.

    A long module at the end would leave all workers but its own without work.
    """
    if "platforms" not in config.option.markexpr:
        not_asked = [item for item in items if item.get_closest_marker("platforms")]
        config.hook.pytest_deselected(items=not_asked)
        items[:] = [item for item in items if item not in not_asked]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failures(terminal))


class Failures:
    """Names each failure as it comes: the report comes after the last test, or never."""

    def __init__(self, terminal):
        self.terminal, self.begin = terminal, time.monotonic()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = f"{crash.message if crash else report.longrepr}".strip().partition("\n")[0]
            after = f"{report.when} failed after {time.monotonic() - self.begin:.0f} s"
            self.terminal.write_line(f"\n{report.nodeid}: {after}: {why}")


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Keep a worker's memory flat: programs that no later module runs would fill gigabytes."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def x64():
    """Run a module's tests with 64-bit types; what it makes when imported has 32 bits."""
    with jax.enable_x64(True):
        yield
