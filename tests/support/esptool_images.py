"""esptool as a maker and reader of images: one process that is given many jobs.

Run as a program it is that process: a line of JSON for each job, and one for what came of it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, TypedDict

import attrs

from programs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator


class Answer(TypedDict):
    """What came of a job."""

    images: list[str | None] | None
    """In base64: what is mapped, where that is a file of its own, and the image."""

    error: str | None
    """What esptool says in place of an image."""

    text: str
    """All that it has printed."""


@attrs.frozen
class EsptoolImages:
    """The process."""

    _process: subprocess.Popen[str]

    def make(
        self, chip: str, elf: bytes, options: dict[str, bool | int | str]
    ) -> tuple[bytes | None, ...] | str:
        """Return the image of an ELF file, in front of it what is mapped, or an error."""
        answer = self._ask(
            {"chip": chip, "data": base64.b64encode(elf).decode(), "options": options}
        )
        if answer["images"] is None:
            return answer["error"] or "?"
        return tuple(
            None if image is None else base64.b64decode(image) for image in answer["images"]
        )

    def info(self, image: bytes, chip: str | None = None) -> str:
        """Return what is printed about an image."""
        answer = self._ask(
            {"chip": chip, "data": base64.b64encode(image).decode(), "options": None}
        )
        return answer["text"] + (answer["error"] or "")

    def _ask(self, job: object) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def esptool_images() -> Iterator[EsptoolImages]:
    """Start the process, and end it afterwards."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        yield EsptoolImages(process)


def _main() -> None:
    from esptool import cmds  # type: ignore[import-untyped]  # noqa: PLC0415 - only there

    answers = sys.stdout
    for line in sys.stdin:
        job = json.loads(line)
        data = base64.b64decode(job["data"])
        answer: Answer = {"images": None, "error": None, "text": ""}
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            try:
                if job["options"] is None:
                    cmds.image_info(data, job["chip"])
                else:
                    made = cmds.elf2image(data, job["chip"], None, **job["options"])
                    images = made if isinstance(made, tuple) else (made,)
                    answer["images"] = [
                        None if image is None else base64.b64encode(image).decode()
                        for image in images
                    ]
            except Exception as exc:  # noqa: BLE001 - a crash is an answer, too
                answer["error"] = f"{type(exc).__name__}: {exc}"
        answer["text"] = text.getvalue()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _main()
