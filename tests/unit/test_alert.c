/* The states of alerts from one evaluation to the next, written as a strip of time: what the rule yields each second,
 * and what is then known of its one alert. */
#include "rules/alert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define T0 (1000 * NS_PER_S)

static struct labels label(struct label *l, const char *value)
{
	*l = (struct label){ SLICE("app"), slice_cstr(value) };
	return (struct labels){ l, 1 };
}

/* The rule yields the series app=X for each letter X. */
static int update(struct alerts *a, const struct alert_rule *rule, const char *letters, int64_t now,
		  struct err *err)
{
	struct alert_sample s[8];
	struct label l[8];
	char text[8][2];
	size_t n = strlen(letters);

	for (size_t i = 0; i < n; i++) {
		text[i][0] = letters[i];
		text[i][1] = '\0';
		s[i] = (struct alert_sample){ .labels = label(&l[i], text[i]), .value = (double)(i + 1) };
	}
	return alerts_update(a, rule, s, n, now, err);
}

/* a:firing b:pending */
static const char *shown(const struct alerts *a)
{
	static char text[256];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < a->v.n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s:%s", i > 0 ? " " : "",
				      SLICE_ARG(a->v.v[i].labels.v[0].value),
				      alert_state_name(a->v.v[i].state));
	return text;
}

