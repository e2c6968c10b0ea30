"""The decoder `w1`: what the kernel says of 1-Wire thermometers; the source `onewire` brings it."""
