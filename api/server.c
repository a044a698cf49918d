#include "api/server.h"
#include "api/conn.h"
#include "api/tls.h"
#include "base/account.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { ACCEPTS_A_TURN = 8, BACKLOG = 1024, IDLE_CLOSED_AT_ONCE = 16 };
static const int64_t accept_pause_ns = 100 * NS_PER_MS;

struct addr_count {
	unsigned n;
	size_t key_n;
	char key[16];
};

void server_options_init(struct server_options *o)
{
	*o = (struct server_options){
		.listen = { [LISTEN_MAIN] = "127.0.0.1:3100" },
		.n_io_threads = 1,
		.fd_reserve = 256,
		.settings = {
			.check_host = true,
			.max_body_bytes = 64 << 20,
			.ingest_memory_bytes = 256 << 20,
			.max_connections = 10000,
			.max_connections_per_addr = 2000,
			.max_head_bytes = 64 << 10,
			.max_headers = 100,
			.header_timeout_ns = 10 * NS_PER_S,
			.body_free_ns = 10 * NS_PER_S,
			.body_min_rate = 8 << 10,
			.body_timeout_ns = 5 * NS_PER_MIN,
			.idle_timeout_ns = 120 * NS_PER_S,
			.write_stall_ns = 30 * NS_PER_S,
			.handshake_timeout_ns = 10 * NS_PER_S,
			.max_decoded_bytes = 256 << 20,
		},
	};
}

/* ---- settings ---- */

static const char *const *dup_list(const char *const *list, size_t n)
{
	char **copy = xcalloc(n > 0 ? n : 1, sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return (const char *const *)copy;
}

static void free_list(const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)list[i]);
	free((void *)list);
}

static struct settings *settings_new(const struct server_settings *from)
{
	struct settings *set = xcalloc(1, sizeof(*set));

	set->s = *from;
	set->s.allowed_hosts = dup_list(from->allowed_hosts, from->n_allowed_hosts);
	set->s.allowed_origins = dup_list(from->allowed_origins, from->n_allowed_origins);
	tls_ref(set->s.tls);
	set->n_refs = 1;
	return set;
}

struct settings *settings_ref(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	struct settings *set = s->settings;
	set->n_refs++;
	pthread_mutex_unlock(&s->lock);
	return set;
}

void settings_unref(struct server *s, struct settings *set)
{
	pthread_mutex_lock(&s->lock);
	bool last = --set->n_refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	free_list(set->s.allowed_hosts, set->s.n_allowed_hosts);
	free_list(set->s.allowed_origins, set->s.n_allowed_origins);
	tls_unref(set->s.tls);
	free(set);
}

void server_set_settings(struct server *s, const struct server_settings *settings)
{
	struct settings *set = settings_new(settings);

	pthread_mutex_lock(&s->lock);
	struct settings *old = s->settings;
	s->settings = set;
	pthread_mutex_unlock(&s->lock);
	settings_unref(s, old);
}

/* ---- counts ---- */

static struct metric *conns_gauge(void)
{
	return metric_gauge("spoor_http_connections", "Open client connections.", NULL);
}

void refused_count(const char *reason)
{
	struct buf labels;

	buf_init(&labels);
	metric_label(&labels, "reason", slice_cstr(reason));
	buf_cstr_end(&labels);
	metric_add(metric_counter("spoor_http_refused_total",
				  "Requests and connections refused before a handler saw them.", labels.p),
		   1);
	buf_fini(&labels);
}

bool server_reserve(struct server *s, uint64_t limit, uint64_t alone, uint64_t bytes)
{
	uint64_t used = atomic_load(&s->memory_used);

	do {
		if (used != alone && (used > limit || bytes > limit - used))
			return false;
	} while (!atomic_compare_exchange_weak(&s->memory_used, &used, used + bytes));
	if (account_try(s->memory, bytes))
		return true;
	if (used == alone) { /* somebody must get on */
		account_charge(s->memory, bytes);
		return true;
	}
	atomic_fetch_sub(&s->memory_used, bytes);
	return false;
}

