/* The trace index changes no answer: random logs with ids in every form are queried with the index and by a
 * full scan, in the head, after flushes, with late entries, after a merge and after a restart. */
#include "base/clock.h"
#include "base/file.h"
#include "base/pool.h"
#include "index/store.h"
#include "query/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

enum { N_IDS = 12, PER_PUSH = 150, N_PUSHES = 8 };
static const int64_t T0 = INT64_C(1768435200000000000);

static struct trace_keys *keys;
static struct store *store;
static struct pool *pool;
static char dir[64];
static char ids[N_IDS][33];

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
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
	if (store_open(&o, &store, &err) == -1)
		fail_msg("%s", err.msg);
}

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void stored(void *arg, const struct err *err, size_t n_refused)
{
	struct wait *w = arg;

	assert_int_equal(err->code, ERR_NONE);
	assert_int_equal(n_refused, 0);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* A line that holds the id, or something like it, in one of many ways. */
static const char *line_with(struct arena *a, const char *id)
{
	switch (rnd(12)) {
	case 0: return arena_printf(a, "plain text, trace %s here", id);
	case 1: return arena_printf(a, "{\"msg\":\"x\",\"trace_id\":\"%s\",\"n\":%u}", id, rnd(100));
	case 2: return arena_printf(a, "{\"trace\":{\"id\":\"%s\"}}", id);
	case 3: return arena_printf(a, "{\"trace_id\":\"\\u00%02x%s\"}", (unsigned)id[0], id + 1);
	case 4: return arena_printf(a, "sha256:%s%s", id, ids[rnd(N_IDS)]);
	case 5: return arena_printf(a, "level=info trace_id=%s", id + 16);
	case 6: return arena_printf(a, "{\"trace_id\":\"%s\"}", id + 16);
	case 7: return arena_printf(a, "00-%s-00f067aa0ba902b7-01", id);
	case 8: return arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
	case 9: return arena_printf(a, "0%s", id);
	case 10: return arena_printf(a, "{\"a\":1,\"trace_id\":\"%s\"", id);
	default: return arena_printf(a, "nothing of interest %u", rnd(1000));
	}
}

static struct labels stream_labels(struct arena *a)
{
	struct label *l = arena_array(a, struct label, 2);
	unsigned kind = rnd(6);

	l[0] = (struct label){ SLICE("app"), slice_cstr(arena_printf(a, "a%u", rnd(4))) };
	if (kind > 1)
		return (struct labels){ l, 1 };
	/* A stream label that holds an id, under a known name or another one. */
	l[1] = (struct label){ kind == 0 ? SLICE("trace_id") : SLICE("container"), slice_cstr(ids[rnd(3)]) };
	return (struct labels){ l, 2 };
}

static struct label *metadata(struct arena *a, const char *id, uint32_t *n)
{
	struct label *l = arena_array(a, struct label, 1);
	unsigned kind = rnd(4);

	*n = kind < 2;
	l[0] = (struct label){ kind == 0 ? SLICE("trace_id") : SLICE("other"), slice_cstr(id) };
	return l;
}

static void push(int64_t around)
{
	struct trace_found found = { 0 };
	struct buf encoded, meta;
	struct batch b;

	batch_init(&b);
	buf_init(&encoded);
	buf_init(&meta);
	b.tenant = SLICE("fake");
	for (int s = 0; s < 5; s++) {
		struct batch_stream *st = batch_add_stream(&b);

		st->labels = stream_labels(&b.arena);
		buf_reset(&encoded);
		labels_encode(&encoded, st->labels);
		st->hash = labels_hash(buf_slice(&encoded));
		for (int i = 0; i < PER_PUSH / 5; i++) {
			struct batch_entry *e = batch_add_entry(&b);
			const char *id = ids[rnd(N_IDS)];

			e->ts = around + (int64_t)rnd(100000) * 1000000;
			e->line = slice_cstr(line_with(&b.arena, id));
			e->meta = metadata(&b.arena, id, &e->n_meta);
			buf_reset(&meta);
			labels_encode(&meta, (struct labels){ e->meta, e->n_meta });
			trace_find(keys, e->line, buf_slice(&meta), buf_slice(&encoded), &found);
			uint64_t *token = arena_array(&b.arena, uint64_t, found.n_tokens);
			if (found.n_tokens > 0)
				memcpy(token, found.token, found.n_tokens * sizeof(*token));
			e->tokens = token;
			e->n_tokens = (uint32_t)found.n_tokens;
		}
	}
	struct wait w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	store_append(store, &b, stored, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	trace_found_fini(&found);
	buf_fini(&encoded);
	buf_fini(&meta);
	batch_fini(&b);
}

static void render(struct buf *b, const struct query_result *r)
{
	for (size_t i = 0; i < r->n_streams; i++) {
		labels_format(b, r->stream[i].labels);
		for (size_t k = 0; k < r->stream[i].n; k++)
			buf_printf(b, " %lld:%.*s", (long long)r->stream[i].entry[k].ts,
				   SLICE_ARG(r->stream[i].entry[k].line));
		buf_putc(b, '\n');
	}
	for (size_t i = 0; i < r->n_series; i++) {
		labels_format(b, r->series[i].labels);
		for (size_t k = 0; k < r->series[i].n; k++)
			buf_printf(b, " %lld=%g", (long long)r->series[i].point[k].ts,
				   r->series[i].point[k].value);
		buf_putc(b, '\n');
	}
}

/* Was the index asked? */
static bool run(const char *text, bool backward, bool no_index, struct buf *out)
{
	struct query_engine e = { .store = store, .pool = pool, .keys = keys };
	struct query_control control = { 0 };
	struct query_request r = { .tenant = SLICE("fake"),
				   .text = slice_cstr(text),
				   .start = T0 - NS_PER_DAY * 3,
				   .end = T0 + NS_PER_DAY * 3,
				   .step = NS_PER_DAY,
				   .limit = 5000,
				   .backward = backward,
				   .no_index = no_index };
	struct query_result result;
	struct err err;

	buf_reset(out);
	if (query_run(&e, &r, &control, &result, &err) == -1)
		fail_msg("%s: %s", text, err.msg);
	render(out, &result);
	bool used = result.stats.used_trace_index;
	query_result_fini(&result);
	return used;
}

static void compare_all(const char *when)
{
	static const char *const forms[] = {
		"{app=~\".+\"} |= \"%s\"",
		"{app=\"a1\"} |= \"%s\"",
		"{app=~\".+\"} |= \"%s\" or \"%s\"",
		"{app=~\".+\"} |~ \"trace.*%s\"",
		"{app=~\".+\"} | trace_id=\"%s\"",
		"{app=~\".+\"} | json | trace_id=\"%s\"",
		"{app=~\".+\"} | json | trace_id=~\"%s|%s\"",
		"{app=~\".+\"} | json | trace__id=\"%s\" or trace_id=\"%s\"",
		"{app=~\".+\"} | other=\"%s\"",
		"{app=~\".+\"} | container=\"%s\"",
		"{app=~\".+\"} | container=\"%s\" or trace_id=\"%s\"",
		"{app=~\".+\"} | json | trace_id=\"%s\" | app=\"a0\"",
		"{app=~\".+\"} != \"%s\" |= \"trace\"",
		"sum by (app) (count_over_time({app=~\".+\"} |= \"%s\" [1d]))",
	};
	struct buf indexed, scanned;
	char text[256];
	size_t answers = 0;

	buf_init(&indexed);
	buf_init(&scanned);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++)
		for (size_t i = 0; i < N_IDS * 2; i++) {
			char id[40], other[40];

			/* The whole id, its low half, or a part of it. */
			snprintf(id, sizeof(id), "%s", ids[i % N_IDS] + (i < N_IDS ? 0 : 8 * rnd(3)));
			snprintf(other, sizeof(other), "%s", ids[rnd(N_IDS)]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof(text), forms[f], id, other);
#pragma GCC diagnostic pop
			run(text, i % 2 == 0, false, &indexed);
			run(text, i % 2 == 0, true, &scanned);
			answers += indexed.n > 0;
			if (!slice_eq(buf_slice(&indexed), buf_slice(&scanned)))
				fail_msg("%s, %s: the index gives\n%.*s\na scan\n%.*s", when, text,
					 SLICE_ARG(buf_slice(&indexed)), SLICE_ARG(buf_slice(&scanned)));
		}
	assert_true(answers > 100);
	buf_fini(&indexed);
	buf_fini(&scanned);
}

static void flush(void)
{
	struct err err;

	if (store_flush(store, &err) == -1)
		fail_msg("%s", err.msg);
}

static void test_same_answers(void **state)
{
	struct err err;
	struct buf out;

	(void)state;
	for (int i = 0; i < N_PUSHES; i++) {
		push(T0 + (i - N_PUSHES / 2) * (NS_PER_DAY / 3));
		if (i == 0)
			compare_all("in the head");
		if (i % 2 == 1)
			flush();
	}
	compare_all("flushed");
	push(T0 - NS_PER_DAY / 3);
	compare_all("late, in the head");
	flush();
	compare_all("late, flushed");
	if (store_merge(store, &err) == -1)
		fail_msg("%s", err.msg);
	compare_all("merged");
	store_close(store, false);
	open_store();
	compare_all("reopened");
	buf_init(&out);
	assert_true(run("{app=~\".+\"} |= \"0123456789abcdef0123456789abcdef\"", true, false, &out));
	assert_int_equal(out.n, 0);
	buf_fini(&out);
}

static int setup(void **state)
{
	static const struct slice names[] = { { "trace_id", 8 }, { "traceid", 7 } };

	(void)state;
	snprintf(dir, sizeof(dir), "test_query_index.%d", (int)getpid());
	for (size_t i = 0; i < N_IDS; i++)
		for (size_t k = 0; k < 32; k++)
			ids[i][k] = "0123456789abcdef"[rnd(16)];
	/* Two that differ only at the end, one with a zero high half. */
	memcpy(ids[1], ids[0], 31);
	ids[1][31] = ids[0][31] == 'f' ? '0' : 'f';
	memset(ids[2], '0', 16);
	keys = trace_keys_new(names, 2, NULL, 0);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_answers) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
