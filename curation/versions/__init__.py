"""Versions of datasets: made, compared, listed."""
