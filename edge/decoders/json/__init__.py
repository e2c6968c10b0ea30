"""The decoder `json`: JSON texts."""
