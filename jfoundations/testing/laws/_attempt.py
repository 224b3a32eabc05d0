"""How a law of arrays is tried: many examples at once, and the smallest one on which it fails."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jax.typing import DTypeLike

from ..._core.types import Function
from ._algebra import Law
from ._check import NotApplicable
from ._draws import Draws, draw, offsets, simple
from ._findings import Finding
from ._lanes import FAR_STEP, NEAR_STEP, Batched, Lanes, apart, coarsest, limit, narrow, widen

RARE = 0.02  # how many examples may lie beside a jump
LEAST = 4.0  # to how many units holds what is not exact, though no example is apart
SPOKEN = 0.05  # of how many examples a law must say something


@dataclass(frozen=True, eq=False)
class Subject:
    """A function, and on what it is tried.

    Attributes:
        f: the function of arrays.
        batch: it, of many examples.
        arrays: of how many.
        shape: their shape.
        dtype: their dtype.
        domain: where it is a number.
        lanes: how many examples.
        seed: of the draws.
    """

    f: Function
    batch: Batched
    arrays: int
    shape: tuple[int, ...]
    dtype: Any
    domain: str
    lanes: int
    seed: int

    def draws(self, turn: int = 0) -> Draws:
        """Return the examples of a turn."""
        rng = np.random.default_rng([self.seed, turn])
        return draw(rng, self.lanes, self.shape, self.dtype, self.domain)

    @property
    def offsets(self) -> list[float]:
        """By how much ill-conditioned data are moved, relative to their spread."""
        return offsets(self.shape, self.dtype, self.domain)

    def moved(self) -> Draws:
        """Return data with one offset after another, lane by lane."""
        rng = np.random.default_rng(self.seed)
        by = np.array(self.offsets)[self.levels]
        return draw(rng, self.lanes, self.shape, self.dtype, self.domain, by)

    @property
    def levels(self) -> np.ndarray:
        """Which offset each lane has: half of them none, the rest one of the others."""
        pair = np.arange(self.lanes) // 2  # of whose two `increasing` moves one by little
        return np.where(pair % 2 == 0, 0, 1 + pair // 2 % (len(self.offsets) - 1))

    def simple(self, shape: tuple[int, ...]) -> Draws:
        """Return simple examples of a shape."""
        rng = np.random.default_rng(self.seed)
        return simple(rng, self.lanes, shape, self.dtype, self.domain)


@dataclass(frozen=True, eq=False)
class Tried:
    """A law, tried: how far apart its sides are on each lane."""

    left: Lanes
    right: Lanes
    units: np.ndarray
    speaks: np.ndarray
    exact: bool

    @property
    def most(self) -> float:
        """How far apart they may be."""
        return limit(coarsest([self.left.dtype, self.right.dtype]))


def attempt(law: Law, f: Function, batch: Batched, d: Draws, constant: Any) -> Tried:
    """Try a law; sizes, which cost more calls, are asked for only where sides differ."""
    batch.step = 0
    left, right = law.sides(f, d, constant)
    units, equal, speaks = apart(left, right)
    free = left.exact & right.exact
    exact = bool(equal[free].all() and (free & speaks).any())
    if equal.all():
        return Tried(left, right, units, speaks, exact)
    batch.step = FAR_STEP
    left, right = law.sides(f, d, constant)
    units = np.where(equal, 0, apart(left, right)[0])
    most = limit(coarsest([left.dtype, right.dtype]))
    beyond = units > most
    if 0 < beyond.mean() < RARE:
        # beside a jump the least rounding decides, which nearer inputs show
        batch.step = NEAR_STEP
        near = apart(*law.sides(f, d, constant))[0]
        jumps = beyond & (near <= most)
        units, speaks = np.where(jumps, 0, units), speaks & ~jumps
    batch.step = 0
    return Tried(left, right, units, speaks, exact)


def find(
    law: Law,
    f: Function,
    subject: Subject,
    d: Draws,
    name: str | None = None,
    before: Finding | None = None,
) -> Finding:
    """Return whether a law holds, exactly or to which bound, or the smallest failure.

    Args:
        law: the law.
        f: the function it speaks of, one of `Lanes`.
        subject: what it is made of.
        d: the examples.
        name: what the law is called, if not by its own name.
        before: what was found on other examples, where it held.
    """
    name = name or law.name
    try:
        subject.batch.step = FAR_STEP
        known = before.constant if before is not None else None
        constant = law.find(f, d) if law.find and known is None else known
        tried = attempt(law, f, subject.batch, d, constant)
    except NotApplicable as error:
        return Finding(name, law.says, None, why=str(error))
    except AssertionError as error:
        return Finding(name, law.says, False, why=str(error))
    except (TypeError, ValueError) as error:  # the function does not take its own answers
        return Finding(name, law.says, None, why=str(error).splitlines()[0])
    if tried.speaks.mean() < SPOKEN:
        return Finding(name, law.says, None, constant=constant, why="it is no number")
    worst = float(tried.units.max())
    if worst <= tried.most:
        kind = (np.dtype(subject.dtype).name,)
        units = bound_of(worst) if tried.exact else max(bound_of(worst), LEAST)
        now = Finding(name, law.says, True, tried.exact, units, constant, dtypes=kind)
        if before is None:
            return now
        return replace(now, exact=now.exact and before.exact, units=max(units, before.units))
    why = smallest(law, f, subject, d, constant, tried)
    return Finding(name, law.says, False, constant=constant, why=why)


def conditioned(law: Law, f: Function, subject: Subject, d: Draws, one: Finding) -> Finding:
    """Return a finding with the largest offset up to which the law holds of moved data."""
    if one.holds is None or law.find and one.constant is None:
        return one
    tried = attempt(law, f, subject.batch, d, one.constant)
    fails = (tried.units > tried.most) & tried.speaks
    found, levels = None, np.resize(subject.levels, len(fails))
    for k, offset in enumerate(subject.offsets):
        there = levels == k
        if fails[there].any() or tried.speaks[there].mean() < SPOKEN:
            break
        found = offset
    return replace(one, offset=found)


def bound_of(worst: float) -> float:
    """Return what is reported of the largest distance seen: of ten times as many none is beyond."""
    return float(2.0 ** np.ceil(np.log2(max(4 * worst, 2.0)))) if worst else 0.0


def smallest(law: Law, f: Function, subject: Subject, d: Draws, constant: Any, tried: Tried) -> str:
    """Return the smallest failure in words: of few elements, then of small integers."""
    shapes = [(1,), (2,), subject.shape] if len(subject.shape) == 1 else [subject.shape]
    beside = getattr(f, "beside", None)  # of one of two arrays: with the other, w
    law = replace(law, uses=(*law.uses, "w")) if beside else law
    for shape in shapes:
        plain = subject.simple(shape)
        g = beside(plain) if beside else f
        try:
            again = attempt(law, g, subject.batch, plain, constant)
        except Exception:  # a function may refuse fewer elements
            continue
        failing = np.flatnonzero((again.units > again.most) & again.speaks)
        if failing.size:
            return _words(law, plain, again, int(failing[0]))
    worst = np.flatnonzero((tried.units > tried.most) & tried.speaks)
    size = np.abs(np.log2(np.abs(_lane_size(d, worst % d.lanes)) + 1))
    return _words(law, d, tried, int(worst[np.argmin(size)]))


def _lane_size(d: Draws, at: np.ndarray) -> np.ndarray:
    return np.abs(d.x.value[at]).reshape(len(at), -1).sum(axis=1).astype(float)


def _words(law: Law, d: Draws, tried: Tried, at: int) -> str:
    turn, lane = divmod(at, d.lanes)
    told = []
    for name in law.uses:
        value = getattr(d, law.played.get(name, (name,) * (turn + 1))[turn])
        told.append(
            f"{name} = {show(value.value[lane] if isinstance(value, Lanes) else value[lane])}"
        )
    left, right = (show(side.value[at], side.dtype) for side in (tried.left, tried.right))
    return f"{left} and {right}, {', '.join(told)}"


def show(value: Any, dtype: DTypeLike | None = None) -> str:
    """Return numbers as short as they are told apart."""
    wide = np.asarray(value)
    if dtype is not None and np.dtype(dtype).itemsize >= 4:
        wide = widen(narrow(widen(wide), np.dtype(dtype)))
    if wide.dtype == bool:
        return np.array2string(wide.astype(int), separator=", ")
    wide = wide.astype(np.complex128 if np.iscomplexobj(wide) else np.float64) + 0.0  # no -0
    text = np.array2string(wide, separator=", ", formatter=None, precision=9, threshold=20)
    return " ".join(text.split())
