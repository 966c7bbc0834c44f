"""What the ROM loader of a simulated chip does."""
