"""QUIC: aioquic on kevent's loop."""
from .conftest import needs


@needs("aioquic")
def test_aioquic(program):
    """aioquic's clients talk to its server: megabytes in datagrams."""
    program("aioquic_both.both")
