/* SPDX-License-Identifier: MIT */
/*
 * The settings of diag, guarded by one lock that is held for a copy and never
 * while a file is opened or written.
 *
 * 1. The file's descriptor keeps its number for ever: another file is put in
 *    its place (dup3), so that a line on its way never meets a number that is
 *    closed, or that belongs to something else by now.
 */
#include "base/diag_int.h"

#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVELS_MAX 32
#define PATH_BYTES 1024u
#define SYSLOG	   "/dev/log"

struct area_level {
	char area[DIAG_AREA_MAX];
	enum diag_level level;
};

struct levels {
	enum diag_level all;
	size_t n;
	struct area_level own[LEVELS_MAX];
};

/* Guards what follows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct diag_way now = {.target = DIAG_STDERR,
			      .fd = STDERR_FILENO,
			      .pattern = "weir: {level}: {area}: "
					 "{message}{request}"};
static struct levels levels = {.all = DIAG_WARN};
static unsigned rate;
static int stderr_fd = STDERR_FILENO;
static int file_fd = -1, socket_fd = -1; /* once open, for ever */
static char file_path[PATH_BYTES];

/* Held by who opens files or sockets and changes the above; before `lock`. */
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

static _Atomic int most = DIAG_WARN; /* the highest level of any area */
static _Atomic bool reopen;

int
diag_level_parse(enum diag_level *out, const char *s)
{
	for (int i = DIAG_ERROR; i <= DIAG_TRACE; i++) {
		if (strcmp(s, diag_names[i]) != 0)
			continue;
		*out = (enum diag_level)i;
		return 0;
	}
	return -1;
}

bool
diag_wants(enum diag_level level)
{
	return (int)level <= atomic_load_explicit(&most, memory_order_relaxed);
}

/* With the lock. */
static void
use_levels(const struct levels *l)
{
	int top = (int)l->all;

	for (size_t i = 0; i < l->n; i++)
		if ((int)l->own[i].level > top)
			top = (int)l->own[i].level;
	levels = *l;
	atomic_store_explicit(&most, top, memory_order_relaxed);
}

void
diag_set_level(enum diag_level level)
{
	struct levels l = {.all = level};

	pthread_mutex_lock(&lock);
	use_levels(&l);
	pthread_mutex_unlock(&lock);
}

/* Does journald read what is written there? It says of which file. */
static bool
is_journald(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (stream == NULL || os()->fstat(fd, &st) != 0)
		return false;
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	return strcmp(stream, own) == 0;
}

