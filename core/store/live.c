/* SPDX-License-Identifier: MIT */
/*
 * The live page.
 *
 *   0  magic "WEIRLIVE"         128  slot 0        192  slot 1
 *   8  format version u32            0  sequence u64
 *  12  futex word u32                8  end u64
 *  16  store id                     16  epoch u64
 *  32  boot id (36 characters)      24  chain value u32
 *  68.. zero                        28  CRC u32 of the 28 bytes, seeded with
 *                                       the generation
 * 256  generation u64
 *
 * 1. Slot (generation & 1) is whole; the writer fills the other one and then
 *    adds one to the generation. A writer that is killed in between leaves the
 *    old slot in force.
 * 2. A reader copies the slot and looks at the generation again: as long as it
 *    did not change, nobody wrote into that slot.
 */
#include "store/live.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include "base/digest.h"
#include "base/err.h"
#include "base/os.h"
#include "store/format.h"

#define PAGE	   4096u
#define WORD	   12u
#define STORE_ID   16u
#define BOOT_ID	   32u
#define BOOT_LEN   36u
#define SLOTS	   128u
#define SLOT	   64u
#define GENERATION 256u
#define TRIES	   1000

_Static_assert(BOOT_ID + BOOT_LEN <= SLOTS && SLOTS + 2 * SLOT <= GENERATION,
	       "parts of the page overlap");

static const char magic[8] = "WEIRLIVE";

static void
boot_id(char out[BOOT_LEN])
{
	char *text = NULL;
	size_t len = 0;

	memset(out, 0, BOOT_LEN);
	if (os_read_file(&text, &len, "/proc/sys/kernel/random/boot_id", 4096,
			 NULL)
	    == 0) {
		if (len >= BOOT_LEN)
			memcpy(out, text, BOOT_LEN);
		mem_free(text);
	}
}

static _Atomic uint64_t *
word64(const struct live *l, unsigned at)
{
	return (_Atomic uint64_t *)(void *)(l->page + at);
}

int
live_open(struct live *l, const char *path, bool writing, struct weir_err *err)
{
	struct stat st;
	void *p;
	int rc = 0;

	int fd = os_open(path, writing ? O_RDWR | O_CREAT : O_RDONLY, 0600,
			 err);
	if (fd == WEIR_ENOTFOUND && !writing)
		return 0;
	if (fd < 0)
		return fd;
	if (os()->fstat(fd, &st) != 0) {
		rc = err_sys(err, "cannot look at %s", path);
		goto out;
	}
	if (st.st_size < (off_t)PAGE && !writing)
		goto out;
	if (st.st_size < (off_t)PAGE)
		rc = os_zero_fill(fd, path, (uint64_t)st.st_size, PAGE, err);
	if (rc != 0)
		goto out;
	p = os()->mmap(PAGE, writing ? PROT_READ | PROT_WRITE : PROT_READ,
		       MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		rc = err_sys(err, "cannot map %s", path);
		goto out;
	}
	l->page = p;
	l->device = st.st_dev;
	l->file = st.st_ino;
	boot_id(l->boot);
out:
	os_close(fd);
	return rc;
}

bool
live_renew(struct live *l, const char *path)
{
	struct stat st;
	bool done = false;

	if (os()->stat(path, &st) != 0 || st.st_size < (off_t)PAGE
	    || (st.st_dev == l->device && st.st_ino == l->file))
		return false;
	int fd = os_open(path, O_RDONLY, 0, NULL);
	if (fd < 0)
		return false;
	if (os()->fstat(fd, &st) == 0 && st.st_size >= (off_t)PAGE
	    && os()->mmap_over(l->page, PAGE, PROT_READ, MAP_SHARED, fd, 0)
		    != MAP_FAILED) {
		l->device = st.st_dev;
		l->file = st.st_ino;
		done = true;
	}
	os_close(fd);
	return done;
}

void
live_close(struct live *l)
{
	if (l->page != NULL)
		os()->munmap(l->page, PAGE);
	l->page = NULL;
}

uint64_t
live_generation(const struct live *l)
{
	return atomic_load_explicit(word64(l, GENERATION),
				    memory_order_acquire);
}

static uint32_t
slot_crc(const uint8_t *slot, uint64_t generation)
{
	uint8_t g[8];

	put_u64(g, generation);
	return crc32c(crc32c(0, g, 8), slot, 28);
}

