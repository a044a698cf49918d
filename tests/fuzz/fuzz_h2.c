/* Bytes after a client's preface, in pieces (the first byte says which), into HTTP/2; each call's body goes through the
 * reader of gRPC's messages and is answered as it would be. */
#include "api/grpc.h"
#include "api/h2.h"
#include "base/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_STREAMS = 8, MAX_OPEN_BYTES = 1 << 22 };

struct call {
	struct grpc_reader reader;
	size_t n;
};

struct run {
	struct h2 *h2;
	size_t n_open;
};

static void on_head(void *arg, struct h2_stream *st)
{
	struct run *r = arg;

	if (++r->n_open > 2 * MAX_STREAMS) /* those that were reset and not yet told count, too */
		abort();
	if (st->path.n % 4 == 3) {
		h2_answer(r->h2, st, 415, NULL, 0, NULL, NULL, 0);
		return;
	}
	struct call *c = xcalloc(1, sizeof(*c));
	grpc_reader_init(&c->reader);
	st->user = c;
}

static void answer(struct run *r, struct h2_stream *st)
{
	const struct http1_header trailer[] = { { SLICE("grpc-status"), SLICE("0") } };
	struct call *c = st->user;
	struct buf body = { 0 };

	st->user = NULL;
	bool whole = grpc_read_whole(&c->reader);
	if (whole && c->n != c->reader.length)
		abort();
	free(c);
	if (!whole) {
		h2_answer(r->h2, st, 200, trailer, 1, NULL, NULL, 0);
		return;
	}
	grpc_put_message(&body, SLICE("answer"));
	h2_answer(r->h2, st, 200, NULL, 0, &body, trailer, 1);
}

static void on_data(void *arg, struct h2_stream *st, struct slice data)
{
	struct run *r = arg;
	struct call *c = st->user;
	struct slice in = data, part;
	enum grpc_event ev;

	if (c == NULL)
		abort(); /* answered: nobody asked for more */
	while ((ev = grpc_read(&c->reader, &in, &part)) != GRPC_MORE && ev != GRPC_BAD)
		if (ev == GRPC_BYTES)
			c->n += part.n;
	h2_consume(r->h2, ev == GRPC_BAD ? NULL : st, data.n);
	if (ev == GRPC_BAD)
		answer(r, st);
}

static void on_end(void *arg, struct h2_stream *st)
{
	if (st->user != NULL)
		answer(arg, st);
}

static void on_close(void *arg, struct h2_stream *st)
{
	struct run *r = arg;

	free(st->user);
	r->n_open--;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct h2_ops ops = { on_head, on_data, on_end, on_close };
	static const struct h2_limits limits = { .max_streams = MAX_STREAMS,
						 .max_head_bytes = 4096,
						 .max_headers = 20,
						 .window = 1 << 16,
						 .conn_window = 1 << 18,
						 .max_glitches = 50,
						 .glitches_per_s = 1 };
	struct slice preface = SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), rest = slice_of(data, size);
	struct buf out = { 0 };
	struct run r = { 0 };
	const char *why;

	if (size < 2)
		return 0;
	r.h2 = h2_new(&limits, &ops, &r);
	if (r.h2 == NULL)
		return 0;
	size_t piece = 1 + (size_t)data[0] * 8;
	rest = slice_from(rest, 1);
	int rc = (data[0] & 1) != 0 ? h2_feed(r.h2, preface, &why) : 0;
	for (; rc == 0 && rest.n > 0; rest = slice_from(rest, piece)) {
		rc = h2_feed(r.h2, slice_sub(rest, 0, piece), &why);
		h2_pull(r.h2, &out, MAX_OPEN_BYTES);
	}
	h2_goaway(r.h2);
	h2_pull(r.h2, &out, MAX_OPEN_BYTES);
	h2_free(r.h2);
	if (r.n_open != 0)
		abort();
	buf_fini(&out);
	return 0;
}
