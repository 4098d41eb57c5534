# SPDX-License-Identifier: MIT
"""kill -9 of writers, runners, their supervisor, readers and waiters, each in a
process of its own: WEIR_ROUNDS kills, seeded by WEIR_SEED. See river.py."""

import collections
import os
import random

import pg
import river
import world

ROUNDS = int(os.environ.get("WEIR_ROUNDS", "8"))
ROUNDS_OF_A_STORE = 50


def life(seed, rounds, tally, db, victims):
    r = river.River(seed, tally, db, victims)
    try:
        r.begin()
        done = tries = 0
        while done < rounds and tries < rounds * 20:
            tries += 1
            done += bool(r.round())
        r.verify_river()
        tally.records += len(r.records)
    except BaseException:
        print("\nseed %d failed; its folder is %s" % (seed, r.folder))
        r.end_all()
        raise
    r.close()
    return done


def test_kill_processes(request):
    seed = int(os.environ.get("WEIR_SEED", "0")) or random.SystemRandom().randrange(
        1, 1 << 31
    )
    print("\n%d kills, WEIR_SEED=%d" % (ROUNDS, seed))
    server = None
    if pg.find_bin() or os.environ.get("WEIR_TEST_STRICT"):
        server = request.getfixturevalue("pg_server")
    tally, victims = world.Tally(), collections.Counter()
    done = 0
    while done < ROUNDS:
        db = server.create_db() if server else None
        done += life(seed, min(ROUNDS_OF_A_STORE, ROUNDS - done), tally, db,
                     victims)
        if db:
            db.drop()
        seed += 1
    print("killed: %s; %d acknowledged commits, %d records" % (
        ", ".join("%d %ss" % (n, v) for v, n in sorted(victims.items())),
        tally.acks, tally.records,
    ))
    assert sum(victims.values()) == done
