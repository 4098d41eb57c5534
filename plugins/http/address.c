/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static bool
private_v4(uint32_t a)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} nets[] = {
		{0x00000000, 8},  /* 0.0.0.0/8 this host */
		{0x0a000000, 8},  /* 10.0.0.0/8 */
		{0x64400000, 10}, /* 100.64.0.0/10 shared */
		{0x7f000000, 8},  /* 127.0.0.0/8 loopback */
		{0xa9fe0000, 16}, /* 169.254.0.0/16 link-local */
		{0xac100000, 12}, /* 172.16.0.0/12 */
		{0xc0000000, 24}, /* 192.0.0.0/24 protocols */
		{0xc0a80000, 16}, /* 192.168.0.0/16 */
		{0xc6120000, 15}, /* 198.18.0.0/15 measuring */
		{0xe0000000, 3},  /* 224.0.0.0/3 multicast, reserved */
	};

	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
			return true;
	return false;
}

static uint32_t
v4_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

static bool
private_v6(const uint8_t a[16])
{
	static const uint8_t zero[16];
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return private_v4(v4_at(a + 12));
	if (a[0] == 0x20 && a[1] == 0x02) /* 2002::/16, 6to4 */
		return private_v4(v4_at(a + 2));
	if (memcmp(a, zero, 12) == 0) /* ::, ::1 and ::a.b.c.d */
		return true;
	return (a[0] & 0xfe) == 0xfc ||		       /* fc00::/7 */
	       (a[0] == 0xfe && (a[1] & 0x80) != 0) || /* fe80::/9 */
	       a[0] == 0xff;			       /* ff00::/8 */
}

bool
address_is_private(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, a, sizeof(in));
		return private_v4(ntohl(in.sin_addr.s_addr));
	}
	if (a->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, a, sizeof(in6));
		return private_v6(in6.sin6_addr.s6_addr);
	}
	return true;
}
