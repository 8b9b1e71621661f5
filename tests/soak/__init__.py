"""Mixed random use for a long time: nothing is lost, nothing is left.

`python -m tests.soak --seconds 300 --seed 7` (or `make soak`).  Every decision
is drawn from the seed; what the scheduler makes of them is not.

    ledger.py   what was promised to run, and did
    census.py   what the process holds between two rounds
    lateness.py how late the loop does what is due
    bystander.py  a process that feels only the machine
    world.py    one round: servers, the random choice, interrupts, the quiet end
    actors.py   what programs do, one coroutine function each
    __main__.py rounds until the time is up, then the verdict
"""
