"""What the facts of a chip are made of."""
