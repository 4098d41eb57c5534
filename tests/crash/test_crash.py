# SPDX-License-Identifier: MIT
"""kill -9 in the middle of everything: WEIR_ROUNDS kills (500 by `make
torture`), seeded by WEIR_SEED. See world.py."""

import os
import random

import pg
import world

ROUNDS = int(os.environ.get("WEIR_ROUNDS", "8"))
ROUNDS_OF_A_STORE = 25


def life(seed, rounds, tally, db):
    """Kills one store so many times; the mirrors are compared twice."""
    w = world.World(seed, tally, db)
    kinds = random.Random(seed)
    try:
        w.append()
        w.verify()
        w.configure_sinks()
        half = rounds // 2
        done = tries = 0
        while done < rounds and tries < rounds * 20:
            tries += 1
            what = kinds.choices(
                (w.append, w.import_, w.deliver), (45, 25, 30)
            )[0]
            killed = what()
            if killed:
                done += 1
                if what != w.deliver:
                    w.verify()
            if done == half:
                half = -1
                w.verify_sinks()
        w.verify_sinks()
        tally.records += len(w.records)
    except Exception:
        print("\nseed %d failed; its folder is %s" % (seed, w.folder))
        raise
    w.close()


def test_kill_rounds(request):
    seed = int(os.environ.get("WEIR_SEED", "0")) or random.SystemRandom().randrange(
        1, 1 << 31
    )
    print("\n%d kills, WEIR_SEED=%d" % (ROUNDS, seed))
    server = None
    if pg.find_bin() or os.environ.get("WEIR_TEST_STRICT"):
        server = request.getfixturevalue("pg_server")
    tally = world.Tally()
    while tally.kills < ROUNDS:
        db = server.create_db() if server else None
        life(seed, min(ROUNDS_OF_A_STORE, ROUNDS - tally.kills), tally, db)
        if db:
            db.drop()
        seed += 1
    print(tally)
    # Few kills may all but miss, by chance.
    hits = tally.in_append + tally.in_batch
    assert hits * 2 >= tally.kills if tally.kills >= 50 else hits > 0
