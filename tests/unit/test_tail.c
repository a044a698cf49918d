/* The hub without its thread, on a store in memory: each step is taken when the test says so. */
#include "query/tail.h"
#include "base/clock.h"
#include "query/query.h"
#include "tests/unit/fake_store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const int64_t now = 1000 * NS_PER_S;

struct listener {
	struct buf text; /* lines, missed ones as -ts, frames end in | */
	struct tail_cursor cursor;
	bool full, live, ended;
	enum tail_end why;
	struct tail *tail;
};

static struct {
	struct fake_store store;
	struct query_engine engine;
	struct limits limits;
	struct tail_hub *hub;
} t;

static void encode(struct buf *b, enum tail_format format, const struct tail_entry *e, size_t *labels_off,
		   size_t *labels_n)
{
	size_t begin = b->n;

	(void)format;
	labels_format(b, e->labels);
	*labels_off = 0;
	*labels_n = b->n - begin;
	buf_printf(b, "%.*s", SLICE_ARG(e->line));
}

static enum tail_send on_send(void *arg, const struct tail_out *out)
{
	struct listener *l = arg;

	for (size_t i = 0; i < out->n_dropped; i++)
		buf_printf(&l->text, "-%lld ", (long long)(out->dropped[i].ts - now));
	buf_add(&l->text, out->body);
	buf_putc(&l->text, '|');
	l->cursor = out->cursor;
	return l->full ? TAIL_FULL : TAIL_OK;
}

static void on_live(void *arg, const struct tail_cursor *c)
{
	((struct listener *)arg)->live = true;
	((struct listener *)arg)->cursor = *c;
}

static void on_end(void *arg, enum tail_end why, const struct err *err)
{
	struct listener *l = arg;

	(void)err;
	l->ended = true;
	l->why = why;
}

static const struct tail_client client = { on_send, on_live, NULL, on_end };

static void setup(uint64_t queue_bytes)
{
	struct tail_hub_options o;

	clock_fake(now);
	fake_store_init(&t.store);
	t.engine = (struct query_engine){ .store = (struct store *)&t.store };
	t.limits = (struct limits){ 0 };
	tail_hub_options_init(&o);
	o.engine = &t.engine;
	o.encode = encode;
	o.manual = true;
	o.queue_bytes = queue_bytes;
	t.hub = tail_hub_new(&o);
}

static void teardown(void)
{
	tail_hub_stop(t.hub);
	tail_hub_run(t.hub);
	tail_hub_free(t.hub);
	fake_store_fini(&t.store);
	clock_fake(0);
}

static int open_with(struct listener *l, const char *query, int64_t delay_ns, const struct tail_cursor *c)
{
	const struct tail_request r = { .tenant = SLICE("fake"),
					.text = slice_cstr(query),
					.end = now + NS_PER_H,
					.limit = 100,
					.delay_ns = delay_ns,
					.resumable = true,
					.resume = c,
					.limits = &t.limits,
					.client = &client,
					.arg = l };
	struct err err;

	*l = (struct listener){ 0 };
	if (tail_open(t.hub, &r, &l->tail, &err) == -1)
		return -1;
	tail_start(l->tail);
	return 0;
}

/* Begins a push of one entry; tail_done is the caller's. */
static void *begin_push(const char *app, int64_t ts, const char *line, bool refused)
{
	struct label label = { SLICE("app"), slice_cstr(app) };
	struct batch b;

	batch_init(&b);
	b.tenant = SLICE("fake");
	batch_add_stream(&b)->labels = (struct labels){ &label, 1 };
	b.streams.v[0].refused = refused;
	struct batch_entry *e = batch_add_entry(&b);
	e->ts = now + ts;
	e->line = slice_cstr(line);
	void *seen = tail_before(t.hub, &b);
	batch_fini(&b);
	return seen;
}

static void push(const char *app, int64_t ts, const char *line)
{
	tail_done(t.hub, begin_push(app, ts, line, false), true);
}

static void expect(struct listener *l, const char *text)
{
	tail_hub_run(t.hub);
	buf_cstr_end(&l->text);
	assert_string_equal(l->text.p, text);
	buf_reset(&l->text);
}

static void fini(struct listener *l)
{
	buf_fini(&l->text);
}

