/* The first byte says in which pieces the rest comes; the events must be the same as in one piece. Targets
 * and parameters of what was accepted go through the URL parser as well. */
#include "api/http1.h"
#include "api/url.h"
#include "base/mem.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_head(const struct http1_head *h, struct buf *out)
{
	struct url_params params = { NULL, 0 };
	struct slice path = SLICE("");
	enum url_path kind;
	struct arena a;
	struct err err;

	arena_init(&a);
	buf_printf(out, "HEAD %zu %lld %d;", h->n_headers, (long long)h->content_length, h->chunked);
	for (size_t i = 0; i < h->n_headers; i++) {
		buf_add(out, h->header[i].name);
		buf_add(out, h->header[i].value);
	}
	size_t mark = slice_find_byte(h->target, '?');
	if (h->target.n > 0 && h->target.p[0] == '/' &&
	    url_path_decode(&a, slice_sub(h->target, 0, mark), &path, &kind, &err) == 0)
		url_path_clean(out, slice_sub(h->target, 0, mark));
	if (mark != SLICE_NONE)
		url_params_add(&params, &a, slice_from(h->target, mark + 1), &err);
	arena_fini(&a);
}

static void run(struct slice all, size_t piece, struct buf *out)
{
	static const struct http1_limits limits = { 4096, 20 };
	enum http1_event ev = HTTP1_MORE;
	struct http1 p;

	http1_init(&p, &limits);
	for (size_t off = 0; off < all.n && ev != HTTP1_BAD; off += piece) {
		struct slice in = slice_sub(all, off, piece), data;

		while ((ev = http1_feed(&p, &in, &data)) != HTTP1_MORE && ev != HTTP1_BAD) {
			if (ev == HTTP1_HEAD)
				use_head(&p.head, out);
			else if (ev == HTTP1_BODY)
				buf_add(out, data);
			else
				http1_reset(&p);
		}
	}
	if (ev == HTTP1_BAD)
		buf_printf(out, "BAD %d", p.status);
	http1_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 2)
		return 0;
	struct slice all = slice_of(data + 1, size - 1);
	buf_init(&whole);
	buf_init(&pieces);
	run(all, all.n, &whole);
	run(all, (size_t)data[0] % 16 + 1, &pieces);
	if (!slice_eq(buf_slice(&whole), buf_slice(&pieces)))
		abort();
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
