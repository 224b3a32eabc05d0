"""Whose code is whose: Python's and installed packages' is known by its name, a user's is read.

>>> is_installed("json"), is_from_installed(len), is_from_installed(lambda: 0)
(True, True, False)
"""

import functools
import sys
import sysconfig
from typing import Any

_HOMES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OURS = ("jfoundations", "jax", "jaxlib", "numpy", "builtins")


@functools.lru_cache(maxsize=1024)
def is_installed(module: str) -> bool:
    """Tell whether a module is Python's or an installed package's, and not a user's own."""
    if module.partition(".")[0] in _OURS:
        return True
    held = sys.modules.get(module)
    file = getattr(held, "__file__", None)
    if file is None:
        return module in sys.builtin_module_names
    return file.startswith(_HOMES)


def is_from_installed(value: object) -> bool:
    """Tell whether a value is what an installed module has under the value's own name."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(name, str) or not is_installed(home):
        return False
    found: Any = sys.modules.get(home)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value
