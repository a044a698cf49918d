/* What is appended comes back once and in order while parts of the head are sealed, flushed and merged, whatever comes late,
 * twice or at the same instant: random pushes against a plain list of what was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "index/store.h"

#define START (INT64_C(20001) * NS_PER_DAY - 500 * NS_PER_S) /* midnight comes after 500 seconds */

enum { N_STREAMS = 3, N_TRACES = 20 };

struct written {
	int64_t ts;
	uint32_t stream, content; /* content: its line says it */
	uint32_t trace;		  /* 0: none */
};

enum { LINE = 100 };

struct fixture {
	char dir[64];
	struct store_options o;
	struct store *s;
	struct trace_keys *keys;
	uint64_t random;
	VEC(struct written) all;
	int64_t now;
};

static uint64_t below(struct fixture *f, uint64_t n)
{
	f->random = hash_mix(f->random + 0x9e3779b97f4a7c15);
	return f->random % n;
}

static void open_store(struct fixture *f)
{
	struct err err;

	if (store_open(&f->o, &f->s, &err) == -1)
		fail_msg("store_open: %s", err.msg);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const struct slice keys[] = { SLICE("trace_id") };

	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "/tmp/spoor-seal-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	store_options_init(&f->o);
	f->keys = trace_keys_new(keys, 1, NULL, 0);
	f->o.dir = f->dir;
	f->o.keys = f->keys;
	f->o.wal_sync = WAL_SYNC_NONE;
	f->o.merge_interval_ns = 0;
	f->o.min_free_bytes = 1;
	f->o.max_chunk_entries = 32;
	f->now = START;
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;

	store_close(f->s, false);
	file_remove_tree(f->dir, &err);
	trace_keys_free(f->keys);
	vec_fini(&f->all);
	free(f);
	return 0;
}

/* ---- pushing -------------------------------------------------------------------------------------------------- */

struct waited {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	enum err_code code;
};

