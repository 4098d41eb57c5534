/* SPDX-License-Identifier: MIT */
/*
 * The text form of a file cursor; see the header for its lines.
 *
 * 1. A file is read whole or refused: the end line's hash covers all of it.
 * 2. Numbers are decimal without sign or leading blank, within 64 bits.
 */
#include "common/filecursor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
filecursor_init(struct file_cursor *c)
{
	memset(c, 0, sizeof(*c));
}

static void
drop(const struct weir_sink_host *host, void *p)
{
	if (p != NULL)
		host->release(host->cookie, p);
}

void
filecursor_clear_swaps(struct file_cursor *c, const struct weir_sink_host *host)
{
	for (size_t i = 0; i < c->nswaps; i++) {
		drop(host, c->swaps[i].temp);
		drop(host, c->swaps[i].name);
	}
	drop(host, c->swaps);
	c->swaps = NULL;
	c->nswaps = 0;
}

void
filecursor_fini(struct file_cursor *c, const struct weir_sink_host *host)
{
	for (size_t i = 0; i < c->nfiles; i++) {
		drop(host, c->files[i].name);
		text_fini(&c->files[i].pending);
	}
	for (size_t i = 0; i < c->nnotes; i++)
		drop(host, c->notes[i]);
	drop(host, c->files);
	drop(host, c->notes);
	filecursor_clear_swaps(c, host);
	memset(c, 0, sizeof(*c));
}

static char *
dup_text(const struct weir_sink_host *host, const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = host->resize(host->cookie, NULL, n);

	if (p != NULL)
		memcpy(p, s, n);
	return p;
}

/* Room for one more in an array that doubles at each power of two. */
static bool
grow(const struct weir_sink_host *host, void *array, size_t n, size_t size)
{
	void *p;

	if ((n & (n - 1)) != 0)
		return true;
	memcpy(&p, array, sizeof(p));
	p = host->resize(host->cookie, p, (n == 0 ? 1 : n * 2) * size);
	if (p == NULL)
		return false;
	memcpy(array, &p, sizeof(p));
	return true;
}

struct file_entry *
filecursor_add_file(struct file_cursor *c, const struct weir_sink_host *host,
		    const char *name)
{
	struct file_entry *e;
	char *copy = dup_text(host, name);

	if (copy == NULL || !grow(host, &c->files, c->nfiles, sizeof(*e))) {
		drop(host, copy);
		return NULL;
	}
	e = &c->files[c->nfiles++];
	memset(e, 0, sizeof(*e));
	e->name = copy;
	e->fd = -1;
	text_init(&e->pending, host, (size_t)256 << 20);
	return e;
}

bool
filecursor_add_note(struct file_cursor *c, const struct weir_sink_host *host,
		    const char *words)
{
	char *copy = dup_text(host, words);

	if (copy == NULL || !grow(host, &c->notes, c->nnotes, sizeof(copy))) {
		drop(host, copy);
		return false;
	}
	c->notes[c->nnotes++] = copy;
	return true;
}

bool
filecursor_add_swap(struct file_cursor *c, const struct weir_sink_host *host,
		    const char *temp, const char *name)
{
	struct file_swap s = {.name = dup_text(host, name)};

	if (temp != NULL)
		s.temp = dup_text(host, temp);
	if (s.name == NULL || (temp != NULL && s.temp == NULL) ||
	    !grow(host, &c->swaps, c->nswaps, sizeof(s))) {
		drop(host, s.name);
		drop(host, s.temp);
		return false;
	}
	c->swaps[c->nswaps++] = s;
	return true;
}

/* ---- writing ------------------------------------------------------------ */

static bool
plain(unsigned char ch)
{
	return ch > 0x20 && ch != '%' && ch != 0x7f;
}

void
filecursor_put_word(struct text *b, const char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	if (n == 0)
		text_putc(b, '%');
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (plain(ch)) {
			text_putc(b, s[i]);
			continue;
		}
		text_putc(b, '%');
		text_putc(b, hex[ch >> 4]);
		text_putc(b, hex[ch & 15]);
	}
}

static void
put_hash(struct text *b, const uint8_t hash[32])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < 32; i++) {
		text_putc(b, hex[hash[i] >> 4]);
		text_putc(b, hex[hash[i] & 15]);
	}
}

static void
put_u64(struct text *b, uint64_t v)
{
	text_fmt(b, "%" PRIu64, v);
}

