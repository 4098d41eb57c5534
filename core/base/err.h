/* SPDX-License-Identifier: MIT */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * Filling struct weir_err. Whoever detects a failure fills it; callers may add
 * a prefix; only the edges print. err may be NULL everywhere.
 */

#include <weir/types.h>

#if defined(__GNUC__)
#define ERR_PRINTF(a, b) __attribute__((format(printf, a, b)))
#else
#define ERR_PRINTF(a, b)
#endif

/* Fills err and returns code. */
int err_set(struct weir_err *err, int code, const char *fmt, ...)
	ERR_PRINTF(3, 4);

/* For a failed system call: keeps errno, adds ": <strerror>" and chooses the
 * code from errno (ENOSPC, EDQUOT -> WEIR_ENOSPC; ENOMEM -> WEIR_ENOMEM;
 * ENOENT -> WEIR_ENOTFOUND; EACCES, EPERM, EROFS -> WEIR_EDENIED; else
 * WEIR_EIO). */
int err_sys(struct weir_err *err, const char *fmt, ...) ERR_PRINTF(2, 3);

int err_nomem(struct weir_err *err);

/* Puts "<text>: " before the message. Returns err->code. */
int err_prefix(struct weir_err *err, const char *fmt, ...) ERR_PRINTF(2, 3);

/* "input", "conflict", ...: a stable word for a code, for --json output. */
const char *err_word(int code);

/* The code of such a word; WEIR_OK when it is none of them. */
int err_code(const char *word);

#endif