static void test_states(void **state)
{
	static const struct {
		const char *what;
		int for_s, keep_s;
		struct {
			int at_s;
			const char *series, *then;
		} step[8];
	} rows[] = {
		{ "nothing", 0, 0, { { 0, "", "" }, { 1, "", "" } } },
		{ "at once", 0, 0, { { 0, "a", "a:firing" }, { 1, "a", "a:firing" } } },
		{ "for",
		  2,
		  0,
		  { { 0, "a", "a:pending" },
		    { 1, "a", "a:pending" },
		    { 2, "a", "a:firing" },
		    { 9, "a", "a:firing" } } },
		{ "not for long enough",
		  2,
		  0,
		  { { 0, "a", "a:pending" },
		    { 1, "", "" },
		    { 2, "a", "a:pending" },
		    { 3, "a", "a:pending" },
		    { 4, "a", "a:firing" } } },
		{ "resolved, and forgotten after a quarter of an hour",
		  0,
		  0,
		  { { 0, "a", "a:firing" },
		    { 1, "", "a:inactive" },
		    { 901, "", "a:inactive" },
		    { 902, "", "" } } },
		{ "again soon after",
		  1,
		  0,
		  { { 0, "a", "a:pending" },
		    { 1, "a", "a:firing" },
		    { 2, "", "a:inactive" },
		    { 3, "a", "a:pending" },
		    { 4, "a", "a:firing" } } },
		{ "keeps firing",
		  0,
		  3,
		  { { 0, "a", "a:firing" },
		    { 1, "", "a:firing" },
		    { 3, "", "a:firing" },
		    { 4, "", "a:inactive" } } },
		{ "keeps firing anew after it held again",
		  0,
		  3,
		  { { 0, "a", "a:firing" },
		    { 1, "", "a:firing" },
		    { 3, "a", "a:firing" },
		    { 4, "", "a:firing" },
		    { 6, "", "a:firing" },
		    { 7, "", "a:inactive" } } },
		{ "pending is not kept", 5, 9, { { 0, "a", "a:pending" }, { 1, "", "" } } },
		{ "each series on its own",
		  1,
		  0,
		  { { 0, "b", "b:pending" },
		    { 1, "ab", "a:pending b:firing" },
		    { 2, "cba", "a:firing b:firing c:pending" },
		    { 3, "c", "a:inactive b:inactive c:firing" } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct alert_rule rule = { rows[i].for_s * NS_PER_S, rows[i].keep_s * NS_PER_S, 0 };
		struct alerts a;
		struct err err;

		alerts_init(&a);
		for (size_t k = 0; k < 8 && rows[i].step[k].series != NULL; k++) {
			int64_t now = T0 + rows[i].step[k].at_s * NS_PER_S;

			assert_int_equal(update(&a, &rule, rows[i].step[k].series, now, &err), 0);
			if (strcmp(shown(&a), rows[i].step[k].then) != 0)
				fail_msg("%s, second %d: %s", rows[i].what, rows[i].step[k].at_s, shown(&a));
		}
		alerts_fini(&a);
	}
}

static void test_times_and_values(void **state)
{
	const struct alert_rule rule = { NS_PER_S, 0, 0 };
	struct alerts a;
	struct err err;

	(void)state;
	alerts_init(&a);
	assert_int_equal(update(&a, &rule, "a", T0, &err), 0);
	assert_int_equal(update(&a, &rule, "ba", T0 + NS_PER_S, &err), 0);
	assert_true(a.v.v[0].active_at == T0 && a.v.v[0].fired_at == T0 + NS_PER_S);
	assert_true(a.v.v[0].value == 2 && a.v.v[1].value == 1);
	assert_true(a.v.v[1].active_at == T0 + NS_PER_S && a.v.v[1].fired_at == 0);
	assert_int_equal(alerts_state(&a), ALERT_FIRING);
	assert_int_equal(update(&a, &rule, "", T0 + 2 * NS_PER_S, &err), 0);
	assert_true(a.v.v[0].resolved_at == T0 + 2 * NS_PER_S);
	assert_int_equal(alerts_state(&a), ALERT_INACTIVE);
	alerts_fini(&a);
}

static void test_refused(void **state)
{
	struct alert_rule rule = { 0, 0, 2 };
	struct alerts a;
	struct err err;

	(void)state;
	alerts_init(&a);
	assert_int_equal(update(&a, &rule, "ab", T0, &err), 0);
	assert_int_equal(update(&a, &rule, "cc", T0 + 1, &err), -1);
	assert_string_equal(err.msg,
			    "vector contains metrics with the same labelset after applying alert labels");
	assert_string_equal(shown(&a), "a:firing b:firing");
	assert_int_equal(update(&a, &rule, "abc", T0 + 1, &err), -1);
	assert_string_equal(err.msg, "exceeded limit of 2 with 3 alerts");
	assert_string_equal(shown(&a), "");
	/* those that are over do not count */
	assert_int_equal(update(&a, &rule, "ab", T0, &err), 0);
	assert_int_equal(update(&a, &rule, "cd", T0 + 1, &err), 0);
	assert_string_equal(shown(&a), "a:inactive b:inactive c:firing d:firing");
	alerts_fini(&a);
}

/* When Alertmanager is told. */
static void test_sending(void **state)
{
	const struct alert_rule rule = { NS_PER_S, 0, 0 };
	static const struct {
		int at_s;
		const char *series;
		bool sent;
	} steps[] = {
		{ 0, "a", false }, /* pending */
		{ 1, "a", true },  { 2, "a", false }, { 61, "a", false }, { 62, "a", true },
		{ 70, "", true },  { 71, "", false }, { 130, "", false }, { 131, "", true },
	};
	struct alerts a;
	struct err err;

	(void)state;
	alerts_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int64_t now = T0 + steps[i].at_s * NS_PER_S;

		assert_int_equal(update(&a, &rule, steps[i].series, now, &err), 0);
		if (alert_send_due(&a.v.v[0], now, NS_PER_S) != steps[i].sent)
			fail_msg("second %d", steps[i].at_s);
		if (steps[i].sent)
			assert_true(a.v.v[0].valid_until == now + 4 * NS_PER_MIN);
	}
	/* A long interval makes it valid longer. */
	assert_true(alert_send_due(&a.v.v[0], T0 + NS_PER_H, 5 * NS_PER_MIN));
	assert_true(a.v.v[0].valid_until == T0 + NS_PER_H + 20 * NS_PER_MIN);
	alerts_fini(&a);
}

static void test_downtime(void **state)
{
	const struct alert_rule rule = { 10 * NS_PER_S, 0, 0 };
	struct alerts a, b;
	struct err err;

	(void)state;
	alerts_init(&a);
	alerts_init(&b);
	assert_int_equal(update(&a, &rule, "a", T0, &err), 0);
	alerts_add(&b, &a.v.v[0]);
	alerts_fini(&a);
	alerts_were_down(&b, 100 * NS_PER_S);
	assert_int_equal(update(&b, &rule, "a", T0 + 109 * NS_PER_S, &err), 0);
	assert_string_equal(shown(&b), "a:pending");
	assert_int_equal(update(&b, &rule, "a", T0 + 110 * NS_PER_S, &err), 0);
	assert_string_equal(shown(&b), "a:firing");
	alerts_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),	 cmocka_unit_test(test_times_and_values),
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_sending),
		cmocka_unit_test(test_downtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
