/* Pushes a file of bodies (one a line, as gen writes them) to POST /loki/api/v1/push over keep-alive
 * connections, one thread each, and prints what it saw as one JSON object: wall time, bytes, answers by
 * status, latency. A 429 or 503 is sent again after its Retry-After; a broken connection is opened anew and
 * the body sent again. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"

#define MAX_TRIES      100
#define MAX_CONNS      256
#define REPLY_MAX      (64 * 1024)
#define SOCKET_TIMEOUT 60 /* seconds */

struct load {
	const char *host, *port, *path, *tenant;
	unsigned n_conns;
	struct slice file;

	pthread_mutex_t lock; /* guards next */
	size_t next;	      /* offset of the next body to send */
	atomic_bool failed;
};

struct worker {
	struct load *load;
	pthread_t thread;
	int fd;
	uint64_t n_requests, n_bytes, n_retries, n_reconnects;
	uint64_t by_status[600];
	VEC(int64_t) latency_ns;
	struct buf reply, head;
};

struct reply {
	int status;
	unsigned retry_after; /* seconds */
	bool close;
};

static bool take_body(struct load *l, struct slice *out)
{
	pthread_mutex_lock(&l->lock);
	struct slice rest = slice_from(l->file, l->next);
	size_t n = slice_find_byte(rest, '\n');
	*out = slice_sub(rest, 0, n == SLICE_NONE ? rest.n : n);
	l->next += out->n + 1;
	pthread_mutex_unlock(&l->lock);
	return rest.n > 0;
}

static int dial(const struct load *l)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	struct timeval timeout = { .tv_sec = SOCKET_TIMEOUT };
	int fd = -1, one = 1;

	if (getaddrinfo(l->host, l->port, &hints, &found) != 0)
		return -1;
	for (struct addrinfo *a = found; a != NULL && fd == -1; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd != -1 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd != -1) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	}
	return fd;
}

