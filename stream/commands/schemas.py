"""`evensky schemas`: the contract, for those who write consumers in other languages."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

import schemas
from stream.commands.output import make_folder

__all__ = ["command"]


@click.command("schemas")
@click.argument("names", nargs=-1, metavar="[TYPE...]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write one file a message type instead of printing.",
)
def command(names: tuple[str, ...], output: Path | None) -> int:
    """Print the JSON Schemas (2020-12) of the messages: all, or the types named.

    A type is for example warp.arrived.v1.
    """
    known = schemas.json_schemas()
    files = (
        {name: f"{name}.schema.json" for name in names}
        if names
        else dict(zip(known, known, strict=True))
    )
    unknown = [name for name, file in files.items() if file not in known]
    if unknown:
        types = ", ".join(sorted(schemas.MESSAGE_TYPES))
        raise click.UsageError(f"{unknown[0]} is not a message type; they are {types}")
    if output is not None:
        make_folder(output)
    for file in files.values():
        text = msgspec.json.format(msgspec.json.encode(known[file]), indent=2).decode() + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            (output / file).write_text(text, encoding="utf-8")
    return 0
