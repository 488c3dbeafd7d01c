"""The component `rest`: a server that is sent sequences as JSON and answers with their values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from sequence_tutor.rewards.external import answers
from sequence_tutor.rewards.external.dividing import BatchComplaint, Values, divided
from sequence_tutor.rewards.external.pace import Pace
from sequence_tutor.rewards.place import Place, TextJudge
from sequence_tutor.rewards.registry import EVERY, component
from sequence_tutor.rewards.returned import Complaint


@component(
    "rest",
    domain=EVERY,
    texts=True,
    reference="docs/programs.md",
    example='url = "https://models.example.org/predict", send = "smiles", read = "results.value"',
)
def rest(
    place: Place,
    *,
    url: str,
    send: str = "sequences",
    read: str = "",
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    batch: int = 1,
    rate: float | None = None,
    retries: int = 4,
    timeout_s: float = 60.0,
) -> TextJudge:
    """What a server answers to a POST request with sequences as JSON.

    url: where it is; certificates of https are verified.
    send: the key of the list of sequences in what is sent, also "input.smiles"; "" sends the list
    itself.
    read: the place of the values in the answer, one for each sequence, such as "results.value";
    "" where the answer is the list.
    body: what else is sent, beside the list.
    headers: their values may name environment variables, as ${NAME}; these aren't written anywhere.
    batch: most sequences of a request.
    rate: most requests per second, of all scorers of the run together; none for no limit.
    retries: how often a request is repeated that got no answer, or 429, 502, 503 or 504.
    timeout_s: seconds that the server has for one answer.
    """
    # its library takes a tenth of a second to import, which only users of this component spend
    from sequence_tutor.rewards.external.client import Client, Headers, check_url

    for name, value, good in (
        ("batch", batch, batch >= 1),
        ("retries", retries, retries >= 0),
        ("rate", rate, rate is None or 0 < rate < math.inf),
        ("timeout_s", timeout_s, 0 < timeout_s < math.inf),
    ):
        if not good:
            raise _wrong(f"{name} = {value} is too small or not finite")
    if any(not part for path in (send, read) if path for part in path.split(".")):
        raise _wrong("send and read are keys joined by dots, such as results.value")
    content = _Content(send, body or {})
    head = Headers(headers or {})
    try:
        check_url(url)
        head.check()
    except ValueError as error:
        raise _wrong(str(error)) from None
    pace = None if rate is None else Pace(rate, place.turn)
    client = Client(url, head, timeout_s, retries, pace)

    def ask(texts: Sequence[str]) -> Values:
        text = client.post(content.of(texts))
        try:
            # before a part of it may get into an error
            answer = head.struck_out(answers.from_json(text, head.struck_out))
            return answers.each(answers.at_path(answer, read), len(texts))
        except Complaint as complaint:
            raise BatchComplaint(f"{url} {complaint}") from None

    def judge(texts: Sequence[str]) -> Values:
        values: Values = []
        for first in range(0, len(texts), batch):
            values += divided(ask, texts[first : first + batch])
        return values

    if batch > 1:
        return TextJudge(judge, at_once=True)
    return TextJudge(lambda text: judge([text])[0])


def _wrong(text: str) -> ValueError:
    return ValueError(f"component 'rest': {text}")


class _Content:
    """What is sent: `body` with the list of sequences at the dotted path `send`."""

    def __init__(self, send: str, body: dict[str, Any]) -> None:
        self._body, (*self._tables, self._key) = body, send.split(".")
        if not send and body:
            raise _wrong("body is sent beside the list of sequences: give the list a key by send")
        at: Any = body
        for table in self._tables:
            at = at.get(table, {})
            if not isinstance(at, dict):
                raise _wrong(f"send = {send!r}: {table!r} is no table of body")
        if self._key in at:
            raise _wrong(f"send = {send!r} is a key of body too")
        try:
            self.of([])
        except (TypeError, ValueError) as error:  # TOML has dates, and nan
            raise _wrong(f"body can't be sent as JSON: {error}") from None

    def of(self, texts: Sequence[str]) -> bytes:
        """The JSON of a request."""
        content: Any = list(texts)
        if self._key:
            content = _with(self._body, [*self._tables, self._key], content)
        return json.dumps(content, allow_nan=False).encode()


def _with(table: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A table with a value at a path; tables on the way are copied."""
    first, *rest = path
    return table | {first: _with(table.get(first, {}), rest, value) if rest else value}