void
diag_set_fd(int fd)
{
	bool journald = is_journald(fd);

	pthread_mutex_lock(&lock);
	stderr_fd = fd;
	if (now.target == DIAG_STDERR || now.target == DIAG_JOURNAL) {
		now.fd = fd;
		now.prefix = journald || now.target == DIAG_JOURNAL;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- reading settings ---------------------------------------------------- */

/* "http=debug" */
static int
take_level(struct levels *l, const char *text, size_t n, struct weir_err *err)
{
	const char *is = memchr(text, '=', n);
	size_t len = is != NULL ? (size_t)(is - text) : 0;
	struct area_level *to = &l->own[l->n];
	char word[8] = "";

	if (is == NULL || len == 0 || len >= sizeof(to->area) ||
	    n - len - 1 >= sizeof(word))
		goto bad;
	if (l->n == LEVELS_MAX)
		return err_set(err, WEIR_EUSAGE,
			       "levels are for %d areas at most", LEVELS_MAX);
	memcpy(to->area, text, len);
	to->area[len] = '\0';
	memcpy(word, is + 1, n - len - 1);
	if (diag_level_parse(&to->level, word) != 0)
		goto bad;
	l->n++;
	return 0;
bad:
	return err_set(err, WEIR_EUSAGE,
		       "levels are written as AREA=LEVEL,... with the levels "
		       "error, warn, info, debug and trace, not \"%.*s\"",
		       (int)(n < 80 ? n : 80), text);
}

static int
take_levels(struct levels *l, const char *text, struct weir_err *err)
{
	int rc = 0;

	while (text != NULL && *text != '\0' && rc == 0) {
		size_t n = strcspn(text, ",");

		rc = take_level(l, text, n, err);
		text += n + (text[n] == ',');
	}
	return rc;
}

static const char *
usual_pattern(enum diag_target target)
{
	switch (target) {
	case DIAG_SYSLOG:
		return "{level}: {area}: {message}{request}";
	case DIAG_FILE:
		return "{time} {level} {area}: {message}{request}";
	case DIAG_STDERR:
	case DIAG_JOURNAL:
		break;
	}
	return "weir: {level}: {area}: {message}{request}";
}

static int
take_format(struct diag_way *way, const char *format, struct weir_err *err)
{
	const char *bad;

	way->json = format != NULL && strcmp(format, "json") == 0;
	if (format == NULL || way->json || strcmp(format, "text") == 0)
		format = usual_pattern(way->target);
	if (strlen(format) >= sizeof(way->pattern))
		return err_set(err, WEIR_EUSAGE,
			       "the format is longer than %zu bytes",
			       sizeof(way->pattern) - 1);
	bad = diag_form_fault(format);
	if (bad != NULL)
		return err_set(err, WEIR_EUSAGE,
			       "a format is text, json, or a pattern with "
			       "{time}, {level}, {area}, {message}, {request} "
			       "and {pid}, not \"%.40s\"",
			       bad);
	strcpy(way->pattern, format);
	return 0;
}

int
diag_check(const char *format, const char *text, struct weir_err *err)
{
	struct levels l = {.n = 0};
	struct diag_way way = {.target = DIAG_STDERR};
	int rc = take_format(&way, format, err);

	return rc != 0 ? rc : take_levels(&l, text, err);
}

/* ---- targets ------------------------------------------------------------- */

static int
open_socket(struct diag_way *way, const char *path, int *fd,
	    struct weir_err *err)
{
	path = path != NULL ? path : SYSLOG;
	if (strlen(path) >= sizeof(way->socket))
		return err_set(err, WEIR_EUSAGE,
			       "the path of syslog's socket is too long");
	if (!os_exists(path))
		return err_set(err, WEIR_ENOTFOUND,
			       "there is no %s to send messages to: start a "
			       "syslog daemon, or choose another target",
			       path);
	strcpy(way->socket, path);
	if (*fd < 0)
		*fd = os()->socket(AF_UNIX, SOCK_DGRAM, 0);
	return *fd >= 0 ? 0 : err_sys(err, "cannot make a socket for syslog");
}

/* Opens the file and puts it in the place of the one before. */
static int
open_file(int *fd, const char *path, struct weir_err *err)
{
	int rc = 0, fresh;

	if (path == NULL || strlen(path) >= PATH_BYTES)
		return err_set(err, WEIR_EUSAGE,
			       "the path of the file for messages is missing "
			       "or too long");
	fresh = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0600,
			err);
	if (fresh < 0)
		return fresh;
	if (*fd < 0) {
		*fd = fresh;
		return 0;
	}
	if (os()->dup_over(fresh, *fd) < 0)
		rc = err_sys(err, "cannot go on with %s", path);
	os_close(fresh);
	return rc;
}

static int
set_up(const struct diag_options *o, struct weir_err *err)
{
	struct diag_way way = {.target = o->target};
	struct levels l = {.all = o->level};
	int file, sock, rc = take_format(&way, o->format, err);

	pthread_mutex_lock(&lock);
	file = file_fd;
	sock = socket_fd;
	way.fd = stderr_fd;
	pthread_mutex_unlock(&lock);
	if (rc == 0)
		rc = take_levels(&l, o->levels, err);
	if (rc == 0 && way.target == DIAG_FILE)
		rc = open_file(&file, o->path, err);
	else if (rc == 0 && way.target == DIAG_SYSLOG)
		rc = open_socket(&way, o->path, &sock, err);
	if (rc != 0)
		return rc;
	way.prefix = way.target == DIAG_JOURNAL ||
		     (way.target == DIAG_STDERR && is_journald(way.fd));
	if (way.target == DIAG_FILE)
		way.fd = file;
	else if (way.target == DIAG_SYSLOG)
		way.fd = sock;
	pthread_mutex_lock(&lock);
	now = way;
	file_fd = file;
	socket_fd = sock;
	if (way.target == DIAG_FILE)
		strcpy(file_path, o->path);
	use_levels(&l);
	rate = o->rate;
	pthread_mutex_unlock(&lock);
	return 0;
}

int
diag_setup(const struct diag_options *o, struct weir_err *err)
{
	int rc;

	pthread_mutex_lock(&changing);
	rc = set_up(o, err);
	pthread_mutex_unlock(&changing);
	return rc;
}

void
diag_reopen(void)
{
	atomic_store(&reopen, true);
}

/* With `changing`. */
static int
open_again(struct weir_err *err)
{
	char path[PATH_BYTES] = "";
	int fd;

	pthread_mutex_lock(&lock);
	fd = file_fd;
	if (now.target == DIAG_FILE)
		strcpy(path, file_path);
	pthread_mutex_unlock(&lock);
	return path[0] != '\0' ? open_file(&fd, path, err) : 0;
}

/* Whoever holds `changing` now opens a file, or the next message does. */
static void
take_request(void)
{
	struct weir_err err = {0};
	int rc = 0;

	if (pthread_mutex_trylock(&changing) != 0)
		return;
	if (atomic_exchange(&reopen, false))
		rc = open_again(&err);
	pthread_mutex_unlock(&changing);
	if (rc != 0)
		diag(DIAG_ERROR, "diag", "%s; the old file goes on", err.msg);
}

void
diag_now(struct diag_way *way)
{
	if (atomic_load_explicit(&reopen, memory_order_relaxed))
		take_request();
	pthread_mutex_lock(&lock);
	*way = now;
	pthread_mutex_unlock(&lock);
}

bool
diag_shows(unsigned *per_span, enum diag_level level, const char *area)
{
	enum diag_level own;

	pthread_mutex_lock(&lock);
	own = levels.all;
	for (size_t i = 0; i < levels.n; i++)
		if (strcmp(levels.own[i].area, area) == 0)
			own = levels.own[i].level;
	*per_span = rate;
	pthread_mutex_unlock(&lock);
	return level <= own;
}
