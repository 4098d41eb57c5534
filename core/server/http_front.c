/* SPDX-License-Identifier: MIT */
/*
 * The front: one thread that accepts connections, decides whose they are and
 * whether there is room, hands them to an engine, and looks each second whether
 * a client is too slow.
 *
 * 1. A connection is in the lists from before its engine has it until the
 *    engine gives it up, and its descriptor is closed after that: under lock a
 *    listed descriptor is its own.
 * 2. One that is too slow is shut down; its engine then ends it.
 * 3. libmicrohttpd may miss that a client has said its last: it reads until
 * less comes than it asked for, and waits for an edge that was there before. So
 *    we look.
 * 4. A head that begins to come shows only in the kernel's count of bytes:
 *    libmicrohttpd tells of a request when its first line is whole.
 */
#include "server/http_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/must.h"
#include "base/os.h"
#include "server/api_int.h"

#define ACCEPTS	  64  /* at a time */
#define SLICE	  256 /* looked at without giving up the lock */
#define LOOK_MS	  1000
#define DRAIN_MS  10
#define FULL_MS	  100	/* no descriptor is left: try again after it */
#define QUIET_US  30000 /* an idle one ends in a drain after this */
#define BODY_PACE 4096	/* bytes that give a body one more second */
#define OVER	  64	/* connections above the limit, about to end */
#define IPPROTO	  6

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* ---- lists --------------------------------------------------------------- */

static struct http_conn **
bucket_of(struct http *h, const struct http_conn *c)
{
	uint32_t n = 2166136261u;

	for (size_t i = 0; i < sizeof(c->from); i++)
		n = (n ^ c->from[i]) * 16777619u;
	return &h->bucket[n % HTTP_BUCKETS];
}

/* All under lock. */
static void
unlink_conn(struct http *h, struct http_conn *c)
{
	if (c->next == c) {
		h->conns = NULL;
	} else {
		c->next->before = c->before;
		c->before->next = c->next;
		if (h->conns == c)
			h->conns = c->next;
	}
}

static void
link_conn(struct http *h, struct http_conn *c)
{
	if (h->conns == NULL) {
		c->next = c->before = c;
		h->conns = c;
		return;
	}
	c->next = h->conns;
	c->before = h->conns->before;
	c->before->next = c;
	c->next->before = c;
}

static int
enter(struct http *h, struct http_conn *c)
{
	struct http_conn **bucket = bucket_of(h, c);

	if ((size_t)c->fd >= h->nfds) {
		size_t n = (size_t)c->fd * 2 + 64;
		struct http_conn **fresh =
			mem_resize(h->by_fd, n * sizeof(struct http_conn *));

		if (fresh == NULL)
			return -1;
		memset(fresh + h->nfds, 0,
		       (n - h->nfds) * sizeof(struct http_conn *));
		h->by_fd = fresh;
		h->nfds = n;
	}
	h->by_fd[c->fd] = c;
	c->same = *bucket;
	*bucket = c;
	link_conn(h, c);
	h->nconns++;
	atomic_fetch_add(&c->engine->connections, 1);
	atomic_fetch_add(&c->worker->connections, 1);
	return 0;
}

static void
leave(struct http *h, struct http_conn *c)
{
	struct http_conn **at = bucket_of(h, c);

	while (*at != c)
		at = &(*at)->same;
	*at = c->same;
	unlink_conn(h, c);
	if (h->by_fd[c->fd] == c)
		h->by_fd[c->fd] = NULL;
	h->nconns--;
	atomic_fetch_sub(&c->engine->connections, 1);
	atomic_fetch_sub(&c->worker->connections, 1);
	pthread_cond_broadcast(&h->gone);
}

void
http_conn_free(struct http_conn *c)
{
	buf_fini(&c->refusal);
	mem_free(c->target);
	mem_free(c);
}

void
http_front_notify(void *cls, struct MHD_Connection *m, void **cookie,
		  enum MHD_ConnectionNotificationCode what)
{
	struct http *h = ((struct http_engine *)cls)->http;
	struct http_conn *c = *cookie;

	pthread_mutex_lock(&h->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(
			m, MHD_CONNECTION_INFO_CONNECTION_FD);

		c = info != NULL && (size_t)info->connect_fd < h->nfds
			    ? h->by_fd[info->connect_fd]
			    : NULL;
		if (c != NULL) {
			c->mhd = m;
			c->adopted = true;
		}
		*cookie = c;
		c = NULL;
	} else if (c != NULL) {
		leave(h, c);
		*cookie = NULL;
	}
	pthread_mutex_unlock(&h->lock);
	if (c != NULL)
		http_conn_end(c);
}

