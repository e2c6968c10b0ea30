"""Marks that are made on the device: by buttons, and from its shell."""