static void on_done(void *arg, const struct err *err, size_t n_refused)
{
	struct waited *w = arg;

	(void)n_refused;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->code = err->code;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static struct slice line_of(const struct written *v, char line[LINE])
{
	unsigned long long half = hash_mix(1000 + v->trace);
	int n = v->trace == 0 ? snprintf(line, LINE, "line %u", v->content)
			      : snprintf(line, LINE, "line %u of %016llx%016llx", v->content, ~half, half);

	return slice_of(line, (size_t)n);
}

static void tokens_of(const struct fixture *f, struct slice line, struct trace_found *found)
{
	trace_find(f->keys, line, SLICE("\0"), SLICE("\0"), found);
}

static void push(struct fixture *f, const struct written *v, size_t n)
{
	struct waited w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct trace_found found = { 0 };
	struct batch b;

	batch_init(&b);
	b.tenant = SLICE("t");
	for (size_t i = 0; i < n; i++) {
		struct batch_stream *st = batch_add_stream(&b);
		struct label *l = arena_new(&b.arena, struct label);
		struct batch_entry *e = batch_add_entry(&b);
		char line[LINE];

		*l = (struct label){ SLICE("app"), slice_cstr(arena_printf(&b.arena, "s%u", v[i].stream)) };
		st->labels = (struct labels){ l, 1 };
		e->ts = v[i].ts;
		e->line = arena_dup(&b.arena, line_of(&v[i], line));
		tokens_of(f, e->line, &found);
		uint64_t *tokens = arena_array(&b.arena, uint64_t, found.n_tokens + 1);
		if (found.n_tokens > 0)
			memcpy(tokens, found.token, found.n_tokens * sizeof(*tokens));
		e->tokens = tokens;
		e->n_tokens = (uint32_t)found.n_tokens;
		vec_push(&f->all, v[i]);
	}
	store_append(f->s, &b, on_done, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(w.code, ERR_NONE);
	batch_fini(&b);
	trace_found_fini(&found);
}

/* A push as they come: mostly onwards, some a little late, a few very late, some twice, many at the same instant. */
static void push_some(struct fixture *f)
{
	struct written v[64];
	size_t n = 1 + below(f, 64);

	for (size_t i = 0; i < n; i++) {
		struct written *e = &v[i];

		if (f->all.n > 0 && below(f, 16) == 0) {
			*e = f->all.v[f->all.n - 1 - below(f, MIN(f->all.n, (size_t)200))];
			continue;
		}
		f->now += (int64_t)below(f, 3) * NS_PER_S / 4;
		*e = (struct written){ .ts = f->now,
				       .stream = (uint32_t)below(f, N_STREAMS),
				       .content = (uint32_t)below(f, 1000000) };
		if (below(f, 4) == 0)
			e->ts -= (int64_t)below(f, 8) * NS_PER_S / 4;
		if (below(f, 100) == 0)
			e->ts -= (int64_t)below(f, 400) * NS_PER_S;
		if (below(f, 2) == 0)
			e->trace = 1 + (uint32_t)below(f, N_TRACES);
	}
	push(f, v, n);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static int cmp_written(const void *a, const void *b)
{
	const struct written *const *x = a, *const *y = b;

	if ((*x)->ts != (*y)->ts)
		return (*x)->ts < (*y)->ts ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

static void put(struct buf *out, int64_t ts, const char *line, size_t n)
{
	buf_printf(out, "%lld %.*s\n", (long long)(ts - START), (int)n, line);
}

/* What the stream must yield; with a trace, only the entries that name it. */
static struct buf expected(const struct fixture *f, uint32_t stream, uint32_t trace)
{
	VEC(const struct written *) v = { 0 };
	struct buf out;
	char line[LINE];

	buf_init(&out);
	for (size_t i = 0; i < f->all.n; i++)
		if (f->all.v[i].stream == stream && (trace == 0 || f->all.v[i].trace == trace))
			vec_push(&v, &f->all.v[i]);
	if (v.n > 1)
		qsort(v.v, v.n, sizeof(*v.v), cmp_written);
	for (size_t i = 0; i < v.n; i++) {
		bool twice = false;

		for (size_t k = i; k-- > 0 && v.v[k]->ts == v.v[i]->ts && !twice;)
			twice = v.v[k]->content == v.v[i]->content && v.v[k]->trace == v.v[i]->trace;
		if (twice)
			continue;
		struct slice text = line_of(v.v[i], line);
		put(&out, v.v[i]->ts, text.p, text.n);
	}
	buf_cstr_end(&out);
	vec_fini(&v);
	return out;
}

static struct snapshot *take(struct fixture *f, uint32_t stream, const struct scan_hint *hint)
{
	char name[16];
	struct matcher m = { MATCH_EQ, SLICE("app"), { name, 0 }, NULL };
	struct snapshot *snap;
	struct err err;

	m.value.n = (size_t)snprintf(name, sizeof(name), "s%u", stream);
	if (snapshot_take(f->s, SLICE("t"), &m, 1, hint, true, &snap, &err) == -1)
		fail_msg("snapshot: %s", err.msg);
	return snap;
}

/* Oldest first; with a trace, only lines that name it. */
static struct buf read_all(struct snapshot *snap, uint32_t trace)
{
	struct reader *r = reader_new(snap);
	struct entry_block b;
	struct err err;
	struct buf out;
	char line[LINE];
	int rc;

	/* The id stands at the end. */
	struct slice id = line_of(&(struct written){ .trace = trace }, line);
	id = slice_from(id, trace == 0 ? id.n : id.n - 32);
	buf_init(&out);
	for (size_t u = 0; u < snapshot_n_units(snap); u++) {
		reader_start(r, snapshot_unit(snap, u));
		while ((rc = reader_next(r, &b, &err)) == 1)
			for (size_t i = 0; i < b.n; i++)
				if (slice_ends(b.line[i], id))
					put(&out, b.ts[i], b.line[i].p, b.line[i].n);
		assert_int_equal(rc, 0);
	}
	reader_free(r);
	buf_cstr_end(&out);
	return out;
}

static void check(struct buf got, struct buf want)
{
	assert_string_equal(got.p, want.p);
	buf_fini(&got);
	buf_fini(&want);
}

static void check_all(struct fixture *f)
{
	struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX } };

	for (uint32_t stream = 0; stream < N_STREAMS; stream++) {
		struct snapshot *snap = take(f, stream, &hint);

		check(read_all(snap, 0), expected(f, stream, 0));
		snapshot_release(snap);
	}
}

static void check_trace(struct fixture *f)
{
	uint32_t trace = 1 + (uint32_t)below(f, N_TRACES);
	struct trace_found found = { 0 };
	char line[LINE];

	tokens_of(f, line_of(&(struct written){ .trace = trace }, line), &found);
	assert_int_equal(found.n_tokens, 1);
	struct trace_group group = { found.token, 1 };
	struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX }, .groups = &group, .n_groups = 1 };

	for (uint32_t stream = 0; stream < N_STREAMS; stream++) {
		struct snapshot *snap = take(f, stream, &hint);

		check(read_all(snap, trace), expected(f, stream, trace));
		snapshot_release(snap);
	}
	trace_found_fini(&found);
}

static uint64_t n_sealed(void)
{
	return metric_value(metric_counter("spoor_sealed_parts_total", "", NULL));
}

static void wait_for_sealed(uint64_t n)
{
	for (int i = 0; i < 10000 && n_sealed() < n; i++)
		nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
	assert_true(n_sealed() >= n);
}

static void flush(struct fixture *f)
{
	struct err err = { 0 };

	if (store_flush(f->s, &err) == -1)
		fail_msg("flush: %s", err.msg);
}

static void merge(struct fixture *f)
{
	struct err err = { 0 };

	if (store_merge(f->s, &err) == -1)
		fail_msg("merge: %s", err.msg);
}

