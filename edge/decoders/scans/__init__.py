"""The decoder `scans`: rows of sources that have no bytes of a sensor's, but the kernel's own records."""
