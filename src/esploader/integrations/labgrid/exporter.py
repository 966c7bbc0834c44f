"""labgrid's exporter, which serves ports of ours, too.

``python -m esploader.integrations.labgrid.exporter`` takes the words that ``labgrid-exporter``
takes. That knows its kinds of resources by a table and loads no other module, so what knows more
has to be a program of its own.
"""

from __future__ import annotations

from labgrid.remote import exporter

from esploader.integrations.labgrid.port_export import LOCAL_PORTS, EsploaderPortExport


def main() -> None:
    """Export until it is stopped, as labgrid does."""
    exporter.exports.update(dict.fromkeys(LOCAL_PORTS, EsploaderPortExport))
    exporter.main()


if __name__ == "__main__":
    main()
