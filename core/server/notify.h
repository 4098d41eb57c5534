/* SPDX-License-Identifier: MIT */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

/*
 * What a service manager is told and gives: systemd's protocol of datagrams to
 * NOTIFY_SOCKET (sd_notify(3)) and of descriptors from 3 on (LISTEN_FDS,
 * sd_listen_fds(3)), spoken by hand. Without the variables nothing happens.
 */

#include <stdint.h>

/* Learns from the environment, and takes the variables out of it so that no
 * child answers in our place. Before other threads run. */
void notify_init(void);

/* Lines such as "READY=1\nSTATUS=...". What can't be sent is lost. Any
 * thread. */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Half of the time in which the manager wants to hear WATCHDOG=1, in
 * microseconds; 0: it does not ask. */
int64_t notify_watchdog(void);

/* The listening socket that was handed over under this name (with one socket
 * only, under whatever name for "http"): its descriptor, which is then the
 * caller's, or -1. */
int notify_socket(const char *name);

#endif
