/* SPDX-License-Identifier: MIT */
#ifndef MODEL_TEST_H
#define MODEL_TEST_H

/* What the tests of core/model share: cmocka, folders, faults. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/os.h"
#include "base/str.h"
#include "store/record.h"

/* A fresh folder in $TMPDIR; removed by drop_folder. */
static inline char *
make_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path = malloc(256);

	assert_non_null(path);
	snprintf(path, 256, "%s/weir-model-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(path));
	return path;
}

static inline void
drop_folder(char *path)
{
	char command[320];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
	free(path);
}

static inline void
put_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static inline char *
get_file(const char *dir, const char *name)
{
	static char text[65536];
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* ---- the n-th allocation fails ------------------------------------------ */

static struct os faulty_table;
static unsigned long allocations_left; /* 0: none fails */

static void *
faulty_realloc(void *p, size_t n)
{
	if (allocations_left > 0 && --allocations_left == 0)
		return NULL;
	return os_real()->realloc(p, n);
}

/* The n-th allocation from now on fails; 0 puts the real table back. */
static inline void
fail_allocation(unsigned long n)
{
	allocations_left = n;
	faulty_table = *os_real();
	faulty_table.realloc = faulty_realloc;
	os_set(n > 0 ? &faulty_table : NULL);
}

#endif
