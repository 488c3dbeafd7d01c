"""Rewards in processes of their own: what they do to their process is done to nobody else.

    caller ──► IsolatedReward ──► Pool (a thread) ──sequences──► child ──► the reward
                                   │   ▲ └─────results──────────────┘ ▲
                                   │   └──── who was born, who died   │ fork, kill
                                   └──────────────────────────► template

The template builds the reward once and forks children, which takes milliseconds. A child scores one
sequence after another. The pool gives them out, watches the clock, and tells the template whom to
kill; the template is the children's parent, so it alone knows how they died. Linux only.
"""
