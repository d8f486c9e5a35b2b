"""The decision log: what records say, in which form, and that none is missing whatever its disk does."""

from __future__ import annotations

import ctypes
import gzip
import hashlib
import hmac
import json
import os
import shutil
import signal
import smtplib
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conftest import Start
from faults import ChaoticSes, Client, Ledger, finish, login, mail
from gate import BINARY, REPOSITORY, Gate, wait_until
from ses import CREDENTIALS

Record = dict[str, Any]

SCHEMA = json.loads((REPOSITORY / "config/decision-log.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
# What the ordinary log has beside the fields of a record.
ORDINARY = {"level", "message", "target", "span", "timestamp"}
FILE = '# file = "/var/log/sesgate/decisions.jsonl"'
REQUIRED = {'audit = "best-effort"': 'audit = "required"'}


def to(file: Path) -> dict[str, str]:
    return {FILE: f'file = "{file}"'}


def read(*files: Path) -> list[Record]:
    """The records of files, each line of which must be one that the schema knows."""
    lines = [line for file in files for line in file.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    for record in records:
        VALIDATOR.validate(record)
    return records


def in_log(gate: Gate) -> list[Record]:
    """The lines of the ordinary log that are records."""
    records = [event for event in gate.events() if "version" in event and "event" in event]
    for record in records:
        VALIDATOR.validate(record)
        assert record["message"] == record["event"]
    return records


def signalled(gate: Gate, number: signal.Signals) -> None:
    assert gate.process is not None
    gate.process.send_signal(number)


def is_ready(gate: Gate) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{gate.admin}/readyz", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        assert error.code == 503
        return False


def clients(gate: Gate, ledger: Ledger, count: int = 4, mails: int = 10_000) -> list[Client]:
    found = [Client(ledger, lambda: login(gate.starttls), [1024] * mails) for _ in range(count)]
    for client in found:
        client.start()
    return found


def end(sending: list[Client]) -> None:
    for client in sending:
        client.stopping.set()
    finish(sending, 20)


def more(ledger: Ledger, code: int, count: int = 20) -> None:
    before = ledger.codes()[code]
    wait_until(f"{count} more answers {code}", lambda: ledger.codes()[code] >= before + count, 30)


def by_mail(records: list[Record], event: str) -> Counter[str]:
    """How many records of that event there are of each mail: each has a recipient of its own."""
    found = [record for record in records if record["event"] == event]
    return Counter(record["recipients"][0].partition("@")[0] for record in found)


def settle(gate: Gate, ledger: Ledger, records: list[Record], required: bool = True) -> None:
    """Each mail that was answered 250, and each in the outbox, has its one record, and the other way round."""
    sent = {number for number, account in ledger.sent.items() if 250 in account.answers}
    for content in gate.taken().values():
        ledger.takes(content)
    print(ledger.summary())
    assert ledger.faults([]) == [], "nothing is there twice or missing"
    relayed = by_mail(records, "relayed")
    assert relayed == Counter(sent)
    assert {record["message_id"] for record in records if record["event"] == "relayed"} == set(gate.taken())
    if required:
        # The same decision was recorded before.
        seen: set[str] = set()
        for record in records:
            if record["event"] == "permitted":
                seen.add(record["decision"])
            elif record["event"] == "relayed":
                assert record["decision"] in seen
    refused = Counter(
        code for account in ledger.sent.values() for code in account.answers if code is not None and code != 250
    )
    found = Counter(record["reply_code"] for record in records if record["event"] == "refused")
    assert found == refused, "each refusal has its record too"


class Reader(threading.Thread):
    """Reads lines until the other end closes."""

    def __init__(self, source: Any, lines: list[str]) -> None:
        super().__init__(daemon=True)
        self.source, self.lines = source, lines

    def run(self) -> None:
        self.lines.extend(self.source)


def send(client: smtplib.SMTP, sender: str, recipient: str, content: str, options: tuple[str, ...] = ()) -> int:
    """The code that ends a mail."""
    code, _ = client.mail(sender, options)
    if code != 250:
        return code
    client.rcpt(recipient)
    client.putcmd("data")
    code, _ = client.getreply()
    if code != 354:
        return code
    client.send(content.encode() + b"\r\n.\r\n")
    return client.getreply()[0]


def test_the_schema_is_one_and_knows_what_is_none() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    base = {"version": 1, "timestamp": "2026-11-24T19:00:00.000Z"}
    assert VALIDATOR.is_valid({**base, "event": "lost", "records": 3})
    for wrong in (
        {"event": "lost", "records": 3},
        {**base, "event": "lost"},
        {**base, "event": "relayed"},
        {**base, "event": "lost", "records": 3, "subject": "x"},
        {**base, "event": "lost", "records": 3, "version": 2},
    ):
        assert not VALIDATOR.is_valid(wrong), wrong


def test_every_kind_of_record_is_valid_and_the_same_in_both_places(start: Start, tmp_path: Path) -> None:
    ledger = Ledger()
    ses = ChaoticSes(ledger, weights={"take": 1}, stall=5)
    file = tmp_path / "decisions.jsonl"
    gate = start(
        {
            **ses.lines,
            **to(file),
            **REQUIRED,
            "# answer_seconds = 55": "answer_seconds = 3",
            "# memory_mib = 512": "memory_mib = 8",
            'policies = ["policies/recipients-example-com.json"]': 'policies = ["policies/deny.json"]',
        },
        CREDENTIALS,
        run=False,
    )
    statements = [
        {"Effect": "Allow", "Action": "ses:*", "Resource": "*"},
        {
            "Sid": "NoLoudCeo",
            "Effect": "Deny",
            "Action": "ses:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"ses:FromAddress": "ceo@example.com"}},
        },
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    (gate.directory / "policies/deny.json").write_text(json.dumps(policy, indent=1))
    gate.start()

    def content(sender: str, *fields: str) -> str:
        return "\r\n".join([f"From: Some One <{sender}>", f"To: {number}@example.com", *fields, "", "secret body"])

    number, _ = mail()
    app, other = "app@example.com", f"{number}@example.com"
    codes: list[int] = []
    with login(gate.starttls) as client:
        for sender, text, options, does in (
            (app, content(app, "X-SES-CONFIGURATION-SET: set"), (), "take"),
            ("CEO@example.com", content("CEO@example.com"), (), "take"),
            (app, "no header", (), "take"),
            (app, content(app), ("size=9000000",), "take"),
            (app, content(app), (), "reject"),
            (app, content(app), (), "error"),
            (app, content(app), (), "throttle"),
            (app, content(app, "X-SES-TENANT: t"), (), "take"),
            (app, content(app), (), "took-stall"),
        ):
            ses.weights = {does: 1}
            codes.append(send(client, sender, other, text, options))
    assert codes == [250, 554, 554, 552, 554, 451, 454, 554, 451]
    wait_until("the late result", lambda: "settled" in file.read_text())
    gate.stop()
    ses.stop()
    records, lines = read(file), in_log(gate)
    events = Counter((record["event"], record.get("reason")) for record in records)
    assert events == {
        ("permitted", None): 5,
        ("relayed", None): 1,
        ("settled", None): 1,
        ("refused", "denied"): 1,
        ("refused", "unreadable"): 1,
        ("refused", "rejected"): 1,
        ("refused", "unknown"): 2,
        ("refused", "throttled"): 1,
        ("refused", "not_supported"): 1,
    }
    # Both forms say the same, but for the intention, which is a second line of one transaction.
    plain = [
        {
            name: ",".join(value) if isinstance(value, list) else value
            for name, value in record.items()
            if name not in ORDINARY | {"facts"}
        }
        for record in records
        if record["event"] != "permitted"
    ]
    assert [{n: v for n, v in line.items() if n not in ORDINARY} for line in lines] == plain
    relayed = next(record for record in records if record["event"] == "relayed")
    assert relayed["recipients"] == [other] and relayed["from"] == [app]
    assert relayed["principal_arn"] == "arn:aws:iam::123456789012:user/app"
    assert relayed["listener"] == f"127.0.0.1:{gate.starttls}" and relayed["tls"] == "none"
    assert relayed["configuration_set"] == "set"
    assert relayed["facts"]["x_ses"] == {"X-SES-CONFIGURATION-SET": "set"}
    assert relayed["facts"]["authors"] == [{"address": app, "name": "Some One"}]
    rejected = next(record for record in records if record.get("reason") == "rejected")
    assert rejected["verdict"] == "Allowed" and rejected["statement"].endswith("deny.json:4: statement 1")
    denied = next(record for record in records if record.get("reason") == "denied")
    assert denied["verdict"] == "ExplicitlyDenied" and denied["spelling_decided"] is True
    assert denied["statement"].endswith("deny.json:9: statement `NoLoudCeo`")
    assert denied["author"] == "CEO@example.com" and denied["resource"].startswith("arn:aws:ses:")
    late = next(record for record in records if record["event"] == "settled")
    doubtful = {record["decision"] for record in records if record.get("possible_duplicate")}
    assert late["decision"] in doubtful and late["message_id"]
    assert "secret" not in file.read_text() + gate.log.read_text()


def test_hashes_are_the_same_in_every_process_with_the_key(start: Start, tmp_path: Path) -> None:
    key = tmp_path / "hash.key"
    key.write_text("5d41402abc4b2a76b9719d911017c592\n")
    changes = {'addresses = "full"': 'addresses = "hash"'}
    keyed = {'# hash_key_file = "/etc/sesgate/hash.key"': f'hash_key_file = "{key}"'}
    shown = []
    for number, more_lines in enumerate((keyed, keyed, {})):
        file = tmp_path / f"{number}.jsonl"
        gate = start({**changes, **more_lines, **to(file)})
        with login(gate.starttls) as client:
            text = "From: app@example.com\r\n\r\nHi."
            assert send(client, "app@example.com", "someone@example.com", text) == 250
            assert send(client, "app@example.com", "someone@example.net", text) == 554
        gate.stop()
        records = read(file)
        assert [record["event"] for record in records] == ["relayed", "refused"]
        for name in (file, gate.log):
            assert "someone" not in name.read_text() and "app@" not in name.read_text()
        shown.append(records[0]["recipients"][0])
    tag = hmac.new(key.read_bytes().strip(), b"someone@example.com", hashlib.sha256).hexdigest()
    assert shown[0] == shown[1] == f"#{tag[:16]}"
    assert shown[2] != shown[0]
    assert key.read_text().strip() not in (gate.log.read_text() + file.read_text())


def test_the_file_alone(start: Start, tmp_path: Path) -> None:
    """Without lines in the ordinary log it still says what asks for action."""
    file = tmp_path / "decisions.jsonl"
    outbox = tmp_path / "box"
    gate = start({**to(file), "in_log = true": "in_log = false", 'directory = "outbox"': f'directory = "{outbox}"'})
    text = "From: app@example.com\r\n\r\nHi."
    with login(gate.starttls) as client:
        assert send(client, "app@example.com", "someone@example.com", text) == 250
        assert send(client, "app@example.com", "someone@example.net", text) == 554
        outbox.rename(tmp_path / "away")
        assert send(client, "app@example.com", "someone@example.com", text) == 451
    gate.stop()
    assert [record["event"] for record in read(file)] == ["relayed", "refused", "refused"]
    assert file.stat().st_mode & 0o777 & ~0o640 == 0
    [line] = in_log(gate)
    assert (line["level"], line["reason"]) == ("ERROR", "unavailable")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_rotation_under_load_loses_nothing(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """As logrotate does it with `create`: the file is moved, another made, and the signal sent."""
    file = tmp_path / "decisions.jsonl"
    gate = start(to(file))
    ledger = Ledger()
    sending = clients(gate, ledger)
    moved = []
    for turn in range(4):
        more(ledger, 250)
        moved.append(file.rename(tmp_path / f"decisions.jsonl.{turn}"))
        file.touch(0o640)
        signalled(gate, number)
        wait_until("lines in the new file", lambda: file.stat().st_size > 0)
    end(sending)
    gate.stop()
    assert all(name.stat().st_size > 0 for name in moved)
    settle(gate, ledger, read(*moved, file), required=False)


PAGE = (REPOSITORY / "config/logging.md").read_text().partition("## Decision log")[2].partition("\n## ")[0]


def block(words: str) -> str:
    """The block of the page's section that has these words in it."""
    [found] = [part for part in PAGE.split("```")[1::2] if words in part]
    return found.partition("\n")[2]


def test_logrotate_as_on_the_page_loses_nothing(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    gate = start(to(file))
    assert gate.process is not None
    stanza = block("postrotate").replace("/var/log/sesgate/decisions.jsonl", str(file))
    command = "systemctl kill --kill-whom=main --signal=USR1 sesgate.service"
    assert command in stanza
    stanza = stanza.replace(command, f"kill -USR1 {gate.process.pid}")
    rules = tmp_path / "logrotate.conf"
    rules.write_text(stanza)
    rules.chmod(0o600)
    tmp_path.chmod(0o700)
    ledger = Ledger()
    sending = clients(gate, ledger)
    for _ in range(4):
        more(ledger, 250)
        command = ["logrotate", "--force", "--state", str(tmp_path / "state"), str(rules)]
        subprocess.run(command, check=True, timeout=30)
    end(sending)
    gate.stop()
    packed = sorted(tmp_path.glob("decisions.jsonl.*.gz"), reverse=True)
    assert len(packed) == 3
    for name in packed:
        name.with_suffix("").write_bytes(gzip.decompress(name.read_bytes()))
        name.unlink()
    moved = sorted(tmp_path.glob("decisions.jsonl.*"), reverse=True)
    settle(gate, ledger, read(*moved, file), required=False)


def test_what_the_page_asks_of_records_is_answered(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    gate = start(to(file))
    text = "From: app@example.com\r\n\r\nHi."
    with login(gate.starttls) as client:
        assert send(client, "app@example.com", "someone@example.com", text) == 250
        for _ in range(2):
            assert send(client, "app@example.com", "someone@example.net", text) == 554
    gate.stop()
    relayed, *denied = read(file)
    commands = block("jq 'select").strip().splitlines()
    find, reasons, statements, slowest = commands
    find = find.replace("01a20d53-fb1c-7dc5-b8d0-6c3bd5a8e1c8", relayed["decision"])

    def run(command: str) -> str:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stderr == "", done
        return done.stdout

    assert json.loads(run(find)) == relayed
    assert run(reasons).split() == ["2", "denied"]
    assert run(statements) == "app\tapp@example.com\tno statement allows it\n" * 2
    assert int(run(slowest)) == relayed["elapsed_ms"]
    # The hash that the page has made by hand is the one in the log.
    (tmp_path / "hash.key").write_text("5d41402abc4b2a76b9719d911017c592\n")
    key = b"5d41402abc4b2a76b9719d911017c592"
    tag = hmac.new(key, b"someone@example.com", hashlib.sha256).hexdigest()
    assert run(block("openssl dgst")).strip() == f"#{tag[:16]}"


def test_a_file_that_is_moved_or_removed_without_a_word_is_made_again(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    gate = start({**to(file), **REQUIRED})
    ledger = Ledger()
    sending = clients(gate, ledger)
    more(ledger, 250)
    moved = file.rename(tmp_path / "moved")
    wait_until("a new file", file.exists)
    removed = []
    for _ in range(5):
        more(ledger, 250)
        removed.append(file.open())
        file.unlink()
        wait_until("a new file", file.exists)
    end(sending)
    gate.stop()
    records = read(moved)
    # What was removed can still be read here; what was written while that happened is there once more.
    seen = set()
    for line in [line for old in removed for line in old] + file.read_text().splitlines(keepends=True):
        if line not in seen:
            seen.add(line)
            records.append(json.loads(line))
    settle(gate, ledger, records)


LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2


def mount(source: bytes, directory: Path, flags: int, kind: bytes = b"", options: bytes = b"") -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if LIBC.mount(source, str(directory).encode(), kind, flags, options) != 0:
        pytest.skip(f"mounting: {os.strerror(ctypes.get_errno())}")


def unmount(directory: Path) -> None:
    LIBC.umount2(str(directory).encode(), MNT_DETACH)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount(b"tmpfs", directory, 0, b"tmpfs", b"size=256k")
    yield directory
    unmount(directory)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leaves no room but for a few records."""
    filler = disk / "filler"
    with filler.open("wb", 0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            out.truncate(max(0, out.tell() - 4096))
    yield
    filler.unlink()


def test_required_sends_nothing_that_a_full_disk_cannot_record(start: Start, disk: Path) -> None:
    file = disk / "decisions.jsonl"
    gate = start({**to(file), **REQUIRED, "sync = false": "sync = true"})
    ledger = Ledger()
    sending = clients(gate, ledger)
    kept: list[Path] = []
    for _ in range(3):
        more(ledger, 250, 5)
        assert is_ready(gate)
        with full(disk):
            more(ledger, 451, 12)
            taken = len(gate.taken())
            more(ledger, 451, 12)
            assert len(gate.taken()) == taken, "nothing is sent"
            assert not is_ready(gate)
            # The lines before are whole: readers need not know of the trouble.
            read(file)
        more(ledger, 250, 5)
        wait_until("readiness", lambda: is_ready(gate))
        # Room for the next turn.
        old = file.rename(disk / "old")
        signalled(gate, signal.SIGUSR1)
        wait_until("lines in a new file", lambda: file.exists() and file.stat().st_size > 0)
        kept.append(shutil.move(old, gate.directory / f"kept.{len(kept)}"))
    end(sending)
    gate.stop()
    settle(gate, ledger, read(*kept, file))
    refused = [line for line in in_log(gate) if line.get("reason") == "not_recorded"]
    assert refused and all(line["level"] == "ERROR" and "make room" in line["remedy"] for line in refused)
    told = [event for event in gate.events() if "cannot be written; make room" in event["message"]]
    assert told and all("No space left" in event["error"] for event in told)


def test_required_sends_nothing_while_the_directory_is_read_only(start: Start, tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    file = directory / "decisions.jsonl"
    gate = start({**to(file), **REQUIRED})
    ledger = Ledger()
    sending = clients(gate, ledger)
    more(ledger, 250)
    removed = file.open()
    below = tmp_path / "below"
    below.mkdir()
    mount(str(directory).encode(), below, MS_BIND)
    mount(str(directory).encode(), directory, MS_BIND)
    try:
        mount(b"", directory, MS_BIND | MS_REMOUNT | MS_RDONLY)
        # The file in use goes on while it is there.
        more(ledger, 250)
        (below / file.name).unlink()
        more(ledger, 451)
        assert not is_ready(gate)
    finally:
        unmount(directory)
        unmount(below)
    wait_until("readiness", lambda: is_ready(gate))
    more(ledger, 250)
    end(sending)
    gate.stop()
    lines = dict.fromkeys([*removed, *file.read_text().splitlines(keepends=True)])
    settle(gate, ledger, [json.loads(line) for line in lines])


def test_a_file_that_cannot_be_made_stops_the_start(start: Start, tmp_path: Path) -> None:
    gate = start(to(tmp_path / "nowhere/decisions.jsonl"), run=False)
    ended = subprocess.run([BINARY, "serve", "--config", gate.config], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    gate.log.touch()
    [event] = [json.loads(line) for line in ended.stdout.splitlines() if '"ERROR"' in line]
    assert "cannot open the decision log" in event["error"] and "nowhere/decisions.jsonl" in event["error"]


def test_best_effort_never_holds_up_mail(start: Start, tmp_path: Path) -> None:
    """Neither a full disk nor one that hangs: a pipe that nobody reads stands for that."""
    hung = tmp_path / "hung"
    os.mkfifo(hung)
    for file in (Path("/dev/full"), hung):
        gate = start(to(file))
        ledger = Ledger()
        finish(clients(gate, ledger, 4, 60), 20)
        gate.terminate()
        assert gate.wait(10) == 0
        assert ledger.codes() == {250: 240}
        told = [event for event in gate.events() if event["level"] == "ERROR"]
        assert told and all("decision log" in event["message"] for event in told), told
        assert len(told) <= 3, told


def test_required_gives_up_on_a_disk_that_hangs(start: Start, tmp_path: Path) -> None:
    hung = tmp_path / "hung"
    os.mkfifo(hung)
    gate = start({**to(hung), **REQUIRED})
    ledger = Ledger()
    sending = clients(gate, ledger, 4)
    more(ledger, 451, 4)
    assert not is_ready(gate)
    taken = len(gate.taken())
    # Somebody reads: it goes on where it stood.
    lines: list[str] = []
    reader = Reader(hung.open(), lines)
    reader.start()
    more(ledger, 250)
    assert len(gate.taken()) > taken
    wait_until("readiness", lambda: is_ready(gate))
    end(sending)
    gate.stop()
    reader.join(10)
    settle(gate, ledger, [json.loads(line) for line in lines])


def test_what_a_hanging_disk_does_not_take_is_in_the_log(start: Start, tmp_path: Path) -> None:
    """Records of mail that was sent, when the ordinary log has no lines of them otherwise."""
    hung = tmp_path / "hung"
    os.mkfifo(hung)
    gate = start({**to(hung), **REQUIRED, "in_log = true": "in_log = false"})
    pipe = os.open(hung, os.O_RDONLY | os.O_NONBLOCK)
    ledger = Ledger()
    sending = clients(gate, ledger, 8)
    more(ledger, 451, 8)
    end(sending)
    gate.terminate()
    assert gate.wait(20) == 0
    written = b""
    while part := os.read(pipe, 65536):
        written += part
    os.close(pipe)
    # The last line may be cut.
    records = [json.loads(line) for line in written.decode().split("\n")[:-1]]
    told = [json.loads(event["record"]) for event in gate.events() if "record" in event]
    for record in [*records, *told]:
        VALIDATOR.validate(record)
    relayed = [record for record in [*records, *told, *in_log(gate)] if record["event"] == "relayed"]
    known = {f"Ok {record['message_id']}" for record in relayed}
    answered = {text for account in ledger.sent.values() for text in account.texts if text.startswith("Ok ")}
    assert answered and answered <= known, answered - known
    assert [record for record in in_log(gate) if record["event"] == "relayed"], "each is told when it happens"


def test_kill_9_leaves_a_record_of_each_mail_that_was_taken(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    gate = start({**to(file), **REQUIRED})
    ledger = Ledger()
    sending = clients(gate, ledger)
    for _ in range(3):
        more(ledger, 250)
        ledger.killed()
        gate.kill()
        gate.start()
    more(ledger, 250)
    end(sending)
    gate.stop()
    records = read(file)
    relayed, permitted = by_mail(records, "relayed"), by_mail(records, "permitted")
    answered = {number for number, account in ledger.sent.items() if 250 in account.answers}
    assert answered <= set(relayed), "what the client was told is recorded"
    for content in gate.taken().values():
        number = content.partition(b"\r\nTo: ")[2].partition(b"@")[0].decode()
        assert permitted[number] >= 1, "nothing was sent without the intention"
