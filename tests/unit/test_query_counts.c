/* Counts of chunks change no answer: random logs are aggregated with them, by reading the entries, and line by line: in the
 * head, after flushes, with late and repeated entries, with deletes, after merges, over several tenants and after the
 * index was made anew. And where they suffice, nothing is read. */
#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "index/store.h"
#include "query/erase.h"
#include "query/query.h"
#include "query/volume.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

enum { PER_PUSH = 2500 };
static const int64_t T0 = INT64_C(1768435200) * NS_PER_S;

static struct trace_keys *keys;
static struct store *store;
static struct pool *pool;
static char dir[64];

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

static void options(struct store_options *o)
{
	store_options_init(o);
	o->dir = dir;
	o->wal_sync = WAL_SYNC_NONE;
	o->keys = keys;
	o->merge_interval_ns = 0;
	o->max_chunk_entries = 700;
	o->erase = &query_erase_ops;
}

static void open_store(void)
{
	struct store_options o;
	struct err err;

	options(&o);
	if (store_open(&o, &store, &err) == -1)
		fail_msg("%s", err.msg);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static bool is_stored;

static void stored(void *arg, const struct err *err, size_t n_refused)
{
	(void)arg;
	assert_int_equal(err->code, ERR_NONE);
	assert_int_equal(n_refused, 0);
	pthread_mutex_lock(&lock);
	is_stored = true;
	pthread_cond_signal(&answered);
	pthread_mutex_unlock(&lock);
}

static void append(struct batch *b)
{
	is_stored = false;
	store_append(store, b, stored, NULL);
	pthread_mutex_lock(&lock);
	while (!is_stored)
		pthread_cond_wait(&answered, &lock);
	pthread_mutex_unlock(&lock);
}

static struct labels stream_labels(struct arena *a, unsigned app)
{
	struct label *l = arena_array(a, struct label, 2);

	l[0] = (struct label){ SLICE("app"), slice_cstr(arena_printf(a, "a%u", app)) };
	l[1] = (struct label){ SLICE("level"), SLICE("stream") };
	return (struct labels){ l, app == 1 ? 2 : 1 };
}

/* Streams differ: one whose entries have a level beside the detected one, one with a name of metadata that a query groups
 * by, one with more levels than are counted. */
static void add_metadata(struct arena *a, unsigned app, struct batch_entry *e)
{
	static const char *const levels[] = { "info", "info", "info", "warn", "error", "unknown" };
	struct label *l = arena_array(a, struct label, 4);
	uint32_t n = 0;

	if (rnd(50) > 0) {
		const char *level = app == 4 && rnd(3) == 0 ? arena_printf(a, "custom%u", rnd(40))
							    : levels[rnd(ARRAY_LEN(levels))];
		l[n++] = (struct label){ SLICE("detected_level"), slice_cstr(level) };
	}
	if (app < 3 && rnd(4) == 0)
		l[n++] = (struct label){ SLICE("level"), rnd(2) == 0 ? SLICE("INFO") : SLICE("WARN") };
	if (app == 3)
		l[n++] = (struct label){ SLICE("pod"), slice_cstr(arena_printf(a, "p%u", rnd(3))) };
	if (rnd(2) == 0)
		l[n++] = (struct label){ SLICE("trace_id"),
					 slice_cstr(arena_printf(a, "%032x", rnd(UINT32_MAX))) };
	e->meta = l;
	e->n_meta = n;
}

/* Sent once, or now and then twice. */
static void push_once(const char *tenant, int64_t around, int64_t span_ms, bool or_twice)
{
	static const char filler[] =
		"a line of a service that says what it does, which is not much but takes up "
		"some room in the chunk and is compressed rather well because it repeats "
		"itself: level=info msg=\"request served\" status=200 duration=13ms";
	struct batch b;
	struct buf encoded;

	batch_init(&b);
	buf_init(&encoded);
	b.tenant = slice_cstr(tenant);
	for (unsigned app = 0; app < 5; app++) {
		struct batch_stream *st = batch_add_stream(&b);

		st->labels = stream_labels(&b.arena, app);
		buf_reset(&encoded);
		labels_encode(&encoded, st->labels);
		st->hash = labels_hash(buf_slice(&encoded));
		for (int i = 0; i < PER_PUSH / 5; i++) {
			struct batch_entry *e = batch_add_entry(&b);

			if (i > 0 && rnd(20) == 0) { /* as the one before, or a copy of it */
				*e = b.entries.v[b.entries.n - 2];
				if (rnd(2) == 0)
					e->line = SLICE("another");
				continue;
			}
			/* Often right on a minute, where buckets end. */
			e->ts = around + (int64_t)rnd((unsigned)span_ms) * NS_PER_MS + rnd(3) - 1;
			if (rnd(10) == 0)
				e->ts = e->ts / NS_PER_MIN * NS_PER_MIN;
			e->line = slice_of(filler, rnd(sizeof(filler)));
			add_metadata(&b.arena, app, e);
		}
	}
	append(&b);
	if (or_twice && rnd(3) == 0)
		append(&b);
	buf_fini(&encoded);
	batch_fini(&b);
}

static void push(const char *tenant, int64_t around, int64_t span_ms)
{
	push_once(tenant, around, span_ms, true);
}

static void render(struct buf *b, const struct query_result *r)
{
	for (size_t i = 0; i < r->n_series; i++) {
		labels_format(b, r->series[i].labels);
		for (size_t k = 0; k < r->series[i].n; k++)
			buf_printf(b, " %lld=%a", (long long)r->series[i].point[k].ts,
				   r->series[i].point[k].value);
		buf_putc(b, '\n');
	}
}

struct ask {
	const char *tenant, *text;
	int64_t start, end, step;
	bool no_index;
};

static void run(const struct ask *a, struct buf *out, struct query_stats *stats)
{
	struct query_engine e = { .store = store, .pool = pool, .keys = keys };
	struct query_control control = { 0 };
	struct query_request r = { .tenant = slice_cstr(a->tenant),
				   .text = slice_cstr(a->text),
				   .instant = a->step == 0,
				   .start = a->start,
				   .end = a->end,
				   .step = a->step,
				   .limit = 100,
				   .no_index = a->no_index };
	struct query_result result;
	struct err err;

	buf_reset(out);
	if (query_run(&e, &r, &control, &result, &err) == -1)
		fail_msg("%s: %s", a->text, err.msg);
	render(out, &result);
	*stats = result.stats;
	query_result_fini(&result);
}

/* The first %s is where a stage may stand that makes each line be looked at, the second is the range. */
static const char *const forms[] = {
	"sum by (level, detected_level) (count_over_time({app=~\".+\"} | drop __error__ %s[%s]))",
	"sum by (detected_level) (count_over_time({app=~\"a[0-3]\"} %s[%s]))",
	"sum by (app) (bytes_over_time({app=~\".+\"} | drop __error__, __error_details__ %s[%s]))",
	"sum by (app, detected_level) (bytes_over_time({app=~\".+\"} %s[%s]))",
	"sum(rate({app=\"a1\"} %s[%s]))",
	"sum(bytes_rate({app=~\"a1|a2\"} %s[%s]))",
	"topk(2, sum by (detected_level) (rate({app=~\".+\"} %s[%s])))",
	"avg(sum by (detected_level, app) (count_over_time({app=~\".+\"} %s[%s])))",
	"sum by (level) (count_over_time({app=~\".+\"} | detected_level=~\"error|warn\" %s[%s]))",
	"sum by (app) (count_over_time({app=~\".+\"} | drop app | detected_level!=\"info\" %s[%s]))",
	"sum by (lvl) (count_over_time({app=~\".+\"} | label_format lvl=detected_level %s[%s]))",
	("sum by (level, level_extracted) (count_over_time({app=\"a1\"} | keep level, level_extracted "
	 "%s[%s]))"),
	"sum by (app, pod) (count_over_time({app=~\".+\"} %s[%s]))",
	"sum by (detected_level) (count_over_time({app=~\".+\"} | trace_id!=\"\" %s[%s]))",
	"sum by (__tenant_id__, detected_level) (count_over_time({app=~\".+\"} | drop x %s[%s]))",
	"sum without (trace_id, app) (count_over_time({app=\"a3\"} %s[%s]))",
	"sum by (detected_level) (count_over_time({app=\"a0\"} %s[%s] offset 10m))",
	"sum by (detected_level) (count_over_time({app=\"a0\"} %s[%s] offset 13s))",
	"absent_over_time({app=\"a0\"} %s[%s])",
	"sum by (app) (count_over_time({app=\"nothing\"} %s[%s]))",
};

static void compare_form(const char *when, size_t f, struct buf v[3], uint64_t *n_counted)
{
	static const char *const ranges[] = { "1m", "5m", "1h", "90s", "7h" };
	static const int64_t steps[] = { NS_PER_MIN, 5 * NS_PER_MIN, NS_PER_H, 0, 100 * NS_PER_S };
	static const char *const tenants[] = { "one", "one", "two", "one|two" };
	char text[256], by_line[256];
	struct query_stats st;
	unsigned shape = rnd(ARRAY_LEN(ranges));
	struct ask a = { .tenant = tenants[rnd(ARRAY_LEN(tenants))],
			 .text = text,
			 .start = T0 + (int64_t)rnd(300) * NS_PER_MIN - NS_PER_H,
			 .step = rnd(4) == 0 ? steps[rnd(ARRAY_LEN(steps))] : steps[shape] };

	if (rnd(4) == 0)
		a.start += (int64_t)rnd(1000000) * 60000;
	a.end = a.start + (int64_t)rnd(400) * NS_PER_MIN;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), forms[f], "", ranges[shape]);
	snprintf(by_line, sizeof(by_line), forms[f], "| line_format `{{ __line__ }}` ", ranges[shape]);
