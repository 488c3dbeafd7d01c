"""The script by which a new interpreter becomes the fork server.

Standard input has the parent's module search path, without which the package may not be found, and
then the settings.
"""

import pickle
import sys

if __name__ == "__main__":
    sys.path[:] = pickle.load(sys.stdin.buffer)
    from sequence_tutor.rewards.isolation.fork_server import serve

    serve(int(sys.argv[1]), pickle.load(sys.stdin.buffer))
