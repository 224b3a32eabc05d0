"""What a value is, in a few bytes: the same in every process, other for what computes otherwise.

A value is read part by part down to numbers, names and code. What cannot be read so is refused: two
values that look alike from outside and are not would share one fingerprint.

>>> def power(n):
...     return lambda x: x**n
>>> [fingerprint(power(n)) == fingerprint(power(2)) for n in (2, 3)]
[True, False]
"""

import copyreg
import ctypes
import dis
import enum
import functools
import io
import random
import types
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._core.values import Code, is_key
from .installed import is_from_installed, is_installed

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_CHANGING = (  # what they hold changes while they are used, or is not theirs
    io.IOBase,
    random.Random,
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    ctypes._SimpleCData,
    ctypes.Array,
    ctypes.Structure,
    Tracer,
)
_NAMED = (types.ModuleType, np.dtype, np.ufunc)
_METHODS = (  # of C: known by their class and their name
    types.WrapperDescriptorType | types.MethodDescriptorType | types.ClassMethodDescriptorType
) | (types.GetSetDescriptorType | types.MemberDescriptorType)
_NUMBERS = (bool, int, float, complex, str, bytes, tuple, list, np.ndarray)
_OF_NO_ACCOUNT = {
    *("__repr__", "__str__", "__slots__", "__weakref__", "__dict__", "__doc__", "__module__"),
    *("__qualname__", "__firstlineno__", "__static_attributes__", "__match_args__"),
}
_NOT_MADE_BY_NEW = 1 << 7  # a flag of types of C
_Jitted = type(jax.jit(len))


def fingerprint(value: object) -> str:
    """Return the fingerprint of a function, or of a tree of functions, arrays and settings.

    A function is its code, its defaults, what it closes over and the globals that it names; one of
    an installed package its name and code. An object is its class and fields. Modules are names.

    Raises:
        TypeError: it holds something that cannot be seen into.
    """
    return _Reader().read(value).hex()


