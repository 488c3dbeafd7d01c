"""The component `rest`, with a real server, in this process; and the slots of a rate."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from http_fixtures import Asked, Reply, Server

from sequence_tutor.rewards.base import Scores, Status
from sequence_tutor.rewards.compile import build_reward
from sequence_tutor.rewards.config import RewardConfig
from sequence_tutor.rewards.external import client
from sequence_tutor.rewards.external.pace import MOST_AHEAD, Pace, next_turn
from sequence_tutor.rewards.place import Place, Turn
from sequence_tutor.rewards.rates import check_rates

SECRET = "s3cret-t0ken-of-a-user"


def reward(url: str, domain: str = "molecules", **options: Any) -> Any:
    part = {"name": "rest", "url": url, **options}
    return build_reward(RewardConfig.model_validate({"component": [part]}), domain)


def scored(url: str, sequences: list[str], **options: Any) -> Scores:
    return reward(url, **options).score(sequences)  # type: ignore[no-any-return]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without long waits."""
    monkeypatch.setattr(client, "FIRST_S", 0.01)


def test_one_request_for_each_and_for_batches(server: Server) -> None:
    sequences = ["C" * n for n in range(1, 8)]
    assert scored(server.url, sequences).rewards.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert [one.body for one in server.asked] == [{"sequences": [text]} for text in sequences]
    assert len({one.port for one in server.asked}) == 1  # a connection is kept
    server.asked.clear()
    assert scored(server.url, sequences, batch=3).rewards.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert [len(one.body["sequences"]) for one in server.asked] == [3, 3, 1]


def test_melodies_are_sent_too(server: Server) -> None:
    from sequence_tutor.rewards.domains import domain_named

    example = domain_named("melodies").example
    assert reward(server.url, "melodies").score([example]).rewards[0] == len(example)


@pytest.mark.parametrize(
    ("send", "read", "body", "sent", "answer"),
    [
        ("", "", None, ["C", "CC"], [1, 2]),
        ("smiles", "values", None, {"smiles": ["C", "CC"]}, {"values": [1, 2]}),
        (
            "input.smiles",
            "results.value",
            {"model": "m2", "input": {"salt": False}},
            {"model": "m2", "input": {"salt": False, "smiles": ["C", "CC"]}},
            {"results": [{"value": 1}, {"value": 2}]},
        ),
        ("x", "0.y.z", None, {"x": ["C", "CC"]}, [{"y": {"z": [1, 2]}}]),
    ],
)
def test_names_of_what_is_sent_and_read(
    server: Server, send: str, read: str, body: Any, sent: Any, answer: Any
) -> None:
    server.answer = lambda _: Reply(answer)
    options = {"body": body} if body else {}
    scores = scored(server.url, ["C", "CC"], send=send, read=read, batch=2, **options)
    assert scores.rewards.tolist() == [1, 2] and server.asked[0].body == sent


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"<html>Welcome</html>", "answered '<html>Welcome</html>', which is no JSON"),
        ({"value": [1]}, "answered without 'values'; it has 'value'"),
        ({"values": [1, 2, 3]}, "answered 3 values for 1 sequences"),
        ({"values": [None]}, "answered null"),
        ({"values": ["no parameters"]}, "no parameters"),
        (b'{"values": [NaN]}', "answered nan"),
        ({"values": {"a": {}}}, "which is no number"),
    ],
)
def test_an_answer_that_does_not_fit_is_one_sentence(
    server: Server, answer: Any, error: str
) -> None:
    server.answer = lambda _: Reply(answer)
    scores = scored(server.url, ["C"], read="values")
    assert scores.status.tolist() == [Status.FAILED]
    assert error in scores.errors[0] and "\n" not in scores.errors[0]


def test_a_refused_batch_loses_only_what_it_must(server: Server) -> None:
    def answer(one: Asked) -> Reply:
        if "N" in one.body["sequences"]:
            return Reply({"detail": "no nitrogen"}, 422)
        return Reply([len(text) for text in one.body["sequences"]])

    server.answer = answer
    scores = scored(server.url, ["C", "CC", "N", "CCC"], batch=4)
    assert scores.rewards[[0, 1, 3]].tolist() == [1, 2, 3]
    assert scores.errors[2].startswith(f"rest: {server.url} answered 422 ")
    assert "no nitrogen" in scores.errors[2]


def test_busy_servers_are_asked_again(server: Server, quick: None) -> None:
    replies = [Reply(status=503), Reply(status=429), Reply(status=502), Reply([1])]
    server.answer = lambda _: replies.pop(0)
    assert scored(server.url, ["C"]).rewards.tolist() == [1] and not replies


def test_retry_after_is_honoured(server: Server, quick: None) -> None:
    replies = [Reply(status=429, headers={"Retry-After": "1"}), Reply([1])]
    server.answer = lambda _: replies.pop(0)
    assert scored(server.url, ["C"]).rewards.tolist() == [1]
    assert server.asked[1].at - server.asked[0].at >= 1


