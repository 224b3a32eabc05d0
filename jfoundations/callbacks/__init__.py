"""The callbacks every loop needs, pure and composable, inside jit and vmap.

`of` is a function of the state: what to look at. Numbers such as a patience or a tolerance are
pytree leaves, so that a sweep over them is one trace and may be vmapped.

Some stop the loop, and are joined by `|`, `&` and `~` (as are `stop_when`, `when` and `every`):
`early_stopping`, `converged`, `until`, `terminate_on_nonfinite`, `rollback_on_nonfinite`,
`spike_guard`. Some steer it: the last two, `reduce_on_plateau`, `schedule`, and any function, such
as the projection `lambda x: (jnp.clip(x, 0, 1), False)`. Some record it: `history`, `best`, `ema`,
`watch`, `snapshots`; `records` gives what they hold as rows. `after` and `once` say when others
listen, `swap` to what; `jfoundations.Combined` makes such a combinator of your own.

>>> import jfoundations as jf
>>> loss = lambda x: (x - 3.0) ** 2
>>> rested = jf.callbacks.early_stopping(loss, patience=3, min_delta=1e-3)
>>> late = jf.callbacks.after(5, lambda x: (x, True))
>>> descend = lambda x: x - 0.4 * 2 * (x - 3.0)
>>> result = jf.iterate(descend, 0.0, rested & late, jf.callbacks.best(loss), max_steps=99)
>>> result.reasons, int(result.steps)
(('early_stopping & lambda',), 6)
"""

from .._core.checks import suggest_nearest as _suggest_nearest
from .._loops.combinators import after, once
from . import schedules
from ._best import Best, best
from ._ema import Ema, ema
from ._history import History, history
from ._plateau import reduce_on_plateau
from ._records import records
from ._rollback import rollback_on_nonfinite
from ._schedule import schedule
from ._snapshots import Snapshots, snapshots
from ._spikes import spike_guard
from ._stopping import converged, early_stopping, terminate_on_nonfinite
from ._swap import swap
from ._until import until
from ._watch import watch

__all__ = [
    "Best",
    "Ema",
    "History",
    "Snapshots",
    "after",
    "best",
    "converged",
    "early_stopping",
    "ema",
    "history",
    "once",
    "records",
    "reduce_on_plateau",
    "rollback_on_nonfinite",
    "snapshots",
    "schedule",
    "schedules",
    "spike_guard",
    "swap",
    "terminate_on_nonfinite",
    "until",
    "watch",
]

_suggest_nearest(globals())
