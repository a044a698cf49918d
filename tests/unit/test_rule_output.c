/* What leaves the ruler: alerts as Alertmanager's JSON, samples as remote write's bytes, the state file. */
#include "ingest/pb.h"
#include "rules/notify.h"
#include "rules/outbox.h"
#include "rules/remote_write.h"
#include "rules/state_file.h"

#include <math.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct label two[] = { { { "alertname", 9 }, { "A", 1 } }, { { "app", 3 }, { "w\"eb", 4 } } };
static const struct label note[] = { { { "summary", 7 }, { "<b> & so", 8 } } };

static struct alert firing(void)
{
	return (struct alert){ .labels = { two, 2 },
			       .annotations = { note, 1 },
			       .state = ALERT_FIRING,
			       .value = 2.5,
			       .active_at = 1600000000 * NS_PER_S,
			       .fired_at = 1600000060 * NS_PER_S + 5,
			       .valid_until = 1600000300 * NS_PER_S };
}

static void test_alert_json(void **state)
{
	struct alert a = firing();
	struct buf b = { 0 };

	(void)state;
	notify_alert_json(&b, &a, SLICE("http://x/"));
	buf_cstr_end(&b);
	assert_string_equal(b.p, "{\"labels\":{\"alertname\":\"A\",\"app\":\"w\\\"eb\"},"
				 "\"annotations\":{\"summary\":\"<b> & so\"},"
				 "\"startsAt\":\"2020-09-13T12:27:40.000000005Z\","
				 "\"endsAt\":\"2020-09-13T12:31:40Z\",\"generatorURL\":\"http://x/\"}");
	buf_reset(&b);
	a.resolved_at = 1600000120 * NS_PER_S;
	a.annotations.n = 0;
	notify_alert_json(&b, &a, SLICE(""));
	buf_cstr_end(&b);
	assert_string_equal(b.p, "{\"labels\":{\"alertname\":\"A\",\"app\":\"w\\\"eb\"},\"annotations\":{},"
				 "\"startsAt\":\"2020-09-13T12:27:40.000000005Z\","
				 "\"endsAt\":\"2020-09-13T12:28:40Z\"}");
	buf_fini(&b);
}

static void test_link(void **state)
{
	struct buf b = { 0 };

	(void)state;
	notify_link(&b, SLICE(""), SLICE("vector(1)"));
	assert_int_equal(b.n, 0);
	notify_link(&b, SLICE("https://g.example/base/"), SLICE("sum({a=\"b\"})"));
	buf_cstr_end(&b);
	assert_string_equal(
		b.p, "https://g.example/base/explore?left=%7B%22queries%22%3A%5B%7B%22refId%22%3A%22A%22%"
		     "2C%22expr%22%3A%22sum%28%7Ba%3D%5C%22b%5C%22%7D%29%22%2C%22queryType%22%3A%22range"
		     "%22%7D%5D%2C%22range%22%3A%7B%22from%22%3A%22now-1h%22%2C%22to%22%3A%22now%22%7D%"
		     "7D");
	buf_fini(&b);
}

/* ---- remote write ---- */

/* name=value name=value bits@ms; series after series */
static void decode_series(struct slice bytes, struct buf *out)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f, part;

	while (pb_next(&c, &f)) {
		struct cursor in = cursor_of(f.bytes);
		struct pb_field a = { 0 }, b = { 0 };

		assert_int_equal(f.type, PB_BYTES);
		while (pb_next(&in, &part))
			*(part.number == 1 ? &a : &b) = part;
		assert_false(in.bad);
		if (f.number == 1)
			buf_printf(out, "%.*s=%.*s ", SLICE_ARG(a.bytes), SLICE_ARG(b.bytes));
		else
			buf_printf(out, "%llx@%lld;", (unsigned long long)a.value, (long long)b.value);
	}
	assert_false(c.bad);
}

static const char *decode_body(struct slice body, struct buf *out)
{
	char plain[4096];
	size_t n = sizeof(plain);
	struct pb_field f;

	assert_int_equal(snappy_uncompress(body.p, body.n, plain, &n), SNAPPY_OK);
	struct cursor c = cursor_of(slice_of(plain, n));
	buf_reset(out);
	while (pb_next(&c, &f)) {
		assert_int_equal(f.number, 1);
		decode_series(f.bytes, out);
	}
	assert_false(c.bad);
	buf_cstr_end(out);
	return out->p;
}

static void test_remote_write(void **state)
{
	struct buf a = { 0 }, b = { 0 }, body = { 0 }, text = { 0 };

	(void)state;
	remote_write_series(&a, (struct labels){ two, 2 }, 1600000000123, remote_write_bits(1.5));
	remote_write_series(&b, (struct labels){ note, 1 }, 1600000000124, REMOTE_WRITE_STALE);
	const struct slice both[] = { buf_slice(&a), buf_slice(&b) };
	remote_write_body(both, 2, &body);
	assert_string_equal(decode_body(buf_slice(&body), &text),
			    "alertname=A app=w\"eb 3ff8000000000000@1600000000123;"
			    "summary=<b> & so 7ff0000000000002@1600000000124;");
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&body);
	buf_fini(&text);
}

