"""Makes docs/schemas: what each command prints with ``--json``, as JSON Schema.

``python tests/support/json_schemas.py`` writes them; run it after a change to a document.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from esploader.fleet import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esploader.commands.output import Json

FOLDER: Final = Path(__file__).parents[2] / "docs" / "schemas"

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TEXT: Final[Json] = {"type": "string"}
TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
NUMBER: Final[Json] = {"type": "integer", "minimum": 0}
NUMBER_OR_NULL: Final[Json] = {"type": ["integer", "null"], "minimum": 0}
SECONDS: Final[Json] = {"type": "number", "minimum": 0, "description": "seconds"}
YES_OR_NO: Final[Json] = {"type": "boolean"}
MAC: Final[Json] = {"type": "string", "pattern": "^([0-9a-f]{2}:){5}[0-9a-f]{2}$"}
EUI64: Final[Json] = {"type": ["string", "null"], "pattern": "^([0-9a-f]{2}:){7}[0-9a-f]{2}$"}
SHA256: Final[Json] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def of(properties: Mapping[str, Json], optional: Mapping[str, Json] | None = None) -> Json:
    """Return the schema of an object with these properties, and perhaps the optional ones."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": [*properties],
        "additionalProperties": False,
    }


def list_of(items: Json) -> Json:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def one_of(*values: str | None) -> Json:
    """Return the schema of a word of these; ``None`` stands for null."""
    return {"enum": [*values]}


def by_name(values: Json) -> Json:
    """Return the schema of an object whose keys are names."""
    return {"type": "object", "additionalProperties": values}


LOCAL_PORT: Final = of(
    {
        "device": TEXT,
        "description": TEXT,
        "vid": NUMBER_OR_NULL,
        "pid": NUMBER_OR_NULL,
        "serial_number": TEXT_OR_NULL,
        "location": TEXT_OR_NULL,
    }
)
REMOTE_PORT: Final = of(
    {
        "name": TEXT,
        "url": TEXT,
        "tcp_port": NUMBER,
        "watch_url": TEXT_OR_NULL,
        "device": TEXT_OR_NULL,
        "missing": TEXT_OR_NULL,
        "holder": TEXT_OR_NULL,
    }
)
FOUND_SERVER: Final = of(
    {
        "name": TEXT,
        "url": TEXT,
        "version": TEXT_OR_NULL,
        "has_tls": YES_OR_NO,
        "ports": list_of(REMOTE_PORT),
        "failure": TEXT_OR_NULL,
    }
)
SERVING: Final = of(
    {
        "urls": by_name(TEXT),
        "watch_urls": by_name(TEXT),
        "directory_port": NUMBER_OR_NULL,
        "status_url": TEXT_OR_NULL,
    }
)
RELOADED: Final = of(
    {
        "reload": of(
            {
                name: list_of(TEXT)
                for name in (
                    "added",
                    "removed",
                    "restarted",
                    "kept",
                    "missing",
                    "settings",
                    "needs_restart",
                )
            }
        )
    }
)
RANGES: Final = list_of(of({"start": NUMBER, "end": NUMBER}))
TEXTS: Final = list_of(TEXT)
WARNINGS: Final[dict[str, Json]] = {"warnings": TEXTS}

ERROR: Final[dict[str, Json]] = {
    "error": of({"class": TEXT, "message": TEXT, "code": NUMBER}),
    **WARNINGS,
}

DEVICE: Final[dict[str, Json]] = {"port": TEXT, "chip": TEXT}
IDENTITY: Final[dict[str, Json]] = {
    **DEVICE,
    "description": TEXT,
    "revision": TEXT_OR_NULL,
    "features": TEXTS,
    "crystal_mhz": NUMBER,
    "usb_mode": one_of("USB-Serial/JTAG", "USB-OTG", None),
    "mac": MAC,
    "eui64": EUI64,
}
SECRETIVE: Final[dict[str, Json]] = {**DEVICE, "secure_download_mode": {"const": True}}
"""A device in Secure Download Mode does not tell more."""

