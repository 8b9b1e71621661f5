"""What kevent costs, beside asyncio, uvloop, other loops and C.

python -m benchmarks               every row on every loop (--quick: a few rows)
python -m benchmarks peers         install other loops, each into its own venv
python -m benchmarks report FILE   Markdown and pictures of a run
python -m benchmarks.demo          an aiohttp application under load
python -m benchmarks.echo          CPU of an echo request, beside C on epoll
python -m benchmarks.syscalls      the system calls of an echo request
python -m benchmarks.instructions  its instructions in user space
python -m benchmarks.inside        one loop from inside: handles, timers, tasks
python -m pytest benchmarks        the same, and queues, for pytest-benchmark

Each explains itself with --help, takes any loop as [NAME=]MODULE:FACTORY and
ends with status 1 when an answer was wrong.
"""
