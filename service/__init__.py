"""What founds and runs the operators of a dataset."""