#pragma GCC diagnostic pop
	run(&a, &v[0], &st);
	*n_counted += st.chunks_counted;
	a.no_index = true;
	run(&a, &v[1], &st);
	assert_int_equal(st.chunks_counted, 0);
	a.text = by_line;
	run(&a, &v[2], &st);
	for (int i = 1; i < 3; i++)
		if (!slice_eq(buf_slice(&v[0]), buf_slice(&v[i])))
			fail_msg("%s, %s, %s at %lld, step %lld: counts give\n%.*s\nreading %d\n%.*s", when,
				 a.tenant, text, (long long)a.start, (long long)a.step,
				 SLICE_ARG(buf_slice(&v[0])), i, SLICE_ARG(buf_slice(&v[i])));
}

static void compare_all(const char *when, bool on_disk)
{
	struct buf v[3];
	uint64_t n_counted = 0;
	size_t answers = 0;

	for (int i = 0; i < 3; i++)
		buf_init(&v[i]);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		for (int i = 0; i < 12; i++) {
			compare_form(when, f, v, &n_counted);
			answers += v[0].n > 0;
		}
	}
	assert_true(answers > (on_disk ? 100 : 20));
	if (on_disk)
		assert_true(n_counted > 100);
	else
		assert_int_equal(n_counted, 0);
	for (int i = 0; i < 3; i++)
		buf_fini(&v[i]);
}

