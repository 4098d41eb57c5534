/* SPDX-License-Identifier: MIT */
#ifndef SERVER_ATTEMPTS_H
#define SERVER_ATTEMPTS_H

/*
 * Failed attempts to show a token, by address: ten at once, then one a second.
 * Who shows a good token is never held up by others behind the same address: a
 * guess among 2^256 is hopeless at any rate, and what is bounded here is the
 * work and the noise of those who go on trying.
 *
 * An IPv6 address counts as its /64 network. So many addresses are known at a
 * time; one that is new takes the place of one that is nearly forgiven.
 */

#include <stdint.h>
#include <weir/types.h>

#define ATTEMPTS_BURST 10
#define ATTEMPTS_KNOWN 4096u

struct attempts;

struct attempts *attempts_new(void); /* NULL: no memory, or no random bytes */
void attempts_free(struct attempts *a);

/* One more has failed, at a monotonic time: 0, or the microseconds (at least
 * 1) until another is answered as such. Any thread. */
int64_t attempts_failed(struct attempts *a, struct weir_str address,
			int64_t now);

#endif
