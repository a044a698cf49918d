/* api/conn.h - inside of the server: one I/O thread, one connection, one request with its answer. For
 * api/server.c, conn.c and req.c only.
 *
 * Threads: a struct io and its connections are touched on their loop's thread alone. A struct exchange is the
 * loop's, but while it is deferred its owner may use `req`, the reply fields and what stands under `lock`.
 * Locks, none inside another: server.lock, exchange.lock. */
#ifndef API_CONN_H
#define API_CONN_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include "base/loop.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "api/auth.h"
#include "api/req.h"
#include "api/server.h"

struct bufferevent;
struct grpc_call;
struct grpc_conn;
struct event;

/* Settings are swapped whole; whoever uses them holds a reference. */
struct settings {
	struct server_settings s;
	unsigned n_refs; /* under server.lock */
};

struct listener {
	struct io *io;
	struct event *event;
	int fd;
	enum listener_kind kind;
};

struct listen_fd {
	int fd;
	enum listener_kind kind;
};

TAILQ_HEAD(conn_list, conn);

enum { IO_SPARE = 2, IO_SPARE_BYTES = 2 << 20 /* each */ };

struct io {
	struct server *server;
	struct loop *loop;
	VEC(struct listener *) listeners;
	struct event *resume;  /* after a pause of accepting */
	struct conn_list idle; /* oldest first */
	struct conn_list busy;
	int64_t date_s;
	char date[32]; /* of the Date header */
	struct loop_job start_job, drain_job, kill_job;
	struct buf spare[IO_SPARE]; /* memory of large bodies that are done, for the next ones */
	size_t n_spare;
};

struct server {
	const struct route *routes;
	size_t n_routes;
	void *app;
	struct auth *auth; /* NULL: no authentication */
	VEC(struct io *) ios;
	VEC(struct listen_fd) fds;
	unsigned port[LISTEN_N_KINDS];
	int fd_max; /* a descriptor from here on is the storage's reserve */
	char own_name[256];
	_Atomic bool draining;
	_Atomic unsigned n_conns;
	_Atomic uint64_t memory_used;
	struct account_user *memory; /* the same, in the process's account */
	pthread_mutex_t lock;	     /* protects what follows */
	pthread_cond_t changed;	     /* a connection or an exchange went away */
	size_t n_accepting;	     /* I/O threads whose listeners are open */
	size_t n_exchanges;
	struct settings *settings;
	struct map addrs; /* address -> struct addr_count */
};

enum conn_state {
	CONN_IDLE, /* between requests */
	CONN_HEAD, /* part of a request's head has come */
	CONN_BODY,
	CONN_WORK,   /* the handler, or whoever it gave the request to, works on the answer */
	CONN_OUT,    /* the answer is on its way out */
	CONN_LINGER, /* all is said; the client's rest is read and dropped, so that it can read the answer */
};

struct conn {
	struct io *io;
	TAILQ_ENTRY(conn) link;
	int fd;
	enum conn_state state;
	struct bufferevent *bev;
	struct event *timer; /* the deadline of the state */
	struct http1 parser;
	struct exchange *ex; /* NULL between requests */
	int64_t since_ns;    /* monotonic: when the head or the body began */
	enum listener_kind kind;
	bool close_after; /* the answer */
	bool paused;	  /* reading */
	bool eof;	  /* the client will send no more */
	bool dead;	  /* freed when the callback is over */
	bool shaking;	  /* hands with TLS; as CONN_IDLE */
	struct tls *tls;  /* NULL: plain; then the socket may also be used past the bufferevent */
	struct buf tls_user;
	struct grpc_conn *grpc; /* NULL: HTTP/1 */
	char addr[16];		/* the key in server.addrs */
	size_t addr_n;
	char peer[64];
};

struct exchange {
	struct req req; /* first: a req is its exchange */
	struct io *io;
	struct conn *conn;	/* NULL: the client is gone */
	struct grpc_call *call; /* NULL: HTTP/1 */
	struct settings *settings;
	const struct req_step *step;
	bool waiting;
	bool refused; /* the body is unread: close after the answer */
	bool deferred;
	struct auth_attempt auth;
	size_t max_body;
	uint64_t reserved; /* of server.memory_used */
	struct buf body;
	char peer[64];
	/* the reply */
	bool replied;
	int status;
	struct buf headers; /* lines with CRLF */
	struct buf out;
	bool has_retry_after;
	struct loop_job finish_job;
	/* the stream */
	bool streaming;
	bool head_sent;
	const char *protocol; /* of an upgrade; NULL: a chunked answer */
	void (*on_data)(void *arg, struct slice bytes);
	void *data_arg;
	struct loop_job stream_job;
	size_t stream_high, stream_low; /* 0: the default */
	pthread_mutex_t lock;		/* protects what follows */
	void (*on_cancel)(void *arg);
	void *cancel_arg;
	struct buf pending; /* of the stream */
	size_t n_on_wire;   /* handed to the connection, not yet taken by the client */
	bool posted, ended, complete, full;
	void (*on_low)(void *arg);
	void *low_arg;
};

static inline size_t exchange_high(const struct exchange *ex)
{
	return ex->stream_high != 0 ? ex->stream_high : REQ_STREAM_HIGH;
}

static inline size_t exchange_low(const struct exchange *ex)
{
	return ex->stream_high != 0 ? ex->stream_low : REQ_STREAM_LOW;
}

/* server.c */
struct settings *settings_ref(struct server *s);
void settings_unref(struct server *s, struct settings *set);
/* Up to the limit, or if exactly `alone` bytes are in use. */
bool server_reserve(struct server *s, uint64_t limit, uint64_t alone, uint64_t bytes);
void server_forget_addr(struct server *s, const char *addr, size_t addr_n);
void server_conn_gone(struct server *s);
void server_exchange_new(struct server *s);
void server_exchange_gone(struct server *s);
const char *io_date(struct io *io);
void refused_count(const char *reason);

/* conn.c; for grpc_conn.c, too */
void conn_deadline(struct conn *c, int64_t ns);
void conn_set_state(struct conn *c, enum conn_state state);
size_t conn_n_unsent(const struct conn *c);
struct slice conn_input(
	struct conn *c); /* what has come and was not used yet, as far as it lies in one piece */
void conn_write(struct conn *c, struct slice s);
void conn_answered(struct conn *c); /* all of the answer was written */
void conn_refuse(struct conn *c, int status, const char *reason, const char *text);
struct exchange *exchange_new(struct conn *c); /* the head is the caller's to fill in */
void exchange_start(struct exchange *ex);      /* takes the first steps; ex may be gone afterwards */
void exchange_run(struct exchange *ex);	       /* takes the next ones */
void exchange_cancel(struct exchange *ex);     /* of a deferred one: tells its owner */
void exchange_free(struct exchange *ex);
int conn_new(struct io *io, int fd, const struct sockaddr *sa, enum listener_kind kind, const char *addr,
	     size_t addr_n);
void conn_close_idle(struct io *io, size_t most);
void conn_drain_all(struct io *io);
void conn_kill_all(struct io *io);
void exchange_on_finish(struct loop_job *job);
void exchange_on_stream(struct loop_job *job);

#endif
