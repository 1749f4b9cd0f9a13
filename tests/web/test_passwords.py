import asyncio
import base64

import bcrypt
import pytest

from exporter.web.toolkit.passwords import BasicAuth, FairQueue, Verdict, configured_user, matches, parse_basic
from exporter.web.toolkit.worker import BusyError

pytestmark = pytest.mark.unit

HASH = b"$2y$04$" + b"." * 53
USERS = {b"alice": HASH, "jürgen".encode(): HASH}


class Inline:
    """Does the work at once, in order; a gate can hold it."""

    def __init__(self):
        self.gate = None
        self.jobs = 0

    async def run(self, function):
        self.jobs += 1
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        return function()


class Hasher:
    """Takes the right password for every hash but a dummy; records what it was asked."""

    def __init__(self, right=b"right"):
        self.right = right
        self.asked = []

    def __call__(self, password, hashed):
        self.asked.append((password, hashed))
        return password == self.right


async def settle():
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def hasher():
    return Hasher()


@pytest.fixture
def auth(hasher):
    return BasicAuth(hasher, FairQueue(Inline()))


def ask(auth, *headers, users=None):
    async def all_of_them():
        return [await auth.verdict(header, users or USERS, "client") for header in headers]

    return asyncio.run(all_of_them())


def test_right_password_is_let_in_and_checked_once(auth, hasher):
    assert ask(auth, *[basic("alice", "right")] * 3) == [Verdict.ALLOWED] * 3
    assert hasher.asked == [(b"right", HASH)]


def test_wrong_password_is_refused_and_checked_once(auth, hasher):
    assert ask(auth, *[basic("alice", "wrong")] * 3) == [Verdict.DENIED] * 3
    assert len(hasher.asked) == 1


def test_unknown_user_costs_a_check_of_the_same_cost_and_is_refused_whatever_matches(auth, hasher):
    users = {b"alice": HASH, b"bob": b"$2b$12$" + b"." * 53}

    assert ask(auth, basic("mallory", "right"), users=users) == [Verdict.DENIED]
    assert hasher.asked[0][1].startswith(b"$2b$12$")


USERS_OF_COSTS = {b"cheap": b"$2b$04$" + b"." * 53, b"dear": b"$2b$08$" + b"." * 53}


@pytest.mark.parametrize("user", ["cheap", "dear", "mallory"])
@pytest.mark.parametrize("password", ["right", "wrong"])
def test_every_check_costs_as_much_as_one_against_the_highest_cost(auth, hasher, user, password):
    ask(auth, basic(user, password), users=USERS_OF_COSTS)

    assert sum(2 ** int(hashed[4:6]) for _, hashed in hasher.asked) == 2**8


def test_stand_in_for_an_unknown_users_hash_is_one(auth, hasher):
    ask(auth, basic("mallory", "x"))

    # The library raises for what is no hash, without doing the work.
    assert bcrypt.checkpw(b"x", hasher.asked[0][1]) is False


def test_name_and_password_are_utf_8(auth):
    assert ask(auth, basic("jürgen", "right")) == [Verdict.ALLOWED]


def test_changed_hash_asks_again(auth, hasher):
    ask(auth, basic("alice", "right"))
    hasher.right = b"new"

    assert ask(auth, basic("alice", "right"), users={b"alice": HASH[:-1] + b"/"}) == [Verdict.DENIED]


def test_flood_of_wrong_passwords_does_not_push_out_the_right_one(auth, hasher):
    flood = [basic("alice", f"wrong {n}") for n in range(600)]

    verdicts = ask(auth, basic("alice", "right"), *flood, basic("alice", "right"))

    assert verdicts == [Verdict.ALLOWED, *[Verdict.DENIED] * 600, Verdict.ALLOWED]
    assert len(hasher.asked) == 601


def test_password_beyond_72_bytes_is_cut_as_bcrypt_does(hasher):
    hasher.right = b"a" * 72

    assert ask(BasicAuth(hasher, FairQueue(Inline())), basic("alice", "a" * 100)) == [Verdict.ALLOWED]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Bearer abc",
        "Basic !!!!",
        "Basic YQ",
        basic("a", "b")[:-1] + "\xe9",
        "Basic YWJj",
        "Basic " + "QUJD" * 2000,
    ],
)
def test_header_that_is_none_is_refused_without_a_check(auth, hasher, header):
    assert ask(auth, header) == [Verdict.DENIED]
    assert hasher.asked == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic("a", "b"), (b"a", b"b")),
        (basic("", ""), (b"", b"")),
        (basic("a", "b:c"), (b"a", b"b:c")),
        ("bASIC YTpi", (b"a", b"b")),
    ],
)
def test_credentials_are_read(header, expected):
    assert parse_basic(header) == expected


def test_same_password_at_once_is_checked_once(hasher):
    async def run():
        auth = BasicAuth(hasher, FairQueue(Inline()))
        return await asyncio.gather(*[auth.verdict(basic("alice", "right"), USERS, f"{n}") for n in range(50)])

    assert asyncio.run(run()) == [Verdict.ALLOWED] * 50
    assert len(hasher.asked) == 1