static void
put_number(struct text *b, const char *word, uint64_t v)
{
	text_puts(b, word);
	text_putc(b, ' ');
	put_u64(b, v);
	text_putc(b, '\n');
}

static void
put_file(struct text *b, const struct file_entry *e)
{
	text_puts(b, "file ");
	put_u64(b, e->generation);
	text_putc(b, ' ');
	put_u64(b, e->end);
	text_putc(b, ' ');
	put_u64(b, e->head_len);
	text_putc(b, ' ');
	put_hash(b, e->head);
	text_putc(b, ' ');
	filecursor_put_word(b, e->name, strlen(e->name));
	text_putc(b, '\n');
}

void
filecursor_write(struct text *b, const struct file_cursor *c)
{
	static const uint8_t none[sizeof(c->hash)];
	uint8_t hash[32];

	text_puts(b, "weir-cursor 1\nstore ");
	text_puts(b, c->store);
	text_puts(b, "\nsink ");
	filecursor_put_word(b, c->sink, strlen(c->sink));
	text_putc(b, '\n');
	put_number(b, "lane", c->lane);
	put_number(b, "sequence", c->sequence);
	if (memcmp(c->hash, none, sizeof(none)) != 0) {
		text_puts(b, "hash ");
		put_hash(b, c->hash);
		text_putc(b, '\n');
	}
	put_number(b, "epoch", c->epoch);
	put_number(b, "parked", c->parked);
	for (size_t i = 0; i < c->nfiles; i++)
		put_file(b, &c->files[i]);
	for (size_t i = 0; i < c->nnotes; i++) {
		text_puts(b, "note ");
		text_puts(b, c->notes[i]);
		text_putc(b, '\n');
	}
	for (size_t i = 0; i < c->nswaps; i++) {
		const struct file_swap *s = &c->swaps[i];

		text_puts(b, s->temp != NULL ? "swap " : "drop ");
		if (s->temp != NULL) {
			filecursor_put_word(b, s->temp, strlen(s->temp));
			text_putc(b, ' ');
		}
		filecursor_put_word(b, s->name, strlen(s->name));
		text_putc(b, '\n');
	}
	if (b->failed)
		return;
	b->host->sha256(b->host->cookie, b->data, b->len, hash);
	text_puts(b, "end ");
	put_hash(b, hash);
	text_putc(b, '\n');
}

/* ---- reading ------------------------------------------------------------ */

static int
nibble(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return -1;
}

size_t
filecursor_unescape(char *word)
{
	char *to = word;

	for (const char *p = word; *p != '\0'; p++) {
		if (*p != '%') {
			*to++ = *p;
		} else if (p[1] != '\0' && nibble(p[1]) >= 0 &&
			   nibble(p[2]) >= 0) {
			*to++ = (char)(nibble(p[1]) << 4 | nibble(p[2]));
			p += 2;
		}
	}
	*to = '\0';
	return (size_t)(to - word);
}

