"""What a device says of its own accord: reading it whatever becomes of the port, and its meaning.

:mod:`~esploader.device.console.console` has the port, :mod:`~esploader.device.console.text` makes
text of bytes that anybody may have chosen, :mod:`~esploader.device.console.backtraces` makes lines
of a program of the addresses in it.
"""
