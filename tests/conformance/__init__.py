"""CPython's own asyncio and selectors tests, on the stdlib and on kevent.

`python -m tests.conformance` runs the test package that ships with the running
interpreter twice and fails on every test that passes on the stdlib's event
loop and does not pass on ours.

bind.py    makes asyncio hand out the loop under test, and counts the loops
worker.py  runs one test module in one process and writes a line per test
run.py     starts the workers, survives their crashes and hangs, sorts flakes
report.py  compares the two sides, reads exclusions.txt, prints
samples.py loops that the harness itself is tried on
"""
