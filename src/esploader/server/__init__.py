"""An RFC 2217 port server for any transport."""
