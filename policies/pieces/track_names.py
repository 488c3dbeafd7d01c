"""What the names of parts say about who has the melody, in the languages of most files."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# Words for the melody, the likeliest first. A whole word counts more than a part of one.
_ROLES = (
    "melody melodie melodia melodi melodija tune theme thema tema",
    "lead vocal vocals vox voice voices singer singing gesang singstimme stimme solo sologesang "
    "canto cantus cantante chant voz voix voce voci sang zang spev vocalist refrain",
    "soprano sopran soprani soprano1 superius discant discantus treble dessus",
    "mezzo mezzosoprano alto alt contralto tenor tenore baritone bariton baryton barytone",
    "right rechts rechte droite destra derecha direita rh md",
)
# Words for what goes with a melody; they count more than those above: "Voice Oohs", "Lead Bass".
_ACCOMPANIES = (
    "backing background backings backup bgv bgvs bv bvs back oohs ooh oos aahs aah ahs ah hum "
    "pad pads choir chor coro choeur chorus harmony harmonies "
    "bass basso basse bas bajo baixo kontrabass contrabass cello violoncello tuba "
    "accompaniment accompagnement accompagnamento acompanamiento acomp acc begleitung comp "
    "drum drums drumset percussion perc schlagzeug batterie bateria batteria "
    "left links linke gauche sinistra izquierda esquerda lh mg "
    "rhythm chords akkorde accords accordi strum arpeggio"
)
# These also count where they are a part of a word: "Hintergrundchor", "BackVox2".
_ACCOMPANY_PARTS = ("accomp", "begleit", "backing", "background", "oohs", "aahs", "drum", "percus")
# Words that hold one of those above and mean something else: toms, an instrument.
_OTHER_WORDS = ("melodic", "melodica")
_LEAST_PART = 5  # letters of a word for the melody that counts inside another word

_ROLE_OF = {word: place for place, words in enumerate(_ROLES) for word in words.split()}
_SPLIT = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Role(NamedTuple):
    """What a name says of a part; the lowest is the likeliest to have the melody."""

    inside: bool
    """Whether the word is a part of another one."""
    place: int
    """The place of the word in the list of roles."""
    more: bool
    """Whether the name has other words too."""


def role(name: str) -> Role | None:
    """The role that a name gives its part; None where it says nothing of a melody."""
    if accompanies(name):
        return None
    words = _words(name)
    found = [Role(False, _ROLE_OF[w], len(words) > 1) for w in words if w in _ROLE_OF]
    found += [
        Role(True, place, True)
        for word in words
        if word not in _OTHER_WORDS
        for part, place in _ROLE_OF.items()
        if len(part) >= _LEAST_PART and part in word and part != word
    ]
    return min(found, default=None)


def accompanies(name: str) -> bool:
    """Whether a name says that its part goes with a melody."""
    words = _words(name)
    known = _ACCOMPANIES.split()
    return any(w in known for w in words) or any(p in w for w in words for p in _ACCOMPANY_PARTS)


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without accents and numbers."""
    spaced = _CAMEL.sub(" ", name)
    plain = unicodedata.normalize("NFKD", spaced.casefold().replace("œ", "oe"))
    return _SPLIT.findall("".join(c for c in plain if not unicodedata.combining(c)))
