"""Where the policy learns: the learner, and the driver's calls of it."""
