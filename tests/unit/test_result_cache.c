/* The result cache changes no answer: random metric queries are asked without it and twice with it, in random order of
 * windows and steps, while logs are appended, come late or twice, are flushed, merged, hidden and deleted. */
#include "base/cache.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "index/store.h"
#include "query/erase.h"
#include "query/query.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

static const int64_t T0 = INT64_C(1768435200) * NS_PER_S;

static struct trace_keys *keys;
static struct store *store;
static struct pool *pool;
static struct cache *cache;
static char dir[64];

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

static void must(int rc, const struct err *err)
{
	if (rc == -1)
		fail_msg("%s", err->msg);
}

static void open_store(void)
{
	struct store_options o;
	struct err err;

	store_options_init(&o);
	o.dir = dir;
	o.wal_sync = WAL_SYNC_NONE;
	o.keys = keys;
	o.merge_interval_ns = 0;
	o.max_chunk_entries = 300;
	o.erase = &query_erase_ops;
	must(store_open(&o, &store, &err), &err);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static bool is_stored;

static void stored(void *arg, const struct err *err, size_t n_refused)
{
	(void)arg;
	(void)n_refused;
	assert_int_equal(err->code, ERR_NONE);
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

static struct slice random_line(struct arena *a)
{
	if (rnd(40) == 0)
		return SLICE("{\"level\":\"error\", this is no JSON");
	return slice_cstr(arena_printf(
		a, "{\"level\":\"%s\",\"msg\":\"request %u served\",\"duration_ms\":%u.%u,\"path\":\"/p%u\"}",
		rnd(5) == 0 ? "error" : "info", rnd(100000), rnd(500), rnd(10), rnd(7)));
}

static void push(const char *tenant, int64_t around, unsigned span_ms)
{
	struct batch b;
	struct buf encoded;

	batch_init(&b);
	buf_init(&encoded);
	b.tenant = slice_cstr(tenant);
	for (unsigned app = 0; app < 3; app++) {
		struct batch_stream *st = batch_add_stream(&b);
		struct label *l = arena_array(&b.arena, struct label, 1);

		l[0] = (struct label){ SLICE("app"), slice_cstr(arena_printf(&b.arena, "a%u", app)) };
		st->labels = (struct labels){ l, 1 };
		buf_reset(&encoded);
		labels_encode(&encoded, st->labels);
		st->hash = labels_hash(buf_slice(&encoded));
		for (int i = 0; i < 200; i++) {
			struct batch_entry *e = batch_add_entry(&b);

			e->ts = around + (int64_t)rnd(span_ms) * NS_PER_MS;
			e->line = random_line(&b.arena);
		}
	}
	append(&b);
	if (rnd(4) == 0)
		append(&b); /* sent again */
	buf_fini(&encoded);
	batch_fini(&b);
}

/* %s is the range. Those of durations sum numbers with a digit behind the point: the order in which parts are added shows in
 * the last bits. */
static const char *const forms[] = {
	"sum by (app) (count_over_time({app=~\".+\"}[%s]))",
	"sum by (app) (count_over_time({app=~\".+\"} |= \"error\" [%s]))",
	"sum (bytes_over_time({app=~\"a[01]\"} |= \"served\" [%s]))",
	"sum by (level) (rate({app=~\".+\"} | json | __error__=\"\" [%s]))",
	"topk(2, sum by (path) (count_over_time({app=\"a1\"} | json | __error__=\"\" [%s])))",
	"count_over_time({app=\"a2\"} | json | level=\"error\" | __error__=\"\" [%s])",
	"sum by (app) (sum_over_time({app=~\".+\"} | json | unwrap duration_ms | __error__=\"\" [%s]))",
	"avg_over_time({app=\"a0\"} | json | unwrap duration_ms | __error__=\"\" [%s]) by (level)",
	"max_over_time({app=~\".+\"} | json | unwrap duration_ms | __error__=\"\" [%s]) by (app)",
	"stddev_over_time({app=\"a1\"} | json | unwrap duration_ms | __error__=\"\" [%s]) by (app)",
	"first_over_time({app=\"a1\"} | json | unwrap duration_ms | __error__=\"\" [%s]) by (app)",
	"quantile_over_time(0.9, {app=~\"a[12]\"} | json | unwrap duration_ms | __error__=\"\" [%s]) by "
	"(app)",
	"sum by (__error__) (count_over_time({app=~\".+\"} | json [%s]))",
	"absent_over_time({app=\"a0\"} |= \"request 77\" [%s])",
	"sum by (app) (count_over_time({app=~\".+\"} |= \"error\" [%s] offset 7m))",
	"sum by (p) (count_over_time({app=~\".+\"} | json | __error__=\"\" | label_format p=\"{{.path}}\" "
	"[%s]))",
	"sum by (app) (count_over_time({app=~\".+\"} | json | __error__=\"\" | line_format \"{{.msg}}\" "
	"[%s]))",
	"sum by (app) (bytes_over_time({app=~\".+\"} | json | __error__=\"\" | line_format \"{{.msg}}\" "
	"[%s]))",
	"sum by (__tenant_id__) (count_over_time({app=~\".+\"} |= \"p3\" [%s]))",
};
static const char *const clock_form =
	"sum by (p) (count_over_time({app=~\".+\"} | label_format p=\"{{ now | unixEpochNanos }}\" [%s]))";

struct ask {
	const char *tenant, *text;
	int64_t start, end, step;
};

static void run(const struct ask *a, struct cache *c, struct buf *out, struct query_stats *stats)
{
	struct query_engine e = { .store = store, .pool = pool, .keys = keys, .result_cache = c };
	struct query_control control = { 0 };
	struct query_request r = { .tenant = slice_cstr(a->tenant),
				   .text = slice_cstr(a->text),
				   .start = a->start,
				   .end = a->end,
				   .step = a->step,
				   .limit = 100 };
	struct query_result result;
	struct err err;

	buf_reset(out);
	if (query_run(&e, &r, &control, &result, &err) == -1)
		fail_msg("%s: %s", a->text, err.msg);
	for (size_t i = 0; i < result.n_series; i++) {
		labels_format(out, result.series[i].labels);
		for (size_t k = 0; k < result.series[i].n; k++)
			buf_printf(out, " %lld=%a", (long long)result.series[i].point[k].ts,
				   result.series[i].point[k].value);
		buf_putc(out, '\n');
	}
	*stats = result.stats;
	query_result_fini(&result);
}

static void format(char *out, size_t size, const char *form, const char *range)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out, size, form, range);
#pragma GCC diagnostic pop
}

