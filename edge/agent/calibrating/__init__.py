"""Calibrations: what a sensor says while it is still at what is known, and what follows from that."""
