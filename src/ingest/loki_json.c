/* {"streams":[{"stream":{"app":"shop"},"values":[["<ns>","<line>",{"trace_id":"…"}],…]},…]}
 * and, on the old path, {"streams":[{"labels":"{app=\"shop\"}","entries":[{"ts":"<RFC 3339>","line":"…"}]}]}.
 * Keys come in any order, unknown ones are skipped, what follows the closing brace is ignored. */
#include "ingest/loki_json.h"
#include "ingest/json_scan.h"
#include "ingest/labelset.h"
#include "base/clock.h"
#include "base/text.h"

struct push {
	struct json_scan s;
	const struct decode_options *o;
	struct batch *b;
	struct err *err;
	VEC(struct label) pairs; /* scratch: the object that is being read */
	size_t n_pairs;		 /* in all objects */
};

/* Containers around a value: the object, "streams", the stream, "values", the entry. */
enum { DEPTH_TOP = 1, DEPTH_STREAM = 3, DEPTH_ENTRY = 5 };

static bool skip_null(struct push *p)
{
	if (jscan_peek(&p->s) != 'n' || p->s.end - p->s.p < 4 || memcmp(p->s.p, "null", 4) != 0)
		return false;
	p->s.p += 4;
	return true;
}

static int add_pair(struct push *p, struct label l)
{
	if (p->pairs.n >= DECODE_MAX_PAIRS_OBJECT || p->n_pairs >= DECODE_MAX_PAIRS_PUSH)
		return err_set(p->err, ERR_TOO_LARGE,
			       "too many labels and structured metadata in one %s, limit: %d",
			       p->pairs.n >= DECODE_MAX_PAIRS_OBJECT ? "object" : "push",
			       p->pairs.n >= DECODE_MAX_PAIRS_OBJECT ? DECODE_MAX_PAIRS_OBJECT
								     : DECODE_MAX_PAIRS_PUSH);
	p->n_pairs++;
	vec_push(&p->pairs, l);
	return 0;
}

/* {"app":"shop","replica":3}: scalars other than strings count by their text. */
static int read_stream_labels(struct push *p, struct labels *out)
{
	struct label l;
	bool first = true;
	int rc;

	if (skip_null(p))
		return 0;
	p->pairs.n = 0;
	while ((rc = jscan_next_key(&p->s, &first, &l.name)) == 1) {
		rc = jscan_peek(&p->s) == '"' ? jscan_string(&p->s, &l.value) : jscan_scalar(&p->s, &l.value);
		if (rc == -1 || add_pair(p, l) == -1)
			return -1;
	}
	return rc == -1 ? -1 : labelset_make(p->pairs.v, p->pairs.n, &p->b->arena, out, p->err);
}

static int read_metadata(struct push *p, struct batch_entry *e)
{
	struct label l;
	bool first = true;
	int rc;

	p->pairs.n = 0;
	while ((rc = jscan_next_key(&p->s, &first, &l.name)) == 1) {
		if (jscan_string(&p->s, &l.value) == -1 || add_pair(p, l) == -1)
			return -1;
	}
	if (rc == -1)
		return -1;
	e->n_meta = (uint32_t)p->pairs.n;
	e->meta = arena_array(&p->b->arena, struct label, p->pairs.n);
	if (p->pairs.n > 0)
		memcpy(e->meta, p->pairs.v, p->pairs.n * sizeof(struct label));
	return 0;
}

/* What the sender wrote, fit for a terminal. */
static int bad_time(struct push *p, const char *what, struct slice text)
{
	struct buf shown;

	buf_init(&shown);
	text_terminal(&shown, slice_sub(text, 0, 40));
	err_set(p->err, ERR_BAD_REQUEST, "%s: %.*s, before byte %zu", what, SLICE_ARG(buf_slice(&shown)),
		(size_t)(p->s.p - p->s.begin));
	buf_fini(&shown);
	return -1;
}

static int read_timestamp(struct push *p, int64_t *ts)
{
	struct slice text;

	if (jscan_peek(&p->s) != '"')
		return jscan_fail(&p->s, "expected a timestamp, a string of nanoseconds");
	if (jscan_string(&p->s, &text) == -1)
		return -1;
	if (!slice_to_i64(text, ts))
		return bad_time(p, "timestamp is not a number of nanoseconds", text);
	return 0;
}

/* ["<ns>","<line>",{metadata}], anything after that ignored */
static int read_value(struct push *p)
{
	struct batch_entry *e = decode_add_entry(p->b, p->o, p->err);
	bool first = true;
	int rc;

	if (e == NULL)
		return -1;
	e->line = SLICE("");
	for (unsigned i = 0; (rc = jscan_next_element(&p->s, &first)) == 1; i++) {
		if (i == 0)
			rc = read_timestamp(p, &e->ts);
		else if (i == 1)
			rc = jscan_string(&p->s, &e->line);
		else if (i == 2)
			rc = read_metadata(p, e);
		else
			rc = jscan_skip(&p->s, DEPTH_ENTRY);
		if (rc == -1)
			return -1;
	}
	if (rc == 0 && first) {
		p->s.p--;
		return jscan_fail(&p->s, "expected a timestamp");
	}
	return rc;
}