static struct ask random_ask(char *text, size_t size)
{
	static const char *const ranges[] = { "1m", "5m", "20m", "90s" };
	static const int64_t steps[] = { NS_PER_MIN, 5 * NS_PER_MIN, 10 * NS_PER_MIN, 100 * NS_PER_S };
	static const char *const tenants[] = { "one", "one", "one", "two", "one|two" };
	unsigned shape = rnd(ARRAY_LEN(ranges));
	struct ask a = { .tenant = tenants[rnd(ARRAY_LEN(tenants))],
			 .text = text,
			 .step = steps[rnd(3) == 0 ? rnd(ARRAY_LEN(steps)) : shape] };

	format(text, size, forms[rnd(ARRAY_LEN(forms))], ranges[shape]);
	/* Most stand where those before stood, moved by some steps, as a dashboard's do. */
	a.start = T0 + ((int64_t)rnd(20) - 3) * a.step + (rnd(5) == 0 ? (int64_t)rnd(1000000) * 60000 : 0);
	a.end = a.start + (int64_t)rnd(90) * a.step;
	return a;
}

static struct query_stats totals;

static void compare(const char *when)
{
	struct buf plain, again;
	struct query_stats st;
	char text[256];

	buf_init(&plain);
	buf_init(&again);
	for (int i = 0; i < 60; i++) {
		struct ask a = random_ask(text, sizeof(text));

		run(&a, NULL, &plain, &st);
		assert_int_equal(st.cache_requests, 0);
		for (int k = 0; k < 2; k++) {
			run(&a, cache, &again, &st);
			totals.cache_hits += st.cache_hits;
			totals.cache_stored += st.cache_stored;
			if (!slice_eq(buf_slice(&plain), buf_slice(&again)))
				fail_msg("%s, %s, %s at %lld to %lld, step %lld: without the "
					 "cache\n%.*s\nwith it\n%.*s",
					 when, a.tenant, text, (long long)a.start, (long long)a.end,
					 (long long)a.step, SLICE_ARG(buf_slice(&plain)),
					 SLICE_ARG(buf_slice(&again)));
		}
	}
	buf_fini(&plain);
	buf_fini(&again);
}

