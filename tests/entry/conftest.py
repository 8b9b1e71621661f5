"""Each test leaves as many descriptors and threads as there were."""
import pytest

from ..aio.helpers import nothing_left


@pytest.fixture(autouse=True)
def guard():
    with nothing_left():
        yield
