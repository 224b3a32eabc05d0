"""Callbacks, exact statistics and functional pipelines for JAX, inside jit, vmap and grad.

Three nouns, each with one way to combine and one do-nothing, and two verbs that run them.

A **callback** looks at a loop's state, may change it and may ask to stop. `iterate` folds callbacks
through one `lax.while_loop` (nothing here is one of JAX's host callbacks):

>>> import jax, jax.numpy as jnp
>>> import jfoundations as jf
>>> newton = lambda x: 0.5 * (x + 2.0 / x)
>>> run = lambda x: jf.iterate(newton, x, jf.callbacks.converged(rtol=1e-6), max_steps=50)
>>> result = jax.jit(run)(1.0)
>>> float(result.state), int(result.steps), result.reasons
(1.4142135381698608, 5, ('converged',))

Each lane of a `vmap` stops by itself:

>>> jax.vmap(run)(jnp.array([1.0, 100.0])).steps
Array([ 5, 11], dtype=int32)

A **fold** eats data and can be asked for its answer at any time. `fold` runs one over an array or a
stream of blocks, `combine` many in one pass:

>>> spread = jf.combine(mean=jf.folds.mean(), std=jf.folds.std())
>>> {k: float(v) for k, v in jf.fold(spread, jnp.array([1.0, 3.0])).items()}
{'mean': 2.0, 'std': 1.0}

`watch` joins the two: it feeds a fold with the states of a loop.

A **pipe** is named pure functions, one after another; as a loop's step, its stages are events:

>>> step = jf.Pipe(halve=lambda x: x / 2, shift=lambda x: x + 1.0)
>>> class Clip:
...     def after_halve(self, x):
...         return jnp.minimum(x, 1.0), False
>>> float(jf.iterate(step, 10.0, Clip(), max_steps=3).state)
2.0

`help(jf.Pipe)`, `help(jf.Fold)` and `help(jf.stop_when)` have the operators; `help(jf.lift)` says
what retraces. `jfoundations.guide` has pages to read, from ten minutes on. ARCHITECTURE.md, beside
this file, is the map for who wants to change something.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ._core.closures import lift
from ._core.save import load, save
from ._core.values import identity, partial
from ._folds.fold import Fold, combine
from ._loops.callback import Callback, chain, proceed
from ._loops.chunks import chunks
from ._loops.combinators import agree, every, stop_when, when
from ._loops.combined import Combined
from ._loops.implicit import Implicit
from ._loops.iterate import iterate, resume
from ._loops.result import LoopResult
from ._pipes.compose import compose, juxt
from ._pipes.learned import Learned
from ._pipes.pipe import Pipe
from ._pipes.reversible import Reversible
from ._running.fit import fit
from ._running.run import fold
from ._running.source import Source
from ._version import __version__ as __version__

__all__ = [
    "Callback",
    "Combined",
    "Fold",
    "Implicit",
    "Learned",
    "LoopResult",
    "Pipe",
    "Reversible",
    "Source",
    "agree",
    "as_scan_body",
    "callbacks",
    "chain",
    "chunks",
    "combine",
    "compose",
    "describe_loop",
    "diagnostics",
    "every",
    "executors",
    "filter_",
    "first",
    "fit",
    "fold",
    "folds",
    "guide",
    "identity",
    "iterate",
    "jackknife",
    "juxt",
    "lift",
    "load",
    "map_",
    "partial",
    "proceed",
    "replay",
    "records",
    "reduce",
    "resume",
    "rolling",
    "save",
    "segment",
    "stages",
    "stats",
    "stop_when",
    "sweep",
    "sweep_chunks",
    "take",
    "take_while",
    "watch",
    "when",
]

__docformat__ = "google"  # how the docstrings are to be read

if find_spec("hypothesis"):
    __all__ += ["testing"]

if TYPE_CHECKING:
    from . import callbacks as callbacks
    from . import diagnostics as diagnostics
    from . import executors as executors
    from . import folds as folds
    from . import guide as guide
    from . import stages as stages
    from . import stats as stats
    from . import testing as testing
    from ._folds.grouped import segment as segment
    from ._folds.reduced import reduce as reduce
    from ._folds.transducers import filter_ as filter_
    from ._folds.transducers import map_ as map_
    from ._folds.transducers import take as take
    from ._folds.transducers import take_while as take_while
    from ._folds.windows import rolling as rolling
    from ._loops.describe import describe_loop as describe_loop
    from ._loops.replay import first as first
    from ._loops.replay import replay as replay
    from ._loops.scan_body import as_scan_body as as_scan_body
    from ._loops.sweep import sweep as sweep
    from ._loops.sweep import sweep_chunks as sweep_chunks
    from ._running.jackknife import jackknife as jackknife
    from .callbacks import records as records
    from .callbacks import watch as watch
del TYPE_CHECKING, find_spec

# Imported when first asked for: `testing` needs an extra, and together these would treble what
# importing this package costs. Modules, and which names are theirs.
_LATE = {
    "_folds.grouped": ("segment",),
    "_folds.reduced": ("reduce",),
    "_folds.transducers": ("filter_", "map_", "take", "take_while"),
    "_folds.windows": ("rolling",),
    "_loops.describe": ("describe_loop",),
    "_loops.replay": ("first", "replay"),
    "_loops.scan_body": ("as_scan_body",),
    "_loops.sweep": ("sweep", "sweep_chunks"),
    "_running.jackknife": ("jackknife",),
    "callbacks": ("callbacks", "records", "watch"),
    **{
        name: (name,)
        for name in (*("diagnostics", "executors", "folds", "guide", "stages", "stats", "testing"),)
    },
}


def __getattr__(name: str) -> object:
    for module, names in _LATE.items():
        if name in names:
            import importlib

            found = importlib.import_module(f".{module}", __name__)
            return globals().setdefault(name, found if name == module else getattr(found, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_suggestion(name)}")


def _suggestion(name: str) -> str:
    """Return '; did you mean X?' for the public name nearest to one that there is not."""
    import importlib

    from ._core.checks import nearest_name

    if name.startswith("_"):  # before the rooms are imported
        return ""
    homes = {own: [own] for own in __all__}
    for room in ("callbacks", "diagnostics", "executors", "folds", "stages", "stats"):
        for inner in importlib.import_module(f".{room}", __name__).__all__:
            homes.setdefault(inner, []).append(f"{room}.{inner}")
    said = " or ".join(f"jfoundations.{home}" for home in homes.get(nearest_name(name, homes), ()))
    return said and f"; did you mean {said}?"


def __dir__() -> list[str]:
    return sorted({*globals(), *(name for names in _LATE.values() for name in names)})
