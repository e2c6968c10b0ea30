"""Recordings out of a log, as files that others read: `sensorloom export recording`."""
