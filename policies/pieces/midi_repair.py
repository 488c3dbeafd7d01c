"""Makes the bytes of a damaged MIDI file readable: fields that notes don't need are dropped.

    bytes --find MThd--> header and tracks --walk the events--> the same events, each valid

Players ignore a wrong key signature, a chunk they don't know or the wrong length of a track, while
`mido` gives up the file. So every file is written anew from its events before `mido` reads it. What
is dropped or repaired is counted, so that the user hears of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sequence_tutor.policies.pieces.piece import ReadError

MAX_BYTES = 4 * 2**20  # a hundred times a usual file; parsing takes about 6 s per MiB
HEADER_WITHIN = 1024  # bytes before the file's header, as the wrapper of .rmi has some
MAX_NUMBER_BYTES = 4  # of a number of variable length
# data bytes of channel messages, by the upper half of their status byte
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
# data bytes of system messages, which have no place in files
_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
_END, _TEMPO, _METRE, _KEY, _NAME = 0x2F, 0x51, 0x58, 0x59, 0x03
_LAST_EVENT = bytes([0xFF, _END, 0])
_METRE_REST = bytes([24, 8])  # clocks of a metronome, thirty-seconds to a quarter note: the usual


def repaired(data: bytes) -> tuple[bytes, Counter[str]]:
    """A file of the same notes, names, metres, keys and tempos without damage, and what was dropped
    or repaired, with counts. Raises ReadError where there is no MIDI file."""
    if not data:
        raise ReadError("it is empty")
    if len(data) > MAX_BYTES:
        raise ReadError(f"it has more than {MAX_BYTES // 2**20} MiB")
    start = data.find(b"MThd", 0, HEADER_WITHIN)
    if start < 0:
        raise ReadError("it is not MIDI: it doesn't start with MThd")
    header = data[start + 8 : start + 14]
    if len(header) < 6:
        raise ReadError("it is cut short")
    damage: Counter[str] = Counter()
    tracks = [
        bytes(_Track(data, begin, end, damage).written())
        for begin, end in _tracks(data, start, damage)
    ]
    if not tracks:
        raise ReadError("it has no tracks")
    kind = header[:2] if header[:2] == b"\x00\x02" else b"\x00\x01"
    count = len(tracks).to_bytes(2, "big")
    chunks = [_chunk(b"MTrk", track) for track in tracks]
    return b"".join([_chunk(b"MThd", kind + count + header[4:]), *chunks]), damage


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(4, "big") + content


def _tracks(data: bytes, start: int, damage: Counter[str]) -> Iterator[tuple[int, int]]:
    """(begin, end) of the content of each track. A length is believed where a chunk or the end of
    the file follows; else a track ends before the next one."""
    place = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
    if not _chunk_follows(data, place):
        place = _next_track(data, start + 14)
    while place + 8 <= len(data):
        name = data[place : place + 4]
        begin = place + 8
        end = begin + int.from_bytes(data[place + 4 : begin], "big")
        if name == b"MTrk":
            if not _chunk_follows(data, end) and data[end - 3 : end] != _LAST_EVENT:
                damage["wrong lengths of tracks"] += 1
                end = _next_track(data, begin)
            yield begin, end
        elif _chunk_follows(data, end):
            damage["unknown chunks"] += 1
        else:
            end = _next_track(data, place + 1)
            damage["bytes between tracks"] += end < len(data)
        place = end


def _next_track(data: bytes, place: int) -> int:
    found = data.find(b"MTrk", place)
    return len(data) if found < 0 else found


def _chunk_follows(data: bytes, place: int) -> bool:
    """Whether a chunk's name stands at a place, or the file ends there, a padding byte apart."""
    name = data[place : place + 4]
    return len(data) - 1 <= place <= len(data) or (len(name) == 4 and name.isalpha())


