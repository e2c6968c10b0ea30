"""Datasets as other tools read them: what goes out, in which format, under which names, checked before it is given."""
