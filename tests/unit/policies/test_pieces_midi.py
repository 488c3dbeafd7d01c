from __future__ import annotations

import warnings
from io import BytesIO

import mido
import numpy as np
import pretty_midi
import pytest

from sequence_tutor.policies.melody_time import Time
from sequence_tutor.policies.melody_tokens import TOKENS
from sequence_tutor.policies.pieces.melody import Melody, melody_of
from sequence_tutor.policies.pieces.midi import read_midi
from sequence_tutor.policies.pieces.midi_repair import MAX_BYTES
from sequence_tutor.policies.pieces.piece import ReadError

TICKS = 480
STEP = TICKS // 4
STAR = [60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60]


def track(*notes: tuple[int, float, float], name: str = "", channel: int = 0) -> mido.MidiTrack:
    """Notes (pitch, start, end) in steps."""
    events = [(round(end * STEP), 0, pitch, 0) for pitch, _, end in notes]
    events += [(round(start * STEP), 1, pitch, 90) for pitch, start, _ in notes]
    messages = mido.MidiTrack([mido.MetaMessage("track_name", name=name)] if name else [])
    now = 0
    for tick, _, pitch, velocity in sorted(events):
        kind = "note_on" if velocity else "note_off"
        message = mido.Message(kind, note=pitch, velocity=velocity, channel=channel)
        messages.append(message.copy(time=tick - now))
        now = tick
    return messages


def midi(*tracks: mido.MidiTrack, meta: tuple[mido.MetaMessage, ...] = (), **options) -> bytes:
    file = mido.MidiFile(ticks_per_beat=TICKS, tracks=[mido.MidiTrack(meta), *tracks], **options)
    stream = BytesIO()
    file.save(file=stream)
    return stream.getvalue()


def melody(data: bytes, transpose: bool = True) -> Melody:
    return melody_of(read_midi(data), Time(), transpose)


def texts(data: bytes, transpose: bool = False) -> list[str]:
    segments = melody(data, transpose).segments
    return ["".join(TOKENS[token] for token in segment) for segment in segments]


def in_quarters(pitches: list[int], shift: int = 0) -> mido.MidiTrack:
    return track(*((p + shift, i * 4, i * 4 + 4) for i, p in enumerate(pitches)))


def test_the_melody_of_one_track():
    data = midi(track((60, 4, 8), (62, 8, 10), (64, 12, 20)))
    assert texts(data) == ["----C4---D4-.-E4-------." + "-" * 11]  # from bar line to bar line
    found = melody(data, transpose=False)
    assert found.segments[0].dtype == np.int16 and found.notes == 3
    assert (found.shift, found.moved, found.collided, found.vanished, found.out_of_range) == (
        0,
    ) * 5


def test_a_file_of_pretty_midi_is_read():
    file = pretty_midi.PrettyMIDI(initial_tempo=97)
    piano = pretty_midi.Instrument(0)
    step_s = 60 / 97 / 4
    piano.notes = [pretty_midi.Note(90, 60 + i, i * step_s, (i + 1) * step_s) for i in range(16)]
    file.instruments = [piano]
    stream = BytesIO()
    file.write(stream)
    assert texts(stream.getvalue()) == ["".join(TOKENS[14:30])]
    assert melody(stream.getvalue(), transpose=False).moved == 0


def test_a_change_of_tempo_changes_nothing():
    notes = track((60, 0, 4), (62, 4, 8), (64, 8, 16))
    slower = [mido.MetaMessage("set_tempo", tempo=t, time=5 * STEP) for t in (700_001, 333_333)]
    assert texts(midi(notes, meta=tuple(slower))) == texts(midi(notes))
    assert melody(midi(notes, meta=tuple(slower))).moved == 0


def test_reading_a_file_does_not_warn():
    tune = track((60, 0, 16))
    tune.insert(0, mido.MetaMessage("key_signature", key="C"))  # out of place: pretty_midi warns
    data = midi(tune)
    with pytest.warns(RuntimeWarning, match="non-zero tracks"):
        pretty_midi.PrettyMIDI(BytesIO(data))
    with warnings.catch_warnings(record=True) as caught:
        assert len(texts(data)) == 1
    assert caught == []


def test_drums_are_left_out():
    drums = track(*((75, i, i + 1) for i in range(16)), channel=9)
    tune = track((60, 0, 8), (62, 8, 16))
    assert texts(midi(drums, tune)) == texts(midi(tune))
    with pytest.raises(ReadError, match="^it has no notes but those of drums$"):
        melody(midi(drums))


