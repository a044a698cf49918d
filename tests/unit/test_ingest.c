/* The write door, with a store that only takes notes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "index/store.h"
#include "ingest/ingest.h"

/* ---------------------------------------------------------------- the store */

static struct {
	size_t n_appends, n_entries, n_tokens;
	uint64_t first_token;
	char tenant[32];
	enum err_code code; /* what the store will say */
	size_t n_refused;
	bool later;
	store_done_fn done;
	void *arg;
} stored;

static void reply(void)
{
	struct err err;

	err_clear(&err);
	if (stored.code != ERR_NONE)
		err_set(&err, stored.code, "the store says no");
	stored.done(stored.arg, &err, stored.n_refused);
}

void store_admit(struct store *s, struct batch *b)
{
	(void)s;
	(void)b;
}

void store_append(struct store *s, const struct batch *b, store_done_fn done, void *arg)
{
	(void)s;
	stored.n_appends++;
	for (size_t i = 0; i < b->streams.n; i++) {
		for (size_t k = 0; k < b->streams.v[i].n && !b->streams.v[i].rejected; k++) {
			const struct batch_entry *e = &b->entries.v[b->streams.v[i].first + k];

			if (e->rejected)
				continue;
			stored.n_entries++;
			stored.n_tokens += e->n_tokens;
			if (e->n_tokens > 0)
				stored.first_token = e->tokens[0];
		}
	}
	snprintf(stored.tenant, sizeof(stored.tenant), "%.*s", SLICE_ARG(b->tenant));
	stored.done = done;
	stored.arg = arg;
	if (!stored.later)
		reply();
}

/* ---------------------------------------------------------------- the door */

static struct ingest *in;
static struct trace_keys *keys;
static struct limits limits;
static struct {
	int n, status;
	unsigned retry_after;
	char text[512];
} got;

static void get_limits(void *arg, struct slice tenant, struct limits *out)
{
	(void)arg;
	(void)tenant;
	*out = limits;
}

static void on_done(void *arg, int status, struct slice text, unsigned retry_after)
{
	assert_ptr_equal(arg, &got);
	got.n++;
	got.status = status;
	got.retry_after = retry_after;
	snprintf(got.text, sizeof(got.text), "%.*s", SLICE_ARG(text));
}

static int setup(void **state)
{
	static const struct slice names[] = { { "trace_id", 8 } };

	(void)state;
	clock_fake(1795425259 * NS_PER_S);
	memset(&stored, 0, sizeof(stored));
	limits = (struct limits){ .max_line_size = 1000,
				  .allow_structured_metadata = true,
				  .discover_log_levels = true,
				  .discover_service_name = true,
				  .reject_old_samples = true,
				  .reject_old_samples_max_age = NS_PER_H };
	keys = trace_keys_new(names, 1, NULL, 0);
	struct ingest_options o = { .keys = keys, .limits = get_limits, .max_decompressed_size = 1 << 20 };
	in = ingest_new(&o);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ingest_free(in);
	trace_keys_free(keys);
	clock_fake(0);
	return 0;
}

static void push(enum push_kind kind, const char *body)
{
	struct ingest_request rq = { .kind = kind,
				     .tenant = SLICE("acme"),
				     .content_type = SLICE("application/json"),
				     .body = slice_cstr(body) };

	memset(&got, 0, sizeof(got));
	ingest_push(in, &rq, on_done, &got);
}

#define GOOD	     "[\"1795425259000000000\",\"a trace_id=4bf92f3577b34da6a3ce929d0e0e4736 x\"]"
#define OLD	     "[\"5\",\"a\"]"
#define PUSH(values) "{\"streams\":[{\"stream\":{\"app\":\"x\"},\"values\":[" values "]}]}"

