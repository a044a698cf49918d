/* The store as a whole, on a real directory: what is appended comes back, once, in order, whatever happened between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/store.h"
#include "erase_words.h"

#define DAY (INT64_C(20000) * NS_PER_DAY)
#define SEC NS_PER_S

struct fixture {
	char dir[64];
	struct store_options o;
	struct store *s;
	struct trace_keys *keys;
	int64_t retention;
	const char *retention_streams;
};

static int64_t retention_of(void *arg, struct slice tenant)
{
	(void)tenant;
	return ((struct fixture *)arg)->retention;
}

static const char *retention_streams_of(void *arg, struct slice tenant)
{
	const char *text = ((struct fixture *)arg)->retention_streams;

	(void)tenant;
	return text != NULL ? text : "";
}

static void open_store(struct fixture *f)
{
	struct err err = { 0 };

	if (store_open(&f->o, &f->s, &err) == -1)
		fail_msg("store_open: %s", err.msg);
}

static void close_store(struct fixture *f, bool flush)
{
	store_close(f->s, flush);
	f->s = NULL;
}

static void reopen(struct fixture *f, bool flush)
{
	close_store(f, flush);
	open_store(f);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	const struct slice keys[] = { SLICE("trace_id") };

	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "/tmp/spoor-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	store_options_init(&f->o);
	f->keys = trace_keys_new(keys, 1, NULL, 0);
	f->o.dir = f->dir;
	f->o.keys = f->keys;
	f->o.merge_interval_ns = 0;
	f->o.min_free_bytes = 1;
	f->o.retention_ns = retention_of;
	f->o.arg = f;
	f->o.erase = &word_ops;
	f->o.retention_streams = retention_streams_of;
	open_store(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;

	file_fault("sync", 0, 0, 0);
	file_fault("write", 0, 0, 0);
	file_fault("create", 0, 0, 0);
	if (f->s != NULL)
		close_store(f, false);
	file_remove_tree(f->dir, &err);
	trace_keys_free(f->keys);
	free(f);
	return 0;
}

/* SQLite's own syncs: those of its logs fail once so many have gone well; -1: never. */
static _Atomic int good_sqlite_log_syncs = -1;

static bool is_sqlite_log(int fd)
{
	char link[64], path[512];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path));
	return n > 4 && memcmp(path + n - 4, "-wal", 4) == 0;
}

/* In place of the C library's, for SQLite too. */
int fdatasync(int fd)
{
	if (atomic_load(&good_sqlite_log_syncs) >= 0 && is_sqlite_log(fd) &&
	    (atomic_load(&good_sqlite_log_syncs) == 0 || atomic_fetch_sub(&good_sqlite_log_syncs, 1) == 0)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return fdatasync(fd);
}

/* ---- pushing and reading -------------------------------------------------------------------------------------- */

struct pushed {
	const char *app;
	int64_t ts;
	const char *line;
	const char *trace; /* metadata trace_id, or NULL */
};

struct waited {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	struct err err;
	size_t n_refused;
};

static void on_done(void *arg, const struct err *err, size_t n_refused)
{
	struct waited *w = arg;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->err = *err;
	w->n_refused = n_refused;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static struct waited push_tenant(struct fixture *f, const char *tenant, const struct pushed *p, size_t n)
{
	struct waited w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	struct trace_found found = { 0 };
	struct batch b;

	batch_init(&b);
	b.tenant = slice_cstr(tenant);
	for (size_t i = 0; i < n; i++) {
		struct batch_stream *st = batch_add_stream(&b);
		struct label *l = arena_new(&b.arena, struct label);
		struct batch_entry *e = batch_add_entry(&b);
		struct buf meta;

		*l = (struct label){ SLICE("app"), slice_cstr(p[i].app) };
		st->labels = (struct labels){ l, 1 };
		e->ts = p[i].ts;
		e->line = slice_cstr(p[i].line);
		buf_init(&meta);
		if (p[i].trace != NULL) {
			e->meta = arena_new(&b.arena, struct label);
			*e->meta = (struct label){ SLICE("trace_id"), slice_cstr(p[i].trace) };
			e->n_meta = 1;
		}
		labels_encode(&meta, (struct labels){ e->meta, e->n_meta });
		trace_find(f->keys, e->line, buf_slice(&meta), SLICE("\0"), &found);
		uint64_t *t = arena_array(&b.arena, uint64_t, found.n_tokens);
		if (found.n_tokens > 0)
			memcpy(t, found.token, found.n_tokens * sizeof(*t));
		e->tokens = t;
		e->n_tokens = (uint32_t)found.n_tokens;
		buf_fini(&meta);
	}
	store_append(f->s, &b, on_done, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	batch_fini(&b);
	trace_found_fini(&found);
	return w;
}

static void push(struct fixture *f, const struct pushed *p, size_t n)
{
	struct waited w = push_tenant(f, "t", p, n);

	if (w.err.code != ERR_NONE)
		fail_msg("push: %s", w.err.msg);
}

/* What a query over the hint yields, as "app ts line|" text in time order of units. */
static struct buf read_all(struct fixture *f, const struct scan_hint *hint, const char *app,
			   struct read_stats *stats)
{
	const struct matcher m = { MATCH_EQ, SLICE("app"), slice_cstr(app != NULL ? app : ""), NULL };
	struct snapshot *snap;
	struct entry_block b;
	struct err err = { 0 };
	struct buf out;
	int rc;

	buf_init(&out);
	if (snapshot_take(f->s, SLICE("t"), &m, app != NULL ? 1 : 0, hint, true, &snap, &err) == -1)
		fail_msg("snapshot: %s", err.msg);
	struct reader *r = reader_new(snap);
	for (size_t u = 0; u < snapshot_n_units(snap); u++) {
		reader_start(r, snapshot_unit(snap, u));
		while ((rc = reader_next(r, &b, &err)) == 1) {
			for (size_t k = 0; k < b.n; k++) {
				size_t i = hint->backward ? b.n - 1 - k : k;
				struct slice trace =
					labels_get_encoded(b.metas[b.meta[i]], SLICE("trace_id"));

				buf_printf(&out, "%.*s %lld %.*s%s%.*s|",
					   SLICE_ARG(snapshot_unit(snap, u)->stream->labels.v[0].value),
					   (long long)((b.ts[i] - DAY) / SEC), SLICE_ARG(b.line[i]),
					   trace.n > 0 ? " " : "", SLICE_ARG(trace));
			}
		}
		assert_int_equal(rc, 0);
	}
	if (stats != NULL)
		*stats = *reader_stats(r);
	reader_free(r);
	snapshot_release(snap);
	buf_cstr_end(&out);
	return out;
}

static void expect(struct fixture *f, const struct scan_hint *hint, const char *app, const char *want)
{
	struct buf got = read_all(f, hint, app, NULL);

	assert_string_equal(got.p, want);
	buf_fini(&got);
}

static const struct scan_hint everything = { .range = { INT64_MIN, INT64_MAX } };
static const struct scan_hint newest_first = { .range = { INT64_MIN, INT64_MAX }, .backward = true };

/* ---- tests ---------------------------------------------------------------------------------------------------- */

static void flush(struct fixture *f)
{
	struct err err = { 0 };

	if (store_flush(f->s, &err) == -1)
		fail_msg("flush: %s", err.msg);
}

static void appended_entries_come_back(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "one", NULL },
					   { "b", DAY + 2 * SEC, "two", "x" },
					   { "a", DAY + 3 * SEC, "three", NULL } };
	static const char *const want_a = "a 1 one|a 3 three|", *const back_a = "a 3 three|a 1 one|";

	push(f, p, 3);
	for (int round = 0; round < 4; round++) {
		expect(f, &everything, "a", want_a);
		expect(f, &newest_first, "a", back_a);
		expect(f, &everything, "b", "b 2 two x|");
		expect(f, &everything, "c", "");
		if (round == 0)
			flush(f); /* from the head to a segment */
		else if (round == 1)
			reopen(f, true); /* a clean restart */
		else if (round == 2)
			reopen(f, false);
	}
}

static void unflushed_entries_survive_a_crash(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "one", NULL },
					   { "a", DAY + 90000 * SEC, "next day", NULL } };

	push(f, p, 2);
	for (int i = 0; i < 3; i++) {
		reopen(f, false);
		expect(f, &everything, "a", "a 1 one|a 90000 next day|");
	}
	flush(f);
	reopen(f, false);
	expect(f, &everything, "a", "a 1 one|a 90000 next day|");
}

