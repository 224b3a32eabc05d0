"""A run of a test on a mutant: its functions are traced, and evaluated with a mutation in them."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ..._core.values import hold, is_key, release
from ._mutated import Altered, changes, is_heard
from ._mutations import fits, variants
from ._planting import Place, ending, evaluate, walk

ARRAYS = jax.Array | np.ndarray | np.generic
UNTRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


@dataclass(frozen=True, eq=False)
class Program:
    """A call of a function, traced: what it is of arrays, and what of it is no array."""

    closed: Any
    tree: Any
    fixed: tuple[Any, ...]
    places: dict[tuple[str, int], tuple[Place, Any]]

    def answer(self, found: list[Any]) -> Any:
        """Return the answer, of its arrays."""
        arrays = iter(found)
        leaves = [next(arrays) if leaf is ARRAYS else leaf for leaf in self.fixed]
        return jax.tree.unflatten(self.tree, leaves)


@dataclass(frozen=True)
class Site:
    """Where something may be planted: a function, and the k-th of a primitive or its answer."""

    name: str
    primitive: str
    number: int
    words: str


@dataclass(eq=False)
class Run:
    """A run of the test: which mutation is in it, and what is seen."""

    programs: dict[Any, Program] = field(repr=False)  # JAX may print a function that it compiles
    apart: bool = True  # whether calls are taken apart, as in `evaluate`
    site: Site | None = None
    beside: bool = False  # compute what f answers too
    found: dict[Site, list[tuple[Any, ...]]] = field(default_factory=dict, repr=False)
    heard: bool = False  # whether what is called is a callback, by its answer
    far: float = 0.0  # how far answers were from those of f

    def put(self, name: str, role: str, function: Any) -> Altered:
        """Return a function that asks here what to do."""
        return Altered(function, self, name, role)

    def call(self, altered: Altered, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call a function, as it is or with the mutation in it."""
        site = self.site
        if site is not None and site.name != altered.name:
            return altered.function(*args, **keywords)
        traced = self._traced(altered, args, keywords)
        if traced is None:
            return altered.function(*args, **keywords)
        program, arrays = traced
        if site is not None and site.primitive:
            return self._planted(site, program, arrays)
        answer = self._answer(program, arrays)
        if site is not None:
            return self._changed(site, altered, args, keywords, answer)
        self._enumerate(altered, program, args, answer)
        return answer

    def _answer(
        self, program: Program, arrays: list[Any], path: Place = (), run: Any = None
    ) -> Any:
        jaxpr, consts = program.closed.jaxpr, program.closed.consts
        return program.answer(evaluate(jaxpr, consts, arrays, path, run, apart=self.apart))

    def _planted(self, site: Site, program: Program, arrays: list[Any]) -> Any:
        place = program.places.get((site.primitive, site.number))
        if place is None:
            return self._answer(program, arrays)
        path, eqn = place
        which = [v for v in variants(eqn) if v.words == site.words]
        if not which or not fits(eqn, which[0]):
            return self._answer(program, arrays)
        found = self._answer(program, arrays, path, which[0].run)
        if self.beside:
            self.note(found, self._answer(program, arrays))
        return found

    def _changed(self, site: Site, altered: Altered, args: Any, keywords: Any, answer: Any) -> Any:
        def plain(*args: Any, **keywords: Any) -> Any:
            traced = self._traced(altered, args, keywords)
            return altered.function(*args, **keywords) if traced is None else self._answer(*traced)

        for change in changes(altered.role, args, answer):
            if change.words == site.words:
                found = change.run(plain, args, keywords)
                if _types(found) != _types(answer):
                    return answer
                if self.beside:
                    self.note(found, answer)
                return found
        return answer

    def _enumerate(self, altered: Altered, program: Program, args: Any, answer: Any) -> None:
        self.heard |= altered.role == "function" and is_heard(answer)
        for (primitive, number), (path, eqn) in program.places.items():
            for variant in variants(eqn):
                site = Site(altered.name, primitive, number, variant.words)
                seen = self.found.setdefault(site, [])
                if len(seen) < 3:
                    seen.append((variant, program, path, eqn))
        for change in changes(altered.role, args, answer):
            self.found.setdefault(Site(altered.name, "", 0, change.words), [(change,)])

    def _traced(self, altered: Altered, args: Any, keywords: Any) -> Any:
        leaves, tree = jax.tree.flatten((hold(altered.function), args, keywords))
        arrays = [leaf for leaf in leaves if _is_array(leaf)]
        fixed = tuple(ARRAYS if _is_array(leaf) else leaf for leaf in leaves)
        kinds = tuple(map(type, fixed)), tuple(map(jax.typeof, arrays))
        key = altered.name, tree, fixed, kinds, jax.config.read("jax_enable_x64")
        try:
            if key in self.programs:
                return self.programs[key], arrays
        except Exception:  # no hash, or an `==` that raises
            key = None
        made: list[Any] = []

        def flat(*arrays: Any) -> list[Any]:
            rest = iter(arrays)
            put = [next(rest) if leaf is ARRAYS else leaf for leaf in fixed]
            function, args, keywords = jax.tree.unflatten(tree, put)
            found, its_tree = jax.tree.flatten(release(function)(*args, **keywords))
            made[:] = [its_tree, tuple(ARRAYS if _is_array(leaf) else leaf for leaf in found)]
            return [leaf for leaf in found if _is_array(leaf)]

        try:
            closed = jax.make_jaxpr(flat)(*arrays)
        except UNTRACED:
            return None
        closed = ending(closed)
        places = {which: (path, eqn) for path, eqn, which in walk(closed.jaxpr)}
        program = Program(closed, made[0], made[1], places)
        if key is not None and not any(isinstance(c, Tracer) for c in closed.consts):
            self.programs[key] = program
        return program, arrays

    def note(self, found: Any, right: Any) -> None:
        """See an answer, and that of f."""
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(right), strict=True)
        far = [_apart(jnp.asarray(a), jnp.asarray(b)) for a, b in pairs if _is_array(a)]
        for one in far:
            if isinstance(one, Tracer):
                jax.debug.callback(self.see, one)
            else:
                self.see(one)

    def note_stop(self, stop: Any, instead: Any) -> None:
        """See a stop, and the one that came instead."""
        if self.beside:
            self.note(instead, jnp.asarray(stop) & jnp.ones_like(instead))

    def see(self, apart: Any) -> None:
        """See how far answers are apart."""
        self.far = max(self.far, float(np.max(apart)))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, ARRAYS) and getattr(leaf.dtype, "kind", "V") not in "OSUM"


def _types(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(np.shape(x), jnp.result_type(x)) for x in leaves]


def _apart(a: jax.Array, b: jax.Array) -> Any:
    """Return how far two arrays are apart, relative to the largest number of the second."""
    if is_key(a):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    if not a.size:
        return jnp.zeros(())
    same = a == b
    if jnp.issubdtype(a.dtype, np.floating):
        same &= jnp.signbit(a) == jnp.signbit(b)
    if jnp.issubdtype(a.dtype, np.inexact):
        same |= (a != a) & (b != b)
    wide = jnp.complex64 if jnp.iscomplexobj(a) else jnp.float32
    x, y = a.astype(wide), b.astype(wide)
    size = jnp.max(jnp.where(jnp.isfinite(y), jnp.abs(y), jnp.float32(0)))
    gap = jnp.where(same, jnp.float32(0), jnp.abs(x - y))
    gap = jnp.where(jnp.isnan(gap), jnp.float32(np.inf), gap)
    tiny = jnp.float32(1e-38)
    far = jnp.max(gap) / jnp.maximum(size, tiny)
    return jnp.where(jnp.all(same), jnp.float32(0), jnp.maximum(far, tiny))
