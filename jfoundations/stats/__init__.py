"""Statistics of arrays: stable, exact where exactness is possible, under every transform.

Array-API keywords (`axis`, `keepdims`, `correction=0`). The same statistics as mergeable values are
in `jfoundations.folds`, from the same kernel.
"""

from ._basic import corr as corr
from ._basic import cov as cov
from ._basic import mean as mean
from ._basic import mean_abs_dev as mean_abs_dev
from ._basic import std as std
from ._basic import var as var
from ._count import Count as Count