/* One more connection from this address: false if it has `max` already. */
static bool note_addr(struct server *s, struct slice addr, unsigned max)
{
	pthread_mutex_lock(&s->lock);
	struct addr_count *count = map_get(&s->addrs, addr);
	if (count == NULL) {
		bool is_new;

		count = xcalloc(1, sizeof(*count));
		assert(addr.n <= sizeof(count->key));
		memcpy(count->key, addr.p, addr.n);
		count->key_n = addr.n;
		*map_put(&s->addrs, slice_of(count->key, count->key_n), &is_new) = count;
	}
	bool ok = count->n < max;
	if (ok)
		count->n++;
	else if (count->n == 0)
		free(map_remove(&s->addrs, addr));
	pthread_mutex_unlock(&s->lock);
	return ok;
}

void server_forget_addr(struct server *s, const char *addr, size_t addr_n)
{
	pthread_mutex_lock(&s->lock);
	struct addr_count *count = map_get(&s->addrs, slice_of(addr, addr_n));
	assert(count != NULL && count->n > 0);
	if (--count->n == 0)
		free(map_remove(&s->addrs, slice_of(addr, addr_n)));
	pthread_mutex_unlock(&s->lock);
}

static bool note_conn(struct server *s, unsigned max)
{
	unsigned n = atomic_load(&s->n_conns);

	do {
		if (n >= max)
			return false;
	} while (!atomic_compare_exchange_weak(&s->n_conns, &n, n + 1));
	metric_gauge_add(conns_gauge(), 1);
	return true;
}

