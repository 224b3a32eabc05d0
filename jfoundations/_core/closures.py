"""Closures as values: what they closed over becomes leaves, so that built anew they do not retrace.

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> def times(k):
...     return lambda x: k * x
>>> run = jax.jit(lambda function, x: function(x))
>>> [float(run(jf.lift(times(jnp.float32(k))), 2.0)) for k in (1, 2, 3)], run._cache_size()
([2.0, 4.0, 6.0], 1)
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from .types import Function
from .values import Code, Identity, Static, is_pytree, name_of, partial

P = ParamSpec("P")
R = TypeVar("R")


def lift(function: Callable[P, R]) -> Callable[P, R]:
    """Turn a closure into a pytree: the arrays and floats it closes over become leaves.

    So a closure built anew does not retrace, `grad` reaches what it closed over, and `vmap` maps
    over a batch of closures. Ints, strs, bools and other objects it closes over are structure.
    Functions among them are lifted too. Globals stay where they are.

    A bound method brings its object along, a `functools.partial` its arguments: arrays and floats
    in them are leaves. Other callables come back as pytrees without leaves.

    How often a jitted function traces that is given a stage three times, each time built anew from
    equal parts, as it is (in a Pipe) and lifted:

    ====================================  =====  ======
    stage                                 as is  lifted
    ====================================  =====  ======
    function of a module                  1      1
    lambda                                3      1
    closure                               3      1
    functools.partial                     3      1
    jf.partial                            1      1
    callable class                        3      3
    callable frozen dataclass             1      1
    bound method of one object            1      1
    bound method of a frozen dataclass    3      1
    function jitted once                  1      1
    function jitted anew                  3      3
    juxt, Pipe, compose, Reversible       1      1
    map_, filter_, take, take_while       1      1
    ====================================  =====  ======

    A Pipe, juxt, Reversible or transducer is as good as the worst of its functions. What still
    traces anew compares by identity: make the class a frozen dataclass, call `jax.jit` once.

    Args:
        function: a Python function, or another callable.

    Raises:
        TypeError: it is not callable.
        ValueError: the function closes over itself, or over a name without a value yet.

    >>> import jax
    >>> def times(k):
    ...     return lambda x: k * x
    >>> jax.tree.leaves(lift(times(2.0))), lift(times(2.0)) == lift(times(2.0))
    ([2.0], True)
    """
    if not callable(function):
        raise TypeError(f"lift: {function!r} is not callable; give a closure or another function")
    return _lift(function, ())


def _lift(function: Function, above: tuple[Function, ...]) -> Function:
    if any(function is f for f in above):
        raise ValueError(
            f"lift: {name_of(function)} closes over itself; "
            "pass the recursive function as an argument, or leave it unlifted"
        )
    if is_pytree(function):
        return function
    if isinstance(function, types.MethodType):
        return partial(function.__func__, function.__self__)
    if not isinstance(function, types.FunctionType):
        return partial(function)
    closed = {
        "cells": [
            _lift(c, (*above, function)) if isinstance(c, types.FunctionType) else c
            for c in _cells(function)
        ],
        "defaults": function.__defaults__,
        "kwdefaults": function.__kwdefaults__,
    }
    code = Code(function.__code__, Static(Identity(function.__globals__)), function.__name__)
    return partial(code, closed)


def _cells(function: types.FunctionType) -> list[Any]:
    try:
        return [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:
        raise ValueError(
            f"lift: {name_of(function)} closes over a name that has no value yet; "
            "call lift after the name is assigned"
        ) from None