static void reopen(struct fixture *f)
{
	store_close(f->s, false);
	open_store(f);
}

/* ---- tests ---------------------------------------------------------------------------------------------------- */

static void push_one(struct fixture *f, int64_t seconds, uint32_t content)
{
	push(f, &(struct written){ .ts = START + seconds * NS_PER_S, .content = content }, 1);
}

/* As it is in the head, in a segment, after a merge with what else there is, and after a crash. */
static void check_everywhere(struct fixture *f)
{
	check_all(f);
	reopen(f);
	check_all(f);
	flush(f);
	check_all(f);
	push_one(f, 5000, 1);
	flush(f);
	merge(f);
	check_all(f);
}

static void a_full_part_is_sealed(void **state)
{
	struct fixture *f = *state;
	uint64_t before = n_sealed();

	for (uint32_t i = 0; i < 100; i++)
		push_one(f, i, i);
	wait_for_sealed(before + 3);
	check_everywhere(f);
}

static void a_late_entry_for_what_is_sealed(void **state)
{
	struct fixture *f = *state;
	uint64_t before = n_sealed();

	for (uint32_t i = 0; i < 64; i++)
		push_one(f, 10 * i, i);
	wait_for_sealed(before + 2);
	push_one(f, 55, 1000); /* between two */
	push_one(f, 50, 1001); /* at the same instant as another */
	push_one(f, 50, 5);    /* the very same */
	push_one(f, -1000, 7); /* before all */
	check_all(f);
	for (uint32_t i = 64; i < 128; i++)
		push_one(f, 10 * i, i);
	check_everywhere(f);
}

static void equal_times_on_both_sides_of_the_edge(void **state)
{
	struct fixture *f = *state;
	uint64_t before = n_sealed();

	for (uint32_t i = 0; i < 200; i++)
		push_one(f, i / 50, i % 90);
	wait_for_sealed(before + 3);
	check_everywhere(f);
}

static void what_comes_a_little_late_is_carried_over(void **state)
{
	struct fixture *f = *state;
	uint64_t before = n_sealed();

	for (uint32_t i = 0; i < 400; i++)
		push_one(f, 10 * (i ^ 3), i);
	wait_for_sealed(before + 5);
	check_everywhere(f);
}

/* A snapshot keeps what it saw, in runs or chunks, and nothing else. */
static void a_snapshot_outlives_the_seal(void **state)
{
	struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX } };
	struct fixture *f = *state;
	uint64_t before = n_sealed();

	for (uint32_t i = 0; i < 60; i++)
		push_one(f, i ^ 1, i);
	struct buf want = expected(f, 0, 0);
	struct snapshot *snap = take(f, 0, &hint);
	for (uint32_t i = 60; i < 200; i++)
		push_one(f, i ^ 1, i);
	wait_for_sealed(before + 4);
	flush(f);
	merge(f);
	check(read_all(snap, 0), want);
	snapshot_release(snap);
	check_all(f);
}

static void random_pushes(void **state)
{
	struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX } };
	struct fixture *f = *state;
	struct snapshot *old = NULL;
	struct buf old_want;

	for (f->random = 1; f->random == 1 || f->all.n < 9000;) {
		push_some(f);
		switch (below(f, 16)) {
		case 0: flush(f); break;
		case 1:
			if (below(f, 4) == 0)
				merge(f);
			break;
		case 2:
			if (old == NULL && below(f, 4) == 0)
				reopen(f);
			break;
		case 3:
		case 4: check_all(f); break;
		case 5:
		case 6: check_trace(f); break;
		case 7:
			if (old != NULL) {
				check(read_all(old, 0), old_want);
				snapshot_release(old);
				old = NULL;
			} else {
				old_want = expected(f, 1, 0);
				old = take(f, 1, &hint);
			}
			break;
		default: break;
		}
	}
	if (old != NULL) {
		check(read_all(old, 0), old_want);
		snapshot_release(old);
	}
	check_all(f);
	flush(f);
	merge(f);
	check_all(f);
	for (int i = 0; i < N_TRACES; i++)
		check_trace(f);
}

/* Little memory: the largest parts are sealed before they are full, and what fits is flushed. */
static void little_memory(void **state)
{
	struct fixture *f = *state;

	store_close(f->s, true);
	f->o.head_bytes = 64 << 10;
	f->o.max_chunk_entries = 4096;
	open_store(f);
	f->random = 77;
	while (f->all.n < 6000)
		push_some(f);
	check_all(f);
	reopen(f);
	check_all(f);
	flush(f);
	merge(f);
	check_all(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_part_is_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_late_entry_for_what_is_sealed, setup, teardown),
		cmocka_unit_test_setup_teardown(equal_times_on_both_sides_of_the_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(what_comes_a_little_late_is_carried_over, setup, teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_outlives_the_seal, setup, teardown),
		cmocka_unit_test_setup_teardown(random_pushes, setup, teardown),
		cmocka_unit_test_setup_teardown(little_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
