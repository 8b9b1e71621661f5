"""What kevent costs, beside asyncio, uvloop and C.

python -m benchmarks.demo          an aiohttp application under load
python -m benchmarks.echo          CPU of an echo request, beside C on epoll
python -m benchmarks.syscalls      the system calls of an echo request
python -m benchmarks.instructions  its instructions in user space

Each explains itself with --help, takes any loop as [NAME=]MODULE:FACTORY and
ends with status 1 when an answer was wrong.
"""
