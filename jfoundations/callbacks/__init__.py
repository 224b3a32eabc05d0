"""The callbacks every loop needs, pure and composable, inside jit and vmap.

`of` is a function of the state: what to look at. Numbers such as a patience or a tolerance are
pytree leaves, so that a sweep over them is one trace and may be vmapped.
"""

from ._best import Best as Best
from ._best import best as best
from ._history import History as History
from ._history import history as history
from ._stopping import converged as converged
from ._stopping import early_stopping as early_stopping
from ._stopping import terminate_on_nonfinite as terminate_on_nonfinite
from ._watch import watch as watch
