"""The source `serial`: a serial port."""
