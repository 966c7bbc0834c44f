"""What the stub loader of a simulated chip does."""
