"""What is done to the flash of a device."""
