"""The source `replay`: a recorded file."""
