"""The second pass: the same tests with 64-bit types, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# These start processes of their own, which know nothing of the second pass, look at no number, or
# test what finds, splits and sends numbers of any type.
ALIKE = [
    *("test_examples.py", "test_interrupt.py", "test_executors_faults.py", "test_processes.py"),
    *("test_agree_processes.py", "test_package.py", "test_reference.py", "test_types.py"),
    *("test_messages.py", "test_error_notes.py", "test_loop_graph.py"),
    *("test_laws_catch.py", "test_laws_catch_loops.py", "test_laws_selection.py"),
    *("test_laws_callbacks.py", "test_beam_accumulators.py", "test_executors.py"),
    *("test_laws_complex.py", "test_findings_constants.py", "test_findings_replay.py"),
    *("test_findings_sharding.py", "test_findings_loop_memory.py"),
    "package/test_snapshot.py",
]


@pytest.mark.slow
@pytest.mark.skipif("JFOUNDATIONS_X64" in os.environ, reason="this is the second pass")
def test_the_suite_passes_with_x64():
    here = Path(__file__).parent
    left_out = [f"--ignore={here / name}" for name in ALIKE]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "not slow", *left_out, str(here)],
        env={**os.environ, "JFOUNDATIONS_X64": "1"},
        capture_output=True,
        text=True,
        timeout=2400,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
