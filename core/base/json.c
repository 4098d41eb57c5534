/* SPDX-License-Identifier: MIT */
/*
 * The checking half of the scanner: one pass over the text, recursion bounded
 * by the depth allowed, no tree. What is checked here is walked in json_walk.c
 * and printed in json_write.c without looking for errors again.
 *
 * Duplicate keys. The first FEW keys of every open object lie on one stack and
 * are compared one by one, hash first; a nested object takes its keys away
 * when it ends, so an object's own are the run above its base. From there on
 * an object's keys stand in a hash set that all objects of the text share: the
 * object's serial number is mixed into the hash and compared, so nothing has
 * to be taken out when it ends. Hashes are over decoded keys and seeded by the
 * kernel, so that input cannot be made to collide.
 */
#include "base/json.h"

#include "base/err.h"
#include "base/json_text.h"
#include "base/must.h"
#include "base/os.h"
#include "base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/auxv.h>

#define FEW	    16u
#define FIRST_SLOTS 256u
#define DEPTH_ROOM  (WEIR_DEPTH_MAX + 2)
#define TEXT_MAX    ((size_t)1 << 30)

struct key {
	uint64_t hash; /* with the serial mixed in */
	const char *p; /* raw, behind the quote */
	uint32_t serial;
	uint32_t len : 31, escaped : 1;
};

struct scan {
	const char *start, *at, *end;
	const char *what;
	struct weir_err *err;
	uint64_t seed[2];
	unsigned depth, max_depth;
	uint32_t serial; /* of the newest object, from 1 */

	struct key *set; /* serial 0: free; nset is a power of two */
	size_t nset, set_used;

	size_t nkeys;
	struct key keys[FEW * DEPTH_ROOM];
};

static int scan_value(struct scan *s);

/* ---- errors ------------------------------------------------------------- */

static int
bad_at(struct scan *s, const char *at, const char *why)
{
	uint64_t offset = (uint64_t)(at - s->start);

	err_set(s->err, WEIR_EINPUT, "%s: %s at byte %llu", s->what, why,
		(unsigned long long)offset);
	if (s->err != NULL)
		s->err->offset = offset;
	return WEIR_EINPUT;
}

static int
bad(struct scan *s, const char *why)
{
	return bad_at(s, s->at, s->at == s->end ? "unexpected end" : why);
}

static int
duplicate(struct scan *s, const struct key *k)
{
	char shown[96];
	char why[128];

	str_show(shown, sizeof shown, (struct weir_str){k->p, k->len});
	snprintf(why, sizeof why, "duplicate key \"%s\"", shown);
	return bad_at(s, k->p - 1, why);
}

/* ---- keys --------------------------------------------------------------- */

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 wide = (unsigned __int128)a * b;

	return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

static uint64_t
hash_word(const struct scan *s, uint64_t h, uint64_t word)
{
	return mix(h ^ word ^ s->seed[0], s->seed[1]);
}

/* The same for equal decoded keys, however they are escaped: words of eight
 * decoded bytes, the last one padded, then the length. */
static uint64_t
hash_key(const struct scan *s, const struct key *k)
{
	const char *at = k->p;
	const char *end = at + k->len;
	char pending[8 + 4];
	size_t n = 0;
	uint64_t len = 0;
	uint64_t h = k->serial;

	if (!k->escaped) {
		for (; end - at >= 8; at += 8)
			h = hash_word(s, h, word_load(at));
		n = (size_t)(end - at);
		memcpy(pending, at, n);
		len = k->len;
		at = end;
	}
	while (at < end) {
		size_t m = json_unit(pending + n, &at);
		len += m;
		n += m;
		if (n < 8)
			continue;
		h = hash_word(s, h, word_load(pending));
		n -= 8;
		memmove(pending, pending + 8, n);
	}
	memset(pending + n, 0, 8 - n);
	h = hash_word(s, h, word_load(pending));
	return hash_word(s, h, len);
}

static bool
same_decoded(const struct key *a, const struct key *b)
{
	const char *pa = a->p, *pb = b->p;
	const char *ea = pa + a->len, *eb = pb + b->len;
	char ua[4], ub[4];
	size_t na = 0, nb = 0, ia = 0, ib = 0;

	for (;;) {
		if (ia == na) {
			ia = 0;
			na = pa < ea ? json_unit(ua, &pa) : 0;
		}
		if (ib == nb) {
			ib = 0;
			nb = pb < eb ? json_unit(ub, &pb) : 0;
		}
		if (na == 0 || nb == 0)
			return na == nb;
		if (ua[ia++] != ub[ib++])
			return false;
	}
}

static bool
same_key(const struct key *a, const struct key *b)
{
	if (a->hash != b->hash || a->serial != b->serial)
		return false;
	if (!a->escaped && !b->escaped)
		return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
	return same_decoded(a, b);
}

