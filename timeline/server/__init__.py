"""The process that browsers reach: routes over HTTP, who comes in, and what strangers may take up."""
