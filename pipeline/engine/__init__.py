"""Maps a function over many items, in this process or in worker processes, and shows how far it is."""

from pipeline.engine.backends import Backend, Shared
from pipeline.engine.context import BLAS_THREADS, Context
from pipeline.engine.mapping import map

__all__ = ["BLAS_THREADS", "Backend", "Context", "Shared", "map"]
