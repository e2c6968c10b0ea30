"""The source `gpsd`: reports of a GPS daemon."""
