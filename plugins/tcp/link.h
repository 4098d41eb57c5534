/* SPDX-License-Identifier: MIT */
#ifndef TCP_LINK_H
#define TCP_LINK_H

/* A connection that is kept: made with a bound, watched for its end. */

#include <stdint.h>
#include <weir/sink.h>

struct link {
	const struct weir_sink_host *host;
	const char *name, *port; /* of the peer */
	int64_t connect_us, silence_us;
	int fd; /* -1: not connected */
};

/* What ended a wait. */
enum link_event {
	LINK_IN = 1,
	LINK_OUT = 2,
	LINK_STOP = 4,
	LINK_TIME = 8
};

/* Connects to the first address that answers. stop_fd may be -1. */
int link_connect(struct link *l, int stop_fd, int64_t deadline_us,
		 struct weir_sink_result *res);
void link_close(struct link *l);
/* The same, but what the kernel took has a second to get to the peer. */
void link_finish(struct link *l);

/* Waits for what is in want (LINK_IN, LINK_OUT), the stop descriptor or the
 * time; an end or error of the connection shows as LINK_IN or LINK_OUT. */
unsigned link_wait(const struct link *l, unsigned want, int stop_fd,
		   int64_t until_us);

/* Closes the connection and says what ended it: NOT_CONNECTED. */
int link_lost(struct link *l, int error, const char *doing,
	      struct weir_sink_result *res);

#endif