static void the_range_is_exact(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "1", NULL },
					   { "a", DAY + 2 * SEC, "2", NULL },
					   { "a", DAY + 3 * SEC, "3", NULL } };
	const struct scan_hint hint = { .range = { DAY + 1 * SEC, DAY + 3 * SEC } };
	const struct scan_hint none = { .range = { DAY + 2 * SEC, DAY + 2 * SEC } };

	push(f, p, 3);
	for (int round = 0; round < 2; round++) {
		expect(f, &hint, "a", "a 1 1|a 2 2|");
		expect(f, &none, "a", "");
		flush(f);
	}
}

static void duplicates_are_kept_once_wherever_they_lie(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 5 * SEC, "x", NULL },
					   { "a", DAY + 5 * SEC, "x", "t" },
					   { "a", DAY + 5 * SEC, "y", NULL },
					   { "a", DAY + 5 * SEC, "x", NULL } };
	static const char *const want = "a 5 x|a 5 x t|a 5 y|", *const back = "a 5 y|a 5 x t|a 5 x|";
	struct err err = { 0 };

	push(f, p, 4);
	expect(f, &everything, "a", want);
	push(f, p, 4); /* a retry */
	expect(f, &everything, "a", want);
	flush(f);
	expect(f, &everything, "a", want);
	push(f, p, 4); /* the head now repeats what a segment holds */
	expect(f, &everything, "a", want);
	flush(f);
	expect(f, &everything, "a", want);
	expect(f, &newest_first, "a", back);
	/* Counting without lines must not take them for one, or count them twice. */
	const struct scan_hint no_lines = { .range = { INT64_MIN, INT64_MAX }, .no_lines = true };
	push(f, p, 4);
	struct buf got = read_all(f, &no_lines, "a", NULL);
	size_t n = 0;
	for (size_t i = 0; i < got.n; i++)
		n += got.p[i] == '|';
	assert_int_equal(n, 3);
	buf_fini(&got);
	assert_int_equal(store_merge(f->s, &err), 0);
	expect(f, &everything, "a", want);
	reopen(f, true);
	expect(f, &newest_first, "a", back);
}

static void late_entries_are_put_in_order(void **state)
{
	struct fixture *f = *state;
	struct pushed p = { "a", 0, "l", NULL };
	struct err err = { 0 };
	static const int order[] = { 5, 1, 9, 3, 7, 2, 8, 4, 6 };

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		p.ts = DAY + order[i] * SEC;
		push(f, &p, 1);
		if (i % 3 == 2)
			flush(f);
		if (i == 4)
			reopen(f, false);
	}
	static const char *const want = "a 1 l|a 2 l|a 3 l|a 4 l|a 5 l|a 6 l|a 7 l|a 8 l|a 9 l|";
	expect(f, &everything, "a", want);
	assert_int_equal(store_merge(f->s, &err), 0);
	expect(f, &everything, "a", want);
	reopen(f, true);
	expect(f, &everything, "a", want);
}

/* Many entries of one timestamp: those that two segments share are kept once, in the order in which they came. */
static void a_merge_drops_duplicates_of_one_timestamp(void **state)
{
	enum { N = 300, FROM = 50, TO = 200 };
	struct fixture *f = *state;
	static struct pushed p[N];
	static char text[N][16];
	struct err err = { 0 };
	struct read_stats stats;

	for (unsigned i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "l%u", i);
		p[i] = (struct pushed){ "a", DAY + (i < 10 ? 1 : i < 290 ? 2 : 3) * SEC, text[i], NULL };
	}
	push(f, p, TO);
	flush(f);
	push(f, p + FROM, N - FROM);
	flush(f);
	struct buf before = read_all(f, &everything, "a", &stats);
	assert_int_equal(stats.duplicates, TO - FROM);
	assert_int_equal(store_merge(f->s, &err), 0);
	struct buf after = read_all(f, &everything, "a", &stats);
	assert_int_equal(stats.duplicates, 0);
	assert_int_equal(stats.lines, N);
	assert_string_equal(after.p, before.p);
	buf_fini(&before);
	buf_fini(&after);
}

static char *numbered(char *out, size_t size, unsigned i)
{
	snprintf(out, size, "line %u trace=%032x", i, i * 2654435761u);
	return out;
}

struct tally {
	size_t n, bytes, traced, without_text;
	struct read_stats stats;
};

static struct tally tally_of(struct fixture *f, const struct scan_hint *hint)
{
	struct tally t = { 0 };
	struct snapshot *snap;
	struct entry_block b;
	struct err err = { 0 };
	int rc;

	assert_int_equal(snapshot_take(f->s, SLICE("t"), NULL, 0, hint, true, &snap, &err), 0);
	struct reader *r = reader_new(snap);
	for (size_t u = 0; u < snapshot_n_units(snap); u++) {
		int64_t before = INT64_MIN;

		reader_start(r, snapshot_unit(snap, u));
		while ((rc = reader_next(r, &b, &err)) == 1) {
			for (size_t i = 0; i < b.n; i++) {
				assert_true(b.ts[i] >= before && timerange_has(hint->range, b.ts[i]));
				before = b.ts[i];
				t.n++;
				t.bytes += b.line[i].n;
				t.without_text += b.line[i].p == NULL;
				t.traced += labels_get_encoded(b.metas[b.meta[i]], SLICE("trace_id")).n > 0;
			}
		}
		assert_int_equal(rc, 0);
	}
	t.stats = *reader_stats(r);
	reader_free(r);
	snapshot_release(snap);
	return t;
}

/* Chunks of columns that overlap: three entries a second, of which one has metadata; [300, 600) are in both chunks. Lines
 * are rebuilt only where they must be compared. */
static void overlapping_chunks_of_columns(void **state)
{
	enum { N = 900, SHARED = 300 };
	struct fixture *f = *state;
	static struct pushed p[N];
	static char text[N][80];
	size_t bytes[N + 1] = { 0 };

	for (unsigned i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "level=info request=%u took %u ms", i, i * 7 % 1000);
		p[i] = (struct pushed){ "a", DAY + (int64_t)(i / 3) * SEC, text[i],
					i % 3 == 0 ? "0123456789abcdef0123456789abcdef" : NULL };
		bytes[i + 1] = bytes[i] + strlen(text[i]);
	}
	push(f, p, N - SHARED);
	flush(f);
	push(f, p + SHARED, N - SHARED);
	flush(f);
	static const unsigned ends[][2] = {
		{ 0, N }, { 150, 450 }, { 330, 570 }, { 450, 900 }, { 598, 602 }
	};
	for (size_t k = 0; k < ARRAY_LEN(ends); k++) {
		unsigned from = ends[k][0] / 3 * 3, to = (ends[k][1] + 2) / 3 * 3;

		for (int without = 0; without < 2; without++) {
			const struct scan_hint hint = { .range = { DAY + (int64_t)(from / 3) * SEC,
								   DAY + (int64_t)(to / 3) * SEC },
							.no_lines = without != 0 };
			struct tally t = tally_of(f, &hint);
			assert_int_equal(t.n, to - from);
			assert_int_equal(t.bytes, bytes[to] - bytes[from]);
			assert_int_equal(t.traced, (to - from) / 3);
			if (without)
				assert_true(t.stats.lines_rebuilt <= (size_t)SHARED * 2);
			else
				assert_int_equal(t.without_text, 0);
		}
	}
	const struct scan_hint all = { .range = { INT64_MIN, INT64_MAX }, .no_lines = true };
	struct tally t = tally_of(f, &all);
	assert_int_equal(t.stats.duplicates, SHARED);
	assert_true(t.stats.columns_decoded > 0 && t.without_text > 0);
	/* Rows that cannot hold the needle may be left out; those that do are all there, once. */
	const struct slice needles[] = { SLICE("request=45") };
	const struct scan_hint some = { .range = { INT64_MIN, INT64_MAX },
					.needles = needles,
					.n_needles = 1 };
	struct buf got = read_all(f, &some, "a", NULL);
	size_t n = 0;
	for (struct slice s = buf_slice(&got); slice_find(s, needles[0]) != SLICE_NONE; n++)
		s = slice_from(s, slice_find(s, needles[0]) + 1);
	assert_int_equal(n, 11); /* 45 and 450 to 459 */
	buf_fini(&got);
}