def test_a_server_that_stays_busy_fails_the_sequence(server: Server, quick: None) -> None:
    server.answer = lambda _: Reply(b"maintenance", 503)
    scores = scored(server.url, ["C"], retries=2)
    assert "answered 503 Service Unavailable after 3 attempts: 'maintenance'" in scores.errors[0]
    assert len(server.asked) == 3
    server.answer = lambda _: Reply(status=404)
    assert "answered 404 Not Found" in scored(server.url, ["C"]).errors[0]
    assert len(server.asked) == 4  # a mistake isn't repeated


def test_waits_double_and_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[list[float]] = []
    for _ in range(40):
        retry = client.BackOff(total=None, status=9, allowed_methods=None)
        waits.append([])
        for _ in range(9):
            retry = retry.increment("POST", "/", error=None, response=None, _pool=None)
            waits[-1].append(retry.get_backoff_time())
    for n, some in enumerate(zip(*waits, strict=True)):
        mean_s = min(client.MOST_S, client.FIRST_S * 2**n)
        assert 0.5 * mean_s <= min(some) < 0.8 * mean_s and 1.2 * mean_s < max(some) <= 1.5 * mean_s


def test_a_server_that_is_not_there_or_silent_fails_the_sequence(
    server: Server, quick: None
) -> None:
    refused = scored("http://127.0.0.1:9/", ["C"], retries=1)
    assert "Connection refused" in refused.errors[0]
    server.answer = lambda _: time.sleep(0.5) or Reply([1])  # type: ignore[func-returns-value]
    late = scored(server.url, ["C"], retries=0, timeout_s=0.1)
    assert "timed out" in late.errors[0]


# -- secrets ---------------------------------------------------------------------------------------


def test_headers_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    headers = {"Authorization": "Bearer ${TOKEN}", "content-type": "text/plain", "X-Price": "$$5"}
    scored(server.url, ["C"], headers=headers)
    found = server.asked[0].headers
    assert found["authorization"] == f"Bearer {SECRET}" and found["x-price"] == "$5"
    assert found["content-type"] == "text/plain"


