"""Cleaning: flags that say which rule found what in which window, and handles without the flagged windows."""
