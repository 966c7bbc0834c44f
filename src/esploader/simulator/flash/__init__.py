"""The flash chip of a simulated device."""
