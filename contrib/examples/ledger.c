/* SPDX-License-Identifier: MIT */
/*
 * A ledger: accounts that never go below zero, however many programs use them
 * at once. Each change carries the new balance and the version it was worked
 * out from; when somebody else was faster, the store refuses it and it is
 * worked out anew. A transfer changes two accounts in one commit.
 *
 *   cc ledger.c $(pkg-config --cflags --libs weir) -o ledger
 *   ./ledger FOLDER deposit ann 100
 *   ./ledger FOLDER transfer ann bob 30
 *   ./ledger FOLDER show ann
 */
#include <weir/weir.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(lit) ((struct weir_str){(lit), sizeof(lit) - 1})
#define TRIES  100

struct ledger {
	struct weir *store;
	struct weir_reader *reader;
};

static struct weir_str
str(const char *s)
{
	return (struct weir_str){s, strlen(s)};
}

/* The newest balance of an account and its version; both 0 when there is no
 * such account. */
static int
balance_of(struct ledger *l, const char *name, long long *balance,
	   uint64_t *version, struct weir_err *err)
{
	struct weir_record rec;
	char text[100];
	long long change;
	int rc = weir_read_version(l->reader, &rec, S("account"), str(name), 0,
				   err);

	*balance = 0;
	*version = 0;
	if (rc == WEIR_ENOTFOUND)
		return 0;
	if (rc != 0)
		return rc;
	snprintf(text, sizeof(text), "%.*s", (int)rec.payload.len,
		 rec.payload.data);
	if (sscanf(text, "{\"change\":%lld,\"balance\":%lld}", &change,
		   balance) != 2) {
		snprintf(err->msg, sizeof(err->msg),
			 "account %s holds what no ledger wrote", name);
		return WEIR_EINPUT;
	}
	*version = rec.version;
	return 0;
}

/* An event that changes an account; its payload is put in text. */
static int
change_of(struct ledger *l, struct weir_event *event, char text[100],
	  const char *name, long long change, struct weir_err *err)
{
	long long balance;
	uint64_t version;
	int rc = balance_of(l, name, &balance, &version, err);

	if (rc != 0)
		return rc;
	if (balance + change < 0) {
		snprintf(err->msg, sizeof(err->msg), "%s has only %lld", name,
			 balance);
		return WEIR_EDENIED;
	}
	snprintf(text, 100, "{\"change\":%lld,\"balance\":%lld}", change,
		 balance + change);
	*event = (struct weir_event){
		.aggregate_type = S("account"),
		.aggregate_id = str(name),
		.event_type = change < 0 ? S("debited") : S("credited"),
		.payload = str(text),
		.expected_version = version, /* 0 is WEIR_NONE */
	};
	return 0;
}

/* Takes from one account (or NULL) and gives to another, all or nothing. */
static int
transfer(struct ledger *l, const char *from, const char *to, long long amount,
	 struct weir_err *err)
{
	struct weir_receipt receipt[2];
	struct weir_event event[2];
	char text[2][100];
	int rc = WEIR_ECONFLICT;

	for (int i = 0; i < TRIES && rc == WEIR_ECONFLICT; i++) {
		size_t n = 0;

		rc = 0;
		if (from != NULL) {
			rc = change_of(l, &event[n], text[n], from, -amount,
				       err);
			n++;
		}
		if (rc == 0)
			rc = change_of(l, &event[n], text[n], to, amount, err);
		n++;
		if (rc == 0)
			rc = weir_commit(l->store, receipt, event, n, err);
		for (size_t k = 0; rc == 0 && k < n; k++)
			printf("%llu %.*s %s\n",
			       (unsigned long long)receipt[k].sequence,
			       (int)event[k].aggregate_id.len,
			       event[k].aggregate_id.data, text[k]);
	}
	return rc;
}

/* The state of an account, after every hash of its history was recomputed. */
static int
show(struct ledger *l, const char *name, struct weir_err *err)
{
	uint8_t root[32];
	char *json = NULL;
	size_t len;
	int rc = weir_verify(l->reader, root, S("account"), str(name), err);

	if (rc == 0)
		rc = weir_state(l->reader, &json, &len, S("account"), str(name),
				0, err);
	if (rc == 0)
		puts(json);
	weir_free(json);
	return rc;
}

static int
run(struct ledger *l, int argc, char **argv, struct weir_err *err)
{
	const char *what = argv[2];
	long long amount = argc > 4 ? strtoll(argv[argc - 1], NULL, 10) : 0;

	if (argc == 4 && strcmp(what, "show") == 0)
		return show(l, argv[3], err);
	if (argc == 5 && strcmp(what, "deposit") == 0 && amount > 0)
		return transfer(l, NULL, argv[3], amount, err);
	if (argc == 6 && strcmp(what, "transfer") == 0 && amount > 0 &&
	    strcmp(argv[3], argv[4]) != 0)
		return transfer(l, argv[3], argv[4], amount, err);
	snprintf(err->msg, sizeof(err->msg),
		 "give FOLDER deposit NAME AMOUNT, transfer FROM TO AMOUNT, or "
		 "show NAME");
	return WEIR_EUSAGE;
}

int
main(int argc, char **argv)
{
	struct weir_err err = {.msg = "give FOLDER and what to do"};
	struct ledger l = {NULL, NULL};
	int rc = argc < 4 ? WEIR_EUSAGE : 0;

	if (rc == 0)
		rc = weir_open(&l.store, argv[1], NULL, &err);
	if (rc == 0)
		rc = weir_reader_open(&l.reader, l.store, &err);
	if (rc == 0)
		rc = run(&l, argc, argv, &err);
	if (rc != 0)
		fprintf(stderr, "ledger: %s\n", err.msg);
	weir_reader_close(l.reader);
	weir_close(l.store);
	return rc == 0 ? 0 : rc == WEIR_EUSAGE ? 2 : 1;
}
