#include <config.h>
#include "cli/client.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	char *host, *port, *host_header, *prefix;
	char *tenant, *authorization;
	int64_t timeout_ns;
	int fd; /* -1: not connected */
	struct response response;
};

void url_escape(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			     c == '-' || c == '_' || c == '.' || c == '~';

		if (plain)
			buf_putc(b, c);
		else
			buf_printf(b, "%%%02X", (unsigned)(unsigned char)c);
	}
}

static char *dup_slice(struct slice s)
{
	return xasprintf("%.*s", SLICE_ARG(s));
}

static bool has_control(const char *s)
{
	for (; s != NULL && *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	}
	return false;
}

/* host, [ipv6], host:port, [ipv6]:port */
static int split_authority(struct slice a, struct slice *host, struct slice *port)
{
	size_t colon;

	*port = SLICE("80");
	if (slice_starts(a, SLICE("["))) {
		size_t end = slice_find_byte(a, ']');

		if (end == SLICE_NONE)
			return -1;
		*host = slice_sub(a, 1, end - 1);
		a = slice_from(a, end + 1);
		if (a.n == 0)
			return host->n > 0 ? 0 : -1;
		if (a.p[0] != ':')
			return -1;
		colon = 0;
	} else {
		colon = slice_find_byte(a, ':');
		*host = slice_sub(a, 0, colon);
		if (colon == SLICE_NONE)
			return host->n > 0 ? 0 : -1;
	}
	uint64_t n;
	*port = slice_from(a, colon + 1);
	return host->n > 0 && slice_to_u64(*port, &n) && n > 0 && n < 65536 ? 0 : -1;
}

int client_new(const struct client_options *o, struct client **out, struct err *err)
{
	struct slice url = slice_cstr(o->url), host, port;

	if (slice_starts(url, SLICE("https://")))
		return err_set(err, ERR_BAD_REQUEST, "%s: https is not supported yet, only http://HOST:PORT",
			       o->url);
	if (!slice_starts(url, SLICE("http://")))
		return err_set(err, ERR_BAD_REQUEST, "%s: an address looks like http://HOST:PORT", o->url);
	url = slice_from(url, 7);
	struct slice authority = slice_sub(url, 0, slice_find_byte(url, '/'));
	struct slice prefix = slice_from(url, authority.n);
	if (slice_find_byte(authority, '@') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "no user or password in an address, please: see --user");
	if (split_authority(authority, &host, &port) == -1 || has_control(o->url) ||
	    slice_find_byte(url, ' ') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "%s: an address looks like http://HOST:PORT", o->url);
	if (has_control(o->tenant) || has_control(o->authorization))
		return err_set(err, ERR_BAD_REQUEST, "a control character in the tenant or the credentials");
	while (slice_ends(prefix, SLICE("/")))
		prefix.n--;
	struct client *c = xcalloc(1, sizeof(*c));
	c->host = dup_slice(host);
	c->port = dup_slice(port);
	c->host_header = dup_slice(authority);
	c->prefix = dup_slice(prefix);
	c->tenant = o->tenant != NULL ? xstrdup(o->tenant) : NULL;
	c->authorization = o->authorization != NULL ? xstrdup(o->authorization) : NULL;
	c->timeout_ns = o->timeout_ns;
	c->fd = -1;
	response_init(&c->response, o->max_answer_bytes);
	*out = c;
	return 0;
}

static void disconnect(struct client *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	disconnect(c);
	response_fini(&c->response);
	free(c->host);
	free(c->port);
	free(c->host_header);
	free(c->prefix);
	free(c->tenant);
	if (c->authorization != NULL)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	free(c);
}

/* Waits until the socket is ready for `events`. */
static int wait_for(const struct client *c, int fd, short events, int64_t deadline, struct err *err)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline - clock_mono_ns();
		if (left <= 0)
			return err_set(err, ERR_TIMEOUT, "%s:%s: no answer within %lld s", c->host, c->port,
				       (long long)(c->timeout_ns / NS_PER_S));
		int n = poll(&p, 1, (int)MIN(left / NS_PER_MS + 1, 60000));
		if (n > 0)
			return 0;
		if (n == -1 && errno != EINTR)
			return err_errno(err, "poll");
	}
}

static int try_address(struct client *c, const struct addrinfo *ai, int64_t deadline, struct err *err)
{
	int one = 1, problem = 0;
	socklen_t len = sizeof(problem);

	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		goto fail;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == -1) {
		if (errno != EINPROGRESS)
			goto fail;
		if (wait_for(c, fd, POLLOUT, deadline, err) == -1) {
			close(fd);
			return -1;
		}
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) == -1 || problem != 0) {
			errno = problem;
			goto fail;
		}
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	return 0;
fail:
	err_errno(err, "connect to %s:%s", c->host, c->port);
	err->code = ERR_UNAVAILABLE;
	if (fd != -1)
		close(fd);
	return -1;
}

