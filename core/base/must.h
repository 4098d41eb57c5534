/* SPDX-License-Identifier: MIT */
#ifndef BASE_MUST_H
#define BASE_MUST_H

/*
 * must(cond) guards our own invariants and is compiled in always: when cond is
 * false it prints the place to stderr and aborts. Never for disk, network,
 * settings or a plugin's behaviour: those are errors.
 */
#define must(cond)                                                             \
	((cond) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))

_Noreturn void must_fail(const char *cond, const char *file, int line);

#endif
