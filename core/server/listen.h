/* SPDX-License-Identifier: MIT */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

/* The sockets that a server listens on. */

#include <stddef.h>

struct weir_err;

/* A listening TCP socket on the first address of host (a name or an IPv4 or
 * IPv6 address) that can be had; port 0: one that is free. what names the port
 * in messages: its option and setting ("port", "text-port"). The descriptor,
 * or a code. */
int listen_tcp(const char *host, unsigned port, const char *what,
	       struct weir_err *err);

/* DIR/weir.sock, 0600. One that is there is replaced: the caller knows that
 * nobody else serves the store. The path may be longer than the address of a
 * socket. The descriptor, or a code. */
int listen_local(const char *dir, struct weir_err *err);
void listen_remove_local(const char *dir);

/* "127.0.0.1:7070" or "[::1]:7070" of a TCP socket; "" of another one. */
const char *listen_name(char out[64], int fd);

#endif
