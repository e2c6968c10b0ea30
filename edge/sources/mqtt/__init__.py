"""The source `mqtt`: a topic of a broker."""
