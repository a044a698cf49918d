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
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
	char *host, *port, *host_header, *prefix;
	char *tenant, *authorization;
	int64_t timeout_ns;
	SSL_CTX *tls;	 /* NULL: plain HTTP */
	BIO_METHOD *bio; /* likewise */
	SSL *ssl;	 /* of the connection */
	int fd;		 /* -1: not connected */
	struct response response;
};

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

static int tls_error(struct err *err, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	return err_set(err, ERR_UNAVAILABLE, "%s: %s", what, reason != NULL ? reason : "failed");
}

/* OpenSSL's own sockets raise SIGPIPE when the server has cut the connection. */
static int on_bio_write(BIO *bio, const char *bytes, int n)
{
	int fd = -1;

	BIO_get_fd(bio, &fd);
	BIO_clear_retry_flags(bio);
	ssize_t sent = send(fd, bytes, (size_t)n, MSG_NOSIGNAL);
	if (sent == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)sent;
}

static BIO_METHOD *bio_new(void)
{
	const BIO_METHOD *from = BIO_s_socket();
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOCKET, "socket");

	if (m != NULL && BIO_meth_set_create(m, BIO_meth_get_create(from)) == 1 &&
	    BIO_meth_set_destroy(m, BIO_meth_get_destroy(from)) == 1 &&
	    BIO_meth_set_ctrl(m, BIO_meth_get_ctrl(from)) == 1 &&
	    BIO_meth_set_read(m, BIO_meth_get_read(from)) == 1 && BIO_meth_set_write(m, on_bio_write) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

static int tls_new(const struct client_options *o, SSL_CTX **out, struct err *err)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1) {
		tls_error(err, "TLS");
		goto fail;
	}
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	if ((o->ca_file != NULL ? SSL_CTX_load_verify_locations(tls, o->ca_file, NULL)
				: SSL_CTX_set_default_verify_paths(tls)) != 1) {
		tls_error(err, o->ca_file != NULL ? o->ca_file : "the system's certificate authorities");
		goto fail;
	}
	const char *key = o->key_file != NULL ? o->key_file : o->cert_file;
	if (o->cert_file != NULL && (SSL_CTX_use_certificate_chain_file(tls, o->cert_file) != 1 ||
				     SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)) {
		tls_error(err, o->cert_file);
		goto fail;
	}
	*out = tls;
	return 0;
fail:
	err->code = ERR_BAD_REQUEST;
	SSL_CTX_free(tls);
	return -1;
}

int client_new(const struct client_options *o, struct client **out, struct err *err)
{
	struct slice url = slice_cstr(o->url), host, port;
	bool secure = slice_starts(url, SLICE("https://"));
	SSL_CTX *tls = NULL;

	if (!secure && !slice_starts(url, SLICE("http://")))
		return err_set(err, ERR_BAD_REQUEST, "%s: an address looks like http://HOST:PORT", o->url);
	url = slice_from(url, secure ? 8 : 7);
	port = secure ? SLICE("443") : SLICE("80");
	struct slice authority = slice_sub(url, 0, slice_find_byte(url, '/'));
	struct slice prefix = slice_from(url, authority.n);
	if (slice_find_byte(authority, '@') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "no user or password in an address, please: see --user");
	if (split_authority(authority, &host, &port) == -1 || has_control(o->url) ||
	    slice_find_byte(url, ' ') != SLICE_NONE)
		return err_set(err, ERR_BAD_REQUEST, "%s: an address looks like http://HOST:PORT", o->url);
	if (has_control(o->tenant) || has_control(o->authorization))
		return err_set(err, ERR_BAD_REQUEST, "a control character in the tenant or the credentials");
	if (secure && tls_new(o, &tls, err) == -1)
		return -1;
	while (slice_ends(prefix, SLICE("/")))
		prefix.n--;
	struct client *c = xcalloc(1, sizeof(*c));
	c->tls = tls;
	c->bio = tls != NULL ? bio_new() : NULL;
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
	if (c->ssl != NULL) {
		SSL_shutdown(c->ssl); /* once: the server's own is not waited for */
		SSL_free(TAKE(c->ssl));
	}
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
	SSL_CTX_free(c->tls);
	BIO_meth_free(c->bio);
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

/* After a call of OpenSSL that did not succeed: waits for what it wants. 0: try again, 1: the server has closed. */
static int tls_wait(const struct client *c, int rc, const char *what, int64_t deadline, struct err *err)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ: return wait_for(c, c->fd, POLLIN, deadline, err);
	case SSL_ERROR_WANT_WRITE: return wait_for(c, c->fd, POLLOUT, deadline, err);
	case SSL_ERROR_ZERO_RETURN: return 1;
	default: break;
	}
	long verified = SSL_get_verify_result(c->ssl);
	if (verified != X509_V_OK)
		return err_set(err, ERR_UNAVAILABLE, "%s:%s: the server's certificate: %s", c->host, c->port,
			       X509_verify_cert_error_string(verified));
	return tls_error(err, what);
}