class _Reader:
    """One reading. What is being read is a stack of its own: values may be deep."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[Any, bytes]] = {}  # values are held, so that ids stay theirs
        self.spaces: dict[int, int] = {}  # of globals, numbered as they are met
        self.globals: dict[tuple[int, str], Any] = {}

    def read(self, value: object) -> bytes:
        """Return the digest of a value and of the globals that its functions name."""
        parts = [self.digest(value)]
        done = 0
        while done < len(self.globals):  # reading one may find more
            (space, name), held = list(self.globals.items())[done]
            parts.append(_digest("global", f"{space} {name}".encode(), [self.digest(held)]))
            done += 1
        return _digest("all", b"", parts)

    def digest(self, value: object) -> bytes:
        """Return the digest of a value without its globals."""
        stack: list[_Frame] = []
        found = self._open(value, stack)
        while stack:
            frame = stack[-1]
            if found is not None:
                frame.digests.append(found)
            part = next(frame.parts, _END)
            if part is not _END:
                found = self._open(part, stack)
                continue
            stack.pop()
            found = _digest(frame.kind, frame.about, frame.digests)
            if frame.lowest >= len(stack):
                self.known[id(frame.value)] = frame.value, found
            elif stack:
                stack[-1].lowest = min(stack[-1].lowest, frame.lowest)
        assert found is not None
        return found

    def _open(self, value: object, stack: list["_Frame"]) -> bytes | None:
        """Return the digest of what was read before or holds itself; else put it on the stack."""
        if id(value) in self.known:
            return self.known[id(value)][1]
        for depth, frame in enumerate(stack):
            if frame.value is value:
                stack[-1].lowest = min(stack[-1].lowest, depth)
                return _digest("above", str(len(stack) - depth).encode(), [])
        try:
            about, parts = self._look(value)
        except _Unseen as unseen:
            functions = [f.value for f in stack if isinstance(f.value, types.FunctionType)]
            held = f", which {functions[-1].__qualname__} uses" if functions else ""
            raise TypeError(f"{unseen}{held}") from None
        stack.append(_Frame(value, about, iter(parts), len(stack)))
        return None

    def _look(self, value: object) -> tuple[bytes, Any]:
        """Return what there is to say of a value, and its parts."""
        kind = type(value)
        if kind in _PLAIN:
            return repr(value).encode("utf-8", "surrogatepass"), ()
        if isinstance(value, _CHANGING) or hasattr(kind, "__next__"):
            raise _Unseen(value)
        if isinstance(value, type):
            return _name(value), self._class(value)
        if isinstance(value, _NAMED):
            return _named(value), ()
        if isinstance(value, types.CodeType):
            return value.co_code, _code(value)
        if isinstance(value, types.FunctionType | Code):
            return self._function(value)
        if is_from_installed(value):
            return _name(value), ()
        if isinstance(value, _METHODS):
            return value.__name__.encode(), (value.__objclass__,)
        return _data(value) or (b"", _fields(value))

    def _function(self, value: types.FunctionType | Code) -> tuple[bytes, Any]:
        if isinstance(value, Code):
            code, space, held = value.code, value.globals.value.value, ()
        else:
            code, space = value.__code__, value.__globals__
            if is_from_installed(value):
                return _name(value), (code,)
            cells = tuple(value.__closure__ or ())
            held = value.__defaults__, value.__kwdefaults__, cells, value.__dict__
        home = space.get("__name__", "")
        if is_installed(home):
            return home.encode(), (code, *held)
        number = self.spaces.setdefault(id(space), len(self.spaces))
        for name, found in _globals(code, space):
            self.globals.setdefault((number, name), found)
        return str(number).encode(), (code, *held)

    def _class(self, value: type) -> Iterator[Any]:
        if is_installed(value.__module__):
            return
        yield type(value)
        yield value.__bases__
        members = value.__members__ if issubclass(value, enum.Enum) else {}
        for name, member in members.items():
            yield name
            yield member._value_
        for name, held in sorted(vars(value).items()):
            hidden = name in _OF_NO_ACCOUNT or name in members or isinstance(held, _METHODS)
            if not hidden and (not _is_inner(name, bool(members)) or _counts(held)):
                yield name
                yield held


class _Frame:
    """A value that is being read, and the digests of its parts so far."""

    def __init__(self, value: object, about: bytes, parts: Iterator[object], depth: int):
        self.value, self.about, self.parts, self.lowest = value, about, parts, depth
        self.kind: str = _name(type(value)).decode()
        self.digests: list[bytes] = []


class _Unseen(Exception):
    """What is held cannot be seen into."""

    def __init__(self, value: object):
        super().__init__(f"a {_name(type(value)).decode()} cannot be seen into")


_END = object()


def _digest(kind: str, about: bytes, parts: list[bytes]) -> bytes:
    # lengths first: what follows cannot be taken for it
    head = f"{kind} {len(about)} {len(parts)}\n".encode()
    return blake2b(b"".join((head, about, *parts)), digest_size=32).digest()


def _name(value: Any) -> bytes:
    return f"{value.__module__}:{value.__qualname__}".encode()


def _named(value: Any) -> bytes:
    if isinstance(value, np.ufunc) and getattr(np, value.__name__, None) is not value:
        raise _Unseen(value)
    return value.__name__.encode() if not isinstance(value, np.dtype) else repr(value).encode()


def _is_inner(name: str, of_enum: bool) -> bool:
    """Tell whether a name of a class may be one of Python's own."""
    return name.startswith(("__", "_abc_")) or (of_enum and name[:1] == name[-1:] == "_")


def _counts(value: object) -> bool:
    """Tell whether what a class has under such a name is somebody's own all the same."""
    functions = types.FunctionType | staticmethod | classmethod | property
    return isinstance(value, functions) or type(value) in _NUMBERS or isinstance(value, jax.Array)


def _code(code: types.CodeType) -> tuple[Any, ...]:
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return (*counts, *names, code.co_exceptiontable, code.co_consts)


