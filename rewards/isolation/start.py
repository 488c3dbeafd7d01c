"""Started as a script, by its path: a new interpreter that is to become the fork server.

What to build comes by standard input, the parent's module search path first: the package itself may
be found nowhere else.
"""

import pickle
import sys

if __name__ == "__main__":
    sys.path[:] = pickle.load(sys.stdin.buffer)
    from sequence_tutor.rewards.isolation.fork_server import serve

    serve(int(sys.argv[1]), pickle.load(sys.stdin.buffer))
