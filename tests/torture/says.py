# SPDX-License-Identifier: Apache-2.0
"""says.py - what a client may say to the daemon beside new jobs, at random, and what it has to say so
that everything ends."""

import os

from .items import Group, Late

AGAIN = ("put", "over", "late", "delete", "share", "watch", "watch_gone", "watch_changed", "set")
MEMBERS = ("put", "put", "over", "late")
RATES = (0, 0, 50_000_000, 200_000_000)
JOBS = (0, 3, 20)


def pick(world, items):
    return world.rng.choice(items) if items else None


def act(world, verb, items):
    item = pick(world, items)
    if item:
        world.ledger.act(world.wire, verb, item)
    return bool(item)


def cancel(world):
    """A set only when nothing of it is still to be sent."""
    return act(world, "cancel", [item for item in world.ledger.open()
                                 if not isinstance(item, Group) or item.complete()])


def pause(world):
    return act(world, "pause", [item for item in world.ledger.open()
                                if item.paused is not True and not isinstance(item, Group)])


def resume(world):
    return act(world, "resume", [item for item in world.ledger.open()
                                 if item.paused or item.state == "paused"])


def retry(world):
    return act(world, "retry", [item for item in world.ledger.items.values() if item.kind in AGAIN
                                and item.final and item.final[0] != "done"])


def group(world):
    """A set, and members of it; who seals it comes later."""
    made = world.ledger.new("set")
    world.ledger.submit(world.wire, [made])
    if made.id is not None:
        world.ledger.submit(world.wire, [world.ledger.new(world.rng.choice(MEMBERS), made)
                                         for _ in range(world.rng.randrange(1, 5))])
    return True


def seal(world):
    return act(world, "seal", unsealed(world))


def unsealed(world):
    return [item for item in world.ledger.groups
            if item.complete() and not item.sealed and not item.final]


def limit(world):
    """Of all, a user, a client or a set: wide enough that everything goes on."""
    rng, uid = world.rng, os.getuid()
    scope = rng.choice([("all", None, None, None), ("user", uid, None, None),
                        ("client", uid, "t", None),
                        *[("set", None, None, item.id) for item in unsealed(world)]])
    ask = {"scope": scope[0], "bytes_per_s": rng.choice(RATES), "jobs": rng.choice(JOBS)}
    ask.update({name: value for name, value in zip(("uid", "label", "set"), scope[1:])
                if value is not None})
    ask.pop(rng.choice(("bytes_per_s", "jobs", None)), None)
    world.ledger.limit(world.wire, scope, ask)
    return True


SAYS = ((cancel, 10), (pause, 6), (resume, 7), (retry, 7), (seal, 5), (group, 2), (limit, 4))


def something(world):
    """Says one of these at times; whether it did."""
    what = world.rng.random() * 100
    for say, often in SAYS:
        what -= often
        if what < 0:
            return say(world)
    return False


def settle(world):
    """What its clients have to do before all can end; whether there was something."""
    ledger = world.ledger
    late = [item for item in ledger.items.values()
            if isinstance(item, Late) and item.final and item.final[0] == "failed"]
    paused = [item for item in ledger.open() if item.state == "paused"]
    open_ = unsealed(world)
    for item in late:
        item.move(hurry=True)
    for verb, items in (("resume", paused), ("seal", open_)):
        for item in items:
            ledger.act(world.wire, verb, item)
    for item in late:
        whole = item.group
        if item.final and not (whole and whole.final and whole.final[0] != "done"
                               and ledger.act(world.wire, "retry", whole)):
            ledger.act(world.wire, "retry", item)
    return bool(late or paused or open_)
