"""The decoder `csv`: lines of separated numbers."""
