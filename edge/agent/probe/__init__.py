"""What an unknown sensor says, found out by listening: the way from a port or a broker to an agent.toml."""
