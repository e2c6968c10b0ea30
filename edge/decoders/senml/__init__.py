"""The decoder `senml`: Sensor Measurement Lists."""
