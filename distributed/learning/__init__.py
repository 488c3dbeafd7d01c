"""Updates of the policy: `updater` makes them, `learner` on Ray, `update_calls` asks for them."""
