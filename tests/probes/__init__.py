"""Behaviour of event loops, found out by running them.

    python -m tests.probes                 the whole table, into docs/behaviour.md
    python -m tests.probes NAME LOOP       one probe, in this process

Each probe runs in a process of its own: what hangs or dies is an answer, too.
"""
