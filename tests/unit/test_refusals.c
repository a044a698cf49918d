/* What is kept of refusals: accounts by reason, the latest samples, the latest tenants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "ingest/refusals.h"

struct seen {
	struct refusal_account account[8];
	char line[8][REFUSALS_SAMPLES]
		 [REFUSALS_TEXT_BYTES + 1]; /* the accounts' samples live under the lock alone */
	size_t n;
};

static void see(void *arg, const struct refusal_account *a)
{
	struct seen *s = arg;

	assert_true(s->n < 8);
	for (size_t i = 0; i < a->n_samples; i++)
		snprintf(s->line[s->n][i], sizeof(s->line[0][0]), "%.*s", SLICE_ARG(a->sample[i].line));
	s->account[s->n++] = *a;
}

static struct seen *look(struct refusals *r, const char *tenant)
{
	static struct seen s;

	s.n = 0;
	refusals_each(r, slice_cstr(tenant), see, &s);
	return &s;
}

static void add(struct refusals *r, const char *tenant, const char *reason, uint64_t n, int64_t time,
		const char *line)
{
	struct refusal sample = {
		.time_ns = time, .status = 400, .line = slice_cstr(line), .line_bytes = strlen(line)
	};

	refusals_add(r, slice_cstr(tenant), reason, n, &sample);
}

static void an_account_for_each_reason(void **state)
{
	struct refusals *r = refusals_new();

	(void)state;
	add(r, "a", "line_too_long", 3, 10, "one");
	add(r, "a", "rate_limited", 5, 20, "two");
	add(r, "b", "rate_limited", 7, 30, "of another");
	add(r, "a", "line_too_long", 1, 40, "three");

	struct seen *s = look(r, "a");
	assert_int_equal(s->n, 2);
	assert_string_equal(s->account[0].reason, "line_too_long");
	assert_int_equal(s->account[0].n_entries, 4);
	assert_int_equal(s->account[0].n_pushes, 2);
	assert_int_equal(s->account[0].first_ns, 10);
	assert_int_equal(s->account[0].n_samples, 2);
	assert_int_equal(s->account[0].sample[0].time_ns, 40);
	assert_string_equal(s->line[0][0], "three");
	assert_string_equal(s->line[0][1], "one");
	assert_string_equal(s->account[1].reason, "rate_limited");
	assert_int_equal(s->account[1].n_entries, 5);
	assert_int_equal(look(r, "b")->n, 1);
	assert_int_equal(look(r, "nobody")->n, 0);
	refusals_free(r);
}

static void the_latest_samples_stay(void **state)
{
	struct refusals *r = refusals_new();
	char line[16];

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(line, sizeof(line), "line %d", i);
		add(r, "a", "too_old", 1, i, line);
	}
	struct seen *s = look(r, "a");
	assert_int_equal(s->account[0].n_entries, 10);
	assert_int_equal(s->account[0].n_samples, REFUSALS_SAMPLES);
	assert_string_equal(s->line[0][0], "line 9");
	assert_string_equal(s->line[0][2], "line 7");
	refusals_free(r);
}

static void texts_are_cut_between_characters(void **state)
{
	struct refusals *r = refusals_new();
	char line[2 * REFUSALS_TEXT_BYTES];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	memcpy(line + REFUSALS_TEXT_BYTES - 1, "\xe2\x82\xac", 3); /* a euro sign over the edge */
	add(r, "a", "line_too_long", 1, 1, line);
	struct seen *s = look(r, "a");
	assert_int_equal(s->account[0].sample[0].line_bytes, sizeof(line) - 1);
	assert_int_equal(s->account[0].sample[0].line.n, REFUSALS_TEXT_BYTES - 1);
	refusals_free(r);
}

static void the_latest_tenants_stay(void **state)
{
	struct refusals *r = refusals_new();
	char name[16];

	(void)state;
	add(r, "busy", "too_old", 1, 1, "x");
	for (int i = 0; i < 3 * REFUSALS_MAX_TENANTS; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		add(r, name, "too_old", 1, i, name);
		add(r, "busy", "too_old", 1, i, "x");
	}
	assert_int_equal(look(r, "t0")->n, 0);
	assert_int_equal(look(r, name)->n, 1);
	assert_int_equal(look(r, "busy")->account[0].n_entries, 1 + 3 * REFUSALS_MAX_TENANTS);
	refusals_free(r);
	refusals_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_for_each_reason),
		cmocka_unit_test(the_latest_samples_stay),
		cmocka_unit_test(texts_are_cut_between_characters),
		cmocka_unit_test(the_latest_tenants_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
