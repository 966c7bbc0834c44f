"""An RFC 2217 port server for any transport."""

from __future__ import annotations

from esploader.server.serve import Server

__all__ = ["Server"]