def test_redirects_to_other_hosts_carry_no_headers(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    places = {"/score": "/there", "/there": f"http://localhost:{server.port}/elsewhere"}

    def answer(one: Asked) -> Reply:
        if one.path in places:
            return Reply(status=307, headers={"Location": places[one.path]})
        return Reply([7])

    server.answer = answer
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Key": "${TOKEN}"}
    assert scored(server.url, ["C"], headers=headers).rewards.tolist() == [7]
    first, second, third = server.asked
    assert SECRET in second.headers["authorization"] and second.headers["x-key"] == SECRET
    assert first.headers == second.headers and SECRET not in str(third.headers)


def test_no_error_has_a_secret(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that repeats what it was sent, in the places of an answer that errors show."""
    monkeypatch.setenv("TOKEN", SECRET)
    long = "x" * (75 - len(SECRET) // 2)  # an error shows 80 characters, and so a part of it
    answers: list[Reply] = [
        Reply(SECRET.encode(), 400),
        Reply(f"{long}{SECRET}".encode(), 403),
        Reply(f"{long}{SECRET}".encode()),
        Reply([SECRET]),
        Reply([{"error": f"bad key {SECRET}", "a": 1}]),
        Reply({SECRET: 1, "a": 2}),
        Reply([[f"{long}{SECRET}"]]),
    ]
    for reply in answers:
        server.answer = lambda _, reply=reply: reply  # type: ignore[misc]
        scores = scored(server.url, ["C"], headers={"X-Key": "${TOKEN}"})
        assert scores.status.tolist() == [Status.FAILED]
        assert SECRET[:6] not in scores.errors[0], scores.errors
        assert "${TOKEN}"[:5] in scores.errors[0]


def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert scored("http://models.invalid/predict", ["CC"]).rewards.tolist() == [2]
    assert server.asked[0].path == "http://models.invalid/predict"
    assert server.asked[0].headers["proxy-authorization"].startswith("Basic ")


def test_certificates_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with a certificate of its own is refused, unless SSL_CERT_FILE names it."""
    import ssl
    import threading
    from http.server import HTTPServer

    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes a certificate, is missing")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        f"/CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(make.split(), check=True, capture_output=True)
    plain = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure = HTTPServer(("127.0.0.1", 0), plain._http.RequestHandlerClass)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    threading.Thread(target=secure.serve_forever, args=[0.02], daemon=True).start()
    url = f"https://localhost:{secure.server_port}/"
    for name in ("https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in scored(url, ["C"], retries=0).errors[0]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert scored(url, ["C"], retries=0).rewards.tolist() == [1]
    secure.shutdown()
    secure.server_close()
    plain.close()


# -- the rate --------------------------------------------------------------------------------------


def test_requests_of_all_scorers_are_a_slot_apart() -> None:
    """An hour of 7 scorers by a clock of the test's own, each asked at random times; some are
    replaced, and forget their last turn."""
    dice = random.Random(0)
    rate, scorers = 3.0, 7
    sent = []
    for scorer in range(scorers):
        now, last = 1.8e9 + dice.random(), 0
        while now < 1.8e9 + 3600:
            last, at = next_turn(now, last, rate, Turn(scorer, scorers))
            assert at > now
            sent.append(at)
            now = at + dice.expovariate(1.0)
            last = 0 if dice.random() < 0.1 else last
    sent.sort()
    assert min(b - a for a, b in zip(sent, sent[1:], strict=False)) > 0.999 / rate
    # and one that has enough to do uses all of its share
    last, at = next_turn(1.8e9, 0, rate, Turn(2, scorers))
    assert next_turn(1.8e9, last, rate, Turn(2, scorers))[1] == pytest.approx(at + scorers / rate)
    # control: scorers that don't take turns send at once
    assert next_turn(1.8e9, 0, rate, Turn())[1] == next_turn(1.8e9, 0, rate, Turn())[1]
    # a clock that was set back by a day doesn't stop the run for a day
    assert next_turn(1.8e9, last + 2 * MOST_AHEAD, rate, Turn(2, scorers))[1] == at


def _take(pace: Pace, times: int, results: Any) -> None:
    results.put([pace._take() for _ in range(times)])


def test_processes_of_a_scorer_share_its_slots() -> None:
    context = multiprocessing.get_context("fork")
    pace, results = Pace(1000.0, Turn(1, 2)), context.Queue()
    children = [context.Process(target=_take, args=(pace, 200, results)) for _ in range(2)]
    for child in children:
        child.start()
    taken = results.get(timeout=60) + results.get(timeout=60)
    for child in children:
        child.join()
    assert len({round(at * 1000) for at in taken}) == 400
    assert {round(at * 1000) % 2 for at in taken} == {1}


def test_a_rate_that_leaves_too_little_time_is_refused() -> None:
    part = {"name": "rest", "url": "http://x/", "rate": 2}
    config = RewardConfig.model_validate({"component": [part], "timeout_s": 60, "waiting": 3})
    check_rates(config, 29)
    with pytest.raises(ValueError, match=r"rate = 2, shared by 30 scorers, .* up to 60 s"):
        check_rates(config, 30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://x/"}, "must begin with http:// or https://"),
        ({"url": "models.org"}, "must begin with http:// or https://"),
        ({"url": "http://[x/"}, "url = 'http://[x/'"),
        ({"url": "http://me:word@x/"}, "give them as headers.Authorization"),
        ({"headers": {"A": "${NO_SUCH_VARIABLE}"}}, "variable NO_SUCH_VARIABLE, which isn't set"),
        ({"headers": {"A": "${"}}, "write a variable as ${NAME}, and a dollar sign as $$"),
        ({"headers": {"A B": "x"}}, "'A B' is no name of a header"),
        ({"headers": {"A": "x\ny"}}, "headers.A has a line end"),
        ({"batch": 0}, "batch = 0 is too small"),
        ({"rate": 0.0}, "rate = 0.0 is too small"),
        ({"retries": -1}, "retries = -1 is too small"),
        ({"send": "a..b"}, "keys joined by dots"),
        ({"send": "a.b", "body": {"a": 1}}, "'a' is no table of body"),
        ({"send": "a", "body": {"a": 1}}, "is a key of body too"),
        ({"send": "", "body": {"a": 1}}, "give the list a key by send"),
        ({"body": {"a": float("nan")}}, "body can't be sent as JSON"),
        ({"read": 3}, "should be a valid string"),
    ],
)
def test_bad_options_are_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        reward(**({"url": "http://x/"} | options))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_value_of_a_wrong_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", f"{SECRET}\n")
    with pytest.raises(ValueError) as caught:
        reward("http://x/", headers={"A": "${TOKEN}"})
    assert "headers.A" in str(caught.value) and SECRET not in str(caught.value)


def test_other_rewards_do_not_import_the_library() -> None:
    code = (
        "import sys\n"
        "from sequence_tutor.rewards.compile import build_reward\n"
        "from sequence_tutor.rewards.config import RewardConfig\n"
        "build_reward(RewardConfig.model_validate({'component': [{'name': 'qed'}]}))\n"
        "assert 'urllib3' not in sys.modules and 'rest' in "
        "sys.modules['sequence_tutor.rewards.registry'].components('molecules')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_place_is_used_for_the_turn(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reward of a scorer takes the slots of that scorer."""
    taken: list[Turn] = []
    monkeypatch.setattr(Pace, "wait", lambda self: taken.append(self._turn))
    part = {"name": "rest", "url": server.url, "rate": 5}
    config = RewardConfig.model_validate({"component": [part]})
    turn = Turn(3, 8)
    assert build_reward(config, place=Place((), turn)).score(["C"]).rewards[0] == 1
    assert taken == [turn]
