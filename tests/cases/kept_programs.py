"""Where compiled programs are kept from one run of the suite to the next.

Compiling takes most of a first run's time. JAX keeps what it compiled in a folder of the user's
caches, by the program, JAX's version and the compiler's flags; here also by the kind of processor,
whose instructions are in it. To begin anew, delete the folder.
"""

import hashlib
import os
import platform
from pathlib import Path

INFO = Path("/proc/cpuinfo")


def processor() -> str:
    """Return a word for what the processor can do."""
    said = INFO.read_text() if INFO.exists() else platform.processor()
    flags = [line for line in said.splitlines() if line.startswith(("flags", "Features"))]
    return hashlib.sha256((flags or [said])[0].encode()).hexdigest()[:12]


HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
SETTINGS = {
    "jax_compilation_cache_dir": str(HOME / "jfoundations" / processor()),
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
# for processes that end by themselves: one that is killed might leave half a file
ENVIRONMENT = {name.upper(): str(value) for name, value in SETTINGS.items()}
