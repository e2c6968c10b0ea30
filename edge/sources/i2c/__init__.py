"""The source `i2c`: a part on an I2C bus that has no kernel driver, described by a file of its registers."""