def test_the_track_with_a_melodys_name_has_the_melody():
    flute = track((72, 0, 16), name="Flute")
    tune = track((60, 0, 8), (62, 8, 16), name="Lead Vocals")
    assert texts(midi(flute, tune)) == ["C4-------D4-------"]
    longer = track(*((65, i, i + 1) for i in range(16)), name="voice 2")
    voice = track((72, 0, 16), name="voice 1")
    assert texts(midi(voice, longer, flute)) == ["F4" * 16]
    best = track((64, 0, 16), name="MELODY")
    assert texts(midi(flute, tune, longer, best)) == ["E4" + "-" * 15]


def test_a_named_track_that_changes_its_program_stays_whole():
    tune = track((60, 0, 8), (62, 8, 16), name="melody")
    tune.insert(3, mido.Message("program_change", program=40))
    (part,) = read_midi(midi(tune)).parts
    assert part.program is None and len(part.notes) == 2
    assert texts(midi(tune, track((72, 0, 16)))) == ["C4-------D4-------"]


def test_without_names_the_melody_is_on_top():
    right = track((64, 0, 4), (67, 0, 4), (72, 4, 12), (71, 12, 16))
    left = track(*((p, i * 2, i * 2 + 2) for i, p in enumerate([48, 52, 55, 60] * 2)))
    assert texts(midi(left, right)) == ["G4---C5-------B4---"]


def test_notes_off_the_grid_are_counted():
    triplet = track(*((60 + i, i * 4 / 3, (i + 1) * 4 / 3) for i in range(3)))
    assert melody(midi(triplet)).moved == 2
    assert texts(midi(triplet)) == ["C4C#4-D4." + "-" * 11]
    played = midi(track((60, 0, 3.7), (62, 4.1, 5), (64, 5.95, 5.99), (65, 6, 6.5), (67, 6.5, 8)))
    found = melody(played, transpose=False)
    assert (found.moved, found.collided, found.vanished) == (1, 1, 1)
    assert texts(played)[0].startswith("C4---D4.F4")


def test_a_long_rest_splits_the_melody():
    data = midi(track((60, 0, 4), (62, 19, 20), (64, 36, 40)))
    assert [s.replace("-", "") for s in texts(data)] == ["C4.D4.", "E4."]


@pytest.mark.parametrize("shift", range(-18, 18))
def test_any_key_is_transposed_to_c_by_the_shorter_way(shift: int):
    data = midi(in_quarters(STAR, shift))
    found = melody(data)
    assert texts(data, True) == texts(midi(in_quarters(STAR, (shift + found.shift))))
    assert (shift + found.shift) % 12 == 0
    assert 48 <= 60 + shift + found.shift and 69 + shift + found.shift <= 83
    if -12 <= shift <= 12:  # no octave shift is needed
        assert -6 <= found.shift <= 5
    assert melody(data, transpose=False).shift % 12 == 0


@pytest.mark.parametrize(
    ("key", "moved"),
    [("C", 0), ("Am", 0), ("G", 5), ("Em", 5), ("F", -5), ("Dm", -5), ("F#", 0), ("Ebm", 0)],
)
def test_a_key_signature_decides_between_scales_that_fit(key: str, moved: int):
    tune = in_quarters([60, 62, 64, 67, 69, 67, 64, 62, 60])
    data = midi(tune, meta=(mido.MetaMessage("key_signature", key=key),))
    if key in ("F#", "Ebm"):  # can't be true of these notes
        assert melody(data).shift == melody(midi(tune)).shift
    else:
        assert melody(data).shift == moved


def test_two_key_signatures_are_ignored():
    tune = in_quarters([60, 62, 64, 67, 69, 67, 64, 62, 60])
    keys = [mido.MetaMessage("key_signature", key=key, time=STEP) for key in ("G", "D")]
    assert read_midi(midi(tune, meta=tuple(keys))).scale is None
    assert read_midi(midi(tune, meta=(keys[0], keys[0]))).scale == 7
    assert melody(midi(tune, meta=tuple(keys))).shift == melody(midi(tune)).shift


def test_notes_that_no_octave_fits_are_dropped():
    data = midi(track((60, 0, 4), (62, 4, 8), (100, 8, 12), (64, 12, 16)))
    assert melody(data, transpose=False).out_of_range == 1
    assert texts(data) == ["C4---D4---.---E4---"]
    low = midi(track((36, 0, 4), (38, 4, 8)))
    assert texts(low) == ["C3---D3---." + "-" * 7]
    assert melody(low, transpose=False).shift == 12


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "big") + data


