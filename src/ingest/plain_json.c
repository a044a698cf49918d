#include "ingest/plain_json.h"
#include "ingest/json_scan.h"
#include "ingest/labelset.h"
#include "base/clock.h"
#include "base/map.h"

enum { MAX_FIELDS = 32, PATH_MAX_BYTES = 256, N_TIME_FIELDS = 4 };

static const char *const time_fields[N_TIME_FIELDS] = { "timestamp", "time", "ts", "@timestamp" };

struct field {
	struct slice path; /* as asked for, dots as underscores */
	struct slice name; /* of the label */
};

struct line_entry {
	size_t stream;
	int64_t ts;
	struct slice line;
};

struct lines {
	const struct decode_options *o;
	struct batch *b;
	struct err *err;
	struct field field[MAX_FIELDS];
	size_t n_fields;
	struct map streams; /* encoded labels -> index + 1 of labels */
	VEC(struct labels) labels;
	VEC(size_t) n_entries; /* of each stream */
	VEC(struct line_entry) entries;
	int64_t next_ts; /* for lines without a time */
	struct buf encoded;
};

/* ---------------------------------------------------------------- times */

/* Decimal digits with an optional fraction, in the unit that the magnitude suggests. */
static bool parse_number(struct slice t, int64_t *ts)
{
	static const struct {
		uint64_t below;
		int64_t unit;
	} units[] = {
		{ 100000000000ULL, NS_PER_S }, /* until the year 5138 */
		{ 100000000000000ULL, NS_PER_MS },
		{ 100000000000000000ULL, NS_PER_US },
		{ UINT64_MAX, 1 },
	};
	size_t dot = slice_find_byte(t, '.');
	bool negative = t.n > 0 && t.p[0] == '-';
	struct slice whole = slice_from(slice_sub(t, 0, dot), negative);
	struct slice frac = dot == SLICE_NONE ? SLICE("") : slice_from(t, dot + 1);
	uint64_t v;
	int64_t ns;
	size_t u = 0;

	if (whole.n == 0 || whole.p[0] < '0' || whole.p[0] > '9' || !slice_to_u64(whole, &v) || v > INT64_MAX)
		return false;
	while (v >= units[u].below)
		u++;
	if (__builtin_mul_overflow((int64_t)v, units[u].unit, &ns))
		return false;
	for (int64_t unit = units[u].unit; frac.n > 0; frac = slice_from(frac, 1)) {
		if (frac.p[0] < '0' || frac.p[0] > '9')
			return false;
		unit /= 10;
		if (__builtin_add_overflow(ns, (frac.p[0] - '0') * unit, &ns))
			return false;
	}
	*ts = negative ? -ns : ns;
	return true;
}

bool plain_json_time(struct slice text, bool is_string, int64_t *ts)
{
	double seconds;

	if (is_string && clock_parse_rfc3339(text, ts))
		return true;
	if (parse_number(text, ts))
		return true;
	/* 1.7e9 and the like */
	if (is_string || !slice_to_double(text, &seconds) || !(seconds > -9e9 && seconds < 9e9))
		return false;
	*ts = (int64_t)(seconds * 1e9);
	return true;
}

/* ---------------------------------------------------------------- one line */

struct reading {
	struct lines *l;
	struct json_scan s;
	char path[PATH_MAX_BYTES];
	size_t saved[JSON_MAX_DEPTH];
	size_t path_n, depth;
	struct slice value[MAX_FIELDS]; /* p == NULL: not met yet */
	bool has_time;
	size_t time_rank;
	int64_t ts;
};

static bool path_is(const struct reading *r, struct slice path)
{
	return r->path_n == path.n && memcmp(r->path, path.p, path.n) == 0;
}

/* A path that is too long for the buffer is longer than any name that is asked for: its end is cut off, one
 * byte over. */
