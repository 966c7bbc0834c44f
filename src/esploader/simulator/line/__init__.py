"""The line to a simulated device, and what goes wrong on it."""
