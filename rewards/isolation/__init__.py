"""Rewards in separate processes, so that a crash, hang or leak doesn't reach the caller.

    caller ──► IsolatedReward ──► Pool (a thread) ──sequences──► child ──► the reward
                                   │   ▲ └─────results──────────────┘ ▲
                                   │   └── children started and ended │ fork, kill
                                   └──────────────────────────► fork server

The fork server builds the reward once and forks children, which takes milliseconds. A child scores
one sequence after another. The pool gives out sequences, watches the deadlines and asks the fork
server to kill a child; only the fork server, as the parent, sees exit codes. Linux only.
"""