/* The slot that holds k, or the free one where it belongs. */
static struct key *
set_slot(const struct scan *s, const struct key *k)
{
	size_t i = k->hash & (s->nset - 1);

	while (s->set[i].serial != 0 && !same_key(&s->set[i], k))
		i = (i + 1) & (s->nset - 1);
	return &s->set[i];
}

static int
set_grow(struct scan *s)
{
	struct key *old = s->set;
	size_t nold = s->nset;
	size_t n = nold == 0 ? FIRST_SLOTS : nold * 2;
	struct key *fresh = mem_new(n * sizeof *fresh);

	if (fresh == NULL)
		return err_nomem(s->err);
	s->set = fresh;
	s->nset = n;
	for (size_t i = 0; i < nold; i++)
		if (old[i].serial != 0)
			*set_slot(s, &old[i]) = old[i];
	mem_free(old);
	return 0;
}

static int
set_add(struct scan *s, const struct key *k)
{
	if (s->set_used * 2 >= s->nset) {
		int rc = set_grow(s);
		if (rc != 0)
			return rc;
	}
	struct key *slot = set_slot(s, k);
	if (slot->serial != 0)
		return duplicate(s, k);
	*slot = *k;
	s->set_used++;
	return 0;
}

/* Takes the object's key number nth; base is where its first ones lie. */
static int
add_key(struct scan *s, struct key *k, size_t base, size_t nth)
{
	k->hash = hash_key(s, k);
	if (nth >= FEW) {
		for (size_t i = 0; nth == FEW && i < FEW; i++) {
			int rc = set_add(s, &s->keys[base + i]);
			if (rc != 0)
				return rc;
		}
		return set_add(s, k);
	}
	for (size_t i = base; i < s->nkeys; i++)
		if (same_key(&s->keys[i], k))
			return duplicate(s, k);
	s->keys[s->nkeys++] = *k;
	return 0;
}

/* ---- strings ------------------------------------------------------------ */

int
json_hex4(const char *p)
{
	unsigned char raw[2];

	if (str_unhex(raw, (struct weir_str){p, 4}, 2) != 0)
		return -1;
	return raw[0] << 8 | raw[1];
}

/* An escape with \u, at being the backslash. */
static int
scan_unicode(struct scan *s)
{
	const char *p = s->at;
	int hi = s->end - p >= 6 ? json_hex4(p + 2) : -1;

	if (hi < 0)
		return bad(s, "\\u without four hex digits");
	s->at += 6;
	if (hi < 0xd800 || hi > 0xdfff)
		return 0;
	int lo = -1;
	if (s->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
		lo = json_hex4(p + 8);
	if (hi > 0xdbff || lo < 0xdc00 || lo > 0xdfff)
		return bad_at(s, p, "lone surrogate");
	s->at += 6;
	return 0;
}

static int
scan_escape(struct scan *s)
{
	if (s->end - s->at < 2) {
		s->at = s->end;
		return bad(s, "");
	}
	if (s->at[1] == 'u')
		return scan_unicode(s);
	if (s->at[1] == '\0' || strchr("\"\\/bfnrt", s->at[1]) == NULL)
		return bad(s, "unknown escape");
	s->at += 2;
	return 0;
}

/* s->at is the opening quote; it ends behind the closing one. */
static int
scan_string(struct scan *s, bool *escaped)
{
	*escaped = false;
	s->at++;
	for (;;) {
		s->at = json_plain(s->at, s->end);
		if (s->at == s->end)
			return bad(s, "");
		unsigned char c = (unsigned char)*s->at;
		if (c == '"')
			break;
		if (c == '\\') {
			int rc = scan_escape(s);
			if (rc != 0)
				return rc;
			*escaped = true;
		} else if (c < 0x20) {
			return bad(s, "control character in a string");
		} else {
			size_t n =
				str_utf8_one(s->at, (size_t)(s->end - s->at));
			if (n == 0)
				return bad(s, "invalid UTF-8");
			s->at += n;
		}
	}
	s->at++;
	return 0;
}

/* ---- values ------------------------------------------------------------- */

static bool
digit_at(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static int
scan_digits(struct scan *s)
{
	if (!digit_at(s))
		return bad(s, "expected a digit");
	while (digit_at(s))
		s->at++;
	return 0;
}

static int
scan_number(struct scan *s)
{
	int rc;

	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0') {
		s->at++;
		if (digit_at(s))
			return bad(s, "number with a leading zero");
	} else {
		rc = scan_digits(s);
		if (rc != 0)
			return rc;
	}
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		rc = scan_digits(s);
		if (rc != 0)
			return rc;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		return scan_digits(s);
	}
	return 0;
}

static int
scan_word(struct scan *s, const char *word)
{
	for (; *word != '\0'; word++, s->at++)
		if (s->at == s->end || *s->at != *word)
			return bad(s, "expected a value");
	return 0;
}