static void same_answers_whatever_happens(void **state)
{
	char id[STORE_DELETE_ID];
	struct err err;

	(void)state;
	for (int i = 0; i < 12; i++) {
		push(i % 3 == 1 ? "two" : "one", T0 + i * 10 * NS_PER_MIN, i % 4 == 3 ? 3600000 : 600000);
		compare("appended");
		if (i % 2 == 1) {
			must(store_flush(store, &err), &err);
			compare("flushed");
		}
	}
	assert_true(totals.cache_hits > 100 && totals.cache_stored > 100);
	push("one", T0, 2 * 3600000);
	compare("late");
	must(store_flush(store, &err), &err);
	compare("late, flushed");
	must(store_merge(store, &err), &err);
	compare("merged");
	must(store_delete_add(store, SLICE("one"), SLICE("{app=\"a1\"} |= \"p3\""),
			      (struct timerange){ T0 + 10 * NS_PER_MIN, T0 + NS_PER_H }, false, id, &err),
	     &err);
	compare("hidden");
	must(store_purge(store, &err), &err);
	compare("deleted");
	assert_true(cache_stats(cache).bytes <= 1 << 20);
}

static void a_window_that_moves_on_finds_what_it_found(void **state)
{
	struct ask a = { "three", "sum by (app) (count_over_time({app=~\".+\"} |= \"info\" [1m]))", T0,
			 T0 + NS_PER_H, NS_PER_MIN };
	struct cache *fresh = cache_new(8 << 20);
	struct query_stats st;
	struct err err;
	struct buf out;

	(void)state;
	buf_init(&out);
	for (int i = 0; i < 8; i++) {
		push("three", T0 + i * 10 * NS_PER_MIN, 500000);
		must(store_flush(store, &err), &err);
	}
	run(&a, fresh, &out, &st);
	assert_true(st.cache_requests > 0 && st.cache_stored == st.cache_requests);
	assert_int_equal(st.cache_hits, 0);
	run(&a, fresh, &out, &st);
	assert_int_equal(st.cache_hits, st.cache_requests);
	assert_int_equal(st.lines_processed, 0);
	a.start += 10 * NS_PER_MIN;
	a.end += 10 * NS_PER_MIN;
	run(&a, fresh, &out, &st);
	assert_true(st.cache_hits > 0);
	a.start += NS_PER_S; /* other steps: nothing fits */
	run(&a, fresh, &out, &st);
	assert_int_equal(st.cache_hits, 0);
	cache_free(fresh);
	buf_fini(&out);
}

static void what_the_clock_decides_is_not_kept(void **state)
{
	struct ask a = { "one", NULL, T0, T0 + NS_PER_H, NS_PER_MIN };
	struct query_stats st;
	struct buf out;
	char text[256];

	(void)state;
	buf_init(&out);
	format(text, sizeof(text), clock_form, "1m");
	a.text = text;
	run(&a, cache, &out, &st);
	assert_true(out.n > 0);
	assert_int_equal(st.cache_requests, 0);
	buf_fini(&out);
}

static int setup(void **state)
{
	static const struct slice names[] = { { "trace_id", 8 } };

	(void)state;
	snprintf(dir, sizeof(dir), "test_result_cache.%d", (int)getpid());
	keys = trace_keys_new(names, 1, NULL, 0);
	pool = pool_new("test", 2);
	cache = cache_new(1 << 20); /* small: values leave it, too */
	open_store();
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	store_close(store, false);
	cache_free(cache);
	pool_free(pool);
	trace_keys_free(keys);
	file_remove_tree(dir, &err);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_answers_whatever_happens),
		cmocka_unit_test(a_window_that_moves_on_finds_what_it_found),
		cmocka_unit_test(what_the_clock_decides_is_not_kept),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
