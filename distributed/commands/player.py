"""Plays a WAV file with a program of this machine, while the command goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

# Programs that play a WAV file, with their arguments before its path.
PLAYERS = {
    "afplay": (),
    "paplay": (),
    "aplay": ("-q",),
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "quiet"),
}
# Seconds in which a program that can't play, such as one without a sound card, has ended; and those
# until one that was asked to end is killed.
FAILS_S, ENDS_S = 0.5, 2.0


class Player:
    """The programs of PLAYERS that this machine has; one that fails isn't tried again."""

    def __init__(self) -> None:
        found = [(shutil.which(name), arguments) for name, arguments in PLAYERS.items()]
        self._programs = [(path, arguments) for path, arguments in found if path is not None]
        self._playing: subprocess.Popen[bytes] | None = None

    def play(self, wav: Path) -> str:
        """Begin to play a file; what played before ends. Returns the program's name, "" where none
        can play."""
        self.stop()
        while self._programs:
            program, arguments = self._programs[0]
            try:
                self._playing = subprocess.Popen(
                    [program, *arguments, str(wav.resolve())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                if self._playing.wait(FAILS_S) == 0:  # a short sound is over already
                    return Path(program).name
            except subprocess.TimeoutExpired:
                return Path(program).name
            except OSError:  # such as a program of another machine
                pass
            self._playing = None
            self._programs.pop(0)
        return ""

    def stop(self) -> None:
        """End what plays."""
        playing, self._playing = self._playing, None
        if playing is None or playing.poll() is not None:
            return
        playing.terminate()
        try:
            playing.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            playing.kill()
            playing.wait()
