"""The operators' timeline: the labeling server, what it says to browsers, and its page."""
