"""How a device is on which an agent runs, or should: what is wrong, and what to do, in order."""
