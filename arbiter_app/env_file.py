"""Looking at `.env` before it is read: one sentence that names file and line for what would be passed over in silence."""

from __future__ import annotations

import io
import re
from pathlib import Path

from dotenv.parser import parse_stream

MAX_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_COLON = re.compile(r"^\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*:")


class EnvFileError(ValueError):
    """The file cannot be read as settings; the message names file and line, and never a value."""


def check(path: Path) -> str:
    """The encoding in which the file holds settings; empty where there is no file. Raises EnvFileError."""
    text, encoding = _text(path)
    for found in parse_stream(io.StringIO(text)):
        line, said = found.original.line, found.original.string
        while said[:1] in ("\n", "\r"):
            line, said = line + (said[0] == "\n"), said[1:]
        if found.error:
            why = "write it as NAME=value, not NAME: value" if _COLON.match(said) else _hint(said)
            raise EnvFileError(f"{path}, line {line}: this is no setting; {why}")
        if found.key is not None and _NAME.fullmatch(found.key) is None:  # `$env:NAME`, `-e NAME`: a shell's line
            raise EnvFileError(f"{path}, line {line}: {found.key[:60]} is no name; write it as NAME=value")
        if found.key is not None and found.value is None:
            raise EnvFileError(f"{path}, line {line}: {found.key[:60]} has no value; write it as NAME=value")
    return encoding


def _hint(line: str) -> str:
    return "a quote is not closed" if line.count("'") % 2 or line.count('"') % 2 else "write it as NAME=value"


def _text(path: Path) -> tuple[str, str]:
    """The file's text and encoding, both empty where there is none."""
    try:
        if not path.exists():
            return "", ""
        if path.is_dir():
            raise EnvFileError(f"{path} is a directory; a file of lines NAME=value is wanted")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise EnvFileError(f"{path} is larger than {MAX_BYTES:,} bytes; that is no file of settings")
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(mark):
            return _decoded(path, data, encoding), encoding
    return "", ""


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileError(
            f"{path}, line {line}: this is not {encoding.removesuffix('-sig').upper()}; save the file as UTF-8"
        ) from error
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise EnvFileError(f"{path}, line {line}: there is a NUL character; save the file as UTF-8 text")
    return text
