"""What comes through the log while the agent runs: configurations, and commands for sensors."""
