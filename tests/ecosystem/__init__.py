"""Packages from outside on the kevent loop, against real peers."""
