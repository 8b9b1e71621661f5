"""What the pytest-benchmark suites share: which loops, and rooms in the table."""
import pytest

from benchmarks.lib import loops


def pytest_addoption(parser):
    parser.addoption("--loops", default=",".join(loops.DEFAULT),
                     help="loops to compare, as in python -m benchmarks")


def pytest_generate_tests(metafunc):
    if "loop_name" in metafunc.fixturenames:
        chosen = loops.parse_all(metafunc.config.getoption("--loops"))
        metafunc.parametrize("loop_name", [loop.name for loop in chosen])


@pytest.fixture
def factory(loop_name, request):
    """What makes the loop of this test; a loop that is not installed is skipped."""
    from benchmarks.servers.common import resolve

    chosen = loops.parse_all(request.config.getoption("--loops"))
    wanted = next(loop for loop in chosen if loop.name == loop_name)
    try:
        return resolve(wanted.factory)
    except (ImportError, AttributeError) as error:
        pytest.skip(f"{loop_name}: {error}")