static int connect_to(struct client *c, int64_t deadline, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *all = NULL;
	int rc = getaddrinfo(c->host, c->port, &hints, &all);

	if (rc != 0)
		return err_set(err, ERR_UNAVAILABLE, "%s: %s", c->host, gai_strerror(rc));
	rc = -1;
	for (const struct addrinfo *ai = all; ai != NULL && rc == -1; ai = ai->ai_next)
		rc = try_address(c, ai, deadline, err);
	freeaddrinfo(all);
	return rc;
}

static int send_all(struct client *c, struct slice s, int64_t deadline, struct err *err)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

		if (n > 0) {
			s = slice_from(s, (size_t)n);
		} else if (errno == EAGAIN) {
			if (wait_for(c, c->fd, POLLOUT, deadline, err) == -1)
				return -1;
		} else if (errno != EINTR) {
			err_errno(err, "send to %s:%s", c->host, c->port);
			err->code = ERR_UNAVAILABLE;
			return -1;
		}
	}
	return 0;
}

/* *got: whether the server sent anything at all. */
static int receive(struct client *c, int64_t deadline, bool *got, struct err *err)
{
	char bytes[16384];

	for (;;) {
		ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

		if (n > 0) {
			*got = true;
			int rc = response_feed(&c->response, slice_of(bytes, (size_t)n), err);
			if (rc != 0)
				return rc;
		} else if (n == 0) {
			if (!*got)
				return err_set(err, ERR_UNAVAILABLE,
					       "%s:%s closed the connection without an answer", c->host,
					       c->port);
			return response_eof(&c->response, err);
		} else if (errno == EAGAIN) {
			if (wait_for(c, c->fd, POLLIN, deadline, err) == -1)
				return -1;
		} else if (errno != EINTR) {
			err_errno(err, "receive from %s:%s", c->host, c->port);
			err->code = ERR_UNAVAILABLE;
			return -1;
		}
	}
}

static void write_head(const struct client *c, const char *method, struct slice path,
		       const char *content_type, size_t body_bytes, struct buf *head)
{
	buf_printf(head,
		   "%s %s%.*s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spoor/%s\r\nAccept: application/json\r\n",
		   method, c->prefix, SLICE_ARG(path), c->host_header, PACKAGE_VERSION);
	if (c->tenant != NULL)
		buf_printf(head, "X-Scope-OrgID: %s\r\n", c->tenant);
	if (c->authorization != NULL)
		buf_printf(head, "Authorization: %s\r\n", c->authorization);
	if (content_type != NULL)
		buf_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body_bytes);
	buf_puts(head, "\r\n");
}

static int exchange(struct client *c, struct slice head, struct slice body, bool *got, struct err *err)
{
	int64_t deadline = clock_mono_ns() + c->timeout_ns;
	struct err send_err;

	response_reset(&c->response);
	*got = false;
	if (c->fd == -1 && connect_to(c, deadline, err) == -1)
		return -1;
	bool sent =
		send_all(c, head, deadline, &send_err) == 0 && send_all(c, body, deadline, &send_err) == 0;
	/* A server that refuses a body answers before it has read it, and then closes: the answer counts. */
	int rc = receive(c, deadline, got, err);
	if (rc == -1 && !sent && !*got)
		*err = send_err;
	return rc == 1 ? 0 : -1;
}

int client_request(struct client *c, const char *method, struct slice path, const char *content_type,
		   struct slice body, const struct response **out, struct err *err)
{
	struct buf head = { 0 };
	bool got, reused = c->fd != -1;

	c->response.head_only = strcmp(method, "HEAD") == 0;
	write_head(c, method, path, content_type, content_type != NULL ? body.n : 0, &head);
	int rc = exchange(c, buf_slice(&head), body, &got, err);
	if (rc == -1 && reused && !got && err->code == ERR_UNAVAILABLE) {
		/* The server had closed the idle connection: not a failure, ask again on a new one. */
		disconnect(c);
		rc = exchange(c, buf_slice(&head), body, &got, err);
	}
	if (rc == -1 || !c->response.keep_alive)
		disconnect(c);
	if (c->authorization != NULL)
		explicit_bzero(head.p, head.n);
	buf_fini(&head);
	if (rc == 0)
		*out = &c->response;
	return rc;
}