/* ---- URLs ---- */

static void test_urls(void **state)
{
	static const char *const bad[] = { "",	      "ftp://x/",  "file:///etc/passwd",
					   "http://", "not a url", "http://u:secret@:x/" };
	struct remote_write *w;
	struct notifier *n;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(remote_write_new(bad[i], &w, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_null(strstr(err.msg, "secret"));
		assert_int_equal(notifier_new(&bad[i], 1, &n, &err), -1);
	}
	assert_int_equal(notifier_new(NULL, 0, &n, &err), 0);
	notifier_free(n);
}

/* ---- the state file ---- */

static void test_value_text(void **state)
{
	static const struct {
		double v;
		const char *text;
	} rows[] = {
		{ 1, "1e+00" },
		{ 0, "0e+00" },
		{ 1.5, "1.5e+00" },
		{ -0.001, "-1e-03" },
		{ 1234567, "1.234567e+06" },
		{ 0.1, "1e-01" },
		{ 1e100, "1e+100" },
		{ NAN, "NaN" },
		{ INFINITY, "+Inf" },
		{ -INFINITY, "-Inf" },
		{ 1.0 / 3, "3.333333333333333e-01" },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		state_file_put_value(&b, rows[i].v);
		buf_cstr_end(&b);
		assert_string_equal(b.p, rows[i].text);
	}
	buf_fini(&b);
}

static struct saved_rule rule_named(const char *name)
{
	return (struct saved_rule){ .tenant = SLICE("fake"),
				    .ns = SLICE("ns"),
				    .group = SLICE("g"),
				    .alert = slice_cstr(name),
				    .labels = { note, 1 },
				    .last_eval_ns = 7 };
}

static void test_state_file(void **state)
{
	struct saved_rule a = rule_named("A"), b = rule_named("B");
	struct saved_rules s;
	struct buf text = { 0 };
	struct alert x = firing();
	struct err err;

	(void)state;
	alerts_init(&a.alerts);
	alerts_init(&b.alerts);
	alerts_add(&a.alerts, &x);
	x.state = ALERT_PENDING;
	x.value = NAN;
	alerts_add(&b.alerts, &x);
	state_file_add(&text, &a);
	state_file_add(&text, &b);
	state_file_end(&text);
	assert_int_equal(state_file_parse(buf_slice(&text), &s, &err), 0);
	assert_int_equal(s.v.n, 2);
	const struct saved_rule *found = saved_rules_find(&s, &b);
	assert_ptr_equal(found, &s.v.v[1]);
	const struct alert *y = &found->alerts.v.v[0];
	assert_true(labels_eq(y->labels, x.labels) && labels_eq(y->annotations, x.annotations));
	assert_true(y->state == ALERT_PENDING && isnan(y->value) && y->active_at == x.active_at &&
		    y->fired_at == x.fired_at && found->last_eval_ns == 7);
	s.v.v[1].taken = true;
	assert_null(saved_rules_find(&s, &b));
	b.labels.n = 0;
	assert_null(saved_rules_find(&s, &b));
	saved_rules_fini(&s);

	/* Cut short anywhere it is refused. */
	for (size_t n = 0; n + 1 < text.n; n++)
		assert_int_equal(state_file_parse(slice_of(text.p, n), &s, &err), -1);
	alerts_fini(&a.alerts);
	alerts_fini(&b.alerts);
	buf_reset(&text);
	state_file_end(&text);
	assert_int_equal(state_file_parse(buf_slice(&text), &s, &err), 0);
	assert_int_equal(s.v.n, 0);
	saved_rules_fini(&s);
	buf_fini(&text);
}

static void test_damaged_state(void **state)
{
	static const char *const bad[] = {
		"[]",
		"{}",
		"{\"version\":2,\"rules\":[]}",
		"{\"version\":1,\"rules\":{}}",
		"{\"version\":1,\"rules\":[1]}",
		"{\"version\":1,\"rules\":[{\"tenant\":\"t\"}]}",
		"{\"version\":1,\"rules\":[{\"tenant\":\"t\",\"namespace\":\"n\",\"group\":\"g\",\"alert\":"
		"\"a\","
		"\"labels\":{\"x\":1},\"lastEvaluation\":1,\"alerts\":[]}]}",
		"{\"version\":1,\"rules\":[{\"tenant\":\"t\",\"namespace\":\"n\",\"group\":\"g\",\"alert\":"
		"\"a\","
		"\"labels\":{},\"lastEvaluation\":1,\"alerts\":[{\"labels\":{},\"annotations\":{},"
		"\"state\":\"angry\",\"value\":\"1\",\"activeAt\":1,\"firedAt\":1,\"resolvedAt\":1,"
		"\"keepFiringSince\":0}]}]}",
	};
	struct saved_rules s;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(state_file_parse(slice_cstr(bad[i]), &s, &err), -1);
		assert_int_equal(err.code, ERR_CORRUPT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alert_json),    cmocka_unit_test(test_link),
		cmocka_unit_test(test_remote_write),  cmocka_unit_test(test_urls),
		cmocka_unit_test(test_value_text),    cmocka_unit_test(test_state_file),
		cmocka_unit_test(test_damaged_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
