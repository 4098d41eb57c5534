/* SPDX-License-Identifier: MIT */
/*
 * A command for a call. A thread starts the child, waits for it and then tells
 * `ready`, so no thread of the HTTP server waits. What the child prints goes
 * into memory files: it can't block, and nothing is read before it has ended.
 *
 * The job belongs to the call (c->own). The thread uses nothing of it after
 * `ready` was called.
 */
#include "server/api_child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/err.h"
#include "base/json.h"
#include "base/os.h"
#include "base/str.h"
#include "bus/loader.h"
#include "model/config.h"
#include "server/api_int.h"

#define WORDS_MAX   8
#define JOBS_MAX    4 /* at once: each is a process */
#define PATIENCE_MS 60000
#define PRINT_MAX   (16u << 20)

static _Atomic unsigned jobs;

struct job {
	struct api_call *c;
	char *argv[WORDS_MAX + 9];
	size_t argc;
	struct buf out, why; /* what it printed: answer, error */
	int status;	     /* of waitpid */
	bool late;
	struct weir_err err; /* code 0: it ran */
};

static void
job_free(void *own)
{
	struct job *j = own;

	for (size_t i = 0; j != NULL && i < j->argc; i++)
		mem_free(j->argv[i]);
	if (j != NULL) {
		buf_fini(&j->out);
		buf_fini(&j->why);
	}
	mem_free(j);
}

static void
add_word(struct job *j, const char *word)
{
	char *copy = mem_dup(word, strlen(word));

	if (copy == NULL)
		err_nomem(&j->err);
	else
		j->argv[j->argc++] = copy;
}

static struct job *
job_new(struct api_call *c, const char *const *words)
{
	struct job *j = mem_new(sizeof(*j));
	const char *settings = config_path(api_config(c));
	const char *plugins = loader_dir();

	if (j == NULL)
		return NULL;
	j->c = c;
	buf_init(&j->out, PRINT_MAX);
	buf_init(&j->why, PRINT_MAX);
	add_word(j, "weir");
	for (size_t i = 0; i < WORDS_MAX && words[i] != NULL; i++)
		add_word(j, words[i]);
	add_word(j, "--json");
	add_word(j, "--data-dir");
	add_word(j, store_dir(c->api->store));
	if (settings != NULL && os_exists(settings)) {
		add_word(j, "--config");
		add_word(j, settings);
	}
	if (plugins != NULL) {
		add_word(j, "--plugin-dir");
		add_word(j, plugins);
	}
	return j;
}

/* ---- the process --------------------------------------------------------- */

static void
await(struct job *j, pid_t pid)
{
	int fd = os()->pidfd(pid);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = os()->poll(&p, 1, PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (fd < 0 || n <= 0) {
		j->late = true;
		os()->kill(pid, SIGKILL);
	}
	while (os()->waitpid(pid, &j->status, 0) < 0 && errno == EINTR)
		continue;
	os_close(fd);
}

static void
read_back(struct buf *out, int fd)
{
	struct stat st;
	ssize_t n;

	if (os()->fstat(fd, &st) != 0 || st.st_size <= 0 ||
	    buf_reserve(out, (size_t)st.st_size) != 0)
		return;
	n = os()->pread(fd, out->data, (size_t)st.st_size, 0);
	out->len = n > 0 ? (size_t)n : 0;
}

static void
run_job(struct job *j)
{
	extern char **environ;
	int fds[3] = {os()->open("/dev/null", O_RDWR, 0),
		      os()->memfd("weir answer"), os()->memfd("weir error")};
	const struct os_spawn how = {.path = "/proc/self/exe",
				     .argv = j->argv,
				     .envp = environ,
				     .fds = fds,
				     .nfds = 3,
				     .death_signal = SIGKILL};
	pid_t pid = -1;

	if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0)
		pid = os()->spawn(&how);
	if (pid < 0) {
		err_sys(&j->err, "cannot start a command for the sink");
	} else {
		await(j, pid);
		read_back(&j->out, fds[1]);
		read_back(&j->why, fds[2]);
	}
	for (size_t i = 0; i < 3; i++)
		os_close(fds[i]);
	atomic_fetch_sub(&jobs, 1);
}

static void *
job_main(void *arg)
{
	struct job *j = arg;
	struct api_call *c = j->c;
	void (*ready)(void *) = c->ready;
	void *cookie = c->ready_cookie;

	run_job(j);
	ready(cookie);
	return NULL;
}

/* ---- the call ------------------------------------------------------------ */

/* Its last line of {"error": {...}}, as an error. */
static void
take_error(struct job *j)
{
	const char *at = buf_cstr(&j->why), *line = at;
	struct weir_str object, error, value;
	char word[32] = "";

	while ((at = strstr(at, "{\"error\":")) != NULL)
		line = at++;
	j->err.code = WEIR_EFAILED;
	if (json_check((struct weir_str){line, strcspn(line, "\n")}, &object,
		       "error", NULL) != 0 ||
	    json_kind(object) != WEIR_OBJECT ||
	    !json_get(object, "error", &error) ||
	    json_kind(error) != WEIR_OBJECT ||
	    !json_get(error, "message", &value) ||
	    value.len - 2 >= sizeof(j->err.msg)) {
		err_set(&j->err, WEIR_EFAILED,
			j->late ? "the plugin did not come back in %d s"
				: "the plugin ended its process",
			PATIENCE_MS / 1000);
		return;
	}
	j->err.msg[json_decode(j->err.msg, value)] = '\0';
	if (json_get(error, "code", &value) && value.len - 2 < sizeof(word))
		word[json_decode(word, value)] = '\0';
	if (err_code(word) != WEIR_OK)
		j->err.code = err_code(word);
}

void
api_child_finish(struct api_call *c)
{
	struct job *j = c->own;
	bool ran = WIFEXITED(j->status) && !j->late;
	int exit = ran ? WEXITSTATUS(j->status) : 1;

	if (j->err.code == 0 && exit != 0 && exit != 8)
		take_error(j);
	if (j->err.code != 0) {
		api_fail(c, &j->err);
		return;
	}
	while (j->out.len > 0 && j->out.data[j->out.len - 1] == '\n')
		j->out.len--;
	buf_add_str(&c->out, buf_str(&j->out));
	api_reply(c, 200);
}

int
api_child(struct api_call *c, const char *const *words)
{
	struct job *j = job_new(c, words);
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	if (j == NULL || j->err.code != 0) {
		job_free(j);
		return api_refuse(c, 0, WEIR_ENOMEM, "not enough memory");
	}
	c->own = j;
	c->own_free = job_free;
	if (atomic_fetch_add(&jobs, 1) >= JOBS_MAX) {
		atomic_fetch_sub(&jobs, 1);
		return api_refuse(c, 0, WEIR_EUNREACH,
				  "too many commands for sinks run at once; "
				  "send it again later");
	}
	if (c->ready == NULL) {
		run_job(j);
		api_child_finish(c);
		return 0;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&thread, &attr, job_main, j);
	pthread_attr_destroy(&attr);
	if (rc == 0)
		return API_LATER;
	atomic_fetch_sub(&jobs, 1);
	return api_refuse(c, 0, WEIR_ENOMEM, "no thread could be started");
}
