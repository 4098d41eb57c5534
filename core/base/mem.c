/* SPDX-License-Identifier: MIT */
#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
mem_resize(void *p, size_t n)
{
	if (n > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	void *fresh = os()->realloc(p, n > 0 ? n : 1);
	if (fresh == NULL)
		errno = ENOMEM;
	return fresh;
}

void *
mem_new(size_t n)
{
	void *p = mem_resize(NULL, n);

	if (p != NULL)
		memset(p, 0, n > 0 ? n : 1);
	return p;
}

char *
mem_dup(const char *p, size_t n)
{
	char *copy = n < PTRDIFF_MAX ? mem_resize(NULL, n + 1) : NULL;

	if (copy == NULL)
		return NULL;
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

void
mem_free(void *p)
{
	free(p);
}

void *
must_mem(size_t n)
{
	void *p = mem_new(n);

	if (p == NULL) {
		fprintf(stderr, "weir: not enough memory for %zu bytes\n", n);
		abort();
	}
	return p;
}

char *
must_dup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(must_mem(n), s, n);
}
