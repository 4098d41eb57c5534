/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include <string.h>

#define LEN 55u /* of version 00 */

/* n lower-case hexadecimal digits. */
static bool
is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') ||
		      (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

static bool
is_zero(const char *s, size_t n)
{
	return strspn(s, "0") >= n;
}

bool
trace_is_valid(struct weir_str s)
{
	char t[TRACE_MAX + 1];

	if (s.data == NULL || s.len < LEN || s.len > TRACE_MAX)
		return false;
	memcpy(t, s.data, s.len);
	t[s.len] = '\0';
	if (!is_hex(t, 2) || t[2] != '-' || !is_hex(t + 3, 32) ||
	    t[35] != '-' || !is_hex(t + 36, 16) || t[52] != '-' ||
	    !is_hex(t + 53, 2))
		return false;
	if (memcmp(t, "ff", 2) == 0 || is_zero(t + 3, 32) ||
	    is_zero(t + 36, 16))
		return false;
	if (s.len > LEN && (memcmp(t, "00", 2) == 0 || t[LEN] != '-'))
		return false;
	for (size_t i = LEN; i < s.len; i++)
		if (t[i] <= ' ' || t[i] >= 0x7f)
			return false;
	return true;
}