def raw(events: bytes, kind: int = 1, division: int = TICKS) -> bytes:
    numbers = (kind, 1, division)
    header = b"".join(n.to_bytes(2, "big") for n in numbers)
    return chunk(b"MThd", header) + chunk(b"MTrk", events)


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x40"
END = b"\x00\xff\x2f\x00"
GOOD = raw(NOTE + END)
# a second note, which is lost where the reader gives up early
AFTER = b"\x00\x90\x3e\x40\x60\x80\x3e\x40"
TWO = [(60, 0.0, 0.2), (62, 0.2, 0.4)]


def pitches_and_times(data: bytes) -> list[tuple[int, float, float]]:
    return [note for part in read_midi(data).parts for note in part.notes]


def test_control_the_raw_file_is_good():
    assert pitches_and_times(raw(NOTE + AFTER + END)) == TWO
    assert read_midi(GOOD).dropped == {}


def with_length(change: int) -> bytes:
    """Two tracks, of which the first has a wrong length."""
    first, second = chunk(b"MTrk", NOTE + END), chunk(b"MTrk", b"\x60" + AFTER[1:] + END)
    wrong = (len(NOTE + END) + change).to_bytes(4, "big")
    return GOOD[:14] + first[:4] + wrong + first[8:] + second


RIFF = b"RIFF\x40\x00\x00\x00RMIDdata\x30\x00\x00\x00"
LONG_NUMBER = b"\xff" * 2000 + b"\x00"


