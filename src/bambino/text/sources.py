"""Sources of text -> the files that are read, and those that are left out with the reason; their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bambino.errors import TextError

SUFFIXES = (".txt", ".jsonl")


_UNPACK = "is compressed. Unpack it first."
_EXPORT = "is a document, not plain text. Save its text as .txt."
_COLUMN = "is a table, not lines of text. Write its text to a .txt file, a text a line."
_PASS_ON = "is a file of data. Read it in Python and pass its texts on: BambinoTrainer(train_dataset=texts)."
_BINARY = "is no text."
NO_TEXT = {
    ".json": "is a JSON document, not lines of text. Write an object a line, in a .jsonl file.",
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".tar", ".tgz", ".rar"), _UNPACK),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".html", ".htm", ".xml"), _EXPORT),
    **dict.fromkeys((".csv", ".tsv", ".xls", ".xlsx", ".ods"), _COLUMN),
    **dict.fromkeys((".parquet", ".arrow", ".feather", ".db", ".sqlite", ".h5", ".hdf5", ".npy", ".npz"), _PASS_ON),
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


def find(source: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> SourceFiles:
    """The file itself, or the files below a folder that end so, in small or capital letters.

    Links are followed; what several lead to is read once. Names that begin with a dot are passed over.

    Raises:
        TextError: an empty name, nothing there, a file that is known to be no text, a folder without such a file.
    """
    if not str(source).strip():
        raise TextError(
            "The name of a text is empty, and would stand for the whole folder that you are in. Give a path."
        )
    path, endings = Path(source), " or ".join(suffixes)
    with readable(path):
        if path.is_file():
            ending = path.suffix.lower()
            if ending in NO_TEXT and ending not in suffixes:
                raise TextError(f"{source} {NO_TEXT[ending]}")
            return SourceFiles([path], {})
        if not path.is_dir():
            raise TextError(f"There is no text at {source}. Give the path of a {endings} file, or of a folder of them.")
        found = _below(path, suffixes)
    if not found.files:
        others = "".join(f"\n  left out: {name}, {why}" for name, why in list(found.left_out.items())[:8])
        raise TextError(f"The folder {source} holds no {endings} file.{others}")
    return found


def find_files(source: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The files of `find`."""
    return find(source, suffixes).files


def bytes_of(path: Path) -> bytes:
    """The bytes of a file of text, a byte order mark among them.

    Raises:
        TextError: it cannot be read, or begins as no text does.
    """
    with readable(path):
        data = path.read_bytes()
    for magic, problem in MAGIC.items():
        if data.startswith(magic):
            raise TextError(f"{path} {problem}")
    return data


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises a TextError in place of the system's complaint about a path."""
    try:
        yield
    except OSError as error:
        raise TextError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from None


def _below(top: Path, suffixes: tuple[str, ...]) -> SourceFiles:
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
    kept = []
    for path in sorted(files, key=lambda path: (path.is_symlink(), path)):
        if path.suffix.lower() not in suffixes:
            left_out[str(path)] = f"it does not end in {' or '.join(suffixes)}"
        elif not path.is_file():
            left_out[str(path)] = "no file, or a link to none"
        elif path.resolve() in seen:
            left_out[str(path)] = "a link to a file that is read already"
        else:
            seen.add(path.resolve())
            kept.append(path)
    return SourceFiles(sorted(kept), left_out)
