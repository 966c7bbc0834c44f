"""What other people's programs find this library by. Each is optional, and thin."""
