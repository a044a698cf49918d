/* One rule evaluated at given times over a store in memory. */
#include <string.h>
#include "base/clock.h"
#define QUERY_TEST_UNIT NS_PER_S
#include "rules/eval.h"
#include "tests/unit/query_test.h"

static struct rule_env env_of(struct query_test *t)
{
	return (struct rule_env){ .engine = &t->engine,
				  .tenant = SLICE("fake"),
				  .limits = &t->limits,
				  .control = &t->control,
				  .external_url = SLICE("http://x") };
}

static void fill(struct query_test *t)
{
	for (int i = 1; i <= 3; i++)
		fake_store_add(&t->store, "{app=\"web\", env=\"p\"}", i * 10 * NS_PER_S, "error", NULL);
	fake_store_add(&t->store, "{app=\"db\", env=\"p\"}", 30 * NS_PER_S, "error", NULL);
}

static const char *samples(struct query_test *t, const struct rule_samples *s)
{
	buf_reset(&t->text);
	for (size_t i = 0; i < s->v.n; i++) {
		labels_format(&t->text, s->v.v[i].labels);
		buf_puts(&t->text, " ");
		text_float(&t->text, s->v.v[i].value);
		buf_putc(&t->text, '\n');
	}
	buf_cstr_end(&t->text);
	return t->text.p;
}

static void test_recording_rule(void **state)
{
	static const struct label more[] = { { { "env", 3 }, { "", 0 } },
					     { { "origin", 6 }, { "logs", 4 } } };
	struct query_test *t = *state;
	struct rule_env env = env_of(t);
	struct rule rule = { .record = SLICE("app:lines"),
			     .expr = SLICE("sum by (app, env) (count_over_time({env=\"p\"}[25s]))"),
			     .labels = { more, 2 } };
	struct rule_samples before;
	struct rule_outcome o;
	struct rule_state st;

	fill(t);
	rule_state_init(&st);
	assert_int_equal(rule_eval(&env, &rule, 0, 30 * NS_PER_S, &st, &t->err), 0);
	assert_string_equal(samples(t, &st.samples),
			    "{__name__=\"app:lines\", app=\"db\", origin=\"logs\"} 1\n"
			    "{__name__=\"app:lines\", app=\"web\", origin=\"logs\"} 3\n");
	assert_true(st.health == RULE_OK && st.last_error == NULL && st.last_eval_ns == 30 * NS_PER_S);
	/* the evaluation before tells which series are gone */
	assert_int_equal(rule_run(&env, &rule, 100 * NS_PER_S, &o, &t->err), 0);
	assert_int_equal(rule_commit(&rule, 0, &o, 100 * NS_PER_S, &st, &before, &t->err), 0);
	rule_outcome_fini(&o);
	assert_int_equal(before.v.n, 2);
	assert_int_equal(st.samples.v.n, 0);
	rule_samples_fini(&before);
	/* an offset asks for an earlier time */
	env.query_offset_ns = 70 * NS_PER_S;
	assert_int_equal(rule_eval(&env, &rule, 0, 100 * NS_PER_S, &st, &t->err), 0);
	assert_int_equal(st.samples.v.n, 2);
	assert_int_equal(rule_eval(&env, &rule, 1, 100 * NS_PER_S, &st, &t->err), -1);
	assert_string_equal(st.last_error, "exceeded limit of 1 with 2 series");
	assert_int_equal(st.samples.v.n, 2);
	rule_state_fini(&st);
}

