"""A process of its own that only sleeps, until its input is closed; then it
prints by how many seconds it was woken too late at most.

What it feels is the machine's doing, not the loop's.
"""
import select
import signal
import sys
import time

NAP_S = 0.005


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worst = 0.0
    ended = False
    while not ended:
        began = time.monotonic()
        ended = select.select([sys.stdin], [], [], NAP_S)[0]
        worst = max(worst, time.monotonic() - began - NAP_S)
    print(worst)


if __name__ == "__main__":
    main()
