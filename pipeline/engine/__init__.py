"""Maps a function over many items, in this process or in worker processes, and shows how far it is."""

from pipeline.engine.backends import BLAS_THREADS, Backend, Shared
from pipeline.engine.context import Context
from pipeline.engine.mapping import map
