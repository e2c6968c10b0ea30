"""What is marked: the marks of a log as they stand, and what a person may do to them."""
