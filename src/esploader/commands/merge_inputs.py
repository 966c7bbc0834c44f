"""What ``merge-bin`` merges: what its inputs hold, and where each belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from esploader.commands.values import PartitionName
from esploader.errors import PlanError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from esploader.commands.output import Output
    from esploader.flash.source import Contents
    from esploader.image.partition import Partition
    from esploader.image.runs import Run

_BEGINNING_OF_ELF: Final = b"\x7fELF"


class _Input(NamedTuple):
    """A file, and where it goes to."""

    where: int | PartitionName
    name: str
    contents: Contents


def read_inputs(arguments: argparse.Namespace, output: Output) -> list[tuple[str, Run]]:
    """Return what the inputs hold, with the name of the file that each run is from; say it.

    Raises:
        PlanError: one cannot be read, is too large, is for other chips, does not fit into its
            partition, or is an ELF file while the chip is not named.
        ElfError: no image can be made of an ELF file.
        PartitionTableError: there is no partition of a name that is used.
    """
    inputs = _read(arguments)
    partitions = _partitions(inputs, arguments.partition_table_offset)
    for partition in partitions.values():
        output.line(f"Partition {partition}.")
    found: list[tuple[str, Run]] = []
    for given in inputs:
        runs = list(_runs(given, partitions, arguments.chip))
        if not runs:
            output.note(f"'{given.name}' is empty")
        for run in runs:
            output.line(f"'{given.name}': {len(run.data)} bytes at 0x{run.address:08x}.")
            found.append((given.name, run))
    return found


def _read(arguments: argparse.Namespace) -> list[_Input]:
    from esploader.flash.contents import read_contents
    from esploader.flash.source import MAX_SOURCE_SIZE

    found: list[_Input] = []
    room = MAX_SOURCE_SIZE
    families: set[int] = set()
    for where, name in arguments.inputs:
        contents = read_contents(name, room)
        room -= sum(len(data) for _, data in contents.parts)
        _check_family(name, contents.family, arguments.chip)
        families |= set() if contents.family is None else {contents.family}
        if len(families) > 1:
            raise PlanError(f"{name} is a UF2 file for other chips than the one before it")
        found.append(_Input(where, name, contents))
    return found


def _check_family(name: str, family: int | None, chip: str) -> None:
    """Refuse a UF2 file for other chips.

    Raises:
        PlanError: it is one.
    """
    from esploader.chips.registry import chip_by_name, uf2_family_of

    if chip.lower() == "auto" or family in (None, uf2_family_of(chip)):
        return
    from esploader.image.suitability import family_problem

    problem = family_problem(family, chip_by_name(chip))
    if problem is not None:
        raise PlanError(f"{name} is a UF2 file, and {problem}")


def _partitions(inputs: Sequence[_Input], table_offset: int) -> dict[str, Partition]:
    """Return the partitions whose names are used: those of the table among the inputs.

    Raises:
        PlanError: there is no table among them.
        PartitionTableError: it is none, or has no partition of a name.
    """
    names = [each.where.name for each in inputs if isinstance(each.where, PartitionName)]
    if not names:
        return {}
    from esploader.image.partitions import parse_table

    for where, _, contents in inputs:
        if isinstance(where, PartitionName):
            continue
        for start, data in contents.parts:
            skipped = table_offset - where - start
            if 0 <= skipped < len(data):
                table = parse_table(data[skipped:])
                return {name: table[name] for name in names}
    raise PlanError(
        f"where part:{names[0]} is only a partition table among the inputs can tell, and nothing "
        f"goes to {table_offset:#x}"
    )


def _runs(given: _Input, partitions: Mapping[str, Partition], chip: str) -> Iterator[Run]:
    """Yield what an input puts where.

    Raises:
        PlanError: it does not fit into its partition, or its chip has to be named.
        ElfError: no image can be made of it.
    """
    from esploader.image.runs import Run

    where = given.where
    partition = partitions[where.name] if isinstance(where, PartitionName) else None
    begins = where if isinstance(where, int) else partitions[where.name].offset
    for start, data in given.contents.parts:
        if not data:
            continue
        for run in _images(Run(begins + start, data), given.name, chip):
            if partition is not None and run.address < partition.offset:
                raise PlanError(
                    f"what belongs to {run.address:#x} lies in front of the partition {partition}"
                )
            excess = 0 if partition is None else run.address + len(run.data) - partition.end
            if excess > 0:
                raise PlanError(
                    f"{len(run.data)} bytes at {run.address:#x} do not fit into the partition "
                    f"{partition}: {excess} bytes too many"
                )
            yield run


def _images(run: Run, name: str, chip: str) -> Iterator[Run]:
    """Yield the image made of the ELF file of a program, and all else as it is.

    Raises:
        PlanError: it is one, and the chip is not named.
        ElfError: no image can be made of it.
    """
    # It takes a while to load what knows of ELF.
    if not run.data.startswith(_BEGINNING_OF_ELF):
        yield run
        return
    from esploader.chips.registry import chip_by_name
    from esploader.image.build import build_image
    from esploader.image.elf import is_program
    from esploader.image.runs import Run

    if not is_program(run.data):
        yield run
        return
    if chip.lower() == "auto":
        raise PlanError(
            f"{name} is an ELF file, and an image made of it is for one kind of chip: name it "
            "with --chip"
        )
    built = build_image(run.data, chip_by_name(chip))
    yield Run(run.address, built.data)
    if built.mapped is not None:
        yield Run(*built.mapped)
