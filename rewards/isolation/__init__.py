"""Rewards in processes of their own: what they do to their process is done to nobody else.

    caller ──► IsolatedReward ──► Pool (a thread) ──sequences──► child ──► the reward
                                   │   ▲ └─────results──────────────┘ ▲
                                   │   └──── who was born, who died   │ fork, kill
                                   └──────────────────────────► fork server

The fork server builds the reward once and forks children, which takes milliseconds. A child scores
one sequence after another. The pool hands sequences out, watches the deadlines and tells the fork
server which child to kill; the fork server is the parent, so it alone sees exit codes. Linux only.
"""
