/* Trace to logs, over a store in memory: what belongs to a trace, in which order, how the limit cuts, and that the
 * search agrees with a naive one on random data. */
#include "query/trace.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "index/store.h"

#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* ---- a store in memory: a few streams, cut into units and blocks at fixed sizes ---- */

enum {
	MAX_STREAMS = 6,
	MAX_ENTRIES = 400,
	UNIT_ENTRIES = 20,
	BLOCK_ENTRIES = 7,
	MAX_UNITS = MAX_STREAMS * 20
};

struct fake_entry {
	int64_t ts;
	struct slice line, meta; /* meta: encoded */
};
struct fake_stream {
	struct snap_stream s;
	struct fake_entry entry[MAX_ENTRIES];
	size_t n;
};
struct store {
	struct fake_stream stream[MAX_STREAMS];
	size_t n_streams;
	struct arena arena;
	uint64_t asked_token; /* of the last snapshot; 0: none */
	size_t blocks_read;
};
struct snapshot {
	struct store *store;
	bool backward;
	struct snap_unit unit[MAX_UNITS];
	size_t n_units;
};
struct reader {
	struct snapshot *snap;
	const struct fake_stream *stream;
	size_t first, end; /* entries still to read of the unit */
	int64_t ts[BLOCK_ENTRIES];
	struct slice line[BLOCK_ENTRIES], metas[BLOCK_ENTRIES];
	uint32_t meta[BLOCK_ENTRIES];
	struct read_stats stats;
};