static void must(int rc, const struct err *err)
{
	if (rc == -1)
		fail_msg("%s", err->msg);
}

static void hide(const char *query, int64_t start, int64_t end)
{
	char id[STORE_DELETE_ID];
	struct err err;

	must(store_delete_add(store, SLICE("one"), slice_cstr(query), (struct timerange){ start, end }, false,
			      id, &err),
	     &err);
}

static void test_same_answers(void **state)
{
	struct store_options o;
	struct err err;

	(void)state;
	for (int i = 0; i < 10; i++) {
		const char *tenant = i % 3 == 1 ? "two" : "one";

		push(tenant, T0 + i * 30 * NS_PER_MIN, 3600000); /* each overlaps the next */
		if (i == 0)
			compare_all("in the head", false);
		if (i % 2 == 1)
			must(store_flush(store, &err), &err);
	}
	compare_all("flushed", true);
	push("one", T0, 6 * 3600000);
	compare_all("late, in the head", true);
	must(store_flush(store, &err), &err);
	compare_all("late, flushed", true);
	hide("{app=\"a0\"} |= \"msg\"", T0 + 20 * NS_PER_MIN, T0 + 47 * NS_PER_MIN);
	hide("{app=\"a1\"}", T0 + NS_PER_H, T0 + 2 * NS_PER_H + 1);
	compare_all("with deletes", true);
	must(store_merge(store, &err), &err);
	compare_all("merged", true);
	must(store_purge(store, &err), &err);
	compare_all("deleted", true);
	store_close(store, true);
	options(&o);
	must(store_rebuild_index(&o, &err), &err);
	open_store();
	compare_all("index made anew", true);
}

/* A tenant whose chunks do not overlap: the histogram of Grafana reads nothing, and one whose windows end within a minute
 * reads but their edges. */