/* Many entries over flushes, merges and restarts: all there, in order, and the trace index finds what a scan finds. */
static void many_entries_with_traces(void **state)
{
	struct fixture *f = *state;
	enum { N = 3000, BATCH = 50 };
	static struct pushed p[BATCH];
	static char text[BATCH][80];
	struct err err = { 0 };

	f->o.max_chunk_bytes = 16 << 10;
	f->o.max_chunk_entries = 200;
	reopen(f, true);
	for (unsigned i = 0; i < N; i += BATCH) {
		for (unsigned k = 0; k < BATCH; k++)
			p[k] = (struct pushed){ (i + k) % 3 == 0 ? "a" : "b",
						DAY + (int64_t)((i + k) * 40) * SEC,
						numbered(text[k], sizeof(text[k]), i + k), NULL };
		push(f, p, BATCH);
		if (i % 500 == 450)
			flush(f);
	}
	for (int round = 0; round < 3; round++) {
		struct buf all = read_all(f, &everything, NULL, NULL);
		size_t n = 0;
		for (size_t i = 0; i < all.n; i++)
			n += all.p[i] == '|';
		assert_int_equal(n, N);
		buf_fini(&all);
		for (unsigned i = 1; i < N; i += 371) {
			uint64_t token = i * 2654435761u;
			char needle[40], want[128];
			struct trace_group g = { &token, 1 };
			struct slice needles[1];

			token = (uint64_t)(uint32_t)token;
			snprintf(needle, sizeof(needle), "%032x", i * 2654435761u);
			needles[0] = slice_cstr(needle);
			struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX },
						  .groups = &g,
						  .n_groups = 1 };
			struct scan_hint scan = { .range = { INT64_MIN, INT64_MAX },
						  .needles = needles,
						  .n_needles = 1 };
			struct read_stats with, without;
			struct buf found = read_all(f, &hint, NULL, &with),
				   scanned = read_all(f, &scan, NULL, &without);

			snprintf(want, sizeof(want), "%s %d %s|", i % 3 == 0 ? "a" : "b", (int)i * 40,
				 numbered(text[0], sizeof(text[0]), i));
			assert_non_null(strstr(found.p, want));
			assert_non_null(strstr(scanned.p, want));
			if (round > 0)
				assert_true(with.lines + with.head_lines < 1000);
			buf_fini(&found);
			buf_fini(&scanned);
		}
		uint64_t absent = 77;
		struct trace_group g = { &absent, 1 };
		struct scan_hint hint = { .range = { INT64_MIN, INT64_MAX }, .groups = &g, .n_groups = 1 };
		expect(f, &hint, NULL, "");
		if (round == 0) {
			flush(f);
			assert_int_equal(store_merge(f->s, &err), 0);
		} else if (round == 1) {
			close_store(f, true);
			if (store_rebuild_index(&f->o, &err) == -1)
				fail_msg("rebuild: %s", err.msg);
			open_store(f);
		}
	}
}

struct busy {
	struct fixture *f;
	int number;
	_Atomic int acknowledged; /* entries 0 .. acknowledged-1 of this writer are durable */
	_Atomic bool *stop;
};

static void *busy_writer(void *arg)
{
	struct busy *b = arg;
	char line[32], app[2] = { (char)('a' + b->number), '\0' };

	for (int i = 0; i < 150; i++) {
		snprintf(line, sizeof(line), "entry %d", i);
		/* Every fourth entry comes a second late. */
		const struct pushed p = { app, DAY + (i - (i % 4 == 3 ? 3 : 0)) * SEC, line, NULL };

		push(b->f, &p, 1);
		atomic_store(&b->acknowledged, i + 1);
	}
	return NULL;
}

static void *busy_keeper(void *arg)
{
	struct busy *b = arg;
	struct err err;

	while (!atomic_load(b->stop)) {
		store_flush(b->f->s, &err);
		store_merge(b->f->s, &err);
	}
	return NULL;
}

/* Writers, flushes and merges at once: each reading finds all that was acknowledged before it, and nothing twice. */
static void readers_see_each_entry_once_while_all_moves(void **state)
{
	struct fixture *f = *state;
	enum { WRITERS = 3 };
	_Atomic bool stop = false;
	struct busy b[WRITERS + 1] = { 0 };
	pthread_t t[WRITERS + 1];
	bool all_done = false;

	for (int i = 0; i <= WRITERS; i++) {
		b[i].f = f;
		b[i].number = i;
		b[i].stop = &stop;
		assert_int_equal(pthread_create(&t[i], NULL, i < WRITERS ? busy_writer : busy_keeper, &b[i]),
				 0);
	}
	while (!all_done) {
		all_done = true;
		for (int i = 0; i < WRITERS; i++) {
			char app[2] = { (char)('a' + i), '\0' };
			int acknowledged = atomic_load(&b[i].acknowledged);
			struct buf got = read_all(f, i % 2 == 0 ? &everything : &newest_first, app, NULL);

			for (int k = 0; k < acknowledged; k++) {
				char want[40];

				snprintf(want, sizeof(want), " entry %d|", k);
				char *at = got.p != NULL ? strstr(got.p, want) : NULL;
				assert_non_null(at);
				assert_null(strstr(at + 1, want));
			}
			all_done = all_done && acknowledged == 150;
			buf_fini(&got);
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i <= WRITERS; i++)
		pthread_join(t[i], NULL);
}

static void labels_and_sums(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "12345", NULL },
					   { "b", DAY + 2 * SEC, "1", NULL },
					   { "c", DAY + 100000 * SEC, "1", NULL } };
	const struct timerange day = { DAY, DAY + NS_PER_DAY };
	struct slice *v;
	size_t n;
	struct arena a;
	struct err err = { 0 };
	struct store_sums sums;

	arena_init(&a);
	push(f, p, 3);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_labels(f->s, SLICE("t"), NULL, 0, day, (struct slice){ NULL, 0 }, &a,
					      &v, &n, &err),
				 0);
		assert_int_equal(n, 1);
		assert_true(slice_is(v[0], "app"));
		assert_int_equal(store_labels(f->s, SLICE("t"), NULL, 0, day, SLICE("app"), &a, &v, &n, &err),
				 0);
		assert_int_equal(n, 2);
		assert_true(slice_is(v[1], "b"));
		assert_int_equal(
			store_labels(f->s, SLICE("other"), NULL, 0, day, SLICE("app"), &a, &v, &n, &err), 0);
		assert_int_equal(n, 0);
		assert_int_equal(store_sums(f->s, SLICE("t"), NULL, 0, TIMERANGE_ALL, &sums, &err), 0);
		assert_int_equal(sums.streams, 3);
		assert_int_equal(sums.entries, 3);
		flush(f);
	}
	arena_fini(&a);
}

