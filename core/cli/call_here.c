/* SPDX-License-Identifier: MIT */
/* The API in this process, over the store it opens. */
#include "cli/call_int.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "model/draft.h"
#include "model/policy.h"
#include "server/api.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *
header(void *cookie, const char *name)
{
	const struct call_request *r = cookie;

	if (strcasecmp(name, "content-type") == 0)
		return r->body.data == NULL ? NULL
		       : r->type != NULL    ? r->type
					    : "application/json";
	if (strcasecmp(name, "accept") == 0)
		return r->accept;
	return NULL;
}

static void
take_answer(struct exchange *x, const struct api_answer *a)
{
	size_t n = a->type != NULL ? strcspn(a->type, ";") : 0;

	x->out->status = a->status;
	if (n < sizeof(x->out->type)) {
		memcpy(x->out->type, n > 0 ? a->type : "", n);
		x->out->type[n] = '\0';
	}
	for (size_t i = 0; i < a->nfields; i++) {
		const struct api_field *f = &a->field[i];

		if (strcasecmp(f->name, "etag") == 0)
			snprintf(x->out->etag, sizeof(x->out->etag), "%s",
				 f->value);
		if (strcasecmp(f->name, "link") == 0)
			snprintf(x->out->link, sizeof(x->out->link), "%s",
				 f->value);
	}
}

static int
ask(struct api *api, struct exchange *x, struct draft *actor,
    struct weir_err *err)
{
	const struct record_draft *who = draft_record(actor);
	struct api_request r = {.method = x->r->method,
				.target = str_of(x->r->target),
				.header = header,
				.cookie = (void *)(uintptr_t)x->r,
				.caller.local = true,
				.caller.group = who->group,
				.caller.user = who->user,
				.caller.address = str_of("local")};
	struct api_call *call = NULL;
	const struct api_answer *a;
	int rc = api_begin(&call, api, &r);

	if (rc != 0)
		return err_nomem(err);
	if (!api_answered(call) && x->r->body.data != NULL)
		api_body(call, x->r->body.data, x->r->body.len);
	if (!api_answered(call))
		api_run(call, NULL, NULL);
	a = api_answer(call);
	take_answer(x, a);
	rc = exchange_body(x, a->body.data, a->body.len, err);
	api_end(call);
	return rc;
}

int
call_here(struct cli *c, struct exchange *x, struct weir_err *err)
{
	bool reads = strcmp(x->r->method, "GET") == 0;
	struct draft *actor = draft_new();
	struct api_options o = {0};
	struct store *s = NULL;
	struct config *config;
	struct api *api = NULL;
	int rc = actor != NULL ? cli_config(c, &config, err) : err_nomem(err);

	if (rc == 0)
		rc = draft_set_os_actor(actor, err);
	if (rc == 0)
		rc = reads ? cli_open_read(c, &s, err)
			   : cli_try_write(c, &s, x->r->flags & CALL_CREATE, -1,
					   err);
	if (rc == 0 && reads)
		rc = policy_open(&c->policy, s, err);
	if (rc == 0) {
		o = (struct api_options){
			.store = s, .policy = c->policy, .config = config};
		rc = api_new(&api, &o, err);
	}
	if (rc == 0)
		rc = ask(api, x, actor, err);
	api_free(api);
	cli_close(c, s);
	draft_free(actor);
	return rc;
}
