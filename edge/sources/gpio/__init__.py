"""The source `gpio`: lines of a GPIO chip."""