static void test_accepted(void **state)
{
	(void)state;
	push(PUSH_LOKI, PUSH(GOOD "," GOOD));
	assert_int_equal(got.n, 1);
	assert_int_equal(got.status, 204);
	assert_string_equal(got.text, "");
	assert_int_equal(stored.n_entries, 2);
	assert_string_equal(stored.tenant, "acme");
	assert_int_equal(stored.n_tokens, 2);
	assert_true(stored.first_token == 0xa3ce929d0e0e4736ULL);
}

static void test_partly_accepted(void **state)
{
	(void)state;
	push(PUSH_LOKI, PUSH(GOOD "," OLD));
	assert_int_equal(got.status, 400);
	assert_non_null(strstr(got.text, "has timestamp too old: 1970-01-01T00:00:00Z"));
	assert_int_equal(got.text[strlen(got.text) - 1], '\n');
	assert_int_equal(stored.n_entries, 1);
}

static void test_refused_as_a_whole(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *text;
	} cases[] = {
		{ "{\"streams\":[]}", 422, "error at least one valid stream is required for ingestion\n" },
		{ "", 400, "EOF\n" },
		{ "{\"streams\":[{\"stream\":{\"bad-name\":\"x\"},\"values\":[" GOOD "]}]}", 400,
		  "couldn't parse labels: 1:5: parse error: unexpected character inside braces: '-'\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		push(PUSH_LOKI, cases[i].body);
		assert_int_equal(got.n, 1);
		assert_int_equal(got.status, cases[i].status);
		assert_string_equal(got.text, cases[i].text);
	}
	push(PUSH_LOKI, PUSH(OLD));
	assert_int_equal(got.status, 400);
	assert_int_equal(stored.n_appends, 0);
}

static void test_nothing_to_store(void **state)
{
	(void)state;
	push(PUSH_LOKI, PUSH(""));
	assert_int_equal(got.status, 204);
	push(PUSH_LEGACY, PUSH(GOOD));
	assert_int_equal(got.status, 204);
	assert_int_equal(stored.n_appends, 0);
}

static void test_rate_limits(void **state)
{
	(void)state;
	limits.ingestion_rate_mb = limits.ingestion_burst_size_mb = 0.00001;
	push(PUSH_LOKI, PUSH(GOOD));
	assert_int_equal(got.status, 429);
	assert_int_equal(got.retry_after, 1);
	assert_int_equal(stored.n_appends, 0);
	limits.ingestion_rate_mb = 0;
	limits.per_stream_rate_limit = limits.per_stream_rate_limit_burst = 60;
	push(PUSH_LOKI, PUSH(GOOD "," GOOD "," OLD));
	assert_int_equal(got.status, 429);
	assert_int_equal(stored.n_entries, 1);
}

/* What may succeed later is told, whatever else was wrong. */
static void test_the_store_has_the_last_word(void **state)
{
	(void)state;
	stored.code = ERR_UNAVAILABLE;
	push(PUSH_LOKI, PUSH(GOOD "," OLD));
	assert_int_equal(got.status, 503);
	assert_int_equal(got.retry_after, 1);
	assert_string_equal(got.text, "the store says no\n");
	stored.code = ERR_LIMITED;
	stored.n_refused = 1;
	push(PUSH_LOKI, PUSH(GOOD));
	assert_int_equal(got.status, 429);
}

static void test_answered_later(void **state)
{
	(void)state;
	stored.later = true;
	push(PUSH_LOKI, PUSH(GOOD "," OLD));
	assert_int_equal(got.n, 0);
	reply();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.status, 400);
	assert_non_null(strstr(got.text, "too old"));
}

static void test_lines(void **state)
{
	(void)state;
	push(PUSH_PLAIN, "{\"level\":\"warn\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}\nplain\n");
	assert_int_equal(got.status, 204);
	assert_int_equal(stored.n_entries, 2);
	assert_int_equal(stored.n_tokens, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_accepted),	  T(test_partly_accepted), T(test_refused_as_a_whole),
		T(test_nothing_to_store), T(test_rate_limits),	   T(test_the_store_has_the_last_word),
		T(test_answered_later),	  T(test_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
