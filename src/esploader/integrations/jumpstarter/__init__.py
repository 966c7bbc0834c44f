"""A driver for jumpstarter: an exporter has the board, and its client flashes it from afar.

An exporter imports :mod:`~esploader.integrations.jumpstarter.driver`, a client imports
:mod:`~esploader.integrations.jumpstarter.client`; the other modules need no jumpstarter.
"""