/* ---- who is it ----------------------------------------------------------- */

/* The owner of the store's folder and root are administrators; nobody else may
 * come in, whatever the socket's mode says. */
static bool
is_owner(struct http *h, struct http_conn *c)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	struct stat st;
	char room[4096];
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;

	if (os()->getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
		return false;
	if (peer.uid != 0 && peer.uid != geteuid() &&
	    (os()->stat(store_dir(h->api->store), &st) != 0 ||
	     st.st_uid != peer.uid)) {
		diag(DIAG_WARN, "http",
		     "user %u may not use the control socket: the store is "
		     "not hers",
		     (unsigned)peer.uid);
		return false;
	}
	if (getpwuid_r(peer.uid, &pw, room, sizeof(room), &user) != 0)
		user = NULL;
	if (user == NULL || strlen(user->pw_name) >= sizeof(c->user))
		snprintf(c->user, sizeof(c->user), "%u", (unsigned)peer.uid);
	else
		snprintf(c->user, sizeof(c->user), "%s", user->pw_name);
	if (getgrgid_r(peer.gid, &gr, room, sizeof(room), &group) != 0)
		group = NULL;
	if (group == NULL || strlen(group->gr_name) >= sizeof(c->group))
		snprintf(c->group, sizeof(c->group), "%u", (unsigned)peer.gid);
	else
		snprintf(c->group, sizeof(c->group), "%s", group->gr_name);
	return true;
}

/* Its address, as text and as what is counted. */
static void
set_address(struct http_conn *c, const union address *a)
{
	if (c->local) {
		snprintf(c->address, sizeof(c->address), "local");
	} else if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, c->address,
			  sizeof(c->address));
		if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
			memcpy(c->from, &a->v6.sin6_addr, 16);
		else
			memcpy(c->from, &a->v6.sin6_addr, 8);
		if (IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr))
			memset(c->from, 0, sizeof(c->from));
	} else {
		inet_ntop(AF_INET, &a->v4.sin_addr, c->address,
			  sizeof(c->address));
		c->from[10] = c->from[11] = 0xff;
		memcpy(c->from + 12, &a->v4.sin_addr, 4);
	}
}

static bool
is_counted(const struct http_conn *c)
{
	static const uint8_t none[16];

	return !c->local && memcmp(c->from, none, 16) != 0 &&
	       !(c->from[10] == 0xff && c->from[12] == 127);
}

/* ---- too slow ------------------------------------------------------------ */

static void
cut(struct http *h, struct http_conn *c, enum http_cut part)
{
	atomic_fetch_add(&h->counts.cut[part], 1);
	os()->shutdown(c->fd, SHUT_RDWR);
}

static bool
read_info(struct http_conn *c, struct tcp_info *info)
{
	socklen_t n = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return !c->local &&
	       os()->getsockopt(c->fd, IPPROTO, TCP_INFO, info, &n) == 0;
}

/* It will send no more; a request it has not sent whole never comes. */
static bool
said_its_last(struct http_conn *c, int64_t now)
{
	struct pollfd one = {.fd = c->fd, .events = POLLRDHUP};

	return now - atomic_load(&c->since) > QUIET_US &&
	       os()->poll(&one, 1, 0) == 1 && (one.revents & POLLRDHUP) != 0;
}

static void
look_at_idle(struct http *h, struct http_conn *c, int64_t now)
{
	struct tcp_info info;
	uint64_t requests = atomic_load(&c->requests);
	int64_t since = atomic_load(&c->since);

	if (atomic_load(&h->draining)) {
		if (now - since > QUIET_US)
			os()->shutdown(c->fd, SHUT_RDWR);
		return;
	}
	if (read_info(c, &info)) {
		if (!c->seen_set || c->seen_requests != requests) {
			c->seen_set = true;
			c->seen_requests = requests;
			c->seen_at = 0;
			/* a TLS handshake counts as the first head's begin */
			c->seen = requests == 0 ? 0 : info.tcpi_bytes_received;
		}
		if (info.tcpi_bytes_received > c->seen && c->seen_at == 0)
			c->seen_at = now;
		if (c->seen_at != 0 &&
		    now - c->seen_at > atomic_load(&h->header_us)) {
			cut(h, c, HTTP_CUT_HEADER);
			return;
		}
	}
	if (now - since > atomic_load(&h->idle_us))
		cut(h, c, HTTP_CUT_IDLE);
}