static void a_failed_sync_takes_nothing_in(void **state)
{
	struct fixture *f = *state;
	static const struct pushed good = { "a", DAY + 1 * SEC, "good", NULL },
				   bad = { "a", DAY + 2 * SEC, "bad", NULL },
				   after = { "a", DAY + 3 * SEC, "after", NULL };

	push(f, &good, 1);
	file_fault("sync", EIO, 0, 1);
	struct waited w = push_tenant(f, "t", &bad, 1);
	assert_int_equal(w.err.code, ERR_UNAVAILABLE);
	expect(f, &everything, "a", "a 1 good|");
	for (int i = 0; i < 100; i++) {
		w = push_tenant(f, "t", &after, 1);
		if (w.err.code == ERR_NONE)
			break;
		usleep(20000);
	}
	assert_int_equal(w.err.code, ERR_NONE);
	expect(f, &everything, "a", "a 1 good|a 3 after|");
	reopen(f, false);
	expect(f, &everything, "a", "a 1 good|a 3 after|");
}

static void a_full_disk_refuses_and_recovers(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p = { "a", DAY + 1 * SEC, "x", NULL };

	file_fault("write", ENOSPC, 0, -1);
	file_fault("create", ENOSPC, 0, -1);
	struct waited w = push_tenant(f, "t", &p, 1);
	assert_int_equal(w.err.code, ERR_UNAVAILABLE);
	char why[256];
	assert_true(store_read_only(f->s, why, sizeof(why)));
	expect(f, &everything, "a", "");
	file_fault("write", 0, 0, 0);
	file_fault("create", 0, 0, 0);
	for (int i = 0; i < 100 && store_read_only(f->s, why, sizeof(why)); i++)
		usleep(20000);
	push(f, &p, 1);
	expect(f, &everything, "a", "a 1 x|");
}

static void retention_drops_whole_days_for_good(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "old", NULL },
					   { "a", DAY + 86400 * 5 * SEC, "new", NULL } };
	struct err err = { 0 };

	push(f, p, 2);
	flush(f);
	push(f, p, 2); /* the log holds the old day again */
	f->retention = clock_now_ns() - (DAY + NS_PER_DAY * 3);
	assert_int_equal(store_retain(f->s, &err), 0);
	f->retention = 0;
	reopen(f, false);
	expect(f, &everything, "a", "a 432000 new|");
}

static void tenants_do_not_see_each_other(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p = { "a", DAY + 1 * SEC, "x", NULL };

	push_tenant(f, "u", &p, 1);
	expect(f, &everything, "a", "");
	flush(f);
	expect(f, &everything, "a", "");
}

/* Labels of the streams that a snapshot of several tenants yields, one a line. */
static void expect_streams(struct fixture *f, const char *tenants, const struct matcher *m, size_t n,
			   const char *want)
{
	struct snapshot *snap;
	struct err err = { 0 };
	struct buf got = { 0 };

	for (int units = 0; units < 2; units++) {
		buf_reset(&got);
		if (snapshot_take(f->s, slice_cstr(tenants), m, n, &everything, units == 1, &snap, &err) ==
		    -1)
			fail_msg("snapshot: %s", err.msg);
		for (size_t i = 0; i < snapshot_n_streams(snap); i++) {
			labels_format(&got, snapshot_stream(snap, i)->labels);
			buf_putc(&got, '\n');
		}
		buf_cstr_end(&got);
		assert_string_equal(got.p, want);
		snapshot_release(snap);
	}
	buf_fini(&got);
}

static void several_tenants_at_once(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "x", "0af7651916cd43dd8448eb211c80319c" },
					   { "b", DAY + 2 * SEC, "y", NULL } };
	const struct matcher only_u = { MATCH_EQ, SLICE("__tenant_id__"), SLICE("u"), NULL };
	const struct matcher not_u[] = { { MATCH_NE, SLICE("__tenant_id__"), SLICE("u"), NULL },
					 { MATCH_EQ, SLICE("app"), SLICE("a"), NULL } };
	struct store_sums sums;
	struct arena a;
	struct slice *v;
	struct err err = { 0 };
	size_t n;

	push_tenant(f, "t", p, 2);
	push_tenant(f, "u", p, 1);
	push_tenant(f, "v", p, 2);
	for (int round = 0; round < 3; round++) { /* in the head, on disk, in both */
		expect_streams(f, "t|u", NULL, 0,
			       "{__tenant_id__=\"t\", app=\"a\"}\n{__tenant_id__=\"t\", app=\"b\"}\n"
			       "{__tenant_id__=\"u\", app=\"a\"}\n");
		expect_streams(f, "t|u", &only_u, 1, "{__tenant_id__=\"u\", app=\"a\"}\n");
		expect_streams(f, "t|u", not_u, 2, "{__tenant_id__=\"t\", app=\"a\"}\n");
		expect_streams(f, "u", NULL, 0, "{app=\"a\"}\n");
		expect_streams(f, "u", &only_u, 1, ""); /* of one tenant it is a label like others */
		expect_streams(f, "nobody|none", NULL, 0, "");
		assert_int_equal(store_sums(f->s, SLICE("t|v"), NULL, 0, TIMERANGE_ALL, &sums, &err), 0);
		assert_int_equal(sums.streams, 4);
		assert_int_equal(sums.entries, round < 2 ? 4 : 6);
		arena_init(&a);
		assert_int_equal(store_labels(f->s, SLICE("t|none"), NULL, 0, TIMERANGE_ALL,
					      SLICE("__tenant_id__"), &a, &v, &n, &err),
				 0);
		assert_int_equal(n, 2);
		assert_true(slice_is(v[0], "none") && slice_is(v[1], "t"));
		assert_int_equal(store_labels(f->s, SLICE("t|u"), NULL, 0, TIMERANGE_ALL,
					      (struct slice){ NULL, 0 }, &a, &v, &n, &err),
				 0);
		assert_int_equal(n, 2);
		assert_true(slice_is(v[0], "__tenant_id__") && slice_is(v[1], "app"));
		arena_fini(&a);
		if (round == 0)
			flush(f);
		if (round == 1) {
			static const struct pushed more[] = { { "a", DAY + 9 * SEC, "z", NULL },
							      { "b", DAY + 9 * SEC, "z", NULL } };

			push_tenant(f, "t", more, 2);
		}
	}
}

static void a_label_named_as_the_tenants_is_renamed(void **state)
{
	struct fixture *f = *state;
	struct waited w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	const struct matcher own = { MATCH_EQ, SLICE("original___tenant_id__"), SLICE("mine"), NULL };
	struct label l = { SLICE("__tenant_id__"), SLICE("mine") };
	struct batch b;

	batch_init(&b);
	b.tenant = SLICE("t");
	struct batch_stream *st = batch_add_stream(&b);
	st->labels = (struct labels){ &l, 1 };
	struct batch_entry *e = batch_add_entry(&b);
	e->ts = DAY;
	e->line = SLICE("x");
	store_append(f->s, &b, on_done, &w);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	batch_fini(&b);
	expect_streams(f, "t|u", &own, 1, "{__tenant_id__=\"t\", original___tenant_id__=\"mine\"}\n");
	expect_streams(f, "t", NULL, 0, "{__tenant_id__=\"mine\"}\n");
}

static void a_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *other = NULL;
	struct err err = { 0 };

	assert_int_equal(store_open(&f->o, &other, &err), -1);
	assert_int_equal(err.code, ERR_LOCKED);
}

static void flip_byte(const char *path, long off)
{
	FILE *h = fopen(path, "r+b");

	assert_non_null(h);
	assert_int_equal(fseek(h, off, off < 0 ? SEEK_END : SEEK_SET), 0);
	int c = fgetc(h);
	assert_int_equal(fseek(h, -1, SEEK_CUR), 0);
	fputc(c ^ 0x40, h);
	fclose(h);
}

static size_t n_said;

static void count_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
	n_said++;
}