static void push_path(struct reading *r, struct slice key)
{
	if (r->path_n > 0 && r->path_n < sizeof(r->path))
		r->path[r->path_n++] = '_';
	for (size_t i = 0; i < key.n && r->path_n < sizeof(r->path); i++)
		r->path[r->path_n++] = key.p[i] == '.' ? '_' : key.p[i];
}

static void take_value(struct reading *r, struct slice key, struct slice value, bool is_string)
{
	if (r->depth == 1) {
		for (size_t rank = 0; rank < N_TIME_FIELDS && (!r->has_time || rank < r->time_rank); rank++) {
			if (slice_is(key, time_fields[rank]) && plain_json_time(value, is_string, &r->ts)) {
				r->has_time = true;
				r->time_rank = rank;
			}
		}
	}
	for (size_t i = 0; i < r->l->n_fields; i++)
		if (r->value[i].p == NULL && path_is(r, r->l->field[i].path) &&
		    (is_string || !slice_is(value, "null")))
			r->value[i] = value;
}

/* Reads the member whose key has just been read. 1: it opened an object, 0: done, -1: not JSON. */
static int read_member(struct reading *r, struct slice key)
{
	struct slice value;
	char c = jscan_peek(&r->s);
	int rc;

	if (c == '{' && r->depth < JSON_MAX_DEPTH)
		return 1;
	if (c == '[' || c == '{')
		return jscan_skip(&r->s, (unsigned)r->depth);
	rc = c == '"' ? jscan_string(&r->s, &value) : jscan_scalar(&r->s, &value);
	if (rc == 0)
		take_value(r, key, value, c == '"');
	return rc;
}

/* The object, member by member. -1 if the text is not one whole object. */
static int read_object(struct reading *r)
{
	bool first = true;
	struct slice key;

	r->depth = 1;
	for (;;) {
		int rc = jscan_next_key(&r->s, &first, &key);

		if (rc == -1)
			return -1;
		if (rc == 0) {
			if (--r->depth == 0)
				break;
			r->path_n = r->saved[r->depth];
			first = false;
			continue;
		}
		size_t before = r->path_n;
		push_path(r, key);
		rc = read_member(r, key);
		if (rc == -1)
			return -1;
		if (rc == 1) {
			r->saved[r->depth++] = before;
			first = true;
		} else {
			r->path_n = before;
		}
	}
	jscan_ws(&r->s);
	return r->s.p == r->s.end ? 0 : -1;
}

/* Index of the stream that the line belongs to; *is_new: its labels refer to what the arena holds of this
 * line. */
static size_t stream_of(struct lines *l, const struct reading *r, bool is_object, bool *is_new)
{
	struct label pair[MAX_FIELDS];
	struct labels labels;
	struct err ignored;
	size_t n = 0;
	bool unused;

	for (size_t i = 0; i < l->n_fields && is_object; i++)
		if (r->value[i].p != NULL)
			pair[n++] = (struct label){ l->field[i].name, r->value[i] };
	/* Values that are not UTF-8 make no labels. */
	if (labelset_make(pair, n, &l->b->arena, &labels, &ignored) == -1)
		labels = (struct labels){ 0 };
	buf_reset(&l->encoded);
	labels_encode(&l->encoded, labels);
	struct slice seen = buf_slice(&l->encoded);
	size_t at = (size_t)(uintptr_t)map_get(&l->streams, seen);
	*is_new = at == 0;
	if (at > 0)
		return at - 1;
	vec_push(&l->labels, labels);
	vec_push(&l->n_entries, 0);
	*map_put(&l->streams, arena_dup(&l->b->arena, seen), &unused) = (void *)(uintptr_t)l->labels.n;
	return l->labels.n - 1;
}

