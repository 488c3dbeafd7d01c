"""Melodies of which each step is given, or is a gap, by enumeration.

The oracle lists all melodies of a tiny vocabulary and keeps those that have the signs, by their
definition: a pattern for the texts of the tokens, and a comparison of each note with the last one.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from conditioned_prior import conditioned, distances_to_optimum

from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.encodings.melody import MelodyEncoding
from sequence_tutor.policies.encodings.melody_steps import GAP, MelodySteps, signs_of, with_gaps
from sequence_tutor.policies.encodings.registry import encoding_from_metadata, encoding_to_metadata
from sequence_tutor.policies.encodings.template import Template, TemplateEncoding
from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError, Vocabulary
from sequence_tutor.policies.melody_tokens import TOKENS as ALL
from sequence_tutor.policies.network import Architecture, RecurrentNetwork
from sequence_tutor.policies.prior import token_log_probs
from sequence_tutor.policies.sampler import Sampler

# in another order than their pitches, which is what counts
TOKENS = ("-", "E4", ".", "C4", "D4")
PITCHES = {"C4": 60, "D4": 62, "E4": 64}
NOTE = "[CDE]4"
PATTERNS = {"_": rf"(?:{NOTE}|-|\.)", "-": "-", ".": r"\."}
# a text of signs, and how many melodies have them, counted by hand where that is short
SIGNS = {
    "C4__-D4": 25,
    "____": 625,
    "XX-.X": 27,
    "X^-v=": 5,  # 1 + 2 + 2 notes below the one in the middle: D4 one, E4 two, from one, two
    "X^^.=": 1,
    "_X-^_": None,
    "__^v_": None,
    "_^C4_v": None,
    "X_E4v-": None,
    "-^vX": None,
    ".=-=": 3,
}


def encoding_of(signs: str) -> TemplateEncoding:
    inner = MelodyEncoding(Vocabulary(TOKENS), len(signs_of(signs)))
    return TemplateEncoding(inner, Template((signs, ""), ("steps",)))


def has(tokens: tuple[str, ...], signs: list[str]) -> bool:
    pattern = "".join(PATTERNS.get(s, s if s in PITCHES else NOTE) for s in signs)
    if not re.fullmatch(pattern, "".join(tokens)):
        return False
    notes = [(step, PITCHES[t]) for step, t in enumerate(tokens) if t in PITCHES]
    for (_, one), (step, other) in itertools.pairwise(notes):
        compared = {"^": other > one, "v": other < one, "=": other == one}
        if not compared.get(signs[step], True):
            return False
    return True


def every_episode(signs: str) -> list[tuple[int, ...]]:
    found = signs_of(signs)
    return [
        ids
        for ids in itertools.product(range(len(TOKENS)), repeat=len(found))
        if has(tuple(TOKENS[i] for i in ids), found)
    ]


@pytest.fixture
def network() -> RecurrentNetwork:
    torch.manual_seed(0)
    network = RecurrentNetwork(Architecture("gru", len(TOKENS), 8, 48, 1))
    with torch.no_grad():  # far from uniform
        network.head.weight.mul_(4)
        network.head.bias.normal_(0, 0.5)
    return network


@pytest.mark.parametrize(("signs", "number"), SIGNS.items())
def test_allowed_is_what_has_the_signs(signs: str, number: int | None):
    encoding, allowed = encoding_of(signs), set(every_episode(signs))
    assert len(allowed) == number if number is not None else len(allowed) > 5
    constraint, walked = encoding.constraint, set()

    def walk(actions: tuple[int, ...], state: np.ndarray) -> None:
        if constraint.over(state)[0]:
            assert constraint.allows(np.array(actions))
            walked.add(actions)
            return
        mask = constraint.allowed(state, len(actions))[0]
        assert mask.any()  # no walk ends early
        for action in np.flatnonzero(mask).tolist():
            walk((*actions, action), constraint.advance(state, np.array([action])))

    walk((), np.array([constraint.start]))
    assert walked == allowed
    every = itertools.product(range(len(TOKENS)), repeat=encoding.max_length)
    assert {ids for ids in every if constraint.allows(np.array(ids))} == allowed


@pytest.mark.parametrize("signs", ["C4__-D4", "XX-.X", "X^-v=", "_X-^_", "_^C4_v"])
def test_samples_follow_the_conditioned_prior(signs: str, network: RecurrentNetwork):
    encoding, every = encoding_of(signs), every_episode(signs)
    exact = conditioned(network, every)
    assert np.exp(exact).sum() == pytest.approx(1, abs=1e-5)
    tokens, lengths = pad([np.array(e, np.int16) for e in every])
    found = token_log_probs(network, tokens, lengths, constraint=encoding.constraint)
    np.testing.assert_allclose(found, exact, atol=1e-4)
    n = 20_000
    episodes = Sampler(network, encoding).sample(n, torch.Generator().manual_seed(1))
    assert (episodes.lengths == encoding.max_length).all()
    place = {e: i for i, e in enumerate(every)}
    rows = [place[tuple(row.tolist())] for row in episodes.tokens]
    shares = np.bincount(rows, minlength=len(every)) / n
    assert np.abs(shares - np.exp(exact)).sum() / 2 < 0.03
    np.testing.assert_allclose(episodes.log_probs, exact[rows], atol=0.1)


@pytest.mark.parametrize(
    ("signs", "steps"),
    [
        ("X^-vX", 200),
        pytest.param("C4__D4", 400, marks=pytest.mark.nightly),
        pytest.param("X-XX", 400, marks=pytest.mark.nightly),
    ],
)
def test_networks_reach_the_optimum_of_the_conditioned_prior(
    signs: str, steps: int, network: RecurrentNetwork
):
    every = every_episode(signs)
    before, after = distances_to_optimum("path", network, encoding_of(signs), every, steps)
    assert before > 0.1 and after < 0.01


def test_a_hold_after_a_gap_holds_what_the_gap_ends_with():
    encoding = encoding_of("C4_--")
    assert set(map(encoding.decode, np.array(every_episode("C4_--")))) == {
        "C4E4--", "C4D4--", "C4C4--", "C4.--", "C4---"
    }  # fmt: skip


def test_room_is_left_for_notes_that_are_to_come():
    encoding = MelodyEncoding.fit([], 36)
    whole = TemplateEncoding(encoding, Template(("X" + "^" * 35, ""), ("steps",)))
    constraint, state = whole.constraint, np.array([0])
    state[0] = constraint.start
    for step in range(36):  # one melody alone
        (action,) = np.flatnonzero(constraint.allowed(state, step)[0]).tolist()
        assert ALL[action] == ALL[step + 2]
        state = constraint.advance(state, np.array([action]))
    assert constraint.over(state)[0]
    encoding.max_length = 37
    with pytest.raises(ValueError, match="from step 1 on: its notes would go below C3 or above B5"):
        TemplateEncoding(encoding, Template(("X" + "^" * 36, ""), ("steps",)))
    with pytest.raises(ValueError, match="from step 2 on"):  # C3 is the lowest
        MelodySteps(["C4", "C3", "v"], encoding.vocabulary)


def test_texts_and_metadata():
    inner = MelodyEncoding.fit([], 6, "3/4")
    encoding = TemplateEncoding(inner, Template(("3/4:C4-__X^", ""), ("steps",)))
    text = "3/4:C4-.-D4E4"
    assert encoding.decode(encoding.encode(text)) == text
    for wrong in ("3/4:D4-.-D4E4", "3/4:C4-.-E4D4", "3/4:C4-.-D4E4-", "3/4:C4-.-D4"):
        with pytest.raises(ValueError, match="doesn't have the given parts"):
            encoding.encode(wrong)
    again = encoding_from_metadata(encoding_to_metadata(encoding))
    assert isinstance(again, TemplateEncoding) and again.template == encoding.template
    again.max_length = 12
    with pytest.raises(ValueError, match="has 6 steps, and max_length is 12: give 12 steps, or"):
        again.encode(text)


def test_wrong_texts():
    with pytest.raises(ValueError, match=r"at character 3: 'H4'; notes are C3 to B5"):
        signs_of("C4H4")
    with pytest.raises(UnknownTokenError, match="'C4'"):
        MelodySteps(["C4"], Vocabulary(("-", ".", "D4")))
    with pytest.raises(ValueError, match="'smiles' has no steps"):
        from sequence_tutor.policies.encodings.smiles import SmilesEncoding

        SmilesEncoding(Vocabulary(("<end>", "C"), 0), 4).step_rules("C_")
    with pytest.raises(ValueError, match="there is no other gap"):
        Template(("C", "", ""), ("branch", "steps"))


def test_bars_are_gaps():
    signs = ["C4", *"---"] * 4 + ["D4", "-"]  # bars of four steps, and half a bar
    assert "".join(with_gaps(signs, "2-3", 4)) == "C4---" + GAP * 8 + "C4---D4-"
    assert "".join(with_gaps(signs, "1, 5", 4)) == GAP * 4 + "C4---" * 3 + GAP * 2
    for bars in ("0", "6", "3-2"):
        with pytest.raises(ValueError, match="the melody has bars 1 to 5"):
            with_gaps(signs, bars, 4)
    for bars in ("two", "", "1;2"):
        with pytest.raises(ValueError, match='write "3", "3-4" or "1, 3-4"'):
            with_gaps(signs, bars, 4)
