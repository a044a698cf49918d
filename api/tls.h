/* api/tls.h - TLS for the listeners, over OpenSSL and libevent's bufferevents: the certificate and its rules, and one
 * connection's handshake, end and client certificate. TLS 1.2 or newer, OpenSSL's default ciphers, no renegotiation, no
 * compression, session tickets; ALPN says http/1.1, or h2 on gRPC listeners (who does not ask for a protocol gets
 * that one, too).
 *
 * A struct tls is made once and then only read, so any thread may use it; it is shared by reference: connections keep
 * what they began with when a reload brings a new one. The tls_bev_* functions belong to the connection's loop. */
#ifndef API_TLS_H
#define API_TLS_H

#include "base/buf.h"
#include "base/err.h"

struct bufferevent;
struct event_base;
struct tls;

struct tls_options {
	const char *cert_file; /* PEM: our certificate, then those of the authorities up to the root */
	const char *key_file;  /* PEM, no pass phrase; only its owner may be able to read it */
	const char *
		client_ca_file; /* PEM: who signs clients' certificates; "" or NULL: clients are not asked for one */
	bool only_13;		/* no TLS 1.2 */
};

/* Reads and checks all files. Errors: ERR_CONFIG, naming the file. */
int tls_open(const struct tls_options *o, struct tls **out, struct err *err);
struct tls *tls_ref(struct tls *t); /* NULL is fine, here and in tls_unref */
void tls_unref(struct tls *t);

/* A connection's server side. Closes fd when it is freed. The handshake runs by itself: BEV_EVENT_CONNECTED tells its
 * end. Callbacks are deferred, so that bytes are seen before the end that follows them. NULL: no memory. */
struct bufferevent *tls_bev_new(struct tls *t, struct event_base *base, int fd, bool h2);
/* After BEV_EVENT_CONNECTED: who the client is by its certificate: the first e-mail address, DNS name or URI it is for,
 * else its common name. False: it sent none, or one without a usable name (a wrong one ends the handshake). */
bool tls_bev_user(struct bufferevent *bev, struct buf *out);
/* After BEV_EVENT_ERROR: why, for the log ("" if nobody knows), and whether the client spoke HTTP without TLS. */
const char *tls_bev_error(struct bufferevent *bev, bool *plain_http);
/* Tells the client that no more will follow (close_notify); what was written before must have left. */
void tls_bev_goodbye(struct bufferevent *bev);

#endif
