"""Policies: encodings, the recurrent network, priors, sampling and the KL-control losses.

Nothing here imports Ray or scores a sequence. Shape legend for the whole project:
B trajectories, T steps (time), V vocabulary size, E embedding width, H hidden width, L layers.
Log-probabilities are natural logarithms (nats).
"""

if __name__ == "policies":
    raise ImportError("import sequence_tutor.policies instead of policies")
