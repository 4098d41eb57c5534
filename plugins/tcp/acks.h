/* SPDX-License-Identifier: MIT */
#ifndef TCP_ACKS_H
#define TCP_ACKS_H

/*
 * What a peer sends back: decimal sequences, each ended by LF or CRLF. N says
 * that all records up to N are safe, so a peer may leave out some.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acks {
	char line[24]; /* the one that has no end yet */
	size_t n;
	uint64_t upto;	  /* the highest that was acknowledged */
	uint64_t sent;	  /* the last record that was sent of this batch */
	uint64_t highest; /* of this connection: a late ack is no fault */
};

/* Takes n bytes; false: what came is no such line, or a sequence that was never
 * sent (wrong says which, one short sentence). */
bool acks_take(struct acks *a, const char *p, size_t n, char wrong[128]);

#endif