@pytest.mark.parametrize(
    ("data", "dropped"),
    [
        # fields that the notes don't need
        (raw(b"\x00\xff\x59\x02\x55\x00" + NOTE + AFTER + END), {"key signatures": 1}),
        (raw(b"\x00\xff\x59\x02\x00\x07" + NOTE + AFTER + END), {"key signatures": 1}),
        (raw(b"\x00\xff\x59\x00" + NOTE + AFTER + END), {"key signatures": 1}),
        (raw(b"\x00\xff\x58\x02\x03\x02" + NOTE + AFTER + END), {"short time signatures": 1}),
        (raw(b"\x00\xff\x58\x01\x03" + NOTE + AFTER + END), {"short time signatures": 1}),
        (
            raw(b"\x00\xff\x58\x04\x03\x70\x18\x08" + NOTE + AFTER + END),
            {"time signatures that can't be": 1},
        ),
        (raw(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE + AFTER + END), {"tempos": 1}),
        (raw(b"\x00\xff\x51\x01\x07" + NOTE + AFTER + END), {"tempos": 1}),
        (raw(b"\x00\xff\x54\x01\x07" + NOTE + AFTER + END), {}),  # a short SMPTE offset
        (raw(b"\x00\xff\x03\x03\xe9\xff\xfe" + NOTE + AFTER + END), {}),  # odd letters
        # data bytes above 127: a velocity, a controller, a program, a pitch
        (raw(b"\x00\x90\x3c\xff" + NOTE[4:] + AFTER + END), {"data bytes above 127": 1}),
        (raw(b"\x00\xb0\x07\x90" + NOTE + AFTER + END), {"data bytes above 127": 1}),
        (raw(b"\x00\xc0\x80" + NOTE + AFTER + END), {"data bytes above 127": 1}),
        (raw(b"\x00\x90\xbc\x40" + NOTE + AFTER + END), {"data bytes above 127": 1}),
        # chunks and lengths
        (GOOD[:14] + chunk(b"XFIH", b"xyz") + raw(NOTE + AFTER + END)[14:], {"unknown chunks": 1}),
        (raw(NOTE + AFTER + END) + chunk(b"XFKM", b"MTr"), {"unknown chunks": 1}),
        (GOOD[:7] + b"\x08" + GOOD[8:14] + b"\x00\x00" + raw(NOTE + AFTER + END)[14:], {}),
        (RIFF + raw(NOTE + AFTER + END), {}),
        (b"\x00" * 128 + raw(NOTE + AFTER + END), {}),  # a header of old Macintosh files
        (raw(NOTE + AFTER + END) + bytes(50), {}),  # padded
        (raw(NOTE + AFTER), {"tracks without an end": 1}),
        (
            raw(NOTE + AFTER + END)[:-4],
            {"wrong lengths of tracks": 1, "tracks without an end": 1},
        ),
        (
            raw(NOTE + AFTER + END)[:-6] + b"",
            {
                "wrong lengths of tracks": 1,
                "events cut short": 1,
                "notes without an end": 1,
                "tracks without an end": 1,
            },
        ),
        *(
            (with_length(change), {"wrong lengths of tracks": 1})
            for change in (-3, -1, 1, 2, 7, 1000)
        ),
        # events
        (raw(b"\x00\x90\x3c\x40\x60\x3c\x00\x00\x3e\x40\x60\x3e\x00" + END), {}),
        # running status that goes on after an event that isn't a channel's
        (raw(b"\x00\x90\x3c\x40\x60\x3c\x00\x00\xff\x01\x00\x00\x3e\x40\x60\x3e\x00" + END), {}),
        (raw(b"\x00\x3c" + NOTE[1:] + AFTER + END), {"bytes that belong to no event": 1}),
        (raw(b"\x00\xf8" + NOTE + AFTER + END), {"messages that files don't have": 1}),
        (raw(b"\x00\xf0\x02\x01\xf7" + NOTE + AFTER + END), {}),  # for a device
        (raw(LONG_NUMBER + NOTE[1:] + AFTER + END), {"numbers that are too long": 1}),
        # notes without an end: they go on to the next one, or to the end of the track
        (
            raw(NOTE[:4] + b"\x60" + AFTER[1:4] + b"\x60" + END[1:]),
            {"notes without an end": 2},
        ),
        (raw(NOTE[:4] + b"\x60" + AFTER[1:] + END), {"notes without an end": 1}),
        (raw(NOTE + b"\x00\x80\x44\x40" + AFTER + END), {}),  # an end without a note
    ],
)
def test_damage_that_players_ignore_costs_no_note(data: bytes, dropped: dict[str, int]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pitches_and_times(data) == TWO
        assert read_midi(data).dropped == dropped


def test_a_short_time_signature_still_tells_the_metre():
    (section,) = read_midi(raw(b"\x00\xff\x58\x02\x03\x02" + NOTE + END)).sections
    assert (section.numerator, section.denominator) == (3, 4)


def test_a_note_that_begins_as_one_of_its_pitch_ends_is_whole():
    late = b"\x00\x90\x3c\x40\x60\x90\x3c\x40\x00\x80\x3c\x40\x60\x80\x3c\x40"
    assert pitches_and_times(raw(late + END)) == [(60, 0.0, 0.2), (60, 0.2, 0.4)]


def test_notes_of_one_pitch_on_two_channels_are_two_parts():
    both = b"\x00\x90\x3c\x40\x00\x91\x3c\x40\x60\x80\x3c\x40\x60\x81\x3c\x40"
    assert pitches_and_times(raw(both + END)) == [(60, 0.0, 0.2), (60, 0.0, 0.4)]
    assert len(read_midi(raw(both + END)).parts) == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"Dear diary", "it is not MIDI"),
        (GOOD[:11], "it is cut short"),
        (GOOD[:14], "it has no tracks"),
        (raw(END), "it has no notes"),
        (raw(b""), "it has no notes"),
        (raw(b"\x00\x3c\x40"), "it has no notes"),
        (raw(NOTE + END, kind=2), "type 2"),
        (raw(NOTE + END, division=0xE728), "film frames"),
        (raw(NOTE + END, division=0), "film frames"),
        (raw(NOTE[:4] + b"\xff\xff\xff\x7f\x80\x3c\x40" + END), "too long"),
        (raw(NOTE[:4] + b"\x89\x80\x00\x80\x3c\x40" + END, division=1), "too long"),
        (raw(NOTE[:4] + b"\x89\x80\x80\x00\x80\x3c\x40" + END, division=0x7FFF), "too long"),
        (raw(NOTE + END) + b"\0" * MAX_BYTES, "more than 4 MiB"),
    ],
)
def test_bad_files_raise_with_a_reason(data: bytes, reason: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ReadError, match=reason) as caught:
            read_midi(data)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_random_bytes_raise_only_read_errors():
    random = np.random.default_rng(0)
    good = midi(track(*((60 + i % 5, i, i + 1) for i in range(40)), name="melody"))
    read, refused, whole = 0, 0, 0
    for _ in range(400):
        data = bytearray(good)
        for at in random.integers(4, len(good), 1 + random.integers(6)):
            data[at] = random.integers(256)
        try:
            notes = len(pitches_and_times(bytes(data)))
            read += 1
            whole += notes >= 35
        except ReadError:
            refused += 1
    assert read > 200 and refused > 5
    assert whole > 150  # most damage costs a few notes
