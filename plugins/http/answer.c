/* SPDX-License-Identifier: MIT */
#include "answer.h"

#include <string.h>

#define WAIT_MAX 300 /* seconds */

enum weir_sink_class
answer_status(long status)
{
	if (status >= 200 && status < 300)
		return WEIR_SINK_OK;
	if (status >= 500 && status < 600)
		return WEIR_SINK_RETRY;
	if (status < 300 || status >= 600)
		return WEIR_SINK_NOT_CONNECTED; /* no end of an exchange */
	if (status < 400)
		return WEIR_SINK_BLOCKED;
	switch (status) {
	case 408:
	case 421: /* another server of the same name is to be asked */
	case 423:
	case 425:
	case 429:
		return WEIR_SINK_RETRY;
	case 401:
	case 402:
	case 403:
	case 404:
	case 405:
	case 407:
	case 411:
	case 414:
	case 417:
	case 426:
	case 431:
	case 451:
		return WEIR_SINK_BLOCKED;
	case 410:
		return WEIR_SINK_GONE;
	default:
		return WEIR_SINK_REJECT;
	}
}

const char *
answer_status_hint(long status)
{
	if (status >= 300 && status < 400)
		return "redirects are not followed; give the address it points "
		       "to as the endpoint";
	switch (status) {
	case 401:
	case 403:
		return "look at the credentials in the sink's headers";
	case 404:
		return "look at the endpoint's path";
	case 405:
		return "the endpoint has to take POST";
	case 410:
		return "configure the sink anew when there is another endpoint";
	case 413:
		return "let the endpoint take larger bodies, or lower "
		       "per-request; "
		       "then weir sink dead-letters NAME retry";
	default:
		break;
	}
	if (answer_status(status) == WEIR_SINK_REJECT)
		return "mend the receiver, then weir sink dead-letters NAME "
		       "retry; or discard the record";
	return NULL;
}

static bool
is_tls(CURLcode code)
{
	switch (code) {
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_SSL_ENGINE_SETFAILED:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_USE_SSL_FAILED:
	case CURLE_SSL_ENGINE_INITFAILED:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CLIENTCERT:
		return true;
	default:
		return false;
	}
}

/* A connection that ended within the handshake is no refusal of TLS. */
static bool
was_cut(CURLcode code, const char *said)
{
	return code == CURLE_SSL_CONNECT_ERROR &&
	       (strstr(said, "SYSCALL") != NULL ||
		strstr(said, "reset") != NULL ||
		strstr(said, "unexpected eof") != NULL);
}

enum weir_sink_class
answer_curl(CURLcode code, const char *said)
{
	if (code == CURLE_OUT_OF_MEMORY)
		return WEIR_SINK_RETRY;
	if (code == CURLE_URL_MALFORMAT || code == CURLE_FAILED_INIT ||
	    code == CURLE_NOT_BUILT_IN || code == CURLE_BAD_FUNCTION_ARGUMENT)
		return WEIR_SINK_BLOCKED;
	return is_tls(code) && !was_cut(code, said) ? WEIR_SINK_BLOCKED
						    : WEIR_SINK_NOT_CONNECTED;
}

const char *
answer_curl_hint(CURLcode code)
{
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return "the certificate must be valid for the endpoint's name; "
		       "--ca-file names the authority of a private one";
	if (code == CURLE_SSL_CACERT_BADFILE)
		return "look at the file that --ca-file names";
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return "look at the endpoint's host name and at the resolver";
	return NULL;
}

const char *
answer_curl_code(CURLcode code, const char *said)
{
	if (is_tls(code) && !was_cut(code, said))
		return "TLS";
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return "TIMEOUT";
	case CURLE_COULDNT_RESOLVE_HOST:
		return "RESOLVE";
	case CURLE_COULDNT_CONNECT:
		return "CONNECT";
	case CURLE_OUT_OF_MEMORY:
		return "ENOMEM";
	default:
		return "TRANSFER";
	}
}

static int weight(enum weir_sink_class class)
{
	switch (class) {
	case WEIR_SINK_GONE:
		return 5;
	case WEIR_SINK_BLOCKED:
		return 4;
	case WEIR_SINK_REJECT:
		return 3;
	case WEIR_SINK_RETRY:
		return 2;
	case WEIR_SINK_NOT_CONNECTED:
		return 1;
	case WEIR_SINK_OK:
		break;
	}
	return 0;
}

bool
answer_worse(enum weir_sink_class a, enum weir_sink_class b)
{
	return weight(a) > weight(b);
}

int64_t
answer_wait(curl_off_t seconds)
{
	if (seconds <= 0)
		return 0;
	return (seconds < WAIT_MAX ? seconds : WAIT_MAX) * INT64_C(1000000);
}
