"""The source `modbus`: registers, coils and inputs of a device, polled."""
