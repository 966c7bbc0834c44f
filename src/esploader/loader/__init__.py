"""Reaching a loader, resetting it, its stub, and the link that survives trouble."""
