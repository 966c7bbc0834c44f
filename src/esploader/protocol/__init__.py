"""SLIP framing, packets and commands of the Espressif loaders. No I/O and no clock."""