FLASH: Final = of(
    {
        "manufacturer": NUMBER,
        "manufacturer_name": TEXT_OR_NULL,
        "device": NUMBER,
        "device_name": TEXT_OR_NULL,
        "size": NUMBER_OR_NULL,
        "data_lines": NUMBER_OR_NULL,
        "millivolts": NUMBER_OR_NULL,
        "voltage_source": TEXT_OR_NULL,
    }
)
SECURITY_INFO: Final = of(
    {
        "flags": NUMBER,
        "flag_names": TEXTS,
        "key_purposes": TEXTS,
        "chip_id": NUMBER_OR_NULL,
        "api_version": NUMBER_OR_NULL,
        "secure_boot": YES_OR_NO,
        "flash_encryption": YES_OR_NO,
        "secure_download_mode": YES_OR_NO,
        "flash_crypt_count": NUMBER,
    }
)
EFUSE_VALUE: Final[Json] = {
    "anyOf": [NUMBER, {"type": "string", "pattern": "^0x[0-9a-f]+$"}],
    "description": "hexadecimal text where it has more than 32 bits",
}
EFUSE: Final = of(
    {
        "block": TEXT,
        "positions": list_of(of({"block": TEXT, "first": NUMBER, "width": NUMBER})),
        "value": EFUSE_VALUE,
        "meaning": TEXT,
        "read_protected": YES_OR_NO,
        "write_protected": YES_OR_NO,
    }
)
EFUSE_BLOCK: Final = of(
    {"words": list_of(NUMBER), "read_protected": YES_OR_NO, "write_protected": YES_OR_NO}
)
HEADER: Final[Json] = {
    "anyOf": [
        {"type": "null"},
        of(
            {
                "offset": NUMBER,
                "mode": TEXT_OR_NULL,
                "frequency": TEXT_OR_NULL,
                "size": TEXT_OR_NULL,
                "changed": YES_OR_NO,
                "digest_renewed": YES_OR_NO,
            }
        ),
    ]
}
REGION: Final[dict[str, Json]] = {
    "offset": NUMBER,
    "size": NUMBER,
    "written": NUMBER,
    "sent": NUMBER,
    "restarts": NUMBER,
    "verified": YES_OR_NO,
    "seconds": SECONDS,
    "warnings": TEXTS,
}
INPUT: Final[dict[str, Json]] = {"name": TEXT_OR_NULL, "offset": NUMBER, "size": NUMBER}
WRITTEN: Final = of({**REGION, "inputs": list_of(of(INPUT))})
PLAN: Final[dict[str, Json]] = {
    "plan": list_of(of({"offset": NUMBER, "size": NUMBER, "encrypted": YES_OR_NO})),
    "uncovered": RANGES,
    "starts_stub": YES_OR_NO,
    "erase_all": YES_OR_NO,
    "compress": {"type": ["boolean", "null"]},
    "header": HEADER,
}
ERASED: Final = of(
    {
        "offset": NUMBER,
        "size": NUMBER,
        "restarts": NUMBER,
        "verified": YES_OR_NO,
        "seconds": SECONDS,
        "warnings": TEXTS,
    }
)
PARTITION: Final = of(
    {
        "name": TEXT,
        "type": TEXT,
        "subtype": TEXT,
        "offset": NUMBER,
        "size": NUMBER,
        "flags": TEXTS,
    }
)
FREE: Final[Json] = {
    "anyOf": [{"type": "null"}, list_of(of({"offset": NUMBER, "size": NUMBER}))],
    "description": "null where the size of the flash is not known",
}
PARTITION_TABLE: Final[dict[str, Json]] = {
    "table_offset": NUMBER,
    "has_md5": YES_OR_NO,
    "flash_size": NUMBER_OR_NULL,
    "partitions": list_of(PARTITION),
    "free": FREE,
}
OTADATA: Final[Json] = {
    "anyOf": [
        {"type": "null"},
        list_of(of({"sequence": NUMBER, "state": TEXT, "valid": YES_OR_NO})),
    ]
}
BOOT_CHOICE: Final[dict[str, Json]] = {
    "boots": TEXT_OR_NULL,
    "next_update": TEXT_OR_NULL,
    "otadata": OTADATA,
    "boot_changed": {
        "type": ["boolean", "null"],
        "description": "whether anything had to be written for --boot; null without it",
    },
}
STUBS: Final = list_of(of({"name": TEXT, "sha256": SHA256, "versions": TEXTS}))