void server_conn_gone(struct server *s)
{
	metric_gauge_add(conns_gauge(), -1);
	pthread_mutex_lock(&s->lock);
	atomic_fetch_sub(&s->n_conns, 1);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void server_exchange_new(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->n_exchanges++;
	pthread_mutex_unlock(&s->lock);
}

void server_exchange_gone(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	if (--s->n_exchanges == 0)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* "Mon, 23 Nov 2026 09:00:00 GMT", made once a second. */
const char *io_date(struct io *io)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t now_s = clock_now_ns() / NS_PER_S;
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s == io->date_s && io->date[0] != '\0')
		return io->date;
	gmtime_r(&t, &tm);
	snprintf(io->date, sizeof(io->date), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * tm.tm_wday,
		 (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon, (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
	io->date_s = now_s;
	return io->date;
}

/* ---- accepting ---- */

/* What connections are counted by: an IPv4 address, or the /64 of an IPv6 one, since a host has that many. */
static size_t addr_key(const struct sockaddr_storage *sa, char key[16])
{
	if (sa->ss_family == AF_INET) {
		memcpy(key, &((const struct sockaddr_in *)sa)->sin_addr, 4);
		return 4;
	}
	const struct in6_addr *a = &((const struct sockaddr_in6 *)sa)->sin6_addr;
	if (IN6_IS_ADDR_V4MAPPED(a)) {
		memcpy(key, &a->s6_addr[12], 4);
		return 4;
	}
	memcpy(key, a, 8);
	return 8;
}

static void refuse_fd(int fd, const char *reason)
{
	static const char answer[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"X-Content-Type-Options: nosniff\r\nRetry-After: 1\r\nContent-Length: 21\r\n"
		"Connection: close\r\n\r\ntoo many connections\n";
	char sink[4096];

	refused_count(reason);
	send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) >
	       0) /* unread bytes would turn the close into a reset */
		;
	close(fd);
}

static void io_pause(struct io *io)
{
	struct timeval tv = { 0, accept_pause_ns / NS_PER_US };

	for (size_t i = 0; i < io->listeners.n; i++)
		event_del(io->listeners.v[i]->event);
	event_add(io->resume, &tv);
	conn_close_idle(io, IDLE_CLOSED_AT_ONCE);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < io->listeners.n; i++)
		event_add(io->listeners.v[i]->event, NULL);
}

static void admit_fd(struct io *io, int fd, const struct sockaddr_storage *sa, enum listener_kind kind)
{
	struct server *s = io->server;
	struct settings *set = settings_ref(s);
	char key[16];
	size_t key_n = addr_key(sa, key);

	if (fd >= s->fd_max) {
		refuse_fd(fd, "descriptors");
		io_pause(io);
	} else if (!note_conn(s, set->s.max_connections)) {
		refuse_fd(fd, "connections");
	} else if (!note_addr(s, slice_of(key, key_n), set->s.max_connections_per_addr)) {
		refuse_fd(fd, "connections_per_address");
		server_conn_gone(s);
	} else if (conn_new(io, fd, (const struct sockaddr *)sa, kind, key, key_n) == -1) {
		server_forget_addr(s, key, key_n);
		refuse_fd(fd, "memory");
		server_conn_gone(s);
	}
	settings_unref(s, set);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t n = sizeof(sa);
		int fd = accept4((int)listen_fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			admit_fd(l->io, fd, &sa, l->kind);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("accepting pauses", KV("why", strerror(errno)));
			refused_count("descriptors");
			io_pause(l->io);
			return;
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void io_start(struct loop_job *job)
{
	struct io *io = (struct io *)((char *)job - offsetof(struct io, start_job));

	for (size_t i = 0; i < io->listeners.n; i++)
		event_add(io->listeners.v[i]->event, NULL);
}

static void io_stop_accepting(struct io *io)
{
	for (size_t i = 0; i < io->listeners.n; i++) {
		event_free(io->listeners.v[i]->event);
		close(io->listeners.v[i]->fd);
		free(io->listeners.v[i]);
	}
	vec_fini(&io->listeners);
	if (io->resume != NULL)
		event_free(TAKE(io->resume));
}

static void io_drain(struct loop_job *job)
{
	struct io *io = (struct io *)((char *)job - offsetof(struct io, drain_job));

	io_stop_accepting(io);
	conn_drain_all(io);
	pthread_mutex_lock(&io->server->lock);
	io->server->n_accepting--;
	pthread_cond_broadcast(&io->server->changed);
	pthread_mutex_unlock(&io->server->lock);
}

static void io_kill(struct loop_job *job)
{
	conn_kill_all((struct io *)((char *)job - offsetof(struct io, kill_job)));
}

/* ---- listening ---- */

static int listen_on(const struct addrinfo *ai, bool only_v6)
{
	int one = 1, v6only = only_v6;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t n = sizeof(sa);

	getsockname(fd, (struct sockaddr *)&sa, &n);
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}

/* "host:port", "[v6]:port" or ":port" to addresses. */
static int resolve(const char *address, struct addrinfo **out, struct err *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE };
	char *host = xstrdup(address), *colon = strrchr(host, ':'), *name = host;
	int rc = -1;

	if (colon == NULL || colon[1] == '\0') {
		err_set(err, ERR_CONFIG, "listen address %s needs a port", address);
		goto out;
	}
	*colon = '\0';
	if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		name++;
	}
	int code = getaddrinfo(*name != '\0' ? name : NULL, colon + 1, &hints, out);
	if (code != 0) {
		err_set(err, ERR_CONFIG, "listen address %s: %s", address, gai_strerror(code));
		goto out;
	}
	rc = 0;
out:
	free(host);
	return rc;
}

/* Listens on every address the name stands for; on one only where the port is to be picked. */
static int open_sockets(struct server *s, const char *address, enum listener_kind kind, struct err *err)
{
	unsigned *port = &s->port[kind];
	struct addrinfo *list = NULL;
	size_t n_before = s->fds.n;
	int rc = -1;

	if (resolve(address, &list, err) == -1)
		return -1;
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
		int fd = listen_on(ai, list->ai_next != NULL);

		if (fd == -1) {
			err_set(err, ERR_CONFIG, "listen on %s: %s", address, strerror(errno));
			if (errno == EAFNOSUPPORT ||
			    errno == EADDRNOTAVAIL) /* no IPv6 here, say: the others may do */
				continue;
			goto out;
		}
		if (s->fds.n == n_before)
			*port = port_of(fd);
		vec_push(&s->fds, ((struct listen_fd){ fd, kind }));
		if (*port != 0 && strcmp(strrchr(address, ':'), ":0") == 0)
			break;
	}
	rc = s->fds.n > n_before ? 0 : -1;
out:
	freeaddrinfo(list);
	return rc;
}

static int io_listen(struct io *io, const struct listen_fd *from, struct err *err)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->io = io;
	l->kind = from->kind;
	l->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
	if (l->fd == -1) {
		free(l);
		return err_errno(err, "duplicate listening socket");
	}
	l->event = event_new(loop_base(io->loop), l->fd, EV_READ | EV_PERSIST, on_accept, l);
	if (l->event == NULL) {
		close(l->fd);
		free(l);
		return err_set(err, ERR_INTERNAL, "event for listening socket");
	}
	vec_push(&io->listeners, l);
	return 0;
}

