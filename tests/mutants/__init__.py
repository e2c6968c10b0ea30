"""Wrong versions of our own code, each with the tests that must see it: `make mutants`."""
