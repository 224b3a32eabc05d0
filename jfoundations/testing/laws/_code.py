"""Values as code: what stands in a failure's report, to be pasted and run alone."""

import ast
import functools
import inspect
import sys
import textwrap
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.values import is_key, name_of, partial
from ..._folds.fold import FIELDS, Fold
from ..._loops.callback import Callback
from ..._pipes.pipe import Pipe

ALIASES = {"jax.numpy": "jnp", "numpy": "np", "jfoundations": "jf"}
HERE = ("jfoundations.", "hypothesis.")


class Unwritable(ValueError):
    """A value has no code: nothing says where it comes from."""


class Code:
    """A program in the making: what it imports and defines, and expressions of values.

    Args:
        space: the globals of the module whose values are spoken of.
        taken: names that are its own.

    >>> code = Code({})
    >>> code.of({"x": (jnp.array([0.5, jnp.inf]), True)}), sorted(code.imports)
    ("{'x': (jnp.array([0.5, jnp.inf], dtype=jnp.float32), True)}", ['import jax.numpy as jnp'])
    """

    def __init__(self, space: Mapping[str, Any], taken: Mapping[str, Any] | None = None):
        self.space, self.taken = space, taken or {}
        self.imports: set[str] = set()
        self.defined: list[str] = []

    def of(self, value: Any) -> str:
        """Return an expression of a value.

        Raises:
            Unwritable: there is none.
        """
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        if type(value) in (float, complex):
            return repr(value) if np.isfinite(value) else f"{type(value).__name__}('{value}')"
        if isinstance(value, jax.Array | np.ndarray | np.generic):
            return self._array(value)
        if type(value) in (tuple, list):
            inner = ", ".join(map(self.of, value))
            return f"[{inner}]" if type(value) is list else f"({inner}{',' * (len(value) == 1)})"
        if type(value) is dict:
            return "{" + ", ".join(f"{self.of(k)}: {self.of(v)}" for k, v in value.items()) + "}"
        for way in (self._imported, self._held, self._made):
            found = way(value)
            if found:
                return found
        raise Unwritable(repr(value))

    def _array(self, value: Any) -> str:
        if is_key(value):
            data = self.of(jax.random.key_data(value))
            self.imports.add("import jax")
            return f"jax.random.wrap_key_data({data}, impl={str(jax.random.key_impl(value))!r})"
        space, numbers = "jnp" if isinstance(value, jax.Array) else "np", np.asarray(value)
        self.imports.add("import jax.numpy as jnp")
        if space == "np":
            self.imports.add("import numpy as np")
        home = space if hasattr(np, numbers.dtype.name) else "jnp"
        kind = "bool" if numbers.dtype == bool else f"{home}.{numbers.dtype.name}"
        if isinstance(value, np.generic):
            return f"{kind}({_number(numbers)})"
        if numbers.size > 8 and len({x.tobytes() for x in numbers.ravel()}) == 1:
            return f"{space}.full({numbers.shape}, {_number(numbers.flat[0])}, dtype={kind})"
        if not numbers.size:
            return f"{space}.zeros({numbers.shape}, dtype={kind})"
        return f"{space}.array({_nested(numbers)}, dtype={kind})"

    def _imported(self, value: Any) -> str:
        """Return the name of what can be imported: by its own name, or by the module's."""
        name = str(getattr(value, "__qualname__", getattr(value, "__name__", "")))
        home = getattr(value, "__module__", None) or ""
        parts = home.split(".")
        homes = [".".join(parts[: k + 1]) for k in range(len(parts))]
        for module in (*homes, "jax.numpy"):
            if name.isidentifier() and _get(sys.modules.get(module), name) is value:
                return self._from(module, name)
        module = self.space.get("__name__", "")
        known = sys.modules.get(module)
        for name, other in vars(known).items() if known else ():
            if other is value:
                return self._from(module, name)
            for key, one in other.items() if type(other) is dict else ():
                if one is value and type(key) in (int, str):
                    return f"{self._from(module, name)}[{key!r}]"
        return ""

    def _from(self, module: str, name: str) -> str:
        if module in ALIASES:
            alias = ALIASES[module]
            self.imports.add(f"import {module} as {alias}")
            return f"{alias}.{name}"
        if module == "__main__":
            module = Path(getattr(sys.modules[module], "__file__", "")).stem
        if module == "builtins":
            return name
        if not all(part.isidentifier() for part in module.split(".")):
            raise Unwritable(name)
        other = f"{name}_" if name in self.taken else name
        self.imports.add(f"from {module} import {name}" + f" as {other}" * (other != name))
        return other

    def _held(self, value: Any) -> str:
        """Return what is made of other functions: a partial, a pipe, a jitted one."""
        if isinstance(value, partial | functools.partial):
            words = [self.of(value.func), *map(self.of, value.args)]
            words += [f"{name}={self.of(one)}" for name, one in value.keywords.items()]
            return f"{self._from('jfoundations', 'partial')}({', '.join(words)})"
        if type(value) is Pipe and all(name.isidentifier() for name in value.names):
            pairs = zip(value.names, value.stages, strict=True)
            stages = ", ".join(f"{name}={self.of(stage)}" for name, stage in pairs)
            return f"{self._from('jfoundations', 'Pipe')}({stages})"
        if type(value) is Callback:
            words = [self.of(value.init), f"name={value.name!r}"]
            words += [f"{event}={self.of(one)}" for event, one in value.events]
            return f"{self._from('jfoundations', 'Callback')}({', '.join(words)})"
        if type(value) is Fold:
            return self._fold(value)
        jitted = getattr(value, "__wrapped__", None)
        if jitted is not None and hasattr(value, "lower"):
            self.imports.add("import jax")
            return f"jax.jit({self.of(jitted)})"
        return ""

    def _fold(self, fold: Fold[Any]) -> str:
        three = fold.init, fold.step, fold.merge
        plain = Fold(*three, finished=fold.finished)
        blocks = Fold(*three, block=fold.block)  # what follows from the block
        words = [*map(self.of, three)]
        for field in FIELDS[3:]:
            one = getattr(fold, field)
            if one is not None and one != getattr(plain if field == "block" else blocks, field):
                words.append(f"{'unmerge' if field == 'undo' else field}={self.of(one)}")
        words += [f"name={fold.name!r}"] if fold.name != plain.name else []
        return f"{self._from('jfoundations', 'Fold')}({', '.join(words)})"

    def _made(self, value: Any) -> str:
        """Return a function by its source, with what it closes over."""
        if not isinstance(value, types.FunctionType):
            return ""
        source = _source(value)
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            if cell.cell_contents is not value:
                line = f"{name} = {self.of(cell.cell_contents)}"
                self.defined += [line] if line != f"{name} = {name}" else []
        for name in _names(value.__code__):
            if name in value.__globals__:
                self._global(name, value.__globals__)
        if value.__name__ == "<lambda>":
            return f"({source})"
        self.defined += [source] if source not in self.defined else []
        return value.__name__

    def _global(self, name: str, space: Mapping[str, Any]) -> None:
        if isinstance(space[name], types.ModuleType):
            whole = space[name].__name__
            self.imports.add(f"import {whole}" + f" as {name}" * (whole != name))
        else:
            self._from(space.get("__name__", ""), name)

    def text(self, lines: list[str]) -> str:
        """Return the program that ends with some lines."""
        plain = sorted(self.imports, key=lambda line: (line.startswith("from"), line))
        return "\n".join([*plain, *self.defined, *lines])