static int unit_order(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

static int unit_order_backward(const void *a, const void *b)
{
	const struct snap_unit *x = a, *y = b;

	return x->range.end > y->range.end ? -1 : x->range.end < y->range.end;
}

/* Units must be disjoint in time, so a cut may not fall between equal timestamps. */
static void add_units(struct snapshot *snap, const struct fake_stream *f)
{
	for (size_t i = 0; i < f->n;) {
		size_t end = MIN(i + UNIT_ENTRIES, f->n);

		while (end < f->n && f->entry[end].ts == f->entry[end - 1].ts)
			end++;
		snap->unit[snap->n_units++] = (struct snap_unit){
			.stream = &f->s,
			.range = { f->entry[i].ts, f->entry[end - 1].ts + 1 },
			.first_source = i,
			.n_sources = end - i,
		};
		i = end;
	}
}

int snapshot_take(struct store *s, struct slice tenant, const struct matcher *m, size_t n_matchers,
		  const struct scan_hint *hint, bool want_units, struct snapshot **out, struct err *err)
{
	struct snapshot *snap = xcalloc(1, sizeof(*snap));

	(void)m;
	(void)err;
	assert_true(slice_is(tenant, "t") && n_matchers == 0 && want_units);
	assert_true(hint->range.start == INT64_MIN && hint->range.end == INT64_MAX);
	s->asked_token = hint->n_groups == 1 && hint->groups[0].n == 1 ? hint->groups[0].token[0] : 0;
	snap->store = s;
	snap->backward = hint->backward;
	for (size_t i = 0; i < s->n_streams; i++)
		add_units(snap, &s->stream[i]);
	qsort(snap->unit, snap->n_units, sizeof(*snap->unit),
	      hint->backward ? unit_order_backward : unit_order);
	*out = snap;
	return 0;
}

void snapshot_release(struct snapshot *snap)
{
	free(snap);
}

size_t snapshot_n_units(const struct snapshot *snap)
{
	return snap->n_units;
}

const struct snap_unit *snapshot_unit(const struct snapshot *snap, size_t i)
{
	return &snap->unit[i];
}

struct reader *reader_new(struct snapshot *snap)
{
	struct reader *r = xcalloc(1, sizeof(*r));

	r->snap = snap;
	return r;
}

void reader_free(struct reader *r)
{
	free(r);
}

void reader_start(struct reader *r, const struct snap_unit *u)
{
	r->stream = (const struct fake_stream *)u->stream;
	r->first = u->first_source;
	r->end = u->first_source + u->n_sources;
}

int reader_next(struct reader *r, struct entry_block *b, struct err *err)
{
	size_t n = MIN((size_t)BLOCK_ENTRIES, r->end - r->first);
	size_t from = r->snap->backward ? r->end - n : r->first;

	(void)err;
	if (n == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct fake_entry *e = &r->stream->entry[from + i];

		r->ts[i] = e->ts;
		r->line[i] = e->line;
		r->metas[i] = e->meta;
		r->meta[i] = (uint32_t)i;
	}
	if (r->snap->backward)
		r->end -= n;
	else
		r->first += n;
	*b = (struct entry_block){
		.n = n, .ts = r->ts, .line = r->line, .meta = r->meta, .metas = r->metas, .n_metas = n
	};
	r->stats.lines += n;
	r->stats.blocks_read++;
	__atomic_fetch_add(&r->snap->store->blocks_read, 1, __ATOMIC_RELAXED);
	return 1;
}

const struct read_stats *reader_stats(const struct reader *r)
{
	return &r->stats;
}

int query_control_check(const struct query_control *c, struct err *err)
{
	return c->cancelled ? err_set(err, ERR_CANCELLED, "cancelled") : 0;
}

/* ---- building one ---- */

static struct store store;
static struct pool *pool;
static struct trace_keys *keys;

static struct slice encode(struct label *v, size_t n)
{
	struct buf b = { 0 };

	labels_encode(&b, (struct labels){ v, n });
	struct slice s = arena_dup(&store.arena, buf_slice(&b));
	buf_fini(&b);
	return s;
}

static struct label *label(const char *name, const char *value)
{
	struct label *l = arena_new(&store.arena, struct label);

	l->name = arena_dup(&store.arena, slice_cstr(name));
	l->value = arena_dup(&store.arena, slice_cstr(value));
	return l;
}

static struct fake_stream *add_stream(const char *app)
{
	struct fake_stream *f = &store.stream[store.n_streams];
	struct label *l = label("app", app);

	f->s.labels = (struct labels){ l, 1 };
	f->s.encoded = encode(l, 1);
	f->s.index = store.n_streams++;
	return f;
}

/* level may be NULL */
static void add(struct fake_stream *f, int64_t ts, const char *line, const char *level)
{
	struct fake_entry *e = &f->entry[f->n++];

	e->ts = ts;
	e->line = arena_dup(&store.arena, slice_cstr(line));
	e->meta = level != NULL ? encode(label("detected_level", level), 1) : encode(NULL, 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&store, 0, sizeof(store));
	arena_init(&store.arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&store.arena);
	return 0;
}

static int run(const char *id, uint32_t limit, bool backward, uint64_t max_memory, struct trace_result *out,
	       struct err *err)
{
	static _Atomic uint64_t in_use;
	struct query_engine e = { .store = &store, .pool = pool, .keys = keys, .memory_in_use = &in_use };
	struct limits limits = { .max_query_memory = max_memory };
	struct trace_request r = { .tenant = SLICE("t"),
				   .id = slice_cstr(id),
				   .limit = limit,
				   .backward = backward,
				   .limits = &limits };
	struct query_control c = { 0 };
	int rc = trace_run(&e, &r, &c, out, err);

	assert_true(in_use == 0);
	return rc;
}

static void must(const char *id, uint32_t limit, bool backward, struct trace_result *out)
{
	struct err err;

	if (run(id, limit, backward, 0, out, &err) == -1)
		fail_msg("%s: %s", id, err.msg);
}

#define ID    "4bf92f3577b34da6a3ce929d0e0e4736"
#define OTHER "0af7651916cd43dd8448eb211c80319c"

static void a_small_trace(void)
{
	struct fake_stream *web = add_stream("web"), *db = add_stream("db");

	add(web, 10, "start trace_id=" ID, "info");
	add(web, 15, "nothing here", "error");
	add(web, 30, "{\"msg\":\"boom\",\"trace_id\":\"" ID "\"}", "error");
	add(web, 40, "end trace_id=" ID, NULL);
	add(db, 20, "traceparent: 00-" ID "-00f067aa0ba902b7-01", "info");
	add(db, 21, "trace_id=" OTHER, "fatal");
}

static void check_lines(const struct trace_result *r, const int64_t *ts, size_t n)
{
	assert_int_equal(r->n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(r->entry[i].ts, ts[i]);
}

/* ---- the tests ---- */

static void all_lines_in_time_order(void **state)
{
	struct trace_result r;

	(void)state;
	a_small_trace();
	must(ID, 1000, false, &r);
	check_lines(&r, (const int64_t[]){ 10, 20, 30, 40 }, 4);
	assert_true(store.asked_token == 0xa3ce929d0e0e4736);
	assert_true(slice_is(labels_get(r.entry[1].labels, SLICE("app")), "db"));
	assert_true(slice_is(labels_get(r.entry[1].meta, SLICE("detected_level")), "info"));
	assert_int_equal(r.entry[3].meta.n, 0);
	assert_true(r.first_ns == 10 && r.last_ns == 40 && !r.more);
	assert_true(r.has_error && r.first_error == 2);
	trace_result_fini(&r);
	must(ID, 1000, true, &r);
	check_lines(&r, (const int64_t[]){ 40, 30, 20, 10 }, 4);
	assert_true(r.first_ns == 10 && r.last_ns == 40);
	assert_true(r.has_error && r.first_error == 1);
	trace_result_fini(&r);
}

static void the_limit_cuts_but_the_range_is_the_whole_traces(void **state)
{
	struct trace_result r;

	(void)state;
	a_small_trace();
	must(ID, 2, false, &r);
	check_lines(&r, (const int64_t[]){ 10, 20 }, 2);
	assert_true(r.more && r.first_ns == 10 && r.last_ns == 40);
	assert_false(r.has_error); /* it lies beyond the limit */
	trace_result_fini(&r);
	must(ID, 2, true, &r);
	check_lines(&r, (const int64_t[]){ 40, 30 }, 2);
	assert_true(r.more && r.first_ns == 10 && r.last_ns == 40);
	trace_result_fini(&r);
	must(ID, 4, false, &r);
	assert_false(r.more);
	trace_result_fini(&r);
}

static void an_id_in_its_other_forms(void **state)
{
	static const char *const forms[] = {
		"4BF92F3577B34DA6A3CE929D0E0E4736",
		"4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
		"a3ce929d0e0e4736",
		"00-" ID "-00f067aa0ba902b7-01",
	};

	(void)state;
	a_small_trace();
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct trace_result r;

		must(forms[i], 10, false, &r);
		assert_int_equal(r.n, 4);
		assert_true(r.id.hi == 0x4bf92f3577b34da6 && r.id.lo == 0xa3ce929d0e0e4736);
		trace_result_fini(&r);
	}
}

static void a_64_bit_tracer_and_a_128_bit_one(void **state)
{
	struct fake_stream *f = add_stream("x");
	struct trace_result r;

	(void)state;
	add(f, 1, "dd.trace_id=11803532876627986230", NULL); /* 0xa3ce929d0e0e4736 */
	add(f, 2, "trace_id=" ID, NULL);
	add(f, 3, "trace_id=1111111111111111a3ce929d0e0e4736", NULL);
	must(ID, 10, false, &r);
	check_lines(&r, (const int64_t[]){ 1, 2 }, 2);
	trace_result_fini(&r);
	must("a3ce929d0e0e4736", 10, false, &r);
	assert_int_equal(r.n, 3);
	trace_result_fini(&r);
}

static void an_absent_id_and_no_id_at_all(void **state)
{
	struct trace_result r;
	struct err err;

	(void)state;
	a_small_trace();
	must("deadbeefdeadbeefdeadbeefdeadbeef", 10, false, &r);
	assert_true(r.n == 0 && !r.more && !r.has_error);
	trace_result_fini(&r);
	assert_int_equal(run("not-an-id", 10, false, 0, &r, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	assert_string_equal(err.msg, "not a trace id: \"not-an-id\"");
}

static void equal_timestamps_keep_the_written_order(void **state)
{
	struct fake_stream *a = add_stream("a"), *b = add_stream("b");
	struct trace_result r;
	char line[64];

	(void)state;
	for (int i = 0; i < 20; i++) { /* more than two blocks at one instant */
		snprintf(line, sizeof(line), "%d trace_id=" ID, i);
		add(a, 5, line, NULL);
	}
	add(b, 5, "b trace_id=" ID, NULL);
	must(ID, 15, false, &r);
	assert_int_equal(r.n, 15);
	for (size_t i = 0; i < 15; i++)
		assert_int_equal(atoi(r.entry[i].line.p), (int)i);
	trace_result_fini(&r);
	must(ID, 15, true, &r);
	assert_true(slice_starts(r.entry[0].line, SLICE("b ")));
	for (size_t i = 1; i < 15; i++)
		assert_int_equal(atoi(r.entry[i].line.p), 20 - (int)i);
	trace_result_fini(&r);
}

static void a_long_trace_is_not_read_to_its_end(void **state)
{
	struct fake_stream *f = add_stream("a");
	struct trace_result r;

	(void)state;
	for (int i = 0; i < MAX_ENTRIES; i++)
		add(f, i, "trace_id=" ID, NULL);
	must(ID, 3, false, &r);
	check_lines(&r, (const int64_t[]){ 0, 1, 2 }, 3);
	assert_true(r.more && r.last_ns == MAX_ENTRIES - 1);
	/* Up to 8 threads may each be in a unit before the limit is reached, in either direction. */
	assert_true(store.blocks_read <= 2 * 8 * 3);
	trace_result_fini(&r);
}

static void memory_is_bounded(void **state)
{
	struct fake_stream *f = add_stream("a");
	struct trace_result r;
	struct err err;

	(void)state;
	for (int i = 0; i < 100; i++)
		add(f, i, "trace_id=" ID " and some text to make it longer", NULL);
	assert_int_equal(run(ID, 100, false, 4096, &r, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	assert_non_null(strstr(err.msg, "max_query_memory (4 KiB)"));
	assert_int_equal(run(ID, 10, false, 4096, &r, &err), 0);
	trace_result_fini(&r);
}

static void a_cancelled_search_ends(void **state)
{
	struct query_engine e = { .store = &store, .keys = keys };
	struct trace_request q = { .tenant = SLICE("t"), .id = SLICE(ID), .limit = 10 };
	struct query_control c = { .cancelled = true };
	struct trace_result r;
	struct err err;

	(void)state;
	a_small_trace();
	assert_int_equal(trace_run(&e, &q, &c, &r, &err), -1);
	assert_int_equal(err.code, ERR_CANCELLED);
}

/* Random streams with a few ids; every answer is compared with a sort of everything. */

static uint64_t seed = 12345;

static unsigned rnd(unsigned n)
{
	seed = hash_mix(seed + 0x9e3779b97f4a7c15ULL);
	return (unsigned)(seed % n);
}

struct ref_entry {
	int64_t ts;
	size_t stream, pos;
	struct slice line;
};

static int ref_order(const void *a, const void *b)
{
	const struct ref_entry *x = a, *y = b;

	if (x->ts != y->ts)
		return x->ts < y->ts ? -1 : 1;
	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return x->pos < y->pos ? -1 : x->pos > y->pos;
}

static size_t reference(struct ref_entry *ref)
{
	size_t n = 0;

	for (size_t s = 0; s < store.n_streams; s++)
		for (size_t i = 0; i < store.stream[s].n; i++) {
			const struct fake_entry *e = &store.stream[s].entry[i];

			if (slice_find(e->line, SLICE(ID)) != SLICE_NONE)
				ref[n++] = (struct ref_entry){ e->ts, s, i, e->line };
		}
	qsort(ref, n, sizeof(*ref), ref_order);
	return n;
}

static void random_store(void)
{
	char line[96];

	for (int s = 0; s < MAX_STREAMS; s++) {
		char name[4] = { (char)('a' + s), '\0' };
		struct fake_stream *f = add_stream(name);
		int64_t ts = rnd(50);

		for (unsigned i = 0, n = rnd(MAX_ENTRIES); i < n; i++) {
			snprintf(line, sizeof(line), "n=%u trace_id=%s", i, rnd(3) == 0 ? ID : OTHER);
			add(f, ts, line, NULL);
			ts += rnd(3);
		}
	}
}

static void agrees_with_a_naive_search(void **state)
{
	static struct ref_entry ref[MAX_STREAMS * MAX_ENTRIES];

	(void)state;
	for (int round = 0; round < 60; round++) {
		uint32_t limit = 1 + rnd(round % 2 == 0 ? 20 : 1500);
		bool backward = rnd(2) == 0;
		struct trace_result r;

		teardown(NULL);
		setup(NULL);
		random_store();
		size_t n = reference(ref), shown = MIN(n, (size_t)limit);
		must(ID, limit, backward, &r);
		assert_int_equal(r.n, shown);
		assert_true(r.more == (n > limit));
		for (size_t i = 0; i < shown; i++) {
			const struct ref_entry *e = &ref[backward ? n - 1 - i : i];

			assert_int_equal(r.entry[i].ts, e->ts);
			assert_true(slice_eq(r.entry[i].line, e->line));
			assert_true(labels_eq(r.entry[i].labels, store.stream[e->stream].s.labels));
		}
		if (n > 0)
			assert_true(r.first_ns == ref[0].ts && r.last_ns == ref[n - 1].ts);
		trace_result_fini(&r);
	}
}

static void links(void **state)
{
	static const struct {
		const char *template, *url;
	} rows[] = {
		{ "", "" },
		{ "http://jaeger/trace/{trace_id}", "http://jaeger/trace/" ID },
		{ "{trace_id}?x={trace_id}&y={trace", ID "?x=" ID "&y={trace" },
		{ "http://static/", "http://static/" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = { 0 };

		trace_url(&b, slice_cstr(rows[i].template),
			  (struct trace_id){ 0x4bf92f3577b34da6, 0xa3ce929d0e0e4736 });
		buf_cstr_end(&b);
		assert_string_equal(b.p, rows[i].url);
		buf_fini(&b);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_lines_in_time_order),
		TEST(the_limit_cuts_but_the_range_is_the_whole_traces),
		TEST(an_id_in_its_other_forms),
		TEST(a_64_bit_tracer_and_a_128_bit_one),
		TEST(an_absent_id_and_no_id_at_all),
		TEST(equal_timestamps_keep_the_written_order),
		TEST(a_long_trace_is_not_read_to_its_end),
		TEST(memory_is_bounded),
		TEST(a_cancelled_search_ends),
		TEST(agrees_with_a_naive_search),
		cmocka_unit_test(links),
	};
	const struct slice names[] = { SLICE("trace_id"), SLICE("dd.trace_id"), SLICE("traceparent") };

	keys = trace_keys_new(names, ARRAY_LEN(names), NULL, 0);
	pool = pool_new("test", 4);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	pool_free(pool);
	trace_keys_free(keys);
	return rc;
}