static bool
get_hash(uint8_t out[32], const char *word)
{
	if (word == NULL || strlen(word) != 64)
		return false;
	for (size_t i = 0; i < 32; i++) {
		int hi = nibble(word[2 * i]), lo = nibble(word[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool
get_u64(uint64_t *out, const char *word)
{
	char *end;

	if (word == NULL || *word < '0' || *word > '9')
		return false;
	errno = 0;
	*out = strtoull(word, &end, 10);
	return errno == 0 && *end == '\0';
}

/* Cuts the next word off *line; NULL at the end. */
static char *
next_word(char **line)
{
	char *word = *line, *space;

	if (word == NULL || *word == '\0')
		return NULL;
	space = strchr(word, ' ');
	if (space != NULL)
		*space++ = '\0';
	*line = space;
	return word;
}

static bool
get_store(struct file_cursor *c, const char *word)
{
	size_t n = 0;

	if (word == NULL || strlen(word) != 36)
		return false;
	memcpy(c->store, word, 37);
	for (const char *p = word; *p != '\0'; p++) {
		if (*p == '-')
			continue;
		if (n == 32 || nibble(*p) < 0)
			return false;
		c->store_id[n / 2] =
			(uint8_t)(c->store_id[n / 2] << 4 | nibble(*p));
		n++;
	}
	return n == 32;
}

static int
read_file_line(struct file_cursor *c, const struct weir_sink_host *host,
	       char *line)
{
	struct file_entry e = {0}, *to;
	char *name;

	if (!get_u64(&e.generation, next_word(&line)) ||
	    !get_u64(&e.length, next_word(&line)) ||
	    !get_u64(&e.head_len, next_word(&line)) ||
	    !get_hash(e.head, next_word(&line)) ||
	    (name = next_word(&line)) == NULL)
		return -1;
	(void)filecursor_unescape(name);
	to = filecursor_add_file(c, host, name);
	if (to == NULL)
		return -2;
	to->generation = e.generation;
	to->length = to->end = e.length;
	to->head_len = e.head_len;
	memcpy(to->head, e.head, sizeof(to->head));
	to->known = true;
	return 0;
}

static int
read_swap_line(struct file_cursor *c, const struct weir_sink_host *host,
	       char *line, bool swap)
{
	char *temp = swap ? next_word(&line) : NULL;
	char *name = next_word(&line);

	if (name == NULL || (swap && temp == NULL))
		return -1;
	if (temp != NULL)
		(void)filecursor_unescape(temp);
	(void)filecursor_unescape(name);
	return filecursor_add_swap(c, host, temp, name) ? 0 : -2;
}

static int
read_line(struct file_cursor *c, const struct weir_sink_host *host, char *line)
{
	char *rest = line, *word = next_word(&rest);
	uint64_t n;

	if (word == NULL)
		return -1;
	if (strcmp(word, "weir-cursor") == 0)
		return rest != NULL && strcmp(rest, "1") == 0 ? 0 : -1;
	if (strcmp(word, "store") == 0)
		return get_store(c, next_word(&rest)) ? 0 : -1;
	if (strcmp(word, "sink") == 0) {
		word = next_word(&rest);
		if (word == NULL || filecursor_unescape(word) >= 64)
			return -1;
		memcpy(c->sink, word, strlen(word) + 1);
		return 0;
	}
	if (strcmp(word, "lane") == 0) {
		if (!get_u64(&n, next_word(&rest)) || n > UINT32_MAX)
			return -1;
		c->lane = (uint32_t)n;
		return 0;
	}
	if (strcmp(word, "sequence") == 0)
		return get_u64(&c->sequence, next_word(&rest)) ? 0 : -1;
	if (strcmp(word, "hash") == 0)
		return get_hash(c->hash, next_word(&rest)) ? 0 : -1;
	if (strcmp(word, "epoch") == 0)
		return get_u64(&c->epoch, next_word(&rest)) ? 0 : -1;
	if (strcmp(word, "parked") == 0)
		return get_u64(&c->parked, next_word(&rest)) ? 0 : -1;
	if (strcmp(word, "file") == 0)
		return read_file_line(c, host, rest);
	if (strcmp(word, "note") == 0)
		return rest == NULL			    ? -1
		       : filecursor_add_note(c, host, rest) ? 0
							    : -2;
	if (strcmp(word, "swap") == 0 || strcmp(word, "drop") == 0)
		return read_swap_line(c, host, rest, *word == 's');
	return -1;
}

/* The text without its end line, or 0 when that line is not as it should. */
static size_t
check_end(const struct weir_sink_host *host, const char *text, size_t len)
{
	const size_t last = 4 + 64 + 1; /* "end ", hash, newline */
	uint8_t want[32], is[32];
	char hash[65];

	if (len <= last || memcmp(text + len - last, "end ", 4) != 0 ||
	    text[len - 1] != '\n' || text[len - last - 1] != '\n')
		return 0;
	memcpy(hash, text + len - 65, 64);
	hash[64] = '\0';
	host->sha256(host->cookie, text, len - last, is);
	if (!get_hash(want, hash) || memcmp(want, is, 32) != 0)
		return 0;
	return len - last;
}

int
filecursor_read(struct file_cursor *c, const struct weir_sink_host *host,
		char *text, size_t len, const char **why)
{
	size_t end = check_end(host, text, len);
	char *at = text, *stop = text + end;

	*why = "its end line is missing or does not match";
	if (end == 0)
		return -1;
	if (memcmp(text, "weir-cursor ", 12) != 0) {
		*why = "it does not begin with weir-cursor";
		return -1;
	}
	while (at < stop) {
		char *newline = memchr(at, '\n', (size_t)(stop - at));
		int rc;

		*newline = '\0';
		rc = read_line(c, host, at);
		if (rc != 0) {
			*why = "one of its lines can't be read";
			return rc;
		}
		at = newline + 1;
	}
	*why = "it names no store";
	return c->store[0] != '\0' ? 0 : -1;
}
