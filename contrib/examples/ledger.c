/* SPDX-License-Identifier: MIT */
/*
 * A ledger in 60 lines: two accounts, a transfer that is one commit, the state
 * read back and verified.
 *
 *   cc ledger.c $(pkg-config --cflags --libs weir) -o ledger
 *   ./ledger FOLDER
 */
#include <weir/weir.h>

#include <stdio.h>

#define S(lit) ((struct weir_str){(lit), sizeof(lit) - 1})

static int
fail(const struct weir_err *err)
{
	fprintf(stderr, "ledger: %s\n", err->msg);
	return 1;
}

int
main(int argc, char **argv)
{
	const struct weir_event transfer[] = {
		{.aggregate_type = S("account"),
		 .aggregate_id = S("alice"),
		 .event_type = S("debited"),
		 .payload = S("{\"last\":-12.50,\"to\":\"bob\"}"),
		 .expected_version = WEIR_ANY_VERSION},
		{.aggregate_type = S("account"),
		 .aggregate_id = S("bob"),
		 .event_type = S("credited"),
		 .payload = S("{\"last\":12.50,\"from\":\"alice\"}"),
		 .expected_version = WEIR_ANY_VERSION},
	};
	struct weir_receipt receipts[2];
	struct weir_reader *reader = NULL;
	struct weir_err err = {0};
	struct weir *store = NULL;
	uint8_t root[32];
	char *json;
	size_t len;
	int rc = 1;

	if (argc != 2) {
		fprintf(stderr, "usage: ledger FOLDER\n");
		return 2;
	}
	if (weir_open(&store, argv[1], NULL, &err) ||
	    weir_commit(store, receipts, transfer, 2, &err) ||
	    weir_reader_open(&reader, store, &err) ||
	    weir_state(reader, &json, &len, S("account"), S("bob"), 0, &err)) {
		rc = fail(&err);
		goto out;
	}
	printf("committed %llu and %llu\n%s\n",
	       (unsigned long long)receipts[0].sequence,
	       (unsigned long long)receipts[1].sequence, json);
	weir_free(json);
	rc = weir_verify(reader, root, S("account"), S("bob"), &err)
		     ? fail(&err)
		     : 0;
out:
	weir_reader_close(reader);
	weir_close(store);
	return rc;
}
