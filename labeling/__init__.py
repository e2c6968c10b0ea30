"""Labels on time ranges: marks as append-only events, what stands of them, and what they say about windows."""