static int read_line(struct lines *l, struct slice line)
{
	struct reading r = { .l = l };
	struct arena_mark mark = arena_mark(&l->b->arena);
	struct err ignored;
	bool is_object, is_new;

	if (l->o->max_entries > 0 && l->entries.n >= l->o->max_entries)
		return err_set(l->err, ERR_TOO_LARGE, "too many entries in one push, limit: %llu",
			       (unsigned long long)l->o->max_entries);
	jscan_init(&r.s, line, &l->b->arena, &ignored);
	is_object = jscan_peek(&r.s) == '{' && read_object(&r) == 0;
	struct line_entry e = { stream_of(l, &r, is_object, &is_new), r.ts, line };
	if (!is_object || !r.has_time)
		e.ts = l->next_ts++;
	if (l->o->max_streams > 0 && l->labels.n > l->o->max_streams)
		return err_set(l->err, ERR_TOO_LARGE, "too many streams in one push, limit: %llu",
			       (unsigned long long)l->o->max_streams);
	if (!is_new)
		arena_rewind(&l->b->arena, mark);
	vec_push(&l->entries, e);
	l->n_entries.v[e.stream]++;
	return 0;
}

static int read_lines(struct lines *l, struct slice body)
{
	while (body.n > 0) {
		size_t end = slice_find_byte(body, '\n');
		struct slice line = slice_sub(body, 0, end);

		body = end == SLICE_NONE ? slice_of("", 0) : slice_from(body, end + 1);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (slice_trim(line).n > 0 && read_line(l, line) == -1)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------- the batch */

/* A batch wants the entries of a stream in one piece: each stream gets its range, then the lines are dealt
 * out. */
static void fill_batch(struct lines *l)
{
	struct batch *b = l->b;
	size_t at = 0;

	for (size_t i = 0; i < l->labels.n; i++) {
		struct batch_stream *s = batch_add_stream(b);

		s->labels = l->labels.v[i];
		for (size_t k = 0; k < l->n_entries.v[i]; k++)
			batch_add_entry(b);
		l->n_entries.v[i] = at;
		at += s->n;
	}
	for (size_t i = 0; i < l->entries.n; i++) {
		struct batch_entry *e = &b->entries.v[l->n_entries.v[l->entries.v[i].stream]++];

		e->ts = l->entries.v[i].ts;
		e->line = l->entries.v[i].line;
	}
}

static struct slice mapped(struct arena *a, struct slice s, bool as_label)
{
	char *p = arena_alloc_bytes(a, s.n + 1);
	size_t n = 0;

	if (as_label && s.p[0] >= '0' && s.p[0] <= '9')
		p[n++] = '_';
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		p[n++] = c == '.' || (as_label && !ok) ? '_' : c;
	}
	return slice_of(p, n);
}

static int name_fields(struct lines *l)
{
	for (size_t i = 0; i < l->o->n_labels; i++) {
		struct slice name = slice_trim(l->o->labels[i]);

		if (name.n == 0)
			continue;
		if (l->n_fields == MAX_FIELDS)
			return err_set(l->err, ERR_BAD_REQUEST, "labels names more than %d fields",
				       MAX_FIELDS);
		if (name.n >= PATH_MAX_BYTES)
			return err_set(l->err, ERR_BAD_REQUEST, "a name in labels is longer than %d bytes",
				       PATH_MAX_BYTES - 1);
		l->field[l->n_fields].path = mapped(&l->b->arena, name, false);
		l->field[l->n_fields++].name = mapped(&l->b->arena, name, true);
	}
	return 0;
}

int decode_plain_json(struct slice body, const struct decode_options *o, struct batch *out, struct err *err)
{
	struct lines l = { .o = o, .b = out, .err = err, .next_ts = o->now_ns };
	int rc = -1;

	map_init(&l.streams);
	buf_init(&l.encoded);
	if (name_fields(&l) == 0 && read_lines(&l, body) == 0) {
		fill_batch(&l);
		rc = 0;
	}
	vec_fini(&l.labels);
	vec_fini(&l.n_entries);
	vec_fini(&l.entries);
	map_fini(&l.streams);
	buf_fini(&l.encoded);
	return rc;
}