static void replay_then_live(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	fake_store_add(&t.store, "{app=\"a\"}", now - 2, "old", NULL);
	fake_store_add(&t.store, "{app=\"a\"}", now - 1, "newer", NULL);
	assert_int_equal(open_with(&l, "{app=\"a\"} |= \"e\" or \"old\"", 0, NULL), 0);
	expect(&l, "{app=\"a\"}old,{app=\"a\"}newer|");
	assert_true(l.live);
	push("a", 1, "here");
	push("b", 2, "elsewhere");
	push("a", 3, "no");
	expect(&l, "{app=\"a\"}here|");
	fini(&l);
	teardown();
}

/* Pushed before the tail came, durable only after: neither lost nor sent twice. */
static void seam(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	void *before = begin_push("a", 1, "one", false);
	assert_int_equal(open_with(&l, "{app=\"a\"}", 0, NULL), 0);
	expect(&l, "");
	assert_false(l.live); /* it waits for that push */
	void *after = begin_push("a", 2, "two", false);
	fake_store_add(&t.store, "{app=\"a\"}", now + 1, "one", NULL);
	fake_store_add(&t.store, "{app=\"a\"}", now + 2, "two", NULL);
	tail_done(t.hub, after, true);
	tail_done(t.hub, before, true);
	push("a", 3, "three");
	expect(&l, "{app=\"a\"}one,{app=\"a\"}two|{app=\"a\"}three|");
	fini(&l);
	teardown();
}

static void only_what_was_stored(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	assert_int_equal(open_with(&l, "{app=\"a\"}", 0, NULL), 0);
	tail_hub_run(t.hub);
	tail_done(t.hub, begin_push("a", 1, "failed", false), false);
	tail_done(t.hub, begin_push("a", 2, "refused", true), true);
	push("a", 3, "stored");
	expect(&l, "{app=\"a\"}stored|");
	fini(&l);
	teardown();
}

static void delayed(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	assert_int_equal(open_with(&l, "{app=\"a\"}", 2 * NS_PER_S, NULL), 0);
	tail_hub_run(t.hub);
	push("a", -1, "second");
	push("a", -5 * NS_PER_S, "late");
	push("a", -2, "first");
	push("a", NS_PER_H, "future");
	expect(&l, "{app=\"a\"}late|");
	clock_fake_advance(2 * NS_PER_S - 1);
	expect(&l, "{app=\"a\"}first,{app=\"a\"}second|");
	clock_fake_advance(1);
	expect(&l, "{app=\"a\"}future|");
	fini(&l);
	teardown();
}

static void slow_reader(void **state)
{
	static char line[600];
	struct listener slow, fast;

	(void)state;
	setup(2000);
	memset(line, 'x', sizeof(line) - 1);
	assert_int_equal(open_with(&slow, "{app=\"a\"}", 0, NULL), 0);
	assert_int_equal(open_with(&fast, "{app=\"a\"}", 0, NULL), 0);
	tail_hub_run(t.hub);
	slow.full = true;
	for (int i = 0; i < 6; i++) {
		push("a", i, line);
		tail_hub_run(t.hub);
	}
	size_t whole = strlen("{app=\"a\"}|") + sizeof(line) - 1;
	assert_int_equal(fast.text.n, 6 * whole);
	assert_int_equal(slow.text.n, whole); /* the one that filled it */
	buf_reset(&slow.text);
	slow.full = false;
	tail_wake(slow.tail);
	tail_hub_run(t.hub);
	buf_cstr_end(&slow.text);
	assert_memory_equal(slow.text.p, "-1 -2 -3 -4 {app", 16);
	fini(&slow);
	fini(&fast);
	teardown();
}

static void resuming(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	assert_int_equal(open_with(&l, "{app=\"a\"}", 0, NULL), 0);
	tail_hub_run(t.hub);
	push("a", 1, "one");
	expect(&l, "{app=\"a\"}one|");
	struct tail_cursor c = l.cursor;
	tail_close(l.tail);
	tail_hub_run(t.hub);
	assert_true(l.ended && l.why == TAIL_END_CLOSED);
	fini(&l);
	push("a", -NS_PER_H, "late");
	assert_int_equal(open_with(&l, "{app=\"a\"}", 0, &c), 0);
	expect(&l, "{app=\"a\"}late|");
	/* Another hub, as after a restart: read again. */
	c.hub++;
	fini(&l);
	fake_store_add(&t.store, "{app=\"a\"}", now - 20 * NS_PER_S, "too old", NULL);
	fake_store_add(&t.store, "{app=\"a\"}", now, "again", NULL);
	assert_int_equal(open_with(&l, "{app=\"a\"}", 0, &c), 0);
	expect(&l, "{app=\"a\"}again|");
	fini(&l);
	teardown();
}

