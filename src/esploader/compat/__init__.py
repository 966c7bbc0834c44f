"""What stands in for other people's programs. Nothing is installed under their names."""