static int io_new(struct server *s, struct err *err)
{
	struct io *io = xcalloc(1, sizeof(*io));

	io->server = s;
	TAILQ_INIT(&io->idle);
	TAILQ_INIT(&io->busy);
	io->start_job.run = io_start;
	io->drain_job.run = io_drain;
	io->kill_job.run = io_kill;
	if (loop_new("spoor-io", &io->loop, err) == -1) {
		free(io);
		return -1;
	}
	vec_push(&s->ios, io);
	s->n_accepting++;
	io->resume = event_new(loop_base(io->loop), -1, 0, on_resume, io);
	if (io->resume == NULL)
		return err_set(err, ERR_INTERNAL, "event for accepting");
	for (size_t i = 0; i < s->fds.n; i++)
		if (io_listen(io, &s->fds.v[i], err) == -1)
			return -1;
	return 0;
}

static int descriptor_limit(unsigned reserve)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == -1 || lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)(lim.rlim_cur - MIN((rlim_t)reserve, lim.rlim_cur / 4));
}

static int start(struct server *s, const struct server_options *o, struct err *err)
{
	assert(o->listen[LISTEN_MAIN] != NULL);
	for (size_t i = 0; i < LISTEN_N_KINDS; i++)
		if (o->listen[i] != NULL && open_sockets(s, o->listen[i], (enum listener_kind)i, err) == -1)
			return -1;
	for (unsigned i = 0; i < MAX(o->n_io_threads, 1u); i++)
		if (io_new(s, err) == -1)
			return -1;
	for (size_t i = 0; i < s->ios.n; i++)
		loop_post(s->ios.v[i]->loop, &s->ios.v[i]->start_job);
	return 0;
}

int server_new(const struct server_options *o, const struct route *routes, size_t n_routes,
	       struct server **out, struct err *err)
{
	struct server *s = xcalloc(1, sizeof(*s));

	route_check(routes, n_routes);
	s->routes = routes;
	s->n_routes = n_routes;
	s->app = o->app;
	s->auth = o->auth;
	s->memory = o->memory;
	s->fd_max = descriptor_limit(o->fd_reserve);
	if (gethostname(s->own_name, sizeof(s->own_name) - 1) == -1)
		s->own_name[0] = '\0';
	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->changed);
	map_init(&s->addrs);
	s->settings = settings_new(&o->settings);
	if (start(s, o, err) == -1) {
		server_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

unsigned server_port(const struct server *s, enum listener_kind kind)
{
	return s->port[kind];
}

/* Under s->lock. */
static bool is_over(struct server *s)
{
	return s->n_accepting == 0 && atomic_load(&s->n_conns) == 0 && s->n_exchanges == 0;
}

bool server_drain(struct server *s, int64_t timeout_ns)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	int64_t ns = until.tv_nsec + timeout_ns % NS_PER_S;
	until.tv_sec += timeout_ns / NS_PER_S + ns / NS_PER_S;
	until.tv_nsec = ns % NS_PER_S;
	if (!atomic_exchange(&s->draining, true))
		for (size_t i = 0; i < s->ios.n; i++)
			loop_post(s->ios.v[i]->loop, &s->ios.v[i]->drain_job);
	for (size_t i = 0; i < s->fds.n; i++)
		close(s->fds.v[i].fd);
	s->fds.n = 0;
	pthread_mutex_lock(&s->lock);
	while (!is_over(s) && rc == 0)
		rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	bool done = is_over(s);
	pthread_mutex_unlock(&s->lock);
	return done;
}

void server_free(struct server *s)
{
	if (s == NULL)
		return;
	server_drain(s, 0);
	for (size_t i = 0; i < s->ios.n; i++)
		loop_post(s->ios.v[i]->loop, &s->ios.v[i]->kill_job);
	pthread_mutex_lock(&s->lock);
	while (!is_over(s))
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < s->ios.n; i++) {
		loop_free(s->ios.v[i]->loop);
		for (size_t k = 0; k < s->ios.v[i]->n_spare; k++)
			buf_fini(&s->ios.v[i]->spare[k]);
		free(s->ios.v[i]);
	}
	vec_fini(&s->ios);
	vec_fini(&s->fds);
	map_fini(&s->addrs);
	settings_unref(s, s->settings);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
