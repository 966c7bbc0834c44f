"""What else is on a simulated chip: memory, eFuses, straps, watchdogs, UART."""
