"""Growing a prior by the tokens that new data needs, before it is trained on that data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sequence_tutor.policies.encodings.template import TemplateEncoding
from sequence_tutor.policies.encodings.vocabulary import Vocabulary
from sequence_tutor.policies.find_prior import PriorError
from sequence_tutor.policies.network import RecurrentNetwork
from sequence_tutor.policies.prior import Prior


def grown(prior: Prior, sequences: Sequence[str], max_length: int | None = None) -> Prior:
    """The prior with actions for all tokens of the sequences; the network is a copy.

    Old actions keep their numbers and their weights, new ones follow them. The network reads a new
    token as the mean of the old ones (its row of the embedding). It outputs for it the mean of the
    old outputs (its row of the head), so that its log-probability is at first the mean of theirs:
    at most 1 / V, and next to nothing where the prior is sure. So old sequences lose at most
    ln(1 + K / V) nats per step to K new tokens, and far less in fact, while a new token is likely
    enough to be learned from its first batch.

    Raises PriorError for a prior of two networks, and for one with given parts.
    """
    if prior.base is not None:
        raise PriorError(
            "a policy tuned with algorithm 'g' is two networks, which can't be trained on: start "
            "from its own prior"
        )
    if isinstance(prior.encoding, TemplateEncoding):
        raise PriorError(
            "a policy tuned with given parts writes nothing else, so it can't be trained on other "
            "data: start from its own prior"
        )
    kind, old = type(prior.encoding), prior.encoding.vocabulary
    needed = kind.fit(sequences).vocabulary.tokens
    new = [token for token in needed if token not in old.tokens]
    encoding = kind(
        Vocabulary((*old.tokens, *new), old.end_id),
        max_length or prior.encoding.max_length,
        **prior.encoding.options,
    )
    network = RecurrentNetwork(
        replace(prior.network.architecture, vocabulary=encoding.vocabulary.size)
    )
    weights = {name: weight.clone() for name, weight in prior.network.state_dict().items()}
    embedding = weights["embedding.weight"]
    actions, start = embedding[:-1], embedding[-1:]
    middle = actions.mean(0, keepdim=True).expand(len(new), -1)
    weights["embedding.weight"] = torch.cat((actions, middle, start))
    for name in ("head.weight", "head.bias"):
        rows = weights[name]
        mean = rows.mean(0, keepdim=True).expand(len(new), *rows.shape[1:])
        weights[name] = torch.cat((rows, mean))
    network.load_state_dict(weights)
    return Prior(encoding, network.eval(), prior.card, data=prior.data)
