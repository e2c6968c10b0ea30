"""Files that say themselves what is in them: which signals, at which times, in which units."""