/* Slots are read and written by whole words, so that nothing tears. */
static void
copy_out(uint8_t out[32], const struct live *l, unsigned at)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t w = atomic_load_explicit(word64(l, at + 8 * i),
						  memory_order_relaxed);
		memcpy(out + 8 * i, &w, 8);
	}
}

static void
copy_in(const struct live *l, unsigned at, const uint8_t in[32])
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t w;
		memcpy(&w, in + 8 * i, 8);
		atomic_store_explicit(word64(l, at + 8 * i), w,
				      memory_order_relaxed);
	}
}

bool
live_read(const struct live *l, struct live_state *out, bool *this_boot,
	  const uint8_t store[16])
{
	uint8_t slot[32];

	if (l->page == NULL || memcmp(l->page, magic, 8) != 0
	    || get_u32(l->page + 8) != FORMAT_VERSION
	    || memcmp(l->page + STORE_ID, store, 16) != 0)
		return false;
	for (int i = 0; i < TRIES; i++) {
		uint64_t g = atomic_load_explicit(word64(l, GENERATION),
						  memory_order_acquire);
		copy_out(slot, l, SLOTS + SLOT * (unsigned)(g & 1));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(word64(l, GENERATION),
					 memory_order_relaxed)
		    != g)
			continue;
		if (get_u32(slot + 28) != slot_crc(slot, g))
			return false;
		out->sequence = get_u64(slot);
		out->end = get_u64(slot + 8);
		out->epoch = get_u64(slot + 16);
		out->chain = get_u32(slot + 24);
		*this_boot = l->boot[0] != 0
			&& memcmp(l->boot, l->page + BOOT_ID, BOOT_LEN) == 0;
		return true;
	}
	return false;
}

static void
fill_slot(struct live *l, const struct live_state *s)
{
	uint64_t g = atomic_load_explicit(word64(l, GENERATION),
					  memory_order_relaxed)
		+ 1;
	uint8_t slot[32];

	put_u64(slot, s->sequence);
	put_u64(slot + 8, s->end);
	put_u64(slot + 16, s->epoch);
	put_u32(slot + 24, s->chain);
	put_u32(slot + 28, slot_crc(slot, g));
	atomic_thread_fence(memory_order_release);
	copy_in(l, SLOTS + SLOT * (unsigned)(g & 1), slot);
	atomic_store_explicit(word64(l, GENERATION), g, memory_order_release);
}

void
live_publish(struct live *l, const struct live_state *s)
{
	fill_slot(l, s);
	live_rouse(l);
}

void
live_begin(struct live *l, const uint8_t store[16], const struct live_state *s)
{
	struct live_state old;
	bool this_boot = false;

	if (live_read(l, &old, &this_boot, store) && this_boot) {
		live_publish(l, s);
		return;
	}
	/* While the page changes hands it says nothing. */
	memset(l->page, 0, 8);
	atomic_thread_fence(memory_order_seq_cst);
	put_u32(l->page + 8, FORMAT_VERSION);
	memcpy(l->page + STORE_ID, store, 16);
	memcpy(l->page + BOOT_ID, l->boot, BOOT_LEN);
	fill_slot(l, s);
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(l->page, magic, 8);
	live_publish(l, s);
}

uint32_t
live_word(const struct live *l)
{
	return atomic_load_explicit((_Atomic uint32_t *)(void *)(l->page
								 + WORD),
				    memory_order_acquire);
}

void
live_wait(const struct live *l, uint32_t seen, int64_t timeout_us)
{
	struct timespec t = {timeout_us / 1000000,
			     timeout_us % 1000000 * 1000};

	os()->futex_wait((const uint32_t *)(const void *)(l->page + WORD), seen,
			 &t);
}

void
live_wake(const struct live *l)
{
	os()->futex_wake((uint32_t *)(void *)(l->page + WORD), INT_MAX);
}

void
live_rouse(struct live *l)
{
	atomic_fetch_add_explicit((_Atomic uint32_t *)(void *)(l->page + WORD),
				  1, memory_order_release);
	live_wake(l);
}

void
live_sleep(int64_t us)
{
	static const uint32_t word;
	struct timespec t = {us / 1000000, us % 1000000 * 1000};

	os()->futex_wait(&word, 0, &t);
}
