"""Lines of a local or remote text file, packed or not, in UTF-8, UTF-16 or UTF-32.

Memory doesn't grow with the file. Every fault of a file raises a CorpusError.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator

from sequence_tutor.policies.files.packed_file import UNREADABLE, CorpusError, unpacked
from sequence_tutor.policies.files.storage import Location

# Characters of a line. No sequence is longer; a file of another kind may have no line ends.
LONGEST_LINE = 1 << 20
# Long fields of a longer line are cut to CUT_TO characters, more than a molecule may have, and
# CUT_SIGN is added, which no sequence contains. So what is left is never a valid sequence.
CUT_TO, CUT_SIGN = 20_000, "\u2026"
# Bytes per read where lines are only counted.
CHUNK_BYTES = 1 << 20
# Bytes that are read to find the format and the codec.
HEAD_BYTES = 1 << 16

BOM = b"\xef\xbb\xbf"
# Byte order mark -> codec, which drops the mark. Longest first: UTF-32's begins like UTF-16's.
_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    BOM: "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
ENDS = ("\n", "\r")


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Error handler of a codec: the characters for bytes that aren't UTF-8, and where to go on."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    utf8 = error.encoding.startswith("utf-8")
    return wrong.decode("cp1252", "replace") if utf8 else "\ufffd", error.end


TOLERANT = "sequence_tutor.windows-1252"
codecs.register_error(TOLERANT, _as_windows_1252)


def head_of(path: Location) -> tuple[bytes, str]:
    """The first bytes of a file, unpacked, and the codec of its text."""
    try:
        with unpacked(path) as stream:
            head = bytes(stream.read(HEAD_BYTES))
    except UNREADABLE as error:
        raise CorpusError(f"{path} can't be read as text: {error}") from error
    return head, _codec(head)


def _codec(head: bytes) -> str:
    """The codec, by the byte order mark; without one, by the zeros beside letters in UTF-16."""
    for mark, codec in _MARKS.items():
        if head.startswith(mark):
            return codec
    pairs = len(head) // 2
    if pairs:
        zeros = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
        if max(zeros) > 0.6 * pairs and min(zeros) < 0.1 * pairs:
            return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return "utf-8"


def text_lines(path: Location, tolerant: bool = False) -> Iterator[str]:
    """Yield lines, each with its end, which may be \\n, \\r or \\r\\n.

    A line that is too long, or has bytes that aren't UTF-8, raises a CorpusError with its number.
    If `tolerant`, the line is cut instead, and such bytes are read as Windows-1252. No sequence has
    letters beyond ASCII, so only names are affected, and most names come out right.
    """
    _, codec = head_of(path)
    number = 0
    try:
        with unpacked(path) as binary:
            errors = TOLERANT if tolerant else "strict"
            text = io.TextIOWrapper(binary, encoding=codec, errors=errors, newline="")
            for line, whole in _cut_lines(text):
                number += 1
                if not whole and not tolerant:
                    raise CorpusError(
                        f"{path} can't be read as text: line {number} is longer than "
                        f"{LONGEST_LINE:,} characters"
                    )
                yield line
    except UnicodeDecodeError as error:
        # `error.object` is the chunk being decoded; it begins within the first line not yet yielded
        before = error.object[: error.start].decode(error.encoding, "replace")
        bad = number + 1 + before.count("\n")
        hint = (
            "; if it is Latin-1 or Windows-1252, convert it: iconv -f WINDOWS-1252 -t UTF-8 "
            "FILE > NEW"
        )
        raise CorpusError(
            f"{path} can't be read as text at line {bad}: {error}"
            f"{hint if codec.startswith('utf-8') else ''}"
        ) from error
    except UNREADABLE as error:
        after = f" after line {number}" if number else ""
        raise CorpusError(f"{path} can't be read as text{after}: {error}") from error


def _cut_lines(text: io.TextIOWrapper) -> Iterator[tuple[str, bool]]:
    """Yield (line, whether it's whole). In lines longer than LONGEST_LINE the fields are cut."""
    limit = LONGEST_LINE + 1
    line = text.readline(limit)
    while line:
        following = ""
        whole = len(line) <= LONGEST_LINE or line.endswith(ENDS)
        last = line
        while len(last) == limit and not last.endswith(ENDS):
            line = _shortened(line)
            last = text.readline(limit)
            line += last
        if not whole:
            line = _shortened(line)
        if len(last) == limit and last.endswith("\r"):  # the limit may separate \r and \n
            following = text.readline(limit)
            if following == "\n":
                line, following = line + following, ""
        yield line, whole
        line = following or text.readline(limit)


def _shortened(line: str) -> str:
    """Cut the long fields of a line. A line of short fields only is cut at LONGEST_LINE, and then
    the table reader reports a wrong number of fields."""
    line = _LONG_RUN.sub(lambda run: run[0][:CUT_TO] + CUT_SIGN, line)
    if len(line) > LONGEST_LINE:
        end = line[len(line.rstrip("\r\n")) :]
        line = line[:LONGEST_LINE] + end
    return line


_LONG_RUN = re.compile(rf"[^\s\"',;|]{{{CUT_TO + 2},}}")


def cut(sequence: str) -> str:
    """The sequence; one longer than LONGEST_LINE is cut so that it is never valid."""
    return sequence if len(sequence) <= LONGEST_LINE else sequence[:CUT_TO] + CUT_SIGN


def count_text_lines(path: Location) -> int:
    """Number of lines that `text_lines` yields; in UTF-8 counted by bytes, ten times as fast."""
    head, codec = head_of(path)
    if not codec.startswith("utf-8"):
        return sum(1 for _ in text_lines(path, tolerant=True))
    ends, last = 0, b""
    try:
        with unpacked(path) as stream:
            start = stream.read(len(BOM))
            if start == BOM:
                start = b""
            while chunk := start + stream.read(CHUNK_BYTES):
                start = b""
                ends += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                ends -= last == b"\r" and chunk[:1] == b"\n"
                last = chunk[-1:]
    except UNREADABLE as error:
        raise CorpusError(f"{path} can't be read as text: {error}") from error
    return ends + (last not in (b"", b"\n", b"\r"))
