"""The log: ordered, partitioned, durable transport; `open_log` names one by URL."""
