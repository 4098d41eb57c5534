/* SPDX-License-Identifier: MIT */
#ifndef SERVER_TEXT_H
#define SERVER_TEXT_H

/*
 * The text protocol (weir-text(7)): lines over TCP, in the server's libuv
 * loop. Everything but text_metrics belongs to the loop's thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct buf;
struct config;
struct policy;
struct store;
struct text;
struct weir_err;

struct text_options {
	uv_loop_t *loop;
	struct store *store;
	const struct config *config; /* text.*; see weir.conf(5) */
	int fd;			     /* listening; taken over */
};

/* The process ignores SIGPIPE. After a failure the loop must run once more
 * before it is closed. */
int text_start(struct text **out, const struct text_options *o,
	       struct weir_err *err);
void text_reload(struct text *t, const struct config *config);
/* No new connections, streams are told that they end, publishes under way are
 * answered. text_connections falls to 0. */
void text_drain(struct text *t);
uint64_t text_connections(const struct text *t);
/* Closes what is left; the loop must run on until done is called, which may
 * free. */
void text_close(struct text *t, void (*done)(void *cookie), void *cookie);
void text_metrics(struct text *t, struct buf *out);

#endif
