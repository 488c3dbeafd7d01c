from __future__ import annotations

import numpy as np
import pytest

from sequence_tutor.policies.encodings.base import pad
from sequence_tutor.policies.encodings.smiles import SmilesEncoding
from sequence_tutor.policies.encodings.tokens import END
from sequence_tutor.policies.encodings.vocabulary import UnknownTokenError


@pytest.mark.parametrize(
    ("smiles", "tokens"),
    [
        ("CCO", ["C", "C", "O"]),
        ("ClCBr", ["Cl", "C", "Br"]),
        ("C[C@@H](N)O", ["C", "[C@@H]", "(", "N", ")", "O"]),
        ("[13CH3][O-]", ["[13CH3]", "[O-]"]),
        ("c1cc%12cc%121", ["c", "1", "c", "c", "%12", "c", "c", "%12", "1"]),
        (r"F/C=C\F", ["F", "/", "C", "=", "C", "\\", "F"]),
        ("[Na+].[Cl-]", ["[Na+]", ".", "[Cl-]"]),
        ("", []),
    ],
)
def test_tokenize_splits_smiles_into_tokens(smiles: str, tokens: list[str]):
    assert SmilesEncoding.tokenize(smiles) == tokens
    assert "".join(tokens) == smiles


@pytest.mark.parametrize(
    ("smiles", "position"), [("CC!C", 3), ("!C", 1), ("CC ", 3), ("C[NH", 2), ("C%1C", 2)]
)
def test_text_that_fits_no_token_raises_with_its_position(smiles: str, position: int):
    with pytest.raises(ValueError, match=f"at character {position}$"):
        SmilesEncoding.tokenize(smiles)


def test_fit_does_not_depend_on_the_order_of_the_corpus():
    encoding = SmilesEncoding.fit(["CCl", "N"], max_length=7)
    assert encoding.vocabulary.tokens == (END, "C", "Cl", "N")
    assert encoding.vocabulary.end_id == 0 and encoding.max_length == 7
    assert SmilesEncoding.fit(["N", "ClC"]).vocabulary == encoding.vocabulary


def test_round_trip_and_the_end_token():
    corpus = ["C[C@H](N)Cl", "c1ccccc1", ""]
    encoding = SmilesEncoding.fit(corpus)
    for smiles in corpus:
        tokens = encoding.encode(smiles)
        assert tokens.dtype == np.int16 and tokens[-1] == encoding.vocabulary.end_id
        assert encoding.decode(tokens) == smiles
        assert encoding.decode(tokens[:-1]) == smiles  # stopped by the length limit
    rows, lengths = pad([encoding.encode(s) for s in corpus])
    assert [encoding.decode(row) for row in rows] == corpus
    assert lengths.tolist() == [7, 9, 1] and rows.shape == (3, 9)
    assert not rows[2].any()


def test_a_token_outside_the_vocabulary_raises():
    with pytest.raises(UnknownTokenError, match="'Br'"):
        SmilesEncoding.fit(["CC"]).encode("CBr")