static int start_tls(struct client *c, int64_t deadline, struct err *err)
{
	int rc;

	ERR_clear_error();
	c->ssl = SSL_new(c->tls);
	BIO *bio = c->ssl != NULL && c->bio != NULL ? BIO_new(c->bio) : NULL;
	if (bio == NULL)
		return tls_error(err, "TLS");
	BIO_set_fd(bio, c->fd, BIO_NOCLOSE);
	SSL_set_bio(c->ssl, bio, bio);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), c->host) != 1 &&
	    (SSL_set1_host(c->ssl, c->host) != 1 || SSL_set_tlsext_host_name(c->ssl, c->host) != 1))
		return tls_error(err, c->host);
	while ((rc = SSL_connect(c->ssl)) != 1) {
		int why = tls_wait(c, rc, "TLS handshake", deadline, err);

		if (why == 1)
			return err_set(err, ERR_UNAVAILABLE, "%s:%s closed the connection", c->host, c->port);
		if (why == -1)
			return -1;
	}
	return 0;
}

static int socket_failed(const struct client *c, const char *what, struct err *err)
{
	err_errno(err, "%s %s:%s", what, c->host, c->port);
	err->code = ERR_UNAVAILABLE;
	return -1;
}

/* How many bytes were taken, at least one; -1 on failure. */
static ssize_t send_some(struct client *c, struct slice s, int64_t deadline, struct err *err)
{
	for (;;) {
		if (c->ssl != NULL) {
			int n = SSL_write(c->ssl, s.p, (int)MIN(s.n, (size_t)1 << 20));

			if (n > 0)
				return n;
			int rc = tls_wait(c, n, "send", deadline, err);
			if (rc == 1)
				return err_set(err, ERR_UNAVAILABLE, "%s:%s closed the connection", c->host,
					       c->port);
			if (rc == -1)
				return -1;
			continue;
		}
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		if (n > 0)
			return n;
		if (errno == EAGAIN && wait_for(c, c->fd, POLLOUT, deadline, err) == -1)
			return -1;
		if (errno != EAGAIN && errno != EINTR)
			return socket_failed(c, "send to", err);
	}
}

/* 0: the server has ended the connection. */
static ssize_t receive_some(struct client *c, char *bytes, size_t size, int64_t deadline, struct err *err)
{
	for (;;) {
		if (c->ssl != NULL) {
			int n = SSL_read(c->ssl, bytes, (int)size);

			if (n > 0)
				return n;
			int rc = tls_wait(c, n, "receive", deadline, err);
			if (rc != 0)
				return rc == 1 ? 0 : -1;
			continue;
		}
		ssize_t n = recv(c->fd, bytes, size, 0);
		if (n >= 0)
			return n;
		if (errno == EAGAIN && wait_for(c, c->fd, POLLIN, deadline, err) == -1)
			return -1;
		if (errno != EAGAIN && errno != EINTR)
			return socket_failed(c, "receive from", err);
	}
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
	if (rc == 0 && c->tls != NULL && (rc = start_tls(c, deadline, err)) == -1)
		disconnect(c);
	return rc;
}