static int
enter(struct scan *s)
{
	if (s->depth == s->max_depth)
		return bad(s, "nested too deep, at most 64 levels");
	s->depth++;
	s->at = json_skip_space(s->at + 1, s->end);
	return 0;
}

/* Behind a member: true when the container goes on, else *rc is set. */
static bool
more(struct scan *s, char close, int *rc)
{
	s->at = json_skip_space(s->at, s->end);
	if (s->at < s->end && *s->at == ',') {
		s->at = json_skip_space(s->at + 1, s->end);
		return true;
	}
	if (s->at < s->end && *s->at == close) {
		s->at++;
		s->depth--;
		*rc = 0;
	} else {
		*rc = bad(s,
			  close == '}' ? "expected , or }" : "expected , or ]");
	}
	return false;
}

static int
scan_array(struct scan *s)
{
	int rc = enter(s);

	if (rc != 0)
		return rc;
	if (s->at < s->end && *s->at == ']') {
		s->at++;
		s->depth--;
		return 0;
	}
	do {
		rc = scan_value(s);
		if (rc != 0)
			return rc;
	} while (more(s, ']', &rc));
	return rc;
}

static int
scan_key(struct scan *s, uint32_t serial, size_t base, size_t nth)
{
	const char *quote = s->at;
	bool escaped;

	if (s->at == s->end || *s->at != '"')
		return bad(s, "expected a key in quotes");
	int rc = scan_string(s, &escaped);
	if (rc != 0)
		return rc;
	struct key k = {
		.p = quote + 1,
		.serial = serial,
		.len = (uint32_t)(s->at - quote - 2) & 0x7fffffffu,
		.escaped = escaped,
	};
	rc = add_key(s, &k, base, nth);
	if (rc != 0)
		return rc;
	s->at = json_skip_space(s->at, s->end);
	if (s->at == s->end || *s->at != ':')
		return bad(s, "expected :");
	s->at = json_skip_space(s->at + 1, s->end);
	return 0;
}

static int
scan_object(struct scan *s)
{
	uint32_t serial = ++s->serial;
	size_t base = s->nkeys;
	size_t nth = 0;
	int rc = enter(s);

	if (rc != 0)
		return rc;
	if (s->at < s->end && *s->at == '}') {
		s->at++;
		s->depth--;
		return 0;
	}
	do {
		rc = scan_key(s, serial, base, nth++);
		if (rc == 0)
			rc = scan_value(s);
		if (rc != 0)
			return rc;
	} while (more(s, '}', &rc));
	s->nkeys = base;
	return rc;
}

static int
scan_value(struct scan *s)
{
	bool escaped;

	if (s->at == s->end)
		return bad(s, "");
	switch (*s->at) {
	case '{':
		return scan_object(s);
	case '[':
		return scan_array(s);
	case '"':
		return scan_string(s, &escaped);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (*s->at == '-' || digit_at(s))
			return scan_number(s);
		return bad(s, "expected a value");
	}
}

static uint64_t seed[2]; /* written under seed_once */
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void
take_seed(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);

	if (random != NULL)
		memcpy(seed, random, sizeof seed);
	else
		seed[0] = seed[1] = (uint64_t)(uintptr_t)&random;
	seed[1] |= 1;
}

int
json_check(struct weir_str text, struct weir_str *value, const char *what,
	   struct weir_err *err)
{
	return json_check_depth(text, value, WEIR_DEPTH_MAX, what, err);
}

int
json_check_depth(struct weir_str text, struct weir_str *value, unsigned depth,
		 const char *what, struct weir_err *err)
{
	struct scan s; /* keys stays unset: it is large */

	must(depth <= DEPTH_ROOM);
	if (text.len > TEXT_MAX)
		return err_set(err, WEIR_EINPUT,
			       "%s: %zu bytes are too long for JSON", what,
			       text.len);
	if (text.data == NULL)
		text.data = "";
	s.start = s.at = text.data;
	s.end = text.data + text.len;
	s.what = what;
	s.err = err;
	pthread_once(&seed_once, take_seed);
	memcpy(s.seed, seed, sizeof s.seed);
	s.depth = 0;
	s.max_depth = depth;
	s.serial = 0;
	s.set = NULL;
	s.nset = s.set_used = 0;
	s.nkeys = 0;

	const char *first = s.at = json_skip_space(s.at, s.end);
	int rc = scan_value(&s);
	const char *last = s.at;
	if (rc == 0) {
		s.at = json_skip_space(s.at, s.end);
		if (s.at != s.end)
			rc = bad(&s, "unexpected text behind the value");
	}
	if (rc == 0)
		*value = (struct weir_str){first, (size_t)(last - first)};
	mem_free(s.set);
	return rc;
}
