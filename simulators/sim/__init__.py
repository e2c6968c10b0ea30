"""Deterministic simulation: one seed owns schedule, clock, log and a file system that forgets what was not fsynced.

`loop` runs coroutines on virtual time, `faults` says what goes wrong and when, `files` and `log` are the world that
the code under test sees. The idea is FoundationDB's and TigerBeetle's: a run that fails is a number that repeats it.
"""
