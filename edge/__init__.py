"""The edge agent: sensors in, chunks out, nothing lost in between."""
