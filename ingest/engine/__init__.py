"""Exactly once: an operator's output, state and position become visible in one atomic act."""