/* Of the queries that clients came and went with only the last few are kept for their return. */
static void many_queries(void **state)
{
	struct listener l, other;
	struct tail_cursor first = { 0 }, last = { 0 };
	char query[64];

	(void)state;
	setup(1 << 20);
	for (int i = 0; i < 100; i++) {
		snprintf(query, sizeof(query), "{app=\"a\"} != \"%d\"", i);
		assert_int_equal(open_with(&l, query, 0, NULL), 0);
		tail_hub_run(t.hub);
		assert_true(l.live);
		last = l.cursor;
		if (i == 0)
			first = last;
		tail_close(l.tail);
		tail_hub_run(t.hub);
		assert_true(l.ended);
		fini(&l);
	}
	assert_int_equal(open_with(&l, query, 0, &last), 0);
	tail_hub_run(t.hub);
	assert_true(l.cursor.group == last.group);
	assert_int_equal(open_with(&other, "{app=\"a\"} != \"0\"", 0, &first), 0);
	tail_hub_run(t.hub);
	assert_true(other.live && other.cursor.group > last.group);
	push("a", 1, "seen");
	expect(&l, "{app=\"a\"}seen|");
	expect(&other, "{app=\"a\"}seen|");
	fini(&l);
	fini(&other);
	teardown();
}

/* A tenant of which nothing is left is forgotten, and comes back as a new one. */
static void tenants_go(void **state)
{
	struct listener l;

	(void)state;
	setup(1 << 20);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(open_with(&l, "{app=\"a\"}", 0, NULL), 0);
		tail_hub_run(t.hub);
		push("a", i, "x");
		expect(&l, "{app=\"a\"}x|");
		tail_close(l.tail);
		tail_hub_run(t.hub);
		fini(&l);
		clock_fake_advance(2 * NS_PER_MIN);
		tail_hub_run(t.hub);
		push("a", i, "nobody hears it");
	}
	teardown();
}

static void limits_and_ends(void **state)
{
	struct listener a, b;

	(void)state;
	setup(1 << 20);
	t.limits.max_concurrent_tail_requests = 1;
	t.limits.tail_max_duration = NS_PER_MIN;
	assert_int_equal(open_with(&a, "{app=\"a\"}", 0, NULL), 0);
	assert_int_equal(open_with(&b, "{app=\"b\"}", 0, NULL), -1);
	assert_int_equal(open_with(&b, "{app=", 0, NULL), -1);
	tail_hub_run(t.hub);
	clock_fake_advance(NS_PER_MIN);
	tail_hub_run(t.hub);
	assert_true(a.ended && a.why == TAIL_END_DURATION);
	assert_int_equal(open_with(&b, "{app=\"b\"}", 0, NULL), 0);
	tail_hub_stop(t.hub);
	tail_hub_run(t.hub);
	assert_true(b.ended && b.why == TAIL_END_SHUTDOWN);
	assert_int_equal(open_with(&a, "{app=\"a\"}", 0, NULL), -1);
	teardown();
}

static void cursors(void **state)
{
	static const char *const bad[] = { "",
					   "1",
					   "1-2-3-4",
					   "1-2-3-4-x",
					   "1-2-3-99999999999999999999-0",
					   "1-2-3-9223372036854775808-0",
					   "1-2-3-4-0-" };
	struct tail_cursor c = { 1, 2, 3, 4, true }, back;
	struct buf b = { 0 };

	(void)state;
	tail_cursor_format(&b, &c);
	assert_true(tail_cursor_parse(buf_slice(&b), &back));
	assert_true(back.hub == 1 && back.group == 2 && back.next == 3 && back.ts == 4 && back.replaying);
	buf_fini(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(tail_cursor_parse(slice_cstr(bad[i]), &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_then_live),	cmocka_unit_test(seam),
		cmocka_unit_test(only_what_was_stored), cmocka_unit_test(delayed),
		cmocka_unit_test(slow_reader),		cmocka_unit_test(resuming),
		cmocka_unit_test(many_queries),		cmocka_unit_test(tenants_go),
		cmocka_unit_test(limits_and_ends),	cmocka_unit_test(cursors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
