"""The thin shell: sources through decoders and recorders into the spool, the spool into the log, and what it says."""
