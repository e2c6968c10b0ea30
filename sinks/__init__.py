"""What carries the log on to other systems: sinks."""