REVISION: Final[Json] = {"type": "string", "pattern": "^v[0-9]+\\.[0-9]+$"}
EXTENDED: Final = of(
    {
        "wp_pin": NUMBER,
        "drives": list_of(NUMBER),
        "chip_id": NUMBER,
        "minimum_revision": REVISION,
        "maximum_revision": REVISION,
        "legacy_minimum_revision": NUMBER,
    }
)
APPLICATION: Final = of(
    {
        "project": TEXT,
        "version": TEXT,
        "date": TEXT,
        "time": TEXT,
        "idf_version": TEXT,
        "elf_sha256": SHA256,
        "minimum_efuse_revision": REVISION,
        "maximum_efuse_revision": REVISION,
        "mmu_page_size": NUMBER_OR_NULL,
        "secure_version": NUMBER,
    }
)
BOOTLOADER: Final = of({"version": NUMBER, "idf_version": TEXT, "compiled": TEXT})
NOTHING: Final[Json] = {"type": "null"}
SEGMENT: Final = of({"address": NUMBER, "offset": NUMBER, "size": NUMBER, "memory": TEXTS})
IMAGES: Final = list_of(
    of(
        {
            "offset": NUMBER,
            "size": NUMBER,
            "chip": TEXT,
            "version": NUMBER,
            "entry": NUMBER,
            "flash_size": TEXT,
            "flash_frequency": TEXT,
            "flash_mode": TEXT,
            "extended": {"anyOf": [EXTENDED, NOTHING]},
            "segments": list_of(SEGMENT),
            "checksum": NUMBER,
            "checksum_valid": YES_OR_NO,
            "digest": {"anyOf": [SHA256, NOTHING]},
            "digest_valid": {"type": ["boolean", "null"]},
            "application": {"anyOf": [APPLICATION, NOTHING]},
            "bootloader": {"anyOf": [BOOTLOADER, NOTHING]},
        }
    )
)

BUILD: Final = of(
    {
        "tool": TEXT,
        "folder": TEXT,
        "chip": TEXT_OR_NULL,
        "parts": list_of(
            of({"name": TEXT, "partition": TEXT_OR_NULL, "offset": NUMBER, "file": TEXT_OR_NULL})
        ),
    }
)

OPEN_COMMANDS: Final = frozenset(
    {"get-security-info", "write-flash", "flash", "erase-region", "run"}
)
"""Those that work in Secure Download Mode, too."""

ON_DEVICE: Final[dict[str, list[dict[str, Json]]]] = {
    "flash-id": [{"flash": FLASH}],
    "chip-id": [{"chip_id": NUMBER_OR_NULL}],
    "read-mac": [{}],
    "get-security-info": [{"security_info": SECURITY_INFO}],
    "write-flash": [{"written": list_of(WRITTEN), "header": HEADER}, PLAN],
    "flash": [
        {"build": BUILD, "written": list_of(WRITTEN), "header": HEADER},
        {"build": BUILD, **PLAN},
    ],
    "verify-flash": [{"differences": RANGES}],
    "read-flash": [{"read": of({"offset": NUMBER, "size": NUMBER, "file": TEXT})}],
    "erase-flash": [{"erased": ERASED}],
    "erase-region": [{"erased": ERASED}],
    "partition-table": [{**PARTITION_TABLE, **BOOT_CHOICE}],
    "read-flash-status": [{"status": NUMBER}],
    "write-flash-status": [{"status": NUMBER, "status_before": NUMBER}],
    "read-flash-sfdp": [{"offset": NUMBER, "data": TEXT}],
    "read-mem": [{"address": NUMBER, "value": NUMBER}],
    "write-mem": [{"address": NUMBER, "value": NUMBER, "mask": NUMBER}],
    "dump-mem": [{"read": of({"address": NUMBER, "size": NUMBER, "file": TEXT})}],
    "load-ram": [{"loaded": TEXT}],
    "run": [{"way": one_of("soft-reset", "watchdog-reset")}],
    "efuse-summary": [{"efuses": by_name(EFUSE)}],
    "image-info": [{"images": IMAGES}],
}
"""What each command adds to what is told of the device; some have two documents."""

