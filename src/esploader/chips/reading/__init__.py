"""What the words of a chip mean."""