static int send_all(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return -1;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

/* The value of a header in a complete head, or an absent slice. */
static struct slice header_value(struct slice head, const char *name)
{
	size_t len = strlen(name);

	for (size_t eol; (eol = slice_find(head, SLICE("\r\n"))) != SLICE_NONE;
	     head = slice_from(head, eol + 2))
		if (eol > len && head.p[len] == ':' && strncasecmp(head.p, name, len) == 0)
			return slice_trim(slice_sub(head, len + 1, eol - len - 1));
	return (struct slice){ NULL, 0 };
}

/* Reads one answer whole. Answers to a push are short and carry a length (204: no body). */
static int read_reply(struct worker *w, struct reply *r)
{
	size_t end = SLICE_NONE;
	uint64_t body = 0, status, retry = 0;

	buf_reset(&w->reply);
	while (end == SLICE_NONE || w->reply.n < end + 4 + body) {
		ssize_t n = recv(w->fd, buf_reserve(&w->reply, REPLY_MAX), REPLY_MAX, 0);

		if (n <= 0 || w->reply.n > 16 * REPLY_MAX)
			return -1;
		w->reply.n += (size_t)n;
		if (end != SLICE_NONE)
			continue;
		end = slice_find(buf_slice(&w->reply), SLICE("\r\n\r\n"));
		if (end != SLICE_NONE)
			slice_to_u64(
				header_value(slice_sub(buf_slice(&w->reply), 0, end + 2), "Content-Length"),
				&body);
	}
	struct slice head = slice_sub(buf_slice(&w->reply), 0, end + 2);
	if (!slice_starts(head, SLICE("HTTP/1.")) || !slice_to_u64(slice_sub(head, 9, 3), &status) ||
	    status >= 600)
		return -1;
	slice_to_u64(header_value(head, "Retry-After"), &retry);
	*r = (struct reply){ (int)status, (unsigned)MIN(retry, 30),
			     slice_eq_nocase(header_value(head, "Connection"), SLICE("close")) };
	return 0;
}

static void make_head(struct worker *w, size_t body_bytes)
{
	const struct load *l = w->load;

	buf_reset(&w->head);
	buf_printf(&w->head,
		   "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: "
		   "%zu\r\n",
		   l->path, l->host, l->port, body_bytes);
	if (l->tenant != NULL)
		buf_printf(&w->head, "X-Scope-OrgID: %s\r\n", l->tenant);
	buf_puts(&w->head, "\r\n");
}

/* One exchange; -1 when the connection broke (it is closed then). */
static int exchange(struct worker *w, struct slice body, struct reply *r)
{
	if (w->fd == -1 && (w->fd = dial(w->load)) == -1)
		return -1;
	make_head(w, body.n);
	int rc = send_all(w->fd, buf_slice(&w->head)) == 0 && send_all(w->fd, body) == 0 ? 0 : -1;
	/* even after a failed send there may be an answer that says why */
	if (read_reply(w, r) == -1)
		rc = -1;
	else if (rc == -1 || r->close)
		rc = 0;
	if (rc == -1 || r->close) {
		close(w->fd);
		w->fd = -1;
		w->n_reconnects++;
	}
	return rc;
}

static int send_body(struct worker *w, struct slice body)
{
	for (int try = 0; try < MAX_TRIES; try++) {
		struct reply r;
		int64_t start = clock_mono_ns();

		if (exchange(w, body, &r) == -1) {
			usleep(50000);
			continue;
		}
		vec_push(&w->latency_ns, clock_mono_ns() - start);
		w->by_status[r.status]++;
		if (r.status != 429 && r.status != 503)
			return 0;
		w->n_retries++;
		usleep(r.retry_after > 0 ? r.retry_after * 1000000 : 100000);
	}
	fprintf(stderr, "load: no answer after %d tries: %s\n", MAX_TRIES, strerror(errno));
	return -1;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	struct slice body;

	while (!atomic_load(&w->load->failed) && take_body(w->load, &body)) {
		if (body.n == 0)
			continue;
		if (send_body(w, body) == -1) {
			atomic_store(&w->load->failed, true);
			break;
		}
		w->n_requests++;
		w->n_bytes += body.n;
	}
	if (w->fd != -1)
		close(w->fd);
	return NULL;
}

static int cmp_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_report(struct worker *w, unsigned n, int64_t wall_ns)
{
	struct worker sum = { 0 };
	const char *comma = "";

	for (unsigned i = 0; i < n; i++) {
		sum.n_requests += w[i].n_requests;
		sum.n_bytes += w[i].n_bytes;
		sum.n_retries += w[i].n_retries;
		sum.n_reconnects += w[i].n_reconnects;
		for (size_t s = 0; s < ARRAY_LEN(sum.by_status); s++)
			sum.by_status[s] += w[i].by_status[s];
		for (size_t k = 0; k < w[i].latency_ns.n; k++)
			vec_push(&sum.latency_ns, w[i].latency_ns.v[k]);
	}
	if (sum.latency_ns.n == 0)
		vec_push(&sum.latency_ns, 0);
	qsort(sum.latency_ns.v, sum.latency_ns.n, sizeof(int64_t), cmp_i64);
	printf("{\"wall_s\": %.3f, \"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
	       ", \"bytes_per_s\": %.0f, ",
	       (double)wall_ns / 1e9, sum.n_requests, sum.n_bytes,
	       (double)sum.n_bytes / ((double)wall_ns / 1e9));
	printf("\"retries\": %" PRIu64 ", \"reconnects\": %" PRIu64
	       ", \"latency_ms\": {\"p50\": %.2f, \"p99\": %.2f, \"max\": %.2f}, ",
	       sum.n_retries, sum.n_reconnects, (double)sum.latency_ns.v[sum.latency_ns.n / 2] / 1e6,
	       (double)sum.latency_ns.v[sum.latency_ns.n * 99 / 100] / 1e6,
	       (double)sum.latency_ns.v[sum.latency_ns.n - 1] / 1e6);
	printf("\"status\": {");
	for (size_t s = 0; s < ARRAY_LEN(sum.by_status); s++) {
		if (sum.by_status[s] == 0)
			continue;
		printf("%s\"%zu\": %" PRIu64, comma, s, sum.by_status[s]);
		comma = ", ";
	}
	printf("}}\n");
	vec_fini(&sum.latency_ns);
}

static void run(struct load *l)
{
	struct worker *w = xcalloc(l->n_conns, sizeof(*w));
	int64_t start = clock_mono_ns();

	for (unsigned i = 0; i < l->n_conns; i++) {
		w[i].load = l;
		w[i].fd = -1;
		if (pthread_create(&w[i].thread, NULL, worker_run, &w[i]) != 0) {
			perror("load: pthread_create");
			exit(1);
		}
	}
	for (unsigned i = 0; i < l->n_conns; i++)
		pthread_join(w[i].thread, NULL);
	print_report(w, l->n_conns, clock_mono_ns() - start);
	for (unsigned i = 0; i < l->n_conns; i++) {
		vec_fini(&w[i].latency_ns);
		buf_fini(&w[i].reply);
		buf_fini(&w[i].head);
	}
	free(w);
}

static struct slice map_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1 || fstat(fd, &st) == -1) {
		perror(path);
		exit(1);
	}
	if (st.st_size == 0) {
		close(fd);
		return SLICE("");
	}
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	close(fd);
	return slice_of(p, (size_t)st.st_size);
}

static void usage(void)
{
	fprintf(stderr, "usage: load [--host H] [--port P] [--path PATH] [--conns 1..%d] [--tenant T] FILE\n",
		MAX_CONNS);
	exit(2);
}

static unsigned parse_conns(const char *text)
{
	uint64_t n;

	if (!slice_to_u64(slice_cstr(text), &n) || n == 0 || n > MAX_CONNS)
		usage();
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", required_argument, NULL, 'h' },   { "port", required_argument, NULL, 'p' },
		{ "path", required_argument, NULL, 'u' },   { "conns", required_argument, NULL, 'k' },
		{ "tenant", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	struct load l = { "127.0.0.1", "3100",	    "/loki/api/v1/push",       NULL,
			  4,	       { NULL, 0 }, PTHREAD_MUTEX_INITIALIZER, 0,
			  false };
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'h': l.host = optarg; break;
		case 'p': l.port = optarg; break;
		case 'u': l.path = optarg; break;
		case 't': l.tenant = optarg; break;
		case 'k': l.n_conns = parse_conns(optarg); break;
		default: usage(); break;
		}
	}
	if (optind + 1 != argc)
		usage();
	l.file = map_file(argv[optind]);
	run(&l);
	if (l.file.n > 0)
		munmap((void *)l.file.p, l.file.n);
	return atomic_load(&l.failed) ? 1 : 0;
}
