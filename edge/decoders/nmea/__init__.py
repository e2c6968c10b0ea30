"""The decoder `nmea`: sentences of a GPS receiver."""
