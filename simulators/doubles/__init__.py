"""Doubles of an agent's surroundings: a source that is fed by hand, a log in memory that can be away, a broker that
does what a script says, an agent between them, and the check suites that every source and decoder must pass.

Who writes a source or a decoder tests it with these, as this project's own are tested (`simulators/README.md`).
"""
