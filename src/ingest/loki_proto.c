/* PushRequest { repeated Stream streams = 1; }
 * Stream      { string labels = 1; repeated Entry entries = 2; uint64 hash = 3; }
 * Entry       { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3; }
 * LabelPair   { string name = 1; string value = 2; }        Timestamp { int64 seconds = 1; int32 nanos = 2; }
 */
#include "ingest/loki_proto.h"
#include "ingest/labelset.h"
#include "ingest/pb.h"
#include "base/clock.h"

static const int64_t year_1 = INT64_C(-62135596800), year_10000 = INT64_C(253402300800);

struct push {
	const struct decode_options *o;
	struct batch *b;
	struct err *err;
	size_t n_pairs;
};

static int cut_short(struct push *p)
{
	return err_set(p->err, ERR_BAD_REQUEST, "unexpected EOF");
}

static int wrong_type(struct push *p, const struct pb_field *f, const char *name)
{
	return err_set(p->err, ERR_BAD_REQUEST, "proto: wrong wireType = %d for field %s", (int)f->type,
		       name);
}

static int bad_timestamp(struct push *p, int64_t seconds, int32_t nanos, const char *why)
{
	return err_set(p->err, ERR_BAD_REQUEST,
		       "timestamp: &types.Timestamp{Seconds: %lld,\nNanos: %d,\n}: %s", (long long)seconds,
		       (int)nanos, why);
}

static int read_timestamp(struct push *p, struct slice bytes, int64_t *ts)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;
	int64_t seconds = 0, ns;
	int32_t nanos = 0;

	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_VARINT)
			return wrong_type(p, &f, f.number == 1 ? "Seconds" : "Nanos");
		if (f.number == 1)
			seconds = (int64_t)f.value;
		else
			nanos = (int32_t)f.value;
	}
	if (c.bad)
		return cut_short(p);
	if (nanos < 0 || nanos >= NS_PER_S)
		return bad_timestamp(p, seconds, nanos, "nanos not in range [0, 1e9)");
	if (seconds < year_1)
		return bad_timestamp(p, seconds, nanos, "before 0001-01-01");
	if (seconds >= year_10000)
		return bad_timestamp(p, seconds, nanos, "after 10000-01-01");
	if (__builtin_mul_overflow(seconds, NS_PER_S, &ns) || __builtin_add_overflow(ns, (int64_t)nanos, &ns))
		ns = seconds < 0 ? TS_TOO_OLD : TS_TOO_NEW;
	*ts = ns;
	return 0;
}

static int read_pair(struct push *p, struct slice bytes, struct label *out)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	*out = (struct label){ SLICE(""), SLICE("") };
	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(p, &f, f.number == 1 ? "Name" : "Value");
		if (f.number == 1)
			out->name = f.bytes;
		else
			out->value = f.bytes;
	}
	return c.bad ? cut_short(p) : 0;
}

static size_t count_pairs(struct slice entry)
{
	struct cursor c = cursor_of(entry);
	struct pb_field f;
	size_t n = 0;

	while (pb_next(&c, &f))
		n += f.number == 3;
	return n;
}

static int read_metadata(struct push *p, struct slice entry, struct batch_entry *e)
{
	struct cursor c = cursor_of(entry);
	struct pb_field f;
	size_t n = count_pairs(entry);

	if (n > DECODE_MAX_PAIRS_OBJECT || (p->n_pairs += n) > DECODE_MAX_PAIRS_PUSH)
		return err_set(p->err, ERR_TOO_LARGE, "too much structured metadata in one push");
	e->meta = arena_array(&p->b->arena, struct label, n);
	while (pb_next(&c, &f)) {
		if (f.number != 3)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(p, &f, "StructuredMetadata");
		if (read_pair(p, f.bytes, &e->meta[e->n_meta]) == -1)
			return -1;
		e->n_meta++;
	}
	return 0;
}

static int read_entry(struct push *p, struct slice bytes)
{
	struct batch_entry *e = decode_add_entry(p->b, p->o, p->err);
	struct cursor c = cursor_of(bytes);
	struct pb_field f;
	bool has_meta = false;

	if (e == NULL)
		return -1;
	e->ts = TS_TOO_OLD;
	e->line = SLICE("");
	while (pb_next(&c, &f)) {
		if (f.number > 3)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(p, &f,
					  f.number == 1	  ? "Timestamp"
					  : f.number == 2 ? "Line"
							  : "StructuredMetadata");
		if (f.number == 1 && read_timestamp(p, f.bytes, &e->ts) == -1)
			return -1;
		if (f.number == 2)
			e->line = f.bytes;
		has_meta |= f.number == 3;
	}
	if (c.bad)
		return cut_short(p);
	return has_meta ? read_metadata(p, bytes, e) : 0;
}

static int read_labels(struct push *p, struct slice text, struct labels *out)
{
	if (p->o->max_labels_bytes > 0 && text.n > p->o->max_labels_bytes)
		return err_set(p->err, ERR_BAD_REQUEST, "labels of a stream are %zu bytes, limit: %llu bytes",
			       text.n, (unsigned long long)p->o->max_labels_bytes);
	return labelset_parse(text, &p->b->arena, out, p->err);
}

static int read_stream(struct push *p, struct slice bytes)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;
	struct slice text = SLICE("");

	if (decode_add_stream(p->b, p->o, p->err) == NULL)
		return -1;
	while (pb_next(&c, &f)) {
		if (f.number > 2)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(p, &f, f.number == 1 ? "Labels" : "Entries");
		if (f.number == 1)
			text = f.bytes;
		else if (read_entry(p, f.bytes) == -1)
			return -1;
	}
	if (c.bad)
		return cut_short(p);
	return read_labels(p, text, &p->b->streams.v[p->b->streams.n - 1].labels);
}

int decode_loki_proto(struct slice body, const struct decode_options *o, struct batch *out, struct err *err)
{
	struct push p = { .o = o, .b = out, .err = err };
	struct cursor c = cursor_of(body);
	struct pb_field f;

	while (pb_next(&c, &f)) {
		if (f.number != 1)
			continue;
		if (f.type != PB_BYTES)
			return wrong_type(&p, &f, "Streams");
		if (read_stream(&p, f.bytes) == -1)
			return -1;
	}
	return c.bad ? cut_short(&p) : 0;
}
