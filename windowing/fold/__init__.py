"""The fold of records into windows. Pure."""
