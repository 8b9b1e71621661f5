"""anyio on kevent's loop."""
from .conftest import needs


@needs("anyio")
def test_anyio(program):
    """Groups, threads, sockets of all kinds, processes and signals."""
    program("anyio_many.everything")
