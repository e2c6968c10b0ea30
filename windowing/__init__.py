"""Streams to training windows: the grid, the windower, shards and datasets."""
