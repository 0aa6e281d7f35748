"""Keep numeric libraries to one thread; imported first in the process that workers are forked from.

The pool has as many workers as cores, and threads of a library inside them would only get in each
other's way. Libraries read these variables once, when they are loaded, so this module does its
work on import, and nothing but the fork server may import it.
"""

import os

__all__: list[str] = []

_VARIABLES = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

os.environ.update(dict.fromkeys(_VARIABLES, "1"))
