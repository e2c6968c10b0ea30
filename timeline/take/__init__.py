"""A range taken out as a file."""