MERGED: Final = of(
    {
        "file": TEXT,
        "format": one_of("raw", "uf2", "hex"),
        "size": NUMBER,
        "offset": NUMBER,
        "inputs": list_of(of({"name": TEXT, "offset": NUMBER, "size": NUMBER})),
        "header_changed": YES_OR_NO,
    }
)
SERVED: Final = of({"name": TEXT, "chip": TEXT, "urls": by_name(TEXT)})
DIFFERENT_ROW: Final = of(
    {
        "row": NUMBER,
        "name": TEXT,
        "recorded": TEXT_OR_NULL,
        "simulated": TEXT_OR_NULL,
        "problem": TEXT_OR_NULL,
    }
)
RECORDED_INPUTS: Final = list_of(of({**INPUT, "sha256": SHA256, "encrypted": YES_OR_NO}))
MOMENT: Final[Json] = {"type": "string", "format": "date-time", "pattern": r"\+00:00$"}
RECORD_ENTRY: Final[dict[str, Json]] = {
    "schema": {"const": 1},
    "esploader": TEXT,
    "started": {"anyOf": [MOMENT, NOTHING]},
    "ended": {"anyOf": [MOMENT, NOTHING]},
    "seconds": SECONDS,
    "result": one_of(*(status.value for status in Status)),
    "label": TEXT,
    "port": TEXT,
    "chip": TEXT_OR_NULL,
    "revision": TEXT_OR_NULL,
    "mac": {"anyOf": [MAC, NOTHING]},
    "flash": {"anyOf": [of({"id": NUMBER, "size": NUMBER_OR_NULL}), NOTHING]},
    "inputs": RECORDED_INPUTS,
    "device_inputs": RECORDED_INPUTS,
    "regions": list_of(of(REGION)),
    "verified": YES_OR_NO,
    "attempts": NUMBER,
    "hung": YES_OR_NO,
    "warnings": TEXTS,
    "error_class": TEXT_OR_NULL,
    "error_message": TEXT_OR_NULL,
    "verdict_failure": TEXT_OR_NULL,
    "fields": by_name(TEXT),
}
"""Of a line in a record: all of its keys are there, always."""
RECORD: Final[Json] = {
    "$schema": DIALECT,
    "title": "a line of a record of esploader fleet",
    "anyOf": [of(RECORD_ENTRY)],
}
STATUS_CLIENT: Final[dict[str, Json]] = {"address": TEXT, "who": TEXT_OR_NULL}
STATUS_BYTES: Final[dict[str, Json]] = {
    "to_device_bytes": NUMBER,
    "to_client_bytes": NUMBER,
    "resets": NUMBER,
}
STATUS_PORT: Final = of(
    {
        "name": TEXT,
        "url": TEXT,
        "tcp_port": NUMBER,
        "watch_port": NUMBER_OR_NULL,
        "protocol": one_of("rfc2217", "raw"),
        "device": TEXT_OR_NULL,
        "usb": {
            "anyOf": [
                of(
                    {
                        "vid": NUMBER_OR_NULL,
                        "pid": NUMBER_OR_NULL,
                        "serial_number": TEXT_OR_NULL,
                        "location": TEXT_OR_NULL,
                        "description": TEXT,
                    }
                ),
                NOTHING,
            ]
        },
        "missing": TEXT_OR_NULL,
        "baudrate": NUMBER_OR_NULL,
        "can_reset": YES_OR_NO,
        "holder": {
            "anyOf": [
                of(
                    {
                        **STATUS_CLIENT,
                        "since": MOMENT,
                        **STATUS_BYTES,
                        "gates": NUMBER,
                        "failures": NUMBER,
                    }
                ),
                NOTHING,
            ]
        },
        "waiting": list_of(of({**STATUS_CLIENT, "since": MOMENT, "takes_over": YES_OR_NO})),
        "listening": list_of(of(STATUS_CLIENT)),
        "watcher_count": NUMBER,
        "total": of({**STATUS_BYTES, "clients": NUMBER, "refusals": NUMBER, "losses": NUMBER}),
        "last_error": {"anyOf": [of({"text": TEXT, "at": MOMENT}), NOTHING]},
    }
)
STATUS: Final[Json] = {
    "$schema": DIALECT,
    "title": "status.json of the status page of esploader serve",
    **cast(
        "dict[str, Json]",
        of(
            {
                "schema": {"const": 1},
                "esploader": TEXT,
                "host": TEXT,
                "started": MOMENT,
                "can_change": YES_OR_NO,
                "ports": list_of(STATUS_PORT),
                "now": MOMENT,
            }
        ),
    ),
}
FILES: Final[dict[str, Json]] = {"record-of-fleet": RECORD, "status": STATUS}
"""Of what is written into files, and told by other ways than ``--json``."""

