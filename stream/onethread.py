"""Tell numeric libraries how to work; imported first in the process that workers are forked from.

The pool has as many workers as cores, and threads of a library inside them would only get in each
other's way. Of numba's variables those stay that say where machine code is kept and for which
processor it is made; with others, which somebody may have set to look for a fault, kernels would be
a hundred times slower. Libraries read these variables once, when they are loaded, so this module
does its work on import, and nothing but the fork server may import it.
"""

import gc
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

_NUMBA_MAY_KNOW = (
    "NUMBA_CACHE_DIR",
    "NUMBA_CACHE_LOCATOR_CLASSES",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
)

for _name in [name for name in os.environ if name.startswith("NUMBA_")]:
    if _name not in _NUMBA_MAY_KNOW:
        del os.environ[_name]
os.environ.update(dict.fromkeys(_VARIABLES, "1"))

gc.disable()  # until all is loaded (`stream.warmed`): a tenth of the start, and nothing to collect
