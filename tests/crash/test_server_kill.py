# SPDX-License-Identifier: MIT
"""kill -9 of a server under load: WEIR_ROUNDS kills (200 in a torture), seeded
by WEIR_SEED. See crowd.py."""

import os
import random

import crowd

ROUNDS = int(os.environ.get("WEIR_ROUNDS", "8"))
ROUNDS_OF_A_STORE = 25


class Tally:
    def __init__(self):
        self.kills = self.in_append = self.in_stream = self.in_batch = 0
        self.by_shim = self.records = self.again = 0

    def __str__(self):
        return (
            "%(kills)d kills: %(in_append)d with an append under way, "
            "%(in_stream)d with a stream, %(in_batch)d with a batch, "
            "%(by_shim)d at a counted call; %(records)d records, %(again)d "
            "commits sent again and known" % self.__dict__
        )


def life(seed, rounds, tally):
    c = crowd.Crowd(seed, tally)
    try:
        c.begin()
        for _ in range(rounds):
            c.round()
        c.finish()
    except BaseException:
        print("\nseed %d failed; its folder is %s" % (seed, c.folder))
        c.end_all()
        raise
    c.close()


def test_kill_server():
    seed = int(os.environ.get("WEIR_SEED", "0")) or random.SystemRandom().randrange(
        1, 1 << 31
    )
    print("\n%d kills, WEIR_SEED=%d" % (ROUNDS, seed))
    tally = Tally()
    while tally.kills < ROUNDS:
        life(seed, min(ROUNDS_OF_A_STORE, ROUNDS - tally.kills), tally)
        seed += 1
    print(tally)
    assert tally.in_append > 0 and tally.in_stream > 0
