/* SPDX-License-Identifier: MIT */
/* The cursor file and the replay file. */
#include "bus/checkpoint.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "base/uuid.h"

#include <string.h>

#define FILE_MAX 4096u

static bool
get_u64(struct weir_str obj, const char *name, uint64_t *out)
{
	struct weir_str v;

	return json_get(obj, name, &v) && json_kind(v) == WEIR_NUMBER &&
	       json_u64(out, v) == 0;
}

/* The hash, which a file of an older version lacks. */
static bool
get_hash(struct weir_str obj, uint8_t out[32])
{
	struct weir_str v;

	if (!json_get(obj, "hash", &v))
		return true;
	if (json_kind(v) != WEIR_STRING || v.len != 66)
		return false;
	return str_unhex(out, (struct weir_str){v.data + 1, 64}, 32) == 0;
}

/* The file's object; *text is NULL and the result 0 when there is no file. */
static int
load(struct weir_str *obj, char **text, const char *path, struct weir_err *err)
{
	size_t n = 0;
	int rc = os_read_file(text, &n, path, FILE_MAX, err);

	if (rc == WEIR_ENOTFOUND) {
		*text = NULL;
		return 0;
	}
	if (rc != 0)
		return rc;
	rc = json_check((struct weir_str){*text, n}, obj, path, err);
	if (rc == 0 && json_kind(*obj) == WEIR_OBJECT)
		return 0;
	mem_free(*text);
	*text = NULL;
	return err_set(
		err, WEIR_EDAMAGE,
		"%s is damaged: it holds no JSON object; remove it to begin "
		"again",
		path);
}

int
checkpoint_load(struct checkpoint *out, const char *path, struct weir_err *err)
{
	struct checkpoint c = {.found = true};
	struct weir_str obj, id;
	char *text = NULL, uuid[64];
	size_t n;
	int rc = load(&obj, &text, path, err);

	if (rc != 0)
		return rc;
	if (text == NULL) {
		*out = (struct checkpoint){0};
		return 0;
	}
	if (!json_get(obj, "store", &id) || json_kind(id) != WEIR_STRING ||
	    id.len > sizeof(uuid) || !get_u64(obj, "sequence", &c.sequence) ||
	    !get_u64(obj, "epoch", &c.epoch) ||
	    !get_u64(obj, "parked", &c.parked) ||
	    !get_u64(obj, "target", &c.target) || !get_hash(obj, c.hash))
		goto bad;
	n = json_decode(uuid, id);
	if (uuid_parse(c.store_id, (struct weir_str){uuid, n}) != 0)
		goto bad;
	*out = c;
	mem_free(text);
	return 0;
bad:
	mem_free(text);
	return err_set(
		err, WEIR_EDAMAGE,
		"%s is damaged: store, sequence, hash, epoch, parked or target "
		"is missing or odd; remove it to begin again",
		path);
}

int
checkpoint_save(const char *path, const char *sink, const struct checkpoint *c,
		struct weir_err *err)
{
	struct buf b;
	char uuid[37], hash[65];
	int rc;

	uuid_text(uuid, c->store_id);
	str_hex(hash, c->hash, sizeof(c->hash));
	buf_init(&b, FILE_MAX);
	buf_printf(&b, "{\"store\":\"%s\",\"sink\":", uuid);
	json_put_string(&b, str_of(sink));
	buf_printf(&b,
		   ",\"lane\":0,\"sequence\":%llu,\"hash\":\"%s\","
		   "\"epoch\":%llu,\"parked\":%llu,\"target\":%llu}\n",
		   (unsigned long long)c->sequence, hash,
		   (unsigned long long)c->epoch, (unsigned long long)c->parked,
		   (unsigned long long)c->target);
	rc = b.failed ? err_nomem(err)
		      : os_replace_file(path, b.data, b.len, 0600, err);
	buf_fini(&b);
	return rc;
}

int
replay_load(struct replay *out, const char *path, struct weir_err *err)
{
	struct replay r = {.active = true};
	struct weir_str obj, started;
	char *text = NULL;
	int rc = load(&obj, &text, path, err);

	if (rc != 0)
		return rc;
	if (text == NULL) {
		*out = (struct replay){0};
		return 0;
	}
	if (!get_u64(obj, "from", &r.from) || r.from == 0 ||
	    !get_u64(obj, "until", &r.until) ||
	    !get_u64(obj, "epoch", &r.epoch) ||
	    !json_get(obj, "started", &started)) {
		rc = err_set(err, WEIR_EDAMAGE,
			     "%s is damaged: from, until, epoch or started is "
			     "missing; remove it and ask for the replay again",
			     path);
	} else {
		r.started = str_is(started, "true");
		*out = r;
	}
	mem_free(text);
	return rc;
}

int
replay_save(const char *path, const struct replay *r, struct weir_err *err)
{
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX);
	buf_printf(
		&b,
		"{\"from\":%llu,\"until\":%llu,\"epoch\":%llu,\"started\":%s}"
		"\n",
		(unsigned long long)r->from, (unsigned long long)r->until,
		(unsigned long long)r->epoch, r->started ? "true" : "false");
	rc = b.failed ? err_nomem(err)
		      : os_replace_file(path, b.data, b.len, 0600, err);
	buf_fini(&b);
	return rc;
}
