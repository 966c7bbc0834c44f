"""The one place where protocol bytes meet a transport."""
