"""What a dataset was to become, how far it is, what is missing from it, and a page that shows it."""
