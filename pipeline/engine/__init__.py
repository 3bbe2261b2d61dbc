"""Maps a function over many items, in this process or in worker processes, and shows how far it is."""

from pipeline.engine.backends import BLAS_THREADS, Shared
from pipeline.engine.context import Context, map