static void
look_at_head(struct http *h, struct http_conn *c, int64_t now)
{
	int64_t since = atomic_load(&c->since);

	if (c->seen_set && c->seen_at != 0 &&
	    c->seen_requests + 1 == atomic_load(&c->requests))
		since = c->seen_at;
	if (now - since > atomic_load(&h->header_us))
		cut(h, c, HTTP_CUT_HEADER);
}

static void
look_at_body(struct http *h, struct http_conn *c, int64_t now)
{
	int64_t took = now - atomic_load(&c->since);
	int64_t more = (int64_t)(atomic_load(&c->count) / BODY_PACE) * 1000000;

	if (took > atomic_load(&h->body_us) + more)
		cut(h, c, HTTP_CUT_BODY);
}

/* An answer must be taken; a stream that waits for records has been. */
static void
look_at_answer(struct http *h, struct http_conn *c, int64_t now)
{
	struct tcp_info info;
	uint64_t requests = atomic_load(&c->requests);
	int wait = atomic_load(&c->wait);

	if (!read_info(c, &info))
		return;
	if (wait != HTTP_GOES || !c->seen_set ||
	    c->seen_requests != requests + 1 ||
	    c->seen != info.tcpi_bytes_acked) {
		c->seen_set = true;
		/* not what look_at_idle takes for its own */
		c->seen_requests = requests + 1;
		c->seen = info.tcpi_bytes_acked;
		c->seen_at = now;
	} else if (now - c->seen_at > atomic_load(&h->stream_us)) {
		cut(h, c, HTTP_CUT_ANSWER);
	}
}

static void
look_at(struct http *h, struct http_conn *c, int64_t now)
{
	int step = atomic_load(&c->step);

	if (step <= HTTP_BODY && said_its_last(c, now)) {
		os()->shutdown(c->fd, SHUT_RDWR);
		return;
	}
	switch (step) {
	case HTTP_IDLE:
		look_at_idle(h, c, now);
		break;
	case HTTP_HEAD:
		look_at_head(h, c, now);
		break;
	case HTTP_BODY:
		look_at_body(h, c, now);
		break;
	case HTTP_ANSWER:
	case HTTP_STREAM:
		look_at_answer(h, c, now);
		break;
	default:
		break;
	}
}

static void
look_at_all(struct http *h)
{
	int64_t now = clock_monotonic();
	uint64_t n;

	pthread_mutex_lock(&h->lock);
	n = h->nconns;
	for (uint64_t i = 0; i < n && h->conns != NULL; i++) {
		struct http_conn *c = h->conns;

		h->conns = c->next; /* it is the last one now */
		look_at(h, c, now);
		if (i % SLICE == SLICE - 1) {
			pthread_mutex_unlock(&h->lock);
			pthread_mutex_lock(&h->lock);
		}
	}
	pthread_mutex_unlock(&h->lock);
}

/* Engines with an old certificate end with their last connection. */
static void
end_retired(struct http *h)
{
	struct http_engine *e = atomic_load(&h->engines);

	for (; e != NULL; e = e->next) {
		bool ends;

		pthread_mutex_lock(&h->lock);
		ends = e->retired && !e->stopped &&
		       atomic_load(&e->connections) == 0;
		pthread_mutex_unlock(&h->lock);
		if (ends)
			http_engine_stop(e);
	}
}

/* ---- accepting ----------------------------------------------------------- */

/* Under lock: is there room? For one too many the one that idles the longest
 * goes. */
static bool
has_room(struct http *h, struct http_conn *c)
{
	uint64_t most = atomic_load(&h->most), same = 0;
	uint64_t each = atomic_load(&h->most_per_address);
	struct http_conn *oldest = NULL, *i;

	if (each != 0 && is_counted(c)) {
		for (i = *bucket_of(h, c); i != NULL; i = i->same)
			same += memcmp(i->from, c->from, 16) == 0;
		if (same >= each)
			return false;
	}
	if (h->nconns < most)
		return true;
	if (h->nconns >= most + OVER)
		return false;
	i = h->conns;
	do {
		if (atomic_load(&i->step) == HTTP_IDLE &&
		    (oldest == NULL ||
		     atomic_load(&i->since) < atomic_load(&oldest->since)))
			oldest = i;
		i = i->next;
	} while (i != h->conns);
	if (oldest == NULL)
		return false;
	cut(h, oldest, HTTP_CUT_IDLE);
	http_conn_step(oldest, HTTP_IDLE); /* the next one is another */
	return true;
}

