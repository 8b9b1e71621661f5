"""Book-keeping of callbacks: each runs once, or was cancelled and never runs.

What the loop calls is a method of a C type (`deque.append`), so that an
interrupt cannot fall between the call and the entry in the book.
"""
import collections
import itertools


class Ledger:
    """Tokens that are owed, cancelled, and those that came."""

    def __init__(self):
        self._numbers = itertools.count(1)
        self._owed = {}                    # token: what was promised
        self._cancelled = {}
        self._excused = set()
        self._came = collections.deque()
        self.came = self._came.append      # give this and a token to the loop
        self.kept = collections.Counter()  # what: how often
        self.wrong = []                    # sentences

    def promise(self, what):
        """A token that must reach `came` exactly once."""
        token = next(self._numbers)
        self._owed[token] = what
        return token

    def cancel(self, token, cancel):
        """Calls cancel(); from then on the token may not come any more."""
        self.settle()
        cancel()
        if token in self._owed:
            self._cancelled[token] = self._owed.pop(token)

    def excuse(self, token):
        """The token need not come any more, but may."""
        self.settle()
        if self._owed.pop(token, None) is not None:
            self._excused.add(token)

    def settle(self):
        """Enters what came into the book."""
        while self._came:
            token = self._came.popleft()
            what = self._owed.pop(token, None)
            if what is not None:
                self.kept[what] += 1
            elif token in self._excused:
                self._excused.discard(token)
            elif token in self._cancelled:
                self.wrong.append(
                    f"ran though cancelled: {self._cancelled[token]}")
            else:
                self.wrong.append(f"token {token} came twice, or uncalled for")

    def owes(self):
        """How many promises have not been kept yet."""
        self.settle()
        return len(self._owed)

    def close(self):
        """A round has ended: what is owed now is lost."""
        self.settle()
        lost = collections.Counter(self._owed.values())
        self.wrong += [f"{count} lost: {what}" for what, count in lost.items()]
        self._owed.clear()
        self._cancelled.clear()
        self._excused.clear()