def test_result_is_remembered_for_a_client_that_went_away(hasher):
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        auth = BasicAuth(hasher, FairQueue(worker))
        gone = asyncio.create_task(auth.verdict(basic("alice", "right"), USERS, "a"))
        await asyncio.sleep(0)
        gone.cancel()
        worker.gate.set()
        await asyncio.gather(gone, return_exceptions=True)
        return await auth.verdict(basic("alice", "right"), USERS, "a"), worker.jobs

    assert asyncio.run(run()) == (Verdict.ALLOWED, 1)


def test_too_many_checks_at_once_are_refused():
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        auth = BasicAuth(Hasher(), FairQueue(worker, waiting=3))
        asked = [asyncio.create_task(auth.verdict(basic("alice", "first"), USERS, "a"))]
        await settle()
        asked += [asyncio.create_task(auth.verdict(basic("alice", f"{n}"), USERS, "a")) for n in range(5)]
        await settle()
        worker.gate.set()
        return [await task for task in asked]

    assert sorted(verdict.value for verdict in asyncio.run(run())) == ["busy"] * 2 + ["denied"] * 4


def test_queue_serves_clients_in_turn_and_newest_first():
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        queue = FairQueue(worker)
        done = []
        outcomes = [queue.submit("first", lambda: True)]
        await asyncio.sleep(0)
        outcomes += [
            queue.submit(name[0], lambda name=name: done.append(name) or True) for name in ("a1", "a2", "a3", "b1")
        ]
        worker.gate.set()
        await asyncio.gather(*outcomes)
        return done

    assert asyncio.run(run()) == ["a3", "b1", "a2", "a1"]


def test_full_queue_drops_the_oldest_of_the_client_with_most():
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        queue = FairQueue(worker, waiting=3)
        outcomes = [queue.submit("first", lambda: True)]
        await asyncio.sleep(0)
        outcomes += [queue.submit(name, lambda: True) for name in ("b", "a", "a", "a")]
        worker.gate.set()
        return await asyncio.gather(*outcomes, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [bool, bool, BusyError, bool, bool]


def test_client_without_work_left_is_out_of_the_queue():
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        queue = FairQueue(worker, waiting=1)
        outcomes = [queue.submit("first", lambda: True)]
        await asyncio.sleep(0)
        outcomes += [queue.submit(name, lambda: True) for name in ("a", "b")]
        worker.gate.set()
        return await asyncio.gather(*outcomes, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [bool, BusyError, bool]


def test_one_client_has_at_most_16_jobs_in_the_queue():
    async def run():
        worker = Inline()
        worker.gate = asyncio.Event()
        queue = FairQueue(worker)
        outcomes = [queue.submit("first", lambda: True)]
        await asyncio.sleep(0)
        outcomes += [queue.submit("a", lambda: True) for _ in range(20)]
        worker.gate.set()
        return await asyncio.gather(*outcomes, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [bool] + [BusyError] * 4 + [bool] * 16


def test_flood_from_many_addresses_keeps_no_trusted_client_waiting():
    users = {b"alice": HASH, b"bob": HASH}

    async def run():
        worker, hasher = Inline(), Hasher()
        auth = BasicAuth(hasher, FairQueue(worker, waiting=4))
        await auth.verdict(basic("alice", "right"), users, "192.0.2.7")
        worker.gate = asyncio.Event()
        flood = [
            asyncio.create_task(auth.verdict(basic("alice", f"{n}"), users, f"198.51.100.{n}")) for n in range(200)
        ]
        await settle()
        # What this client asks is new to the cache: another user, as after a change of the file.
        scraper = asyncio.create_task(auth.verdict(basic("bob", "right"), users, "192.0.2.7"))
        await settle()
        flood += [asyncio.create_task(auth.verdict(basic("bob", f"{n}"), users, f"203.0.113.{n}")) for n in range(200)]
        await settle()
        worker.gate.set()
        verdict = await scraper
        await asyncio.gather(*flood)
        return verdict, await auth.verdict(basic("alice", "right"), users, "192.0.2.7"), hasher.asked

    verdict, again, asked = asyncio.run(run())

    assert (verdict, again) == (Verdict.ALLOWED, Verdict.ALLOWED)
    # After the one in hand, before the rest of the flood.
    assert [password == b"right" for password, _ in asked[:4]] == [True, False, True, False]


def test_work_that_raises_raises_for_its_owner_alone():
    def explode():
        raise RuntimeError

    async def run():
        queue = FairQueue(Inline())
        return await asyncio.gather(queue.submit("a", explode), queue.submit("a", lambda: True), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [RuntimeError, bool]


@pytest.mark.parametrize(
    ("header", "user"),
    [
        (basic("alice", "x"), "alice"),
        (basic("jürgen", "x"), "jürgen"),
        (basic("hunter2", "x"), None),
        ("nonsense", None),
    ],
)
def test_only_a_configured_user_is_named(header, user):
    assert configured_user(header, USERS) == user


@pytest.mark.parametrize("prefix", [b"$2a$", b"$2b$", b"$2y$"])
def test_hash_of_any_spelling_matches_its_password(prefix):
    hashed = bcrypt.hashpw("pässword".encode(), bcrypt.gensalt(4)).replace(b"$2b$", prefix)

    assert matches("pässword".encode(), hashed)
    assert not matches(b"password", hashed)
    assert not matches(b"password", b"nonsense")