static int read_values(struct push *p)
{
	bool first = true;
	int rc;

	if (skip_null(p))
		return 0;
	while ((rc = jscan_next_element(&p->s, &first)) == 1)
		if (read_value(p) == -1)
			return -1;
	return rc;
}

static int read_stream(struct push *p)
{
	struct labels labels = { 0 };
	struct slice key;
	bool first = true;
	int rc;

	if (decode_add_stream(p->b, p->o, p->err) == NULL)
		return -1;
	while ((rc = jscan_next_key(&p->s, &first, &key)) == 1) {
		if (slice_is(key, "stream"))
			rc = read_stream_labels(p, &labels);
		else if (slice_is(key, "values"))
			rc = read_values(p);
		else
			rc = jscan_skip(&p->s, DEPTH_STREAM);
		if (rc == -1)
			return -1;
	}
	p->b->streams.v[p->b->streams.n - 1].labels = labels;
	return rc;
}

/* ---------------------------------------------------------------- the old shape */

static int read_rfc3339(struct push *p, int64_t *ts)
{
	struct slice text;

	if (jscan_string(&p->s, &text) == -1)
		return -1;
	if (!clock_parse_rfc3339(text, ts))
		return bad_time(p, "ts is not a time as RFC 3339 writes it", text);
	return 0;
}

static int read_old_entry(struct push *p)
{
	struct batch_entry *e = decode_add_entry(p->b, p->o, p->err);
	struct slice key;
	bool first = true;
	int rc;

	if (e == NULL)
		return -1;
	e->line = SLICE("");
	e->ts = TS_TOO_OLD;
	while ((rc = jscan_next_key(&p->s, &first, &key)) == 1) {
		if (slice_is(key, "ts"))
			rc = read_rfc3339(p, &e->ts);
		else if (slice_is(key, "line"))
			rc = jscan_string(&p->s, &e->line);
		else if (slice_is(key, "structuredMetadata"))
			rc = skip_null(p) ? 0 : read_metadata(p, e);
		else
			rc = jscan_skip(&p->s, DEPTH_ENTRY);
		if (rc == -1)
			return -1;
	}
	return rc;
}

static int read_old_entries(struct push *p)
{
	bool first = true;
	int rc;

	if (skip_null(p))
		return 0;
	while ((rc = jscan_next_element(&p->s, &first)) == 1)
		if (read_old_entry(p) == -1)
			return -1;
	return rc;
}

static int read_old_labels(struct push *p, struct labels *out)
{
	struct slice text;

	if (jscan_string(&p->s, &text) == -1)
		return -1;
	if (p->o->max_labels_bytes > 0 && text.n > p->o->max_labels_bytes)
		return err_set(p->err, ERR_BAD_REQUEST, "labels of a stream are %zu bytes, limit: %llu bytes",
			       text.n, (unsigned long long)p->o->max_labels_bytes);
	return labelset_parse(text, &p->b->arena, out, p->err);
}

static int read_old_stream(struct push *p)
{
	struct labels labels = { 0 };
	struct slice key;
	bool first = true;
	int rc;

	if (decode_add_stream(p->b, p->o, p->err) == NULL)
		return -1;
	while ((rc = jscan_next_key(&p->s, &first, &key)) == 1) {
		if (slice_is(key, "labels"))
			rc = read_old_labels(p, &labels);
		else if (slice_is(key, "entries"))
			rc = read_old_entries(p);
		else
			rc = jscan_skip(&p->s, DEPTH_STREAM);
		if (rc == -1)
			return -1;
	}
	p->b->streams.v[p->b->streams.n - 1].labels = labels;
	return rc;
}

/* ---------------------------------------------------------------- both */

static int read_streams(struct push *p, int (*read_one)(struct push *))
{
	bool first = true;
	int rc;

	if (skip_null(p))
		return 0;
	while ((rc = jscan_next_element(&p->s, &first)) == 1)
		if (read_one(p) == -1)
			return -1;
	return rc;
}

static int decode(struct slice body, const struct decode_options *o, struct batch *out, struct err *err,
		  int (*read_one)(struct push *))
{
	struct push p = { .o = o, .b = out, .err = err };
	struct slice key;
	bool first = true;
	int rc;

	jscan_init(&p.s, body, &out->arena, err);
	jscan_use(&p.s, &out->text);
	if (jscan_peek(&p.s) == '\0' && p.s.p >= p.s.end)
		return err_set(err, ERR_BAD_REQUEST, "EOF");
	while ((rc = jscan_next_key(&p.s, &first, &key)) == 1) {
		if (slice_is(key, "streams"))
			rc = read_streams(&p, read_one);
		else
			rc = jscan_skip(&p.s, DEPTH_TOP);
		if (rc == -1)
			break;
	}
	vec_fini(&p.pairs);
	return rc;
}

int decode_loki_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err)
{
	return decode(body, o, out, err, read_stream);
}

int decode_loki_json_legacy(struct slice body, const struct decode_options *o, struct batch *out,
			    struct err *err)
{
	return decode(body, o, out, err, read_old_stream);
}
