"""nest_asyncio on kevent's loop."""
from .conftest import needs


@needs("nest_asyncio")
def test_nest_asyncio(program):
    """The loop runs within itself, three deep, and all works there."""
    program("nested.everything")
