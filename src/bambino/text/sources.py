"""Sources of text -> the files that are read, and those that are left out with the reason; their bytes."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from bambino.errors import TextError
from bambino.text.hub import data_set_of, needed

SUFFIXES = (".txt", ".jsonl")
PACKED = (".gz", ".bz2", ".zst")
TABLES = (".csv", ".tsv")
KINDS = (
    SUFFIXES,
    tuple(f"{suffix}{packed}" for suffix in SUFFIXES for packed in PACKED),
    (".parquet",),
    (*TABLES, *(f"{suffix}{packed}" for suffix in TABLES for packed in PACKED)),
)
"""Endings of files of text. Of a folder, the first of these kinds that lies there is read, and only that."""
BLOCK = 1 << 20
"""Bytes that are read at a time."""


_UNPACK = "is compressed. Unpack it first, or let its name end in .gz, .bz2 or .zst."
_EXPORT = "is a document, not plain text. Save its text as .txt."
_COLUMN = "is a table, not lines of text. Save it as .csv; text.jsonl_field names the column of its texts."
_PASS_ON = "is a file of data. Read it in Python and pass its texts on: BambinoTrainer(train_dataset=texts)."
_BINARY = "is no text."
NO_TEXT = {
    ".json": "is a JSON document, not lines of text. Write an object a line, in a .jsonl file.",
    **dict.fromkeys((".xz", ".zip", ".7z", ".tar", ".tgz", ".rar"), "is compressed. Unpack it first."),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".html", ".htm", ".xml"), _EXPORT),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), _COLUMN),
    **dict.fromkeys((".arrow", ".feather", ".db", ".sqlite", ".h5", ".hdf5", ".npy", ".npz"), _PASS_ON),
    **dict.fromkeys((".safetensors", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".gguf", ".onnx"), _BINARY),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".mp3", ".wav", ".mp4", ".so", ".exe"), _BINARY),
}
"""Ending -> what a file that ends so is, and the way out."""
MAGIC = {
    b"\x1f\x8b": _UNPACK,
    b"BZh91AY": _UNPACK,
    b"\xfd7zXZ": _UNPACK,
    b"\x28\xb5\x2f\xfd": _UNPACK,
    b"PK\x03\x04": "is a zip archive (or .docx, .epub). Unpack it, or save its text as .txt.",
    b"%PDF": _EXPORT,
    b"{\\rtf": _EXPORT,
    b"PAR1\x15": _PASS_ON,
    b"SQLite format 3": _PASS_ON,
    b"\xff\xfe": "is text in UTF-16 (another encoding). Save it as UTF-8.",
    b"\xfe\xff": "is text in UTF-16 (another encoding). Save it as UTF-8.",
    b"\x89PNG": _BINARY,
    b"\xff\xd8\xff": _BINARY,
    b"\x7fELF": _BINARY,
}
"""First bytes of a file -> what it is, and the way out."""


@dataclass(frozen=True)
class SourceFiles:
    """What a source holds."""

    files: list[Path]
    """Those that are read, by path."""
    left_out: dict[str, str]
    """Path of another file or folder -> why it is not read."""


def kind_of(path: Path) -> str:
    """How a file's name ends, in small letters, without an ending that says it is compressed."""
    stem = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return stem.suffix.lower()


def find(source: str | Path, suffixes: tuple[str, ...] | None = None) -> SourceFiles:
    """The file itself, or the files below a folder that end so, in small or capital letters; of a data set, none.

    Links are followed; what several lead to is read once. Names that begin with a dot are passed over.

    Args:
        suffixes: None: those of the first of KINDS that lies there.

    Raises:
        TextError: an empty name, nothing there, a file that is known to be no text, a folder without such a file.
    """
    if not str(source).strip():
        raise TextError(
            "The name of a text is empty, and would stand for the whole folder that you are in. Give a path."
        )
    if suffixes is None and data_set_of(source) is not None:
        return SourceFiles([], {})
    path, kinds = Path(source), KINDS if suffixes is None else (suffixes,)
    endings = " or ".join(kinds[0])
    with readable(path):
        if path.is_file():
            ending = kind_of(path)
            if ending in NO_TEXT and ending not in kinds[0]:
                raise TextError(f"{source} {NO_TEXT[ending]}")
            return SourceFiles([path], {})
        if not path.is_dir():
            raise TextError(f"There is no text at {source}. Give the path of a {endings} file, or of a folder of them.")
        found = _below(path, kinds)
    if not found.files:
        others = "".join(f"\n  left out: {name}, {why}" for name, why in list(found.left_out.items())[:8])
        raise TextError(f"The folder {source} holds no {endings} file.{others}")
    return found