static struct http_conn *
conn_new(struct http *h, int fd, bool local, const union address *from)
{
	struct http_conn *c = mem_new(sizeof(*c));

	if (c == NULL)
		return NULL;
	c->http = h;
	c->fd = fd;
	c->local = local;
	set_address(c, from);
	http_conn_step(c, HTTP_IDLE);
	return c;
}

static void
hand_on(struct http *h, struct http_conn *c)
{
	struct http_conn *stale = NULL;
	bool ok;

	pthread_mutex_lock(&h->lock);
	if ((size_t)c->fd < h->nfds && h->by_fd[c->fd] != NULL) {
		/* libmicrohttpd dropped it before it had begun */
		stale = h->by_fd[c->fd];
		must(!stale->adopted);
		leave(h, stale);
	}
	c->engine = h->secure != NULL && !c->local ? h->secure : h->plain;
	c->worker = http_engine_choose(c->engine);
	ok = has_room(h, c) && enter(h, c) == 0;
	pthread_mutex_unlock(&h->lock);
	if (stale != NULL)
		http_conn_free(stale);
	if (!ok) {
		atomic_fetch_add(&h->counts.refused, 1);
		os_close(c->fd);
		http_conn_free(c);
		return;
	}
	atomic_fetch_add(&h->counts.accepted, 1);
	http_engine_add(c);
}

void
http_front_drop(struct http_conn *c)
{
	struct http *h = c->http;

	pthread_mutex_lock(&h->lock);
	leave(h, c);
	pthread_mutex_unlock(&h->lock);
	http_conn_free(c);
}

/* False when no descriptor is left. */
static bool
accept_some(struct http *h, int listening, bool local)
{
	for (int i = 0; i < ACCEPTS; i++) {
		union address from;
		socklen_t n = sizeof(from);
		struct http_conn *c;
		int fd;

		memset(&from, 0, sizeof(from));
		fd = os()->accept(listening, &from.any, &n);
		if (fd < 0)
			return errno != EMFILE && errno != ENFILE &&
			       errno != ENOBUFS && errno != ENOMEM;
		c = conn_new(h, fd, local, &from);
		if (c == NULL || (local && !is_owner(h, c))) {
			os_close(fd);
			if (c != NULL)
				http_conn_free(c);
			continue;
		}
		hand_on(h, c);
	}
	return true;
}

static void
end_listening(struct http *h)
{
	os_close(h->tcp_fd);
	os_close(h->local_fd);
	h->tcp_fd = h->local_fd = -1;
}

static void *
front(void *cookie)
{
	struct http *h = cookie;
	int64_t looked = clock_monotonic();
	bool full = false;
	uint64_t word;

	while (!atomic_load(&h->stopping)) {
		bool drains = atomic_load(&h->draining);
		struct pollfd fds[3] = {
			{.fd = h->wake_fd, .events = POLLIN},
			{.fd = full ? -1 : h->tcp_fd, .events = POLLIN},
			{.fd = full ? -1 : h->local_fd, .events = POLLIN}};
		int ms = drains			   ? DRAIN_MS
			 : full			   ? FULL_MS
			 : http_connections(h) > 0 ? LOOK_MS
						   : -1;

		if (drains)
			end_listening(h);
		os()->poll(fds, 3, ms);
		if (fds[0].revents != 0)
			(void)!os()->read(h->wake_fd, &word, sizeof(word));
		full = fds[1].revents != 0 && !accept_some(h, h->tcp_fd, false);
		if (fds[2].revents != 0)
			full |= !accept_some(h, h->local_fd, true);
		if (clock_monotonic() - looked < ms * INT64_C(1000) - 1000)
			continue;
		looked = clock_monotonic();
		look_at_all(h);
		end_retired(h);
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

int
http_front_start(struct http *h, struct weir_err *err)
{
	h->wake_fd = os()->eventfd();
	if (h->wake_fd < 0)
		return err_sys(err, "no eventfd");
	if (pthread_create(&h->front, NULL, front, h) != 0)
		return err_set(err, WEIR_ENOMEM, "no thread can be started");
	h->front_runs = true;
	return 0;
}

void
http_front_wake(struct http *h)
{
	uint64_t one = 1;

	(void)!os()->write(h->wake_fd, &one, sizeof(one));
}

void
http_front_stop(struct http *h)
{
	if (h->front_runs) {
		atomic_store(&h->stopping, true);
		http_front_wake(h);
		pthread_join(h->front, NULL);
		h->front_runs = false;
	}
	end_listening(h);
	os_close(h->wake_fd);
	h->wake_fd = -1;
}
