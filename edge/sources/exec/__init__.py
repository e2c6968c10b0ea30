"""The source `exec`: a program's output."""
