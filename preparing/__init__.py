"""Between a dataset and a model: what is done to windows on the way, each with its numbers, none of it in silence."""
