"""The decoder `binary`: packed records."""
