"""Datasets: opened, looked at, checked."""
