"""The source `iio`: sensors that have a driver of the kernel's Industrial I/O subsystem."""
