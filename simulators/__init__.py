"""Simulated worlds: virtual sensors with known truth, and a log, files and a clock that a seed owns."""