static void test_nothing_is_read(void **state)
{
	static const char histogram[] =
		"sum by (level, detected_level) (count_over_time({app=\"a3\"} | drop __error__ [1m]))";
	struct ask a = { .tenant = "three",
			 .text = histogram,
			 .start = T0,
			 .end = T0 + 10 * NS_PER_H,
			 .step = NS_PER_MIN };
	struct query_stats st, all;
	struct err err;
	struct buf out;

	(void)state;
	buf_init(&out);
	for (int i = 0; i < 8; i++) {
		push_once("three", T0 + i * NS_PER_H + NS_PER_S, 1000000, false);
		must(store_flush(store, &err), &err);
	}
	for (int merged = 0; merged < 2; merged++) {
		a.text = histogram;
		a.start = T0;
		run(&a, &out, &st);
		assert_true(out.n > 1000);
		assert_true(st.chunks_counted >= 8);
		assert_int_equal(st.chunks_read, 0);
		assert_int_equal(st.lines_processed, 0);
		assert_int_equal(st.bytes_processed, 0);
		a.text = "sum(bytes_over_time({app=\"a3\"}[3h]))";
		a.start = T0 + 3 * NS_PER_H + 10 * NS_PER_MIN + 17 * NS_PER_S;
		a.step = 3 * NS_PER_H;
		run(&a, &out, &st);
		a.no_index = true;
		run(&a, &out, &all);
		a.no_index = false;
		a.step = NS_PER_MIN;
		assert_true(all.chunks_read > 0 && st.chunks_read > 0);
		if (!merged)
			assert_true(st.chunks_read < all.chunks_read);
		must(store_merge(store, &err), &err);
	}
	buf_fini(&out);
}

static void push_line(int64_t ts, size_t bytes)
{
	static char line[10000];
	struct label app = { SLICE("app"), SLICE("uneven") };
	struct batch b;
	struct buf encoded;

	memset(line, 'x', sizeof(line));
	assert_true(bytes <= sizeof(line));
	batch_init(&b);
	buf_init(&encoded);
	b.tenant = SLICE("four");
	struct batch_stream *st = batch_add_stream(&b);
	st->labels = (struct labels){ &app, 1 };
	labels_encode(&encoded, st->labels);
	st->hash = labels_hash(buf_slice(&encoded));
	struct batch_entry *e = batch_add_entry(&b);
	e->ts = ts;
	e->line = slice_of(line, bytes);
	append(&b);
	buf_fini(&encoded);
	batch_fini(&b);
}

/* One chunk of nine hours with almost all of its bytes in the third: volumes put them there, whether the range cuts the
 * chunk or steps do. Each entry has a byte of empty metadata. */
static void test_volumes_follow_the_counts(void **state)
{
	static const struct {
		int64_t start_h, end_h, step_h;
		const char *expected;
	} rows[] = {
		{ 0, 9, 0, "10:9017" },	       { 0, 2, 0, "3:2" }, { 2, 3, 0, "4:9008" }, { 5, 9, 0, "10:4" },
		{ 0, 9, 3, "3:9011 6:3 9:3" },
	};
	struct limits limits = { 0 };
	struct query_engine e = { .store = store, .pool = pool, .keys = keys };
	struct query_control control = { 0 };
	struct err err;
	struct buf text;

	(void)state;
	buf_init(&text);
	for (int64_t h = 0; h < 9; h++)
		push_line(T0 + h * NS_PER_H + 30 * NS_PER_MIN, h == 2 ? 9000 : 1);
	must(store_flush(store, &err), &err);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct volume_request r = { .tenant = SLICE("four"),
					    .selector = SLICE("{app=\"uneven\"}"),
					    .range = { T0 + rows[i].start_h * NS_PER_H,
						       T0 + rows[i].end_h * NS_PER_H },
					    .step = rows[i].step_h * NS_PER_H,
					    .limit = 10,
					    .limits = &limits };
		struct volume_series *v;
		struct arena a;
		size_t n;

		arena_init(&a);
		must(volume_run(&e, &r, &control, &a, &v, &n, &err), &err);
		assert_int_equal(n, 1);
		buf_reset(&text);
		for (size_t k = 0; k < v[0].n; k++)
			buf_printf(&text, "%s%lld:%llu", k > 0 ? " " : "",
				   (long long)((v[0].point[k].ts - T0) / NS_PER_H + 1),
				   (unsigned long long)v[0].point[k].bytes);
		if (!slice_eq(buf_slice(&text), slice_cstr(rows[i].expected)))
			fail_msg("row %zu: %.*s instead of %s", i, SLICE_ARG(buf_slice(&text)),
				 rows[i].expected);
		arena_fini(&a);
	}
	buf_fini(&text);
}

static int setup(void **state)
{
	static const struct slice names[] = { { "trace_id", 8 } };

	(void)state;
	snprintf(dir, sizeof(dir), "test_query_counts.%d", (int)getpid());
	keys = trace_keys_new(names, 1, NULL, 0);
	pool = pool_new("test", 2);
	open_store();
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	store_close(store, false);
	pool_free(pool);
	trace_keys_free(keys);
	return file_remove_tree(dir, &err);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_answers),
					    cmocka_unit_test(test_nothing_is_read),
					    cmocka_unit_test(test_volumes_follow_the_counts) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