static void damage_is_found_and_survived(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", DAY + 1 * SEC, "one one one", NULL },
					   { "b", DAY + 1 * SEC, "two two two", NULL } };
	struct check_report r;
	struct err err = { 0 };
	char path[256];
	struct read_stats stats;

	push(f, p, 2);
	flush(f);
	close_store(f, true);
	assert_int_equal(store_check(f->dir, count_line, NULL, &r, &err), 0);
	assert_int_equal(r.entries, 2);
	assert_int_equal(n_said, 0);
	snprintf(path, sizeof(path), "%s/tenants/t/2024-10-04/00000001.seg", f->dir);
	flip_byte(path, 40 + 20); /* inside the first chunk */
	assert_int_equal(store_check(f->dir, count_line, NULL, &r, &err), 0);
	assert_true(r.bad_blocks + r.bad_chunks > 0);
	assert_true(n_said > 0);
	open_store(f);
	struct buf got = read_all(f, &everything, NULL, &stats);
	assert_string_equal(got.p, "b 1 two two two|");
	assert_true(stats.corrupt_blocks > 0);
	buf_fini(&got);
	close_store(f, true);
	snprintf(path, sizeof(path), "%s/tenants/t/2024-10-04/index.db", f->dir);
	assert_int_equal(truncate(path, 100), 0);
	open_store(f); /* made anew from the segment, what can be read of it */
	expect(f, &everything, "b", "b 1 two two two|");
}

static char *day_file(struct fixture *f, char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/tenants/t/2024-10-04/%s", f->dir, name);
	return out;
}

static void push_numbered(struct fixture *f, unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++) {
		char line[300];
		struct pushed p = { "a", DAY + (int64_t)i * SEC, line, NULL };

		snprintf(line, sizeof(line), "%u %0200u", i, i);
		push(f, &p, 1);
	}
}

static size_t count_all(struct fixture *f)
{
	struct buf all = read_all(f, &everything, NULL, NULL);
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++)
		n += all.p[i] == '|';
	buf_fini(&all);
	return n;
}

static void wait_until_counted(struct fixture *f, size_t want)
{
	for (int i = 0; i < 300 && count_all(f) != want; i++)
		usleep(20000);
	assert_int_equal(count_all(f), want);
}

/* Overwrites all pages of the index but the first ones, which opening it reads. */
static void ruin_index(struct fixture *f, long keep_bytes)
{
	char path[256], junk[4096];
	FILE *h = fopen(day_file(f, path, sizeof(path), "index.db"), "r+b");

	assert_non_null(h);
	fseek(h, 0, SEEK_END);
	long size = ftell(h);
	assert_true(size > keep_bytes);
	memset(junk, 0x5a, sizeof(junk));
	for (long at = keep_bytes; at < size; at += (long)sizeof(junk)) {
		fseek(h, at, SEEK_SET);
		fwrite(junk, 1, sizeof(junk), h);
	}
	fclose(h);
}

/* Damage that opening does not notice: a query ends, and says that something is missing; soon the index is new. */
static void an_index_found_damaged_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct snapshot *snap;
	struct err err = { 0 };

	for (unsigned i = 0; i < 40; i++) {
		push_numbered(f, i, 1);
		flush(f); /* many chunk rows */
	}
	close_store(f, true);
	ruin_index(f, 8192);
	open_store(f);
	if (snapshot_take(f->s, SLICE("t"), NULL, 0, &everything, true, &snap, &err) == -1)
		fail_msg("a damaged day must not fail the whole query: %s", err.msg);
	snapshot_release(snap);
	wait_until_counted(f, 40);
	push_numbered(f, 40, 1);
	flush(f);
	assert_int_equal(count_all(f), 41);
}

/* The same, met by a flush first: it must not be stuck for ever, since then nothing could be written any more. */
static void a_flush_survives_a_damaged_index(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };

	for (unsigned i = 0; i < 40; i++) {
		push_numbered(f, i, 1);
		flush(f);
	}
	close_store(f, true);
	ruin_index(f, 8192);
	open_store(f);
	push_numbered(f, 40, 1);
	for (int i = 0; i < 10 && store_flush(f->s, &err) == -1; i++)
		usleep(300000);
	assert_int_equal(store_flush(f->s, &err), 0);
	assert_int_equal(count_all(f), 41);
	/* And by the flush of a replay. */
	push_numbered(f, 41, 60);
	close_store(f, false);
	ruin_index(f, 8192);
	f->o.head_bytes = 2;
	open_store(f);
	assert_int_equal(count_all(f), 101);
}

/* An index that lost its latest rows (its own log was damaged, say) does not name a segment which nothing else holds. */
static void a_segment_is_never_removed_as_the_only_copy(void **state)
{
	struct fixture *f = *state;
	char index[256], saved[256], cmd[600];

	push_numbered(f, 0, 1);
	flush(f);
	close_store(f, true);
	day_file(f, index, sizeof(index), "index.db");
	snprintf(saved, sizeof(saved), "%s/saved", f->dir);
	snprintf(cmd, sizeof(cmd), "cp %s %s", index, saved);
	assert_int_equal(system(cmd), 0);
	open_store(f);
	push_numbered(f, 1, 1);
	flush(f);
	close_store(f, true);
	snprintf(cmd, sizeof(cmd), "cp %s %s", saved, index);
	assert_int_equal(system(cmd), 0);
	open_store(f);
	assert_int_equal(count_all(f), 2);
}

/* A commit whose sync failed may be found committed after a crash, and then names its segment. */
static void a_commit_in_doubt_keeps_its_segment(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };
	char copy[80], cmd[300];

	push_numbered(f, 0, 1);
	flush(f);
	push_numbered(f, 1, 1);
	atomic_store(&good_sqlite_log_syncs, 1); /* that of the segment's number */
	assert_int_equal(store_flush(f->s, &err), -1);
	/* What kill -9 would leave now. */
	snprintf(copy, sizeof(copy), "%s-copy", f->dir);
	snprintf(cmd, sizeof(cmd), "cp -r %s %s", f->dir, copy);
	assert_int_equal(system(cmd), 0);
	atomic_store(&good_sqlite_log_syncs, -1);
	struct fixture g = *f;
	g.o.dir = copy;
	open_store(&g);
	assert_int_equal(count_all(&g), 2);
	close_store(&g, false);
	file_remove_tree(copy, &err);
	for (int i = 0; i < 20 && store_flush(f->s, &err) == -1; i++)
		usleep(200000);
	assert_int_equal(count_all(f), 2);
	reopen(f, false);
	assert_int_equal(count_all(f), 2);
}

/* The start needs no room on the disk: what is stored is served, and writing begins when there is some. */
static void a_full_disk_does_not_stop_the_start(void **state)
{
	struct fixture *f = *state;
	char why[256];

	push_numbered(f, 0, 2);
	flush(f);
	push_numbered(f, 2, 1);
	close_store(f, false);
	file_fault("write", ENOSPC, 0, -1);
	file_fault("create", ENOSPC, 0, -1);
	open_store(f);
	assert_true(store_read_only(f->s, why, sizeof(why)));
	assert_int_equal(count_all(f), 3);
	file_fault("write", 0, 0, 0);
	file_fault("create", 0, 0, 0);
	for (int i = 0; i < 150 && store_read_only(f->s, why, sizeof(why)); i++)
		usleep(20000);
	push_numbered(f, 3, 1);
	flush(f);
	assert_int_equal(count_all(f), 4);
	reopen(f, false);
	assert_int_equal(count_all(f), 4);
}

