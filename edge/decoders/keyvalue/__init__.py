"""The decoder `keyvalue`: lines of names and values."""