class _Track:
    """Walks the events of one track, data[begin:end], and writes the good ones."""

    def __init__(self, data: bytes, begin: int, end: int, damage: Counter[str]) -> None:
        self._data, self._place, self._end, self._damage = data, begin, end, damage
        self._status = 0  # of the latest channel message, for messages that leave it out
        self._time = 0  # ticks since the last event that was written

    def written(self) -> bytearray:
        """The events anew, with an end."""
        out = bytearray()
        ended = False
        while not ended and self._place < self._end:
            event, ended = self._event()
            if event:
                out += _number(self._time) + event
                self._time = 0
        if not ended:
            self._damage["tracks without an end"] += 1
        return out + _number(self._time) + _LAST_EVENT

    def _event(self) -> tuple[bytes, bool]:
        """The next event, empty where it is dropped, and whether it ends the track."""
        self._time += self._read_number()
        if self._place >= self._end:
            return b"", False
        if self._data[self._place] < 0x80:
            if self._status:
                return self._channel_message(self._status), False
            self._damage["bytes that belong to no event"] += 1
            self._skip_to_status()
            if self._place >= self._end:
                return b"", False
        status = self._data[self._place]
        self._place += 1
        if status == 0xFF:
            return self._meta()
        if status in (0xF0, 0xF7):
            self._take(self._read_number())
            return b"", False  # for devices
        if status > 0xF0:
            self._damage["messages that files don't have"] += 1
            self._take(_SYSTEM_BYTES.get(status, 0))
            return b"", False
        self._status = status
        return self._channel_message(status), False

    def _channel_message(self, status: int) -> bytes:
        kind = status >> 4
        content = self._take(_DATA_BYTES[kind])
        if len(content) < _DATA_BYTES[kind]:
            self._damage["events cut short"] += 1
            return b""
        if max(content) > 0x7F:
            self._damage["data bytes above 127"] += 1
            if kind in (0x8, 0x9) and content[0] > 0x7F:
                return b""  # a pitch that there isn't
            content = bytes(min(byte, 0x7F) for byte in content)
        return bytes([status]) + content if kind in (0x8, 0x9, 0xC) else b""

    def _meta(self) -> tuple[bytes, bool]:
        kind = self._data[self._place] if self._place < self._end else _END
        self._place += 1
        content = self._take(self._read_number())
        if kind == _END:
            return b"", True
        check = {_TEMPO: self._tempo, _METRE: self._metre, _KEY: self._key}.get(kind)
        if kind != _NAME and check is None:
            return b"", False  # lyrics, markers and what else notes don't need
        if check is not None:
            content = check(content)
            if not content:
                return b"", False
        return bytes([0xFF, kind]) + _number(len(content)) + content, False

    def _tempo(self, content: bytes) -> bytes:
        if len(content) == 3 and any(content):
            return content
        self._damage["tempos"] += 1
        return b""

    def _metre(self, content: bytes) -> bytes:
        if len(content) < 4:
            self._damage["short time signatures"] += 1
        if len(content) < 2 or not 1 <= content[0] <= 64 or content[1] > 6:
            self._damage["time signatures that can't be"] += len(content) >= 4
            return b""
        return content[:2] + _METRE_REST

    def _key(self, content: bytes) -> bytes:
        if len(content) == 2 and content[0] in (*range(8), *range(0xF9, 0x100)) and content[1] < 2:
            return content
        self._damage["key signatures"] += 1
        return b""

    def _take(self, length: int) -> bytes:
        """The next bytes; fewer where the track ends."""
        begin = self._place
        self._place = min(begin + length, self._end)
        return self._data[begin : self._place]

    def _read_number(self) -> int:
        """A number of variable length; 0 for one that is longer than any may be."""
        number = 0
        begin = self._place
        while self._place < self._end:
            byte = self._data[self._place]
            self._place += 1
            if self._place - begin <= MAX_NUMBER_BYTES:
                number = number << 7 | byte & 0x7F
            if byte < 0x80:
                break
        if self._place - begin > MAX_NUMBER_BYTES:
            self._damage["numbers that are too long"] += 1
            return 0
        return number

    def _skip_to_status(self) -> None:
        while self._place < self._end and self._data[self._place] < 0x80:
            self._place += 1


def _number(value: int) -> bytes:
    """A number of variable length."""
    content = [value & 0x7F]
    while value := value >> 7:
        content.append(value & 0x7F | 0x80)
    return bytes(reversed(content))
