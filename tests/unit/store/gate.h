/* SPDX-License-Identifier: MIT */
#ifndef STORE_GATE_H
#define STORE_GATE_H

/*
 * A disk for tests with threads: it counts, can be slow, can fail, and can be
 * stopped at its syncs. Calls of files that are not segments pass through.
 */

#include <stdbool.h>
#include <stdint.h>

enum gate_of {
	GATE_ALL,
	GATE_MAIN,
	GATE_OTHERS
};

/* Begins; the calling thread is the main one. */
void gate_begin(void);
void gate_end(void);

/* Each fdatasync takes so long. */
void gate_slow(int64_t us);

/* pwrite (or fdatasync) fails from the n-th one on (1: the next one) until
 * gate_mend; only in threads of that kind. */
void gate_fail_write(uint64_t n, int error, enum gate_of of);
void gate_fail_sync(uint64_t n, int error);
void gate_mend(void);

/* Between the two, fdatasync of the journal waits. */
void gate_shut(void);
void gate_open(void);

/* How many there were since gate_begin. */
uint64_t gate_syncs(void);
uint64_t gate_main_zeros(void);	  /* bytes of zeros that main wrote */
void gate_wait_fsync(uint64_t n); /* n of them ended in other threads */
uint64_t gate_fsyncs(void);

#endif
