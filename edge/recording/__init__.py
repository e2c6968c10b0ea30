"""Samples on their way to chunks: when they were taken, what was lost, which recording they belong to. Pure."""
