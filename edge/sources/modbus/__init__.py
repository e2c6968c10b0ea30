"""The source `modbus`: registers of a device, polled."""
