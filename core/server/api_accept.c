/* SPDX-License-Identifier: MIT */
/* What a header field asks for: media types (RFC 9110, 12.5.1), entity tags. */
#include "server/api_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/str.h"

/* ---- Accept -------------------------------------------------------------- */

/* The next of a list split by commas, without white space around it. */
static bool
next_item(struct weir_str *out, const char **at)
{
	const char *p = *at + strspn(*at, " \t,");
	size_t n = 0;
	bool quoted = false;

	if (*p == '\0')
		return false;
	for (; p[n] != '\0' && (quoted || p[n] != ','); n++)
		quoted ^= p[n] == '"';
	*at = p + n;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	*out = (struct weir_str){p, n};
	return true;
}

/* Thousandths: 1 to 1000, 0 for "not this", -1 when it is no number. */
static int
quality(struct weir_str range)
{
	const char *p = range.data, *end = p + range.len;
	int q = 1000, digit = 100;

	while ((p = memchr(p, ';', (size_t)(end - p))) != NULL) {
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
			continue;
		p += 2;
		if (*p != '0' && *p != '1')
			return -1;
		q = *p++ == '1' ? 1000 : 0;
		if (p < end && *p == '.')
			for (p++; p < end && *p >= '0' && *p <= '9';
			     p++, digit /= 10)
				q += (*p - '0') * digit;
		if (q > 1000)
			return -1;
	}
	return q;
}

/* How closely a range names a type: 0 not, 1 by * / *, 2 by type / *, 3. */
static int
names(struct weir_str range, const char *type)
{
	const char *semi = memchr(range.data, ';', range.len);
	size_t n = semi != NULL ? (size_t)(semi - range.data) : range.len;
	size_t major = (size_t)(strchr(type, '/') - type);

	while (n > 0 && (range.data[n - 1] == ' ' || range.data[n - 1] == '\t'))
		n--;
	if (n == 3 && memcmp(range.data, "*/*", 3) == 0)
		return 1;
	if (n == major + 2 && strncasecmp(range.data, type, major + 1) == 0 &&
	    range.data[n - 1] == '*')
		return 2;
	return n == strlen(type) && strncasecmp(range.data, type, n) == 0 ? 3
									  : 0;
}

/* The quality that the closest range gives a type; -1: bad. */
static int
quality_of(const char *accept, const char *type)
{
	struct weir_str range;
	int best = 0, q = 0;

	while (next_item(&range, &accept)) {
		int near = names(range, type), given = quality(range);

		if (given < 0)
			return -1;
		if (near > best) {
			best = near;
			q = given;
		}
	}
	return q;
}

int
api_accept(struct api_call *c, const char *const *types)
{
	const char *accept = api_header(c, "Accept");
	int best = 0, found = -1;

	if (accept == NULL || accept[strspn(accept, " \t")] == '\0')
		return 0;
	for (int i = 0; types[i] != NULL; i++) {
		int q = quality_of(accept, types[i]);

		if (q < 0) {
			api_refuse(c, 400, WEIR_EINPUT,
				   "Accept has a q that is no number from 0 to "
				   "1");
			return -1;
		}
		if (q > best) {
			best = q;
			found = i;
		}
	}
	if (found < 0)
		api_refuse(c, 406, WEIR_EINPUT,
			   "Accept takes none of what there is: %s%s%s",
			   types[0], types[1] != NULL ? ", " : "",
			   types[1] != NULL ? types[1] : "");
	return found;
}

/* ---- entity tags --------------------------------------------------------- */

bool
api_unchanged(struct api_call *c, uint64_t version)
{
	const char *given = api_header(c, "If-None-Match");
	struct weir_str tag;
	char wanted[32];

	api_etag(c, version);
	if (given == NULL)
		return false;
	snprintf(wanted, sizeof(wanted), "\"%" PRIu64 "\"", version);
	while (next_item(&tag, &given)) {
		if (tag.len > 2 && memcmp(tag.data, "W/", 2) == 0) {
			tag.data += 2;
			tag.len -= 2;
		}
		if (str_is(tag, wanted) || str_is(tag, "*"))
			return true;
	}
	return false;
}

int
api_expected(struct api_call *c, uint64_t *out)
{
	const char *match = api_header(c, "If-Match");
	const char *none = api_header(c, "If-None-Match");
	size_t n = match != NULL ? strlen(match) : 0;

	if (match == NULL && none == NULL)
		return 0;
	if (match != NULL && none != NULL) {
		api_refuse(c, 400, WEIR_EINPUT,
			   "give If-Match or If-None-Match, not both");
		return -1;
	}
	if (none != NULL && strcmp(none, "*") == 0) {
		*out = 0;
		return 1;
	}
	if (match != NULL && strcmp(match, "*") == 0) {
		*out = EXPECT_EXISTS;
		return 1;
	}
	if (n > 2 && match[0] == '"' && match[n - 1] == '"' &&
	    str_u64(out, (struct weir_str){match + 1, n - 2}) == 0 &&
	    *out < EXPECT_EXISTS)
		return 1;
	api_refuse(c, 400, WEIR_EINPUT,
		   match != NULL ? "If-Match takes * or one version in double "
				   "quotes, such as \"3\""
				 : "If-None-Match takes * here");
	return -1;
}
