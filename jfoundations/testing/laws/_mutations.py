"""What may be planted in one equation of a jaxpr, with its words and its kind."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._planting import BODIES, bind, like, listed, loop_of

if TYPE_CHECKING:
    from jax.extend.core import JaxprEqn


@dataclass(frozen=True)
class Variant:
    """What may stand in an equation's place.

    Attributes:
        kind: of what sort.
        words: what is done.
        run: the equation's operands to its answers.
    """

    kind: str
    words: str
    run: Callable[..., Any]


def _of(name: str) -> Callable[..., Any]:
    return getattr(lax, name)


OPERATORS = {  # primitive: (what is put in its place, and in words)
    "add": ("sub", "a minus for a plus"),
    "sub": ("add", "a plus for a minus"),
    "mul": ("div", "a quotient for a product"),
    "div": ("mul", "a product for a quotient"),
    "max": ("min", "min for max"),
    "min": ("max", "max for min"),
    "and": ("bitwise_or", "or for and"),
    "or": ("bitwise_and", "and for or"),
    "xor": ("bitwise_or", "or for xor"),
    "sin": ("cos", "cos for sin"),
    "cos": ("sin", "sin for cos"),
    "exp": ("expm1", "expm1 for exp"),
    "expm1": ("exp", "exp for expm1"),
    "log": ("log1p", "log1p for log"),
    "log1p": ("log", "log for log1p"),
    "floor": ("ceil", "ceil for floor"),
    "ceil": ("floor", "floor for ceil"),
    "rsqrt": ("sqrt", "sqrt for rsqrt"),
    "shift_left": ("shift_right_logical", "a shift the other way"),
    "shift_right_logical": ("shift_left", "a shift the other way"),
}
COMPARISONS = {
    "lt": ("le", "<= for <"),
    "le": ("lt", "< for <="),
    "gt": ("ge", ">= for >"),
    "ge": ("gt", "> for >="),
}
DROPPED = ("abs", "ceil", "clamp", "exp2", "floor", "logistic", "neg", "not", "reduce_precision")
DROPPED += ("rev", "round", "rsqrt", "sign", "sqrt", "square", "tanh", "transpose")
REDUCERS = {
    "reduce_max": ("reduce_min", "min for max"),
    "reduce_min": ("reduce_max", "max for min"),
    "reduce_and": ("reduce_or", "any for all"),
    "reduce_or": ("reduce_and", "all for any"),
    "argmax": ("argmin", "argmin for argmax"),
    "argmin": ("argmax", "argmax for argmin"),
    "cummax": ("cummin", "cummin for cummax"),
    "cummin": ("cummax", "cummax for cummin"),
}
REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and", "reduce_or")
CUMULATIVE = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")


def variants(eqn: "JaxprEqn") -> list[Variant]:
    """Return what may be planted in an equation; whether it fits, `fits` tells."""
    name, params = eqn.primitive.name, eqn.params
    found = []
    if name in OPERATORS:
        other, words = OPERATORS[name]
        found.append(Variant("operator", words, _of(other)))
    if name in COMPARISONS:
        other, words = COMPARISONS[name]
        found.append(Variant("comparison", words, _of(other)))
    if name in (*COMPARISONS, "eq", "ne", "is_finite"):
        found.append(Variant("condition", f"{name} negated", partial(_negated, eqn)))
    if name in DROPPED:
        found.append(Variant("operator", f"{name} left out", partial(_operand, name)))
    if name in ("atan2", "pow", "rem", "nextafter"):
        found.append(Variant("operator", f"{name} of its operands swapped", partial(_swapped, eqn)))
    if name == "integer_pow":
        y = params["y"]
        found.append(Variant("constant", f"power {y + 1} for {y}", partial(_bound, eqn, y=y + 1)))
    found += _of_arrays(eqn, name) + _of_flow(eqn, name)
    if name not in ("convert_element_type", "broadcast_in_dim", *BODIES):
        found += _constants(eqn)
    return found


def _of_arrays(eqn: "JaxprEqn", name: str) -> list[Variant]:
    found, params = [], eqn.params
    if name in REDUCERS:
        other, words = REDUCERS[name]
        found.append(Variant("operator", words, partial(_reducer, f"{other}_p", params)))
    if name in REDUCTIONS and len(params["axes"]) < (ndim := len(like(eqn.invars[0]).shape)):
        axes = tuple(sorted((a + 1) % ndim for a in params["axes"]))
        found.append(Variant("axis", f"{name} over another axis", partial(_bound, eqn, axes=axes)))
    if name in CUMULATIVE:
        run = partial(_bound, eqn, reverse=not params["reverse"])
        found.append(Variant("axis", f"{name} from the other end", run))
    if name == "sort":
        found.append(Variant("axis", "sorted the other way", partial(_sorted_down, eqn)))
    if name == "concatenate":
        found.append(Variant("axis", "parts in the other order", partial(_swapped, eqn)))
    if name == "dot_general":
        found.append(Variant("operator", "a product with its sign changed", partial(_less, eqn)))
    if name == "iota":
        found.append(Variant("constant", "iota from 1", partial(_more, eqn)))
    return found


def _of_flow(eqn: "JaxprEqn", name: str) -> list[Variant]:
    found, params = [], eqn.params
    if name == "select_n" and len(eqn.invars) == 3:
        for k, words in ((1, "where no mask is asked"), (0, "where no mask holds")):
            found.append(Variant("mask", f"select {words}", partial(_case, k)))
        found.append(Variant("condition", "select by the mask negated", _select_other))
    platforms = params.get("branches_platforms")
    if name == "cond" and platforms is None and len(params["branches"]) == 2:
        found.append(Variant("condition", "cond negated", partial(_other_branch, eqn)))
    if name == "while":
        found.append(Variant("condition", "a loop not entered", partial(_not_entered, eqn)))
        found.append(Variant("condition", "a loop one round too long", partial(_longer, eqn)))
    if name == "scan" and params["num_carry"]:
        found.append(Variant("condition", "a scan that keeps its carry", partial(_kept, eqn)))
    return found


def _constants(eqn: "JaxprEqn") -> Iterator[Variant]:
    for k, atom in enumerate(eqn.invars):
        value = getattr(atom, "val", None)
        if value is None or np.ndim(value) or not np.issubdtype(np.asarray(value).dtype, np.number):
            if value is not None and np.asarray(value).dtype == bool and not np.ndim(value):
                words = f"{not value} for {bool(value)}"
                yield Variant("constant", f"{words} in {_said(eqn)}", partial(_put, eqn, k, None))
            continue
        number = complex(value).real
        new = number + 1 if math.isfinite(number) else 0
        words = f"{new:.6g} for {number:.6g}"
        yield Variant("constant", f"{words} in {_said(eqn)}", partial(_put, eqn, k, new))


def _said(eqn: "JaxprEqn") -> str:
    return eqn.primitive.name


def _put(eqn: "JaxprEqn", k: int, new: Any, *operands: Any) -> Any:
    old = operands[k]
    put = lax.full_like(old, new) if new is not None else lax.bitwise_not(jnp.asarray(old))
    return _bound(eqn, *operands[:k], put, *operands[k + 1 :])


def _bound(eqn: "JaxprEqn", *operands: Any, **changes: Any) -> Any:
    return bind(eqn, operands, {**eqn.params, **changes})


def _negated(eqn: "JaxprEqn", *operands: Any) -> Any:
    return lax.bitwise_not(_bound(eqn, *operands))


def _operand(name: str, *operands: Any) -> Any:
    return operands[1 if name == "clamp" else 0]


def _swapped(eqn: "JaxprEqn", *operands: Any) -> Any:
    return _bound(eqn, *operands[::-1])


def _reducer(name: str, params: dict[str, Any], x: Any) -> Any:
    return getattr(lax, name).bind(x, **params)


def _sorted_down(eqn: "JaxprEqn", *operands: Any) -> Any:
    dimension = eqn.params["dimension"]
    return [lax.rev(x, (dimension,)) for x in _bound(eqn, *operands)]


def _less(eqn: "JaxprEqn", *operands: Any) -> Any:
    return lax.neg(_bound(eqn, *operands))


def _more(eqn: "JaxprEqn", *operands: Any) -> Any:
    counted = _bound(eqn, *operands)
    return counted + lax.full_like(counted, 1)


def _case(k: int, which: Any, *cases: Any) -> Any:
    return cases[k]


def _select_other(which: Any, no: Any, yes: Any) -> Any:
    return lax.select_n(which, yes, no)


def _other_branch(eqn: "JaxprEqn", index: Any, *operands: Any) -> Any:
    return _bound(eqn, 1 - index, *operands)


def _not_entered(eqn: "JaxprEqn", *operands: Any) -> Any:
    return list(operands[loop_of(eqn)[0] :])


def _longer(eqn: "JaxprEqn", *operands: Any) -> Any:
    return loop_of(eqn)[2](operands, _bound(eqn, *operands))


def _kept(eqn: "JaxprEqn", *operands: Any) -> Any:
    consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]
    return [*operands[consts : consts + carry], *_bound(eqn, *operands)[carry:]]


def fits(eqn: "JaxprEqn", variant: Variant) -> bool:
    """Tell whether a variant leaves shapes and dtypes as they are."""
    try:
        found = jax.eval_shape(lambda *xs: listed(variant.run(*xs)), *map(like, eqn.invars))
    except (TypeError, ValueError):
        return False
    right = [(v.shape, v.dtype) for v in map(like, eqn.outvars)]
    return [(x.shape, x.dtype) for x in found] == right
