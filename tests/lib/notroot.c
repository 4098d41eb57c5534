/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into PostgreSQL by pg.py where only root can get to the programs
 * (a checkout below root's home): PostgreSQL refuses to run as root, so it is
 * told that it runs as nobody, who owns its folder.
 */

#include <sys/types.h>
#include <unistd.h>

#define NOBODY 65534

#pragma GCC visibility push(default)

uid_t
getuid(void)
{
	return NOBODY;
}

uid_t
geteuid(void)
{
	return NOBODY;
}

#pragma GCC visibility pop