static int send_all(struct client *c, struct slice s, int64_t deadline, struct err *err)
{
	while (s.n > 0) {
		ssize_t n = send_some(c, s, deadline, err);

		if (n == -1)
			return -1;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

/* Where the pieces of an answer go that has no end; on_body NULL: it is collected. */
struct sink {
	bool (*on_body)(void *arg, struct slice piece);
	void *arg;
};

/* False: enough. */
static bool pass_on(struct client *c, const struct sink *sink)
{
	struct response *r = &c->response;

	if (sink->on_body == NULL || r->status != 200 || r->body.n == 0)
		return true;
	bool more = sink->on_body(sink->arg, buf_slice(&r->body));
	buf_reset(&r->body);
	return more;
}

/* *got: whether the server sent anything at all. */
static int receive(struct client *c, int64_t deadline, const struct sink *sink, bool *got, struct err *err)
{
	char bytes[16384];

	for (;;) {
		ssize_t n = receive_some(c, bytes, sizeof(bytes), deadline, err);

		if (n == -1)
			return -1;
		if (n == 0 && !*got)
			return err_set(err, ERR_UNAVAILABLE, "%s:%s closed the connection without an answer",
				       c->host, c->port);
		if (n == 0)
			return response_eof(&c->response, err);
		*got = true;
		int rc = response_feed(&c->response, slice_of(bytes, (size_t)n), err);
		if (rc == -1)
			return -1;
		if (!pass_on(c, sink)) {
			c->response.keep_alive = false;
			return 1;
		}
		if (rc == 1)
			return 1;
		if (sink->on_body != NULL)
			deadline = clock_mono_ns() + c->timeout_ns;
	}
}

static void write_head(const struct client *c, const char *method, struct slice path,
		       const char *content_type, size_t body_bytes, const char *header, struct buf *head)
{
	buf_printf(head, "%s %s%.*s HTTP/1.1\r\nHost: %s\r\nUser-Agent: spoor/%s\r\n%s\r\n", method,
		   c->prefix, SLICE_ARG(path), c->host_header, PACKAGE_VERSION, header);
	if (c->tenant != NULL)
		buf_printf(head, "X-Scope-OrgID: %s\r\n", c->tenant);
	if (c->authorization != NULL)
		buf_printf(head, "Authorization: %s\r\n", c->authorization);
	if (content_type != NULL)
		buf_printf(head, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body_bytes);
	else if (strcmp(method, "GET") != 0)
		buf_puts(head, "Content-Length: 0\r\n");
	buf_puts(head, "\r\n");
}

static int exchange(struct client *c, struct slice head, struct slice body, const struct sink *sink,
		    bool *got, struct err *err)
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
	int rc = receive(c, deadline, sink, got, err);
	if (rc == -1 && !sent && !*got)
		*err = send_err;
	return rc == 1 ? 0 : -1;
}

static int request(struct client *c, const char *method, struct slice path, const char *content_type,
		   struct slice body, const char *header, const struct sink *sink,
		   const struct response **out, struct err *err)
{
	struct buf head = { 0 };
	bool got, reused = c->fd != -1;

	c->response.head_only = strcmp(method, "HEAD") == 0;
	write_head(c, method, path, content_type, content_type != NULL ? body.n : 0, header, &head);
	int rc = exchange(c, buf_slice(&head), body, sink, &got, err);
	if (rc == -1 && reused && !got && err->code == ERR_UNAVAILABLE) {
		/* The server had closed the idle connection: not a failure, ask again on a new one. */
		disconnect(c);
		rc = exchange(c, buf_slice(&head), body, sink, &got, err);
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

int client_request(struct client *c, const char *method, struct slice path, const char *content_type,
		   struct slice body, const struct response **out, struct err *err)
{
	return request(c, method, path, content_type, body, "Accept: application/json", &(struct sink){ 0 },
		       out, err);
}

int client_stream(struct client *c, struct slice path, const char *header,
		  bool (*on_body)(void *arg, struct slice piece), void *arg, const struct response **out,
		  struct err *err)
{
	return request(c, "GET", path, NULL, slice_of(NULL, 0), header, &(struct sink){ on_body, arg }, out,
		       err);
}
