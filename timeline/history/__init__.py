"""What is shown: the samples of a log and its archive, as they were and as they come."""