static void test_alerting_rule(void **state)
{
	static const struct label more[] = { { { "alertname", 9 }, { "not this", 8 } },
					     { { "env", 3 }, { "{{ $labels.env | toUpper }}", 27 } } };
	static const struct label notes[] = {
		{ { "empty", 5 }, { "", 0 } }, { { "text", 4 }, { "{{ $value }} in {{ $labels.app }}", 33 } }
	};
	struct query_test *t = *state;
	const struct rule_env env = env_of(t);
	const struct rule rule = { .alert = SLICE("Many"),
				   .expr = SLICE("sum by (app, env) (count_over_time({env=\"p\"}[25s])) > 1"),
				   .for_ns = 10 * NS_PER_S,
				   .labels = { more, 2 },
				   .annotations = { notes, 2 } };
	struct rule_state st;

	fill(t);
	rule_state_init(&st);
	assert_int_equal(rule_eval(&env, &rule, 0, 20 * NS_PER_S, &st, &t->err), 0);
	assert_string_equal(
		samples(t, &st.samples),
		"{__name__=\"ALERTS\", alertname=\"Many\", alertstate=\"pending\", app=\"web\", env=\"P\"} "
		"1\n"
		"{__name__=\"ALERTS_FOR_STATE\", alertname=\"Many\", app=\"web\", env=\"P\"} 20\n");
	assert_int_equal(rule_eval(&env, &rule, 0, 30 * NS_PER_S, &st, &t->err), 0);
	assert_int_equal(st.alerts.v.n, 1);
	const struct alert *a = &st.alerts.v.v[0];
	assert_int_equal(a->state, ALERT_FIRING);
	assert_true(a->value == 3 && a->active_at == 20 * NS_PER_S);
	buf_reset(&t->text);
	labels_format(&t->text, a->annotations);
	buf_cstr_end(&t->text);
	assert_string_equal(t->text.p, "{empty=\"\", text=\"3 in web\"}");
	assert_int_equal(rule_eval(&env, &rule, 0, 90 * NS_PER_S, &st, &t->err), 0);
	assert_int_equal(st.alerts.v.v[0].state, ALERT_INACTIVE);
	assert_string_equal(samples(t, &st.samples), "");
	rule_state_fini(&st);
}

static void test_scalars_and_failures(void **state)
{
	struct query_test *t = *state;
	const struct rule_env env = env_of(t);
	struct rule rule = { .record = SLICE("x"), .expr = SLICE("vector(2)") };
	struct rule_state st;

	fake_store_add(&t->store, "{app=\"bad\"}", NS_PER_S, "x", NULL);
	rule_state_init(&st);
	assert_int_equal(rule_eval(&env, &rule, 0, 5 * NS_PER_S, &st, &t->err), 0);
	assert_string_equal(samples(t, &st.samples), "{__name__=\"x\"} 2\n");
	rule.expr = SLICE("1 + 1");
	assert_int_equal(rule_eval(&env, &rule, 0, 5 * NS_PER_S, &st, &t->err), 0);
	assert_string_equal(samples(t, &st.samples), "{__name__=\"x\"} 2\n");
	rule.expr = SLICE("{app=\"bad\"}");
	assert_int_equal(rule_eval(&env, &rule, 0, 6 * NS_PER_S, &st, &t->err), -1);
	assert_int_equal(st.health, RULE_ERR);
	assert_non_null(st.last_error);
	assert_true(st.last_eval_ns == 6 * NS_PER_S);
	/* the series of the evaluation before stay: they have not ended */
	assert_string_equal(samples(t, &st.samples), "{__name__=\"x\"} 2\n");
	rule.expr = SLICE("vector(");
	assert_int_equal(rule_eval(&env, &rule, 0, 7 * NS_PER_S, &st, &t->err), -1);
	rule.expr = SLICE("vector(3)");
	assert_int_equal(rule_eval(&env, &rule, 0, 8 * NS_PER_S, &st, &t->err), 0);
	assert_true(st.health == RULE_OK && st.last_error == NULL);
	rule_state_fini(&st);
}

/* Receivers take UTF-8 alone. */
static void test_bytes_that_are_no_text(void **state)
{
	struct query_test *t = *state;
	const struct rule_env env = env_of(t);
	const struct rule rule = { .record = SLICE("x"),
				   .expr = SLICE(
					   "sum by (k) (count_over_time({app=\"a\"} | logfmt [10s]))") };
	struct rule_state st;

	fake_store_add(&t->store, "{app=\"a\"}", NS_PER_S,
		       "k=a\xff"
		       "b",
		       NULL);
	rule_state_init(&st);
	assert_int_equal(rule_eval(&env, &rule, 0, 5 * NS_PER_S, &st, &t->err), 0);
	assert_int_equal(st.samples.v.n, 1);
	assert_true(utf8_valid(labels_get(st.samples.v.v[0].labels, SLICE("k"))));
	rule_state_fini(&st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, query_test_setup, query_test_teardown)
		CASE(test_recording_rule),
		CASE(test_alerting_rule),
		CASE(test_scalars_and_failures),
		CASE(test_bytes_that_are_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