def _globals(code: types.CodeType, space: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what code reads from its globals, and through them from modules of the user's own."""
    steps = list(dis.get_instructions(code))
    for k, step in enumerate(steps):
        if step.opname not in ("LOAD_GLOBAL", "LOAD_NAME") or step.argval not in space:
            continue  # a builtin, or nothing yet
        name, value = step.argval, space[step.argval]
        for later in steps[k + 1 :]:
            own = isinstance(value, types.ModuleType) and not is_installed(value.__name__)
            if not own or later.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
                break
            name, value = f"{name}.{later.argval}", getattr(value, later.argval, None)
        yield name, value
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _globals(const, space)


def _data(value: Any) -> tuple[bytes, Any] | None:
    """Return what is to be said of numbers and containers, and their parts; None of others."""
    kind = type(value)
    if kind in (tuple, list):
        return b"", value
    if kind in (dict, types.MappingProxyType):
        return b"", value.items()  # in their order, which who reads them may go by
    if kind in (set, frozenset):
        return b"", sorted(value, key=fingerprint)
    if isinstance(value, enum.Enum):
        return value.name.encode(), (kind, value.value)
    if isinstance(value, bytearray | memoryview):
        view = memoryview(value)
        return f"{view.format} {view.shape} ".encode() + view.tobytes(), ()
    if isinstance(value, jax.Array):
        return _array(value)
    if kind is np.ma.MaskedArray:
        return b"", (np.ma.getdata(value), np.ma.getmaskarray(value), value.fill_value)
    if kind is np.ndarray or kind is np.memmap or isinstance(value, np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            return f"{array.dtype} {array.shape}".encode(), array.tolist()
        return f"{array.dtype.descr} {array.shape} ".encode() + array.tobytes(), ()
    return None


def _array(value: jax.Array) -> tuple[bytes, Any]:
    if is_key(value):
        return str(value.dtype).encode(), (np.asarray(jax.random.key_data(value)),)
    if not value.is_fully_addressable:
        raise _Unseen(value)
    return f"{jax.typeof(value).weak_type}".encode(), (np.asarray(value),)


def _fields(value: Any) -> tuple[Any, ...]:
    kind = type(value)
    if isinstance(value, types.CellType):
        try:
            return (value.cell_contents,)
        except ValueError:
            return ()  # a name that has no value yet
    if isinstance(value, types.MethodType):
        return value.__func__, value.__self__
    if isinstance(value, types.BuiltinMethodType | types.MethodWrapperType):
        return value.__name__, value.__self__
    if isinstance(value, staticmethod | classmethod):
        return (value.__func__,)
    if isinstance(value, functools.cached_property):
        return (value.func,)  # and a lock
    if isinstance(value, property):
        return value.fget, value.fset
    if isinstance(value, _Jitted | functools._lru_cache_wrapper):
        return (value.__wrapped__,)  # type: ignore[attr-defined]
    if isinstance(value, jax.tree_util.PyTreeDef):
        return value.node_data(), value.children(), value.num_leaves
    if isinstance(value, jax.Device):
        return value.platform, value.id
    if _is_plain(kind):
        return kind, _without_caches(kind, object.__getstate__(value))
    if isinstance(value, np.ndarray):  # which pickle takes without what it was given besides
        return kind, getattr(value, "__dict__", None), *_reduced(value)
    return kind, *_reduced(value)


def _is_plain(kind: type) -> bool:
    """Tell whether instances hold what is in their `__dict__` and slots, and nothing else."""
    if is_installed(kind.__module__) and (
        kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__
    ):
        return False
    for base in kind.__mro__[:-1]:
        new = vars(base).get("__new__")
        made_here = new is None or isinstance(new, staticmethod | types.FunctionType)
        if not made_here or base.__flags__ & _NOT_MADE_BY_NEW:
            return False
    return True


def _without_caches(kind: type, state: object) -> Any:
    if not isinstance(state, dict):
        return state
    cached = functools.cached_property
    held = {k: v for k, v in state.items() if not isinstance(getattr(kind, str(k), None), cached)}
    return dict(sorted(held.items(), key=lambda item: str(item[0])))


def _reduced(value: object) -> tuple[Any, ...]:
    """Return what pickle would make a value of."""
    try:
        known = copyreg.dispatch_table.get(type(value))
        made = known(value) if known else value.__reduce_ex__(4)
    except Exception:
        raise _Unseen(value) from None
    if isinstance(made, str):
        raise _Unseen(value)  # a name, under which it was looked for before
    return (*made[:3], *(None if part is None else list(part) for part in made[3:5]))  # type: ignore[arg-type]
