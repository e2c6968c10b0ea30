"""Debian's kernel in a virtual machine, with devices that no real machine here has."""
