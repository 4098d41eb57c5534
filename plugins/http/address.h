/* SPDX-License-Identifier: MIT */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Is this no address of the public internet: loopback, private, link-local,
 * shared, multicast, reserved (RFC 6890), or IPv6 that stands for such an IPv4
 * address? Unknown families count as private. */
bool address_is_private(const struct sockaddr *a);

#endif
