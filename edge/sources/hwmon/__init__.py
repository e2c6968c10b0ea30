"""The source `hwmon`: temperatures, voltages, fans and powers that the kernel watches."""
