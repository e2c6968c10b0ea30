"""The contract that every part shares: records, wire format, logs and the exactly-once engine."""