def _get(module: types.ModuleType | None, name: str) -> Any:
    return getattr(module, name, None)


def _number(x: Any) -> str:
    if x.dtype.kind == "c":
        return f"complex({_number(x.real)}, {_number(x.imag)})"
    said = str(x)
    if said.lstrip("-") in ("nan", "inf"):
        return said.replace("inf", "jnp.inf").replace("nan", "jnp.nan")
    whole = jnp.issubdtype(x.dtype, jnp.inexact) and said.lstrip("-").isdigit()
    return f"{said}.0" if whole else said


def _nested(x: np.ndarray) -> str:
    return _number(x) if not x.ndim else f"[{', '.join(map(_nested, x))}]"


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _source(function: types.FunctionType) -> str:
    """Return the source of a local function, or of the lambda among those of its line."""
    code = function.__code__
    try:
        if function.__name__ != "<lambda>":
            return textwrap.dedent(inspect.getsource(function)).strip()
        whole = "".join(inspect.findsource(function)[0])
        nodes = [node for node in ast.walk(ast.parse(whole)) if isinstance(node, ast.Lambda)]
    except (OSError, TypeError, SyntaxError) as error:
        raise Unwritable(name_of(function)) from error
    found = [node for node in nodes if node.lineno == code.co_firstlineno]
    sources = [ast.get_source_segment(whole, node) or "" for node in found]
    for source in sources:
        # in brackets a lambda of several lines is one expression
        made = eval(f"lambda: ({source})").__code__.co_consts
        traits = [_traits(one) for one in made if isinstance(one, types.CodeType)]
        if len(sources) == 1 or _traits(code) in traits:
            return source
    raise Unwritable("lambda")


def _traits(code: types.CodeType) -> tuple[Any, ...]:
    """Return what is the same of a lambda and of its source alone, which closes over nothing."""
    consts = [const for const in code.co_consts if not isinstance(const, types.CodeType)]
    return {*code.co_names, *code.co_freevars}, code.co_varnames, consts


def user_space() -> Mapping[str, Any]:
    """Return the globals of the nearest caller that is neither ours nor Hypothesis'."""
    frame = sys._getframe(1)
    while frame.f_back and f"{frame.f_globals.get('__name__', '')}.".startswith(HERE):
        frame = frame.f_back
    return frame.f_globals
