"""Where a fold runs over blocks. The bits are the same everywhere."""

from ._local import Local as Local
