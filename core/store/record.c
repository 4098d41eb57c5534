/* SPDX-License-Identifier: MIT */
/*
 * The rules of a draft: names, limits, UTF-8, JSON.
 */
#include "store/record.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

static int
check_names(const struct record_draft *d, struct weir_err *err)
{
	struct {
		struct weir_str s;
		const char *what;
		size_t max;
		bool wanted, refuse_dollar;
	} names[] = {
		{d->aggregate_type, "aggregate type", WEIR_NAME_MAX, true,
		 !d->system},
		{d->aggregate_id, "aggregate id", WEIR_ID_MAX, true, false},
		{d->event_type, "event type", WEIR_NAME_MAX, true, !d->system},
		{d->group, "group", WEIR_ACTOR_MAX, false, false},
		{d->user, "user", WEIR_ACTOR_MAX, false, false},
		{d->correlation_id, "correlation_id", WEIR_CORRELATION_MAX,
		 false, false},
		{d->causation_id, "causation_id", WEIR_CORRELATION_MAX, false,
		 false},
		{d->traceparent, "traceparent", WEIR_TRACEPARENT_MAX, false,
		 false},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].s.data == NULL && !names[i].wanted)
			continue;
		if (names[i].s.data == NULL)
			return err_set(err, WEIR_EINPUT, "%s is missing",
				       names[i].what);
		int rc = str_check_name(names[i].s, names[i].what, names[i].max,
					names[i].refuse_dollar, err);
		if (rc != 0)
			return rc;
	}
	if ((d->group.data == NULL) != (d->user.data == NULL))
		return err_set(err, WEIR_EINPUT,
			       "issued_by must have both group and user, or "
			       "neither");
	return 0;
}

static int
check_tags(const struct record_draft *d, struct weir_err *err)
{
	if (d->ntags > WEIR_TAGS_MAX)
		return err_set(err, WEIR_EINPUT,
			       "%zu tags are given; a record has at most %u",
			       d->ntags, WEIR_TAGS_MAX);
	for (size_t i = 0; i < d->ntags; i++) {
		int rc = str_check_tag(d->tags[i], err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
check_payload(struct record_draft *d, struct weir_err *err)
{
	size_t valid;

	if (d->payload.data == NULL)
		return err_set(err, WEIR_EINPUT, "payload is missing");
	if (d->payload.len > WEIR_PAYLOAD_MAX)
		return err_set(err, WEIR_EINPUT,
			       "payload has %zu bytes; at most %u are taken",
			       d->payload.len, WEIR_PAYLOAD_MAX);
	switch (d->content) {
	case WEIR_CONTENT_JSON:
		if (d->json_known)
			return 0;
		return json_check(d->payload, &d->payload, "payload", err);
	case WEIR_CONTENT_TEXT:
		valid = str_utf8_valid(d->payload);
		if (valid == d->payload.len)
			return 0;
		err_set(err, WEIR_EINPUT, "payload: invalid UTF-8 at byte %zu",
			valid);
		if (err != NULL)
			err->offset = valid;
		return WEIR_EINPUT;
	case WEIR_CONTENT_BYTES:
		return 0;
	}
	return err_set(err, WEIR_EINPUT,
		       "content is none of json, text, bytes");
}

int
record_check(struct record_draft *d, struct weir_err *err)
{
	int rc = check_names(d, err);

	if (rc == 0)
		rc = check_tags(d, err);
	if (rc == 0 && (unsigned)d->op > WEIR_OP_SHREDDED)
		rc = err_set(err, WEIR_EINPUT, "op %u is not known",
			     (unsigned)d->op);
	if (rc == 0 && d->has_created_at &&
	    (d->created_at < CLOCK_MIN_US || d->created_at > CLOCK_MAX_US))
		rc = err_set(err, WEIR_EINPUT,
			     "created_at is outside of the years 1 to 9999");
	if (rc == 0)
		rc = check_payload(d, err);
	return rc;
}
