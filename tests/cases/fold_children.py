"""Processes that tests start and end."""

import os
import queue
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jax

SECONDS = 1200  # ends what hangs; a slow machine may take its time
PROGRAMS = Path(__file__).with_name("fold_programs.py")


class Child:
    """A program of `fold_programs.py`; whatever happens it is gone at the end of the `with`."""

    def __init__(self, *arguments):
        x64 = {"JAX_ENABLE_X64": str(int(jax.config.jax_enable_x64)), "JAX_PLATFORMS": "cpu"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **x64},
        )
        self.queue, self.errors = queue.Queue(), []
        self.lines = iter(lambda: self.queue.get(timeout=SECONDS), None)
        self.readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.queue.put(line.rstrip())
        self.queue.put(None)

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def __iter__(self):
        """Give the lines to come, until the output ends."""
        return self.lines

    def wait_for(self, word):
        """Return the next line that begins with a word; None where the output ends before."""
        return next((line for line in self if line.startswith(word)), None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]
