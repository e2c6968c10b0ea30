"""What was read and is not yet in the log, on this device's disk."""