def find_files(source: str | Path, suffixes: tuple[str, ...] | None = None) -> list[Path]:
    """The files of `find`."""
    return find(source, suffixes).files


def bytes_of(path: Path) -> bytes:
    """The bytes of a file of text, a byte order mark among them.

    Raises:
        TextError: it cannot be read, or begins as no text does.
    """
    with readable(path):
        data = path.read_bytes()
    _refuse_no_text(path, data)
    return data


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file of text, which may be compressed, without their ends and a byte order mark; some at a time.

    Raises:
        TextError: it cannot be read, or begins as no text does.
    """
    rest: list[bytes] = []
    for nth, block in enumerate(_blocks(path)):
        if nth == 0:
            _refuse_no_text(path, block)
            block = block.removeprefix(b"\xef\xbb\xbf")
        # a last \r stays with what follows, which may be its \n
        end = max(block.rfind(b"\n"), block.rfind(b"\r", 0, max(0, len(block) - 1))) + 1
        if end:
            yield from b"".join([*rest, block[:end]]).splitlines()
            rest = []
        rest.append(block[end:])
    yield from b"".join(rest).splitlines()


def sha256_of(files: list[Path]) -> str:
    """Of the bytes of some files, as they lie there, one after the other."""
    digest = hashlib.sha256()
    for path in files:
        with readable(path), path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file open for reading, the content of a compressed one.

    Raises:
        TextError: it cannot be opened, or (.zst) pyarrow is missing.
    """
    by_suffix: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".zst": _open_zst}
    with readable(path):
        file = by_suffix.get(path.suffix.lower(), partial(open, mode="rb"))(path)
    with file:
        yield file


def _open_zst(path: Path) -> Any:
    return needed("pyarrow", f"Reading {path}").input_stream(str(path), compression="zstd")


def _blocks(path: Path) -> Iterator[bytes]:
    with unpacked(path) as file:
        while True:
            with readable(path):
                block = file.read(BLOCK)
            if not block:
                return
            yield block


def _refuse_no_text(path: Path, data: bytes) -> None:
    for magic, problem in MAGIC.items():
        if data.startswith(magic):
            raise TextError(f"{path} {problem}")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises a TextError in place of the system's complaint about a path, or that what is compressed is damaged."""
    try:
        yield
    except OSError as error:
        raise TextError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from None
    except (EOFError, zlib.error) as error:
        raise TextError(f"{path} cannot be read: {str(error).rstrip('.')}.") from None


def _below(top: Path, kinds: tuple[tuple[str, ...], ...]) -> SourceFiles:
    """The files below a folder. What lies there itself goes before what links lead to."""
    files: list[Path] = []
    left_out: dict[str, str] = {}
    seen: set[Path] = set()
    folders, links = [top], list[Path]()
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        if folder.resolve() in seen:
            left_out[str(folder)] = "a link to a folder that is read already"
            continue
        seen.add(folder.resolve())
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                left_out[str(path)] = "its name begins with a dot"
            elif path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            else:
                files.append(path)
    names = [path.name.lower() for path in files]
    suffixes = next((kind for kind in kinds if any(name.endswith(kind) for name in names)), kinds[0])
    kept = []
    for path in sorted(files, key=lambda path: (path.is_symlink(), path)):
        if not path.name.lower().endswith(suffixes):
            left_out[str(path)] = f"it does not end in {' or '.join(suffixes)}"
        elif not path.is_file():
            left_out[str(path)] = "no file, or a link to none"
        elif path.resolve() in seen:
            left_out[str(path)] = "a link to a file that is read already"
        else:
            seen.add(path.resolve())
            kept.append(path)
    return SourceFiles(sorted(kept), left_out)