/* A number that a partition covers already would make new entries look old, and a flush would leave them out. */
static void numbers_of_the_log_never_go_back(void **state)
{
	struct fixture *f = *state;
	char day[256], away[256];

	for (unsigned i = 0; i < 5; i++) {
		push_numbered(f, i, 1);
		flush(f);
	}
	close_store(f, true);
	/* The day is away while the store starts, and comes back later with the position that it has. */
	day_file(f, day, sizeof(day), "");
	snprintf(away, sizeof(away), "%s/away", f->dir);
	day[strlen(day) - 1] = '\0';
	assert_int_equal(rename(day, away), 0);
	open_store(f);
	assert_int_equal(rename(away, day), 0);
	push_numbered(f, 5, 1);
	flush(f);
	assert_int_equal(count_all(f), 6);
	reopen(f, false);
	assert_int_equal(count_all(f), 6);
}

/* A key added to the configuration is not known to the index of older days: they are scanned. */
static void other_trace_keys_make_the_index_unused_not_wrong(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p = { "a", DAY + 1 * SEC, "order_id=A77 paid", NULL };
	const struct slice keys[] = { SLICE("trace_id") }, fields[] = { SLICE("order_id") };
	struct trace_keys *more = trace_keys_new(keys, 1, fields, 1), *before = f->keys;
	uint64_t token[4];
	struct err err = { 0 };
	struct trace_group g = { token,
				 trace_tokens_for_label(more, SLICE("order_id"), SLICE("A77"), token) };
	const struct scan_hint hint = { .range = TIMERANGE_ALL, .groups = &g, .n_groups = 1 };

	push(f, &p, 1);
	flush(f);
	expect(f, &hint, "a", "");
	f->o.keys = f->keys = more;
	reopen(f, true);
	expect(f, &hint, "a", "a 1 order_id=A77 paid|");
	close_store(f, true);
	assert_int_equal(store_rebuild_index(&f->o, &err), 0);
	open_store(f);
	expect(f, &hint, "a", "a 1 order_id=A77 paid|");
	/* And what the log holds is searched for the new keys when it is replayed. */
	f->o.keys = f->keys = before;
	reopen(f, true);
	const struct pushed late = { "a", DAY + NS_PER_DAY, "order_id=A77 sent", NULL };
	push(f, &late, 1);
	f->o.keys = f->keys = more;
	reopen(f, false);
	struct buf got = read_all(f, &hint, "a", NULL);
	assert_non_null(strstr(got.p, "sent"));
	buf_fini(&got);
	trace_keys_free(before);
}

static void the_last_instant_can_be_flushed(void **state)
{
	struct fixture *f = *state;
	static const struct pushed p[] = { { "a", INT64_MAX, "end", NULL },
					   { "a", INT64_MIN, "start", NULL },
					   { "a", DAY, "now", NULL } };
	const struct scan_hint hint = { .range = { DAY - 1, DAY + 1 } };

	push(f, p, 3);
	flush(f);
	expect(f, &hint, "a", "a 0 now|");
	reopen(f, false);
	expect(f, &hint, "a", "a 0 now|");
}

/* A dropped day may be written again at once, also while its old readers live. */
static void a_dropped_day_can_be_written_again(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };
	struct snapshot *old;

	push_numbered(f, 0, 3);
	flush(f);
	assert_int_equal(snapshot_take(f->s, SLICE("t"), NULL, 0, &everything, true, &old, &err), 0);
	f->retention = clock_now_ns() - (DAY + NS_PER_DAY * 3);
	assert_int_equal(store_retain(f->s, &err), 0);
	assert_int_equal(count_all(f), 0);
	f->retention = 0;
	flush(f);
	push_numbered(f, 10, 2);
	assert_int_equal(count_all(f), 2);
	flush(f);
	assert_int_equal(count_all(f), 2);
	snapshot_release(old);
	push_numbered(f, 12, 1);
	reopen(f, false);
	assert_int_equal(count_all(f), 3);
}

/* What is acknowledged after a day was dropped is not part of what was dropped, though the log's file may be the same. */
static void entries_after_a_drop_survive_a_crash(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };

	push_numbered(f, 0, 3);
	flush(f);
	push_numbered(f, 3, 1);
	f->retention = clock_now_ns() - (DAY + NS_PER_DAY * 3);
	assert_int_equal(store_retain(f->s, &err), 0);
	f->retention = 0;
	assert_int_equal(count_all(f), 0);
	push_numbered(f, 10, 2);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(count_all(f), 2);
		reopen(f, false);
	}
}

/* With a clock that is years ahead all that the log holds looks too old. */
static void a_wrong_clock_at_the_start_takes_nothing(void **state)
{
	struct fixture *f = *state;
	char *lock = xasprintf("%s/LOCK", f->dir);
	const struct timespec long_ago[2] = { { .tv_sec = DAY / SEC }, { .tv_sec = DAY / SEC } };
	struct err err = { 0 };

	push_numbered(f, 0, 3);
	flush(f);
	push_numbered(f, 3, 2);
	f->retention = NS_PER_DAY;
	reopen(f, false);
	assert_int_equal(count_all(f), 5);
	/* The last sign of life is of long ago: retention waits, however often the start is repeated. */
	for (int round = 0; round < 2; round++) {
		close_store(f, false);
		if (round == 0)
			assert_int_equal(utimensat(AT_FDCWD, lock, long_ago, 0), 0);
		open_store(f);
		assert_int_equal(store_retain(f->s, &err), 0);
		assert_int_equal(count_all(f), 5);
	}
	close_store(f, false);
	assert_int_equal(utimensat(AT_FDCWD, lock, NULL, 0), 0);
	open_store(f);
	assert_int_equal(store_retain(f->s, &err), 0);
	assert_int_equal(count_all(f), 0);
	free(lock);
}

/* ---- deletes --------------------------------------------------------------------------------------------------- */

static void request_delete(struct fixture *f, const char *text, int64_t start, int64_t end)
{
	char id[STORE_DELETE_ID];
	struct err err = { 0 };

	if (store_delete_add(f->s, SLICE("t"), slice_cstr(text), (struct timerange){ start, end }, false, id,
			     &err) == -1)
		fail_msg("delete: %s", err.msg);
}

/* The number of entries that the first request removed so far; -1: it is not processed. */
static int64_t n_purged(struct fixture *f)
{
	struct store_delete *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	store_delete_list(f->s, SLICE("t"), &a, &v, &n);
	assert_true(n > 0);
	int64_t entries = v[0].state == STORE_DELETE_PROCESSED ? (int64_t)v[0].n_entries : -1;
	arena_fini(&a);
	return entries;
}

static void purge(struct fixture *f)
{
	struct err err = { 0 };

	if (store_purge(f->s, &err) == -1)
		fail_msg("purge: %s", err.msg);
}

static const struct pushed to_delete[] = { { "a", DAY + 1 * SEC, "good one", NULL },
					   { "a", DAY + 2 * SEC, "bad two", "x" },
					   { "b", DAY + 2 * SEC, "bad", NULL },
					   { "a", DAY + 3 * SEC, "bad three", NULL },
					   { "a", DAY + 90000 * SEC, "bad next day", NULL } };

static void deleted_entries_are_hidden_and_then_gone(void **state)
{
	struct fixture *f = *state;
	static const char *const want = "a 1 good one|a 90000 bad next day|";
	static const char *const back = "a 90000 bad next day|a 1 good one|";

	push(f, to_delete, 5);
	request_delete(f, "{a/bad}", DAY, DAY + 80000 * SEC);
	for (int round = 0; round < 5; round++) {
		expect(f, &everything, "a", want);
		expect(f, &newest_first, "a", back);
		expect(f, &everything, "b", "b 2 bad|");
		if (round == 0)
			push(f, to_delete, 5); /* the same once more: duplicates in one unit */
		else if (round == 1)
			flush(f);
		else if (round == 2)
			push(f, to_delete, 5); /* some in the head, some in a segment */
		else if (round == 3)
			purge(f);
	}
	assert_true(n_purged(f) >= 2);
	push(f, &to_delete[1], 1); /* it hides nothing any more */
	expect(f, &everything, "a", "a 1 good one|a 2 bad two x|a 90000 bad next day|");
}

