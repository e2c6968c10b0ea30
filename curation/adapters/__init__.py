"""Handles as the inputs of training libraries: thin, and each library is imported by who asks for its adapter alone."""
