"""The decoder `ubx`: fixes of u-blox receivers in their own protocol."""
