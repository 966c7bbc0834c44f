"""The chips, as data: one module a chip, and the registry of them all."""
