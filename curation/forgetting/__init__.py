"""Erasing a device, a recording or a person from a dataset and its archives."""
