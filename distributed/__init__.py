"""Who does what, and where: the control loop, actors, scorers, replay shards and the learner.

Only this package knows Ray. It knows neither chemistry nor music: a domain comes in through
`sequence_tutor.policies.encoding.Encoding` and `sequence_tutor.rewards.base.Domain`.
"""

if __name__ == "distributed":
    raise ImportError("import sequence_tutor.distributed instead of distributed")
