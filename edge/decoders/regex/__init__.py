"""The decoder `regex`: lines of any form, by a regular expression."""