OTHERS: Final[dict[str, Json]] = {
    "elf2image": of(
        {
            "chip": TEXT,
            "files": list_of(of({"file": TEXT, "size": NUMBER, "offset": NUMBER_OR_NULL})),
            "joined": NUMBER,
            "remarks": TEXTS,
            **WARNINGS,
        }
    ),
    "ports": {"anyOf": [list_of(LOCAL_PORT), list_of(REMOTE_PORT), list_of(FOUND_SERVER)]},
    "version": of({"version": TEXT}),
    "merge-bin": of({"merged": MERGED, **WARNINGS}),
    "fleet": of(
        {
            "boards": list_of(of(RECORD_ENTRY, {"plan": of(PLAN)})),
            "stopped": TEXT_OR_NULL,
            **WARNINGS,
        }
    ),
    "serve": {"anyOf": [SERVING, RELOADED]},
    "sim-serve": of({"devices": list_of(SERVED)}),
    "sim-check": list_of(of({"file": TEXT, "rows": NUMBER, "differences": list_of(DIFFERENT_ROW)})),
    "stub-install": of(
        {"from": TEXT, "version": TEXT, "licence": TEXT_OR_NULL, "folder": TEXT, "stubs": STUBS}
    ),
    "stub-list": of({"folder": TEXT, "stubs": STUBS}),
    "stub-remove": of({"folder": TEXT, "removed": TEXTS}),
}


def schemas() -> dict[str, Json]:
    """Return the schema of every command that knows ``--json``, by its name with hyphens."""
    found: dict[str, Json] = {}
    for command, results in ON_DEVICE.items():
        devices = [IDENTITY, SECRETIVE] if command in OPEN_COMMANDS else [IDENTITY]
        optional: dict[str, Json] = {}
        if command == "efuse-summary":
            optional = {"efuse_blocks": by_name(EFUSE_BLOCK)}
        done = [
            of({**device, **result, **WARNINGS}, optional)
            for device in devices
            for result in results
        ]
        if command == "image-info":
            done.append(of({"file": TEXT, "images": IMAGES, **WARNINGS}))
        if command == "partition-table":
            done.append(of({"file": TEXT, **PARTITION_TABLE, **WARNINGS}))
        found[command] = _schema(command, *done)
    return {**found, **{command: _schema(command, done) for command, done in OTHERS.items()}}


def _schema(command: str, *done: Json) -> Json:
    differences: dict[str, Json] = {"differences": RANGES} if command == "verify-flash" else {}
    return {
        "$schema": DIALECT,
        "title": f"esploader {command.replace('sim-', 'sim ').replace('stub-', 'stub ')} --json",
        "anyOf": [*done, of(ERROR, differences)],
    }


def text_of(schema: Json) -> str:
    """Return a schema as it is written."""
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    for path in FOLDER.glob("*.json"):
        path.unlink()
    FOLDER.mkdir(exist_ok=True)
    for name, schema in {**schemas(), **FILES}.items():
        (FOLDER / f"{name}.json").write_text(text_of(schema), encoding="utf-8")