static void whole_streams_vanish_from_all_answers(void **state)
{
	struct fixture *f = *state;
	const struct timerange day = { DAY, DAY + NS_PER_DAY };
	struct store_sums sums;
	struct slice *v;
	struct arena a;
	struct err err;
	size_t n;

	arena_init(&a);
	push(f, to_delete, 5);
	request_delete(f, "{a}", DAY, DAY + NS_PER_DAY);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(store_labels(f->s, SLICE("t"), NULL, 0, day, SLICE("app"), &a, &v, &n, &err),
				 0);
		assert_int_equal(n, 1);
		assert_string_equal(v[0].p, "b");
		assert_int_equal(store_sums(f->s, SLICE("t"), NULL, 0, day, &sums, &err), 0);
		assert_int_equal(sums.entries, 1);
		assert_int_equal(sums.streams, 1);
		expect(f, &everything, "a", "a 90000 bad next day|");
		if (round == 0)
			flush(f);
		else
			purge(f);
	}
	assert_int_equal(n_purged(f), 3);
	arena_fini(&a);
}

static void copy_file(const char *from, const char *to)
{
	struct buf b;
	struct err err;

	buf_init(&b);
	assert_int_equal(file_read_all(from, 1 << 24, &b, &err), 0);
	assert_int_equal(file_replace(to, buf_slice(&b), &err), 0);
	buf_fini(&b);
}

/* A file that was to be removed is there again after a power cut, also with the index lost: nothing comes back from it. */
static void removed_files_that_stay_bring_nothing_back(void **state)
{
	struct fixture *f = *state;
	char day[128], first[160], kept[160], index[160];
	struct err err;

	snprintf(day, sizeof(day), "%s/tenants/t/2024-10-04", f->dir);
	snprintf(first, sizeof(first), "%s/00000001.seg", day);
	snprintf(kept, sizeof(kept), "%s/kept", f->dir);
	snprintf(index, sizeof(index), "%s/index.db", day);
	for (int round = 0; round < 4; round++) {
		bool all = round % 2 == 1; /* of the day: the segment is empty afterwards */

		push(f, to_delete, 5);
		flush(f);
		copy_file(first, kept);
		request_delete(f, all ? "{a}" : "{a/bad}", DAY, DAY + NS_PER_DAY);
		if (all)
			request_delete(f, "{b}", DAY, DAY + NS_PER_DAY);
		purge(f);
		assert_false(file_exists(first));
		for (int again = 0; again < 2; again++) {
			close_store(f, false);
			copy_file(kept, first);
			if (round >= 2)
				assert_int_equal(remove(index), 0);
			open_store(f);
			expect(f, &everything, "a",
			       all ? "a 90000 bad next day|" : "a 1 good one|a 90000 bad next day|");
			expect(f, &everything, "b", all ? "" : "b 2 bad|");
			/* Whatever a merge makes of it, too. */
			assert_int_equal(store_merge(f->s, &err), 0);
			expect(f, &everything, "b", all ? "" : "b 2 bad|");
		}
		close_store(f, false);
		assert_int_equal(file_remove_tree(f->dir, &err), 0);
		assert_int_equal(file_mkdirs(f->dir, &err), 0);
		open_store(f);
	}
}

/* A long query holds a file that a merge replaced, and the merged segment is written anew without some entries: after a
 * crash the held file is still there, two steps behind. */
static void a_file_two_steps_behind_brings_nothing_back(void **state)
{
	struct fixture *f = *state;
	struct snapshot *snap;
	char first[160], kept[160], index[160];
	struct err err;

	snprintf(first, sizeof(first), "%s/tenants/t/2024-10-04/00000001.seg", f->dir);
	snprintf(kept, sizeof(kept), "%s/kept", f->dir);
	snprintf(index, sizeof(index), "%s/tenants/t/2024-10-04/index.db", f->dir);
	push(f, to_delete, 3);
	flush(f);
	push(f, &to_delete[3], 1);
	flush(f);
	copy_file(first, kept);
	assert_int_equal(snapshot_take(f->s, SLICE("t"), NULL, 0, &everything, true, &snap, &err), 0);
	assert_int_equal(store_merge(f->s, &err), 0);
	assert_true(file_exists(first)); /* the snapshot holds it */
	request_delete(f, "{a/bad}", DAY, DAY + NS_PER_DAY);
	purge(f);
	assert_false(file_exists(first)); /* its name is gone all the same */
	snapshot_release(snap);
	for (int round = 0; round < 2; round++) {
		close_store(f, false);
		copy_file(kept, first); /* but perhaps not durably so */
		if (round == 1)
			assert_int_equal(remove(index), 0);
		open_store(f);
		expect(f, &everything, "a", "a 1 good one|");
		expect(f, &everything, "b", "b 2 bad|");
	}
}

static void a_failed_rewrite_hides_and_is_repeated(void **state)
{
	struct fixture *f = *state;
	static const char *const kinds[] = { "write", "sync", "create" };
	struct err err;

	push(f, to_delete, 5);
	flush(f);
	request_delete(f, "{a/bad}", DAY, DAY + NS_PER_DAY);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		file_fault(kinds[i], ENOSPC, 0, -1);
		assert_int_equal(store_purge(f->s, &err), -1);
		file_fault(kinds[i], 0, 0, 0);
		expect(f, &everything, "a", "a 1 good one|a 90000 bad next day|");
	}
	reopen(f, false);
	assert_int_equal(store_purge(f->s, &err), 0);
	assert_int_equal(n_purged(f), 2);
	expect(f, &everything, "a", "a 1 good one|a 90000 bad next day|");
	expect(f, &everything, "b", "b 2 bad|");
}

static void streams_are_kept_as_long_as_their_rule_says(void **state)
{
	struct fixture *f = *state;
	struct err err;

	push(f, to_delete, 5);
	flush(f);
	f->retention = 36500 * NS_PER_DAY;
	f->retention_streams = "{b}=24h";
	assert_int_equal(store_retain(f->s, &err), 0);
	expect(f, &everything, "a", "a 1 good one|a 2 bad two x|a 3 bad three|a 90000 bad next day|");
	expect(f, &everything, "b", "");
	push(f, &to_delete[2], 1); /* late */
	flush(f);
	assert_int_equal(store_retain(f->s, &err), 0);
	expect(f, &everything, "b", "");
	f->retention = NS_PER_DAY;
	f->retention_streams = "{b}=24h;{a}=0";
	reopen(f, false); /* what is in the log is kept, too */
	assert_int_equal(store_retain(f->s, &err), 0);
	expect(f, &everything, "a", "a 1 good one|a 2 bad two x|a 3 bad three|a 90000 bad next day|");
	f->retention_streams = "";
	assert_int_equal(store_retain(f->s, &err), 0);
	expect(f, &everything, "a", "");
}

