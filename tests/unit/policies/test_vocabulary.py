from __future__ import annotations

import pytest

from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError, Vocabulary


def test_ids_follow_the_order_and_the_start_id_comes_last():
    vocabulary = Vocabulary(("<end>", "C", "Cl"), end_id=0)
    assert (vocabulary.size, vocabulary.start_id) == (3, 3)
    assert vocabulary.encode(["Cl", "C"], "ClC") == [2, 1]
    assert vocabulary.decode([2, 1, 0]) == ["Cl", "C", "<end>"]


def test_an_unknown_token_raises_with_its_sequence():
    with pytest.raises(UnknownTokenError, match="'Br' of 'CBr'") as caught:
        Vocabulary(("C",)).encode(["C", "Br"], "CBr")
    assert caught.value.token == "Br"


def test_a_repeated_token_raises():
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("C", "N", "C"))


def test_equality_is_by_tokens_and_end():
    assert Vocabulary(("C", "N"), end_id=0) == Vocabulary(("C", "N"), end_id=0)
    assert Vocabulary(("C", "N"), end_id=0) != Vocabulary(("C", "N"), end_id=1)
    assert Vocabulary(("C", "N")) != Vocabulary(("N", "C"))
