"""Peptides of the twenty amino acids, in one-letter code, as a kind of sequence."""

from sequence_tutor.policies.encodings.tokens import CharacterEncoding
from sequence_tutor.rewards.base import Domain, Identity
from sequence_tutor.rewards.registry import component

# Hydropathy of each amino acid (Kyte and Doolittle 1982).
HYDROPATHY = dict(zip("ARNDCQEGHILKMFPSTWYV", (
    1.8, -4.5, -3.5, -3.5, 2.5, -3.5, -3.5, -0.4, -3.2, 4.5, 3.8, -3.9, 1.9, 2.8, -1.6, -0.8, -0.7,
    -0.9, -1.3, 4.2), strict=True))  # fmt: skip


class PeptideEncoding(CharacterEncoding):
    name, alphabet, usual_length = "peptide", "".join(HYDROPATHY), 32


class PeptideDomain(Domain):
    """Valid are peptides of 4 to 30 amino acids; a peptide's text is its key."""

    name, encoding, example = "peptides", PeptideEncoding, "KLAKLAK"

    def identify(self, sequence: str) -> Identity:
        if not set(sequence) <= HYDROPATHY.keys():
            return Identity(None, "not of the twenty amino acids")
        return Identity(sequence) if 4 <= len(sequence) <= 30 else Identity(None, "not of 4 to 30")


@component("charge", domain="peptides")
def charge(peptide: str) -> float:
    """Net charge at pH 7, each charged amino acid counted as a whole."""
    return sum(map(peptide.count, "KR")) - sum(map(peptide.count, "DE"))


@component("hydropathy", domain="peptides", least=-4.5, most=4.5)
def hydropathy(peptide: str) -> float:
    """Mean hydropathy; above 0 the peptide avoids water."""
    return sum(HYDROPATHY[acid] for acid in peptide) / len(peptide)