/* A segment that cannot be written anew stays as it is, and is not tried again at once: trying costs as much. */
static void a_damaged_segment_is_not_tried_each_minute(void **state)
{
	struct fixture *f = *state;
	char path[200];
	struct err err;

	push(f, to_delete, 3);
	flush(f);
	close_store(f, true);
	day_file(f, path, sizeof(path), "00000001.seg");
	flip_byte(path, 40 + 20); /* in the chunk of a */
	open_store(f);
	f->retention = 36500 * NS_PER_DAY;
	f->retention_streams = "{b}=24h";
	assert_int_equal(store_retain(f->s, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(store_retain(f->s, &err), 0);
	expect(f, &everything, "b", "b 2 bad|");
}

static uint64_t a_megabyte(void *arg, uint64_t disk_bytes)
{
	(void)arg;
	(void)disk_bytes;
	return 1 << 20;
}

/* Days go for what days take, not for files that were set aside. */
static void what_is_set_aside_drops_no_day(void **state)
{
	struct fixture *f = *state;
	char *aside = xasprintf("%s/quarantine", f->dir), *file = xasprintf("%s/1-index.db", aside);
	char *own = xasprintf("%s/tenants/t/2024-10-05/9.tmp", f->dir), *large = xcalloc(1, 2 << 20);
	struct err err;

	f->o.max_disk_bytes = a_megabyte;
	f->o.min_free_bytes = UINT64_MAX / 4; /* no reserve */
	push(f, to_delete, 5);
	flush(f);
	reopen(f, true);
	assert_int_equal(file_mkdirs(aside, &err), 0);
	assert_int_equal(file_replace(file, slice_of(large, 2 << 20), &err), 0);
	assert_int_equal(store_retain(f->s, &err), 0);
	assert_int_equal(count_all(f), 5);
	assert_int_equal(file_replace(own, slice_of(large, 2 << 20), &err), 0);
	assert_int_equal(store_retain(f->s, &err), 0);
	assert_int_equal(count_all(f), 0);
	free(aside);
	free(file);
	free(own);
	free(large);
}

static void check_says(void *arg, const char *line)
{
	buf_puts(arg, line);
}

static void damaged_requests_are_found(void **state)
{
	struct fixture *f = *state;
	struct check_report r;
	struct buf said;
	struct err err;
	char path[200];

	request_delete(f, "{a/bad}", DAY, DAY + NS_PER_DAY);
	close_store(f, true);
	buf_init(&said);
	assert_int_equal(store_check(f->dir, check_says, &said, &r, &err), 0);
	assert_int_equal(r.bad_deletes, 0);
	assert_int_equal(said.n, 0);
	snprintf(path, sizeof(path), "%s/tenants/t/deletes.copy", f->dir);
	flip_byte(path, 45);
	assert_int_equal(store_check(f->dir, check_says, &said, &r, &err), 0);
	assert_int_equal(r.bad_deletes, 1);
	buf_cstr_end(&said);
	assert_non_null(strstr(said.p, path));
	buf_fini(&said);
	open_store(f);
}

/* ---- all at once ------------------------------------------------------------------------------------------------ */

static void *restless_writer(void *arg)
{
	struct busy *b = arg;
	char line[32], app[2] = { (char)('a' + b->number), '\0' };

	for (int i = 0; i < 100; i++) {
		snprintf(line, sizeof(line), "%s %d", i % 2 == 0 ? "keep" : "drop", i);
		const struct pushed p = { app, DAY + (i - (i % 4 == 3 ? 3 : 0)) * 1200 * SEC, line, NULL };

		push(b->f, &p, 1);
		atomic_store(&b->acknowledged, i + 1);
	}
	return NULL;
}

static void *restless_deleter(void *arg)
{
	struct busy *b = arg;
	char id[STORE_DELETE_ID];
	struct err err;

	for (int i = 0; !atomic_load(b->stop); i++) {
		const char *text = i % 3 == 0 ? "{a/drop}" : i % 3 == 1 ? "{b/drop}" : "{c/drop}";
		struct timerange range = { DAY, DAY + (1 + i % 2) * NS_PER_DAY };

		if (store_delete_add(b->f->s, SLICE("t"), slice_cstr(text), range, false, id, &err) == -1)
			break;
		if (i % 4 == 1)
			store_delete_cancel(b->f->s, SLICE("t"), slice_cstr(id), i % 8 == 1, &err);
	}
	return NULL;
}

/* As the keeper does: purges, merges and retention are one thread's. */
static void *restless_keeper(void *arg)
{
	struct busy *b = arg;
	struct err err;

	while (!atomic_load(b->stop)) {
		store_purge(b->f->s, &err);
		store_merge(b->f->s, &err);
		store_retain(b->f->s, &err);
	}
	return NULL;
}

static void *restless_flusher(void *arg)
{
	struct busy *b = arg;
	struct err err;

	while (!atomic_load(b->stop))
		store_flush(b->f->s, &err);
	return NULL;
}

/* Writers, readers, deletes that overlap and are cancelled, rewriting, merges, retention: what no request matches is there,
 * once, whenever one looks; in the end, and after a crash, what was deleted is gone. */
static void deletes_take_only_their_own_while_all_moves(void **state)
{
	struct fixture *f = *state;
	void *(*const fn[])(void *) = { restless_writer,  restless_writer, restless_writer,
					restless_deleter, restless_keeper, restless_flusher };
	_Atomic bool stop = false;
	struct busy b[ARRAY_LEN(fn)] = { 0 };
	pthread_t t[ARRAY_LEN(fn)];
	bool all_done = false;

	f->retention = 36500 * NS_PER_DAY;
	f->retention_streams = "{z}=24h";
	for (int i = 0; i < (int)ARRAY_LEN(fn); i++) {
		b[i] = (struct busy){ .f = f, .number = i, .stop = &stop };
		assert_int_equal(pthread_create(&t[i], NULL, fn[i], &b[i]), 0);
	}
	while (!all_done) {
		all_done = true;
		for (int i = 0; i < 3; i++) {
			char app[2] = { (char)('a' + i), '\0' };
			int acknowledged = atomic_load(&b[i].acknowledged);
			struct buf got = read_all(f, i % 2 == 0 ? &everything : &newest_first, app, NULL);

			for (int k = 0; k < acknowledged; k += 2) {
				char want[40];

				snprintf(want, sizeof(want), " keep %d|", k);
				char *at = got.p != NULL ? strstr(got.p, want) : NULL;
				assert_non_null(at);
				assert_null(strstr(at + 1, want));
			}
			all_done = all_done && acknowledged == 100;
			buf_fini(&got);
		}
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_LEN(fn); i++)
		pthread_join(t[i], NULL);
	purge(f);
	for (char app[] = "a"; app[0] <= 'c'; app[0]++) {
		char text[16];

		snprintf(text, sizeof(text), "{%s/drop}", app);
		request_delete(f, text, DAY, DAY + 2 * NS_PER_DAY);
	}
	purge(f);
	for (int round = 0; round < 2; round++) {
		struct buf got = read_all(f, &everything, NULL, NULL);

		assert_null(strstr(got.p, "drop"));
		assert_int_equal(count_all(f), 150);
		buf_fini(&got);
		reopen(f, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(appended_entries_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(unflushed_entries_survive_a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(the_range_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(duplicates_are_kept_once_wherever_they_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(late_entries_are_put_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_merge_drops_duplicates_of_one_timestamp, setup, teardown),
		cmocka_unit_test_setup_teardown(overlapping_chunks_of_columns, setup, teardown),
		cmocka_unit_test_setup_teardown(many_entries_with_traces, setup, teardown),
		cmocka_unit_test_setup_teardown(readers_see_each_entry_once_while_all_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(labels_and_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_sync_takes_nothing_in, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_refuses_and_recovers, setup, teardown),
		cmocka_unit_test_setup_teardown(retention_drops_whole_days_for_good, setup, teardown),
		cmocka_unit_test_setup_teardown(tenants_do_not_see_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(several_tenants_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_label_named_as_the_tenants_is_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_process_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_found_and_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(an_index_found_damaged_is_made_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flush_survives_a_damaged_index, setup, teardown),
		cmocka_unit_test_setup_teardown(a_segment_is_never_removed_as_the_only_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(a_commit_in_doubt_keeps_its_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_does_not_stop_the_start, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers_of_the_log_never_go_back, setup, teardown),
		cmocka_unit_test_setup_teardown(other_trace_keys_make_the_index_unused_not_wrong, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_last_instant_can_be_flushed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dropped_day_can_be_written_again, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_after_a_drop_survive_a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_clock_at_the_start_takes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(deleted_entries_are_hidden_and_then_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(whole_streams_vanish_from_all_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(removed_files_that_stay_bring_nothing_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_two_steps_behind_brings_nothing_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_rewrite_hides_and_is_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(streams_are_kept_as_long_as_their_rule_says, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_segment_is_not_tried_each_minute, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_set_aside_drops_no_day, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_requests_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(deletes_take_only_their_own_while_all_moves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
