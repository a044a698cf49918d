/* Templates of labels and annotations of rules. */
#include "rules/template.h"
#include "base/mem.h"
#include "query/tmpl_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct label labels[] = {
	{ { "app", 3 }, { "web", 3 } },
	{ { "instance", 8 }, { "db.example.com:5432", 19 } },
	{ { "level", 5 }, { "error", 5 } },
};

static const char *expand_text(struct tmpl_run *run, struct arena *a, const char *text, double value,
			       bool *ok)
{
	const struct rule_template_data d = { { labels, ARRAY_LEN(labels) },
					      value,
					      SLICE("https://logs.example/base") };
	struct slice out;

	*ok = rule_template_expand(SLICE("A"), slice_cstr(text), &d, run, a, &out);
	return arena_cstr(a, out);
}

static void test_templates(void **state)
{
	static const struct {
		const char *text;
		double value;
		const char *result;
	} rows[] = {
		{ "plain", 1, "plain" },
		{ "", 1, "" },
		{ "{{ $labels.app }}: {{ $value }}", 1.5, "web: 1.5" },
		{ "{{ .Labels.app }}: {{ .Value }}", 1e6, "web: 1e+06" },
		{ "{{ $labels.missing }}|", 1, "|" },
		{ "{{ index $labels \"level\" }}", 1, "error" },
		{ "{{ $externalURL }} {{ externalURL }} {{ pathPrefix }}", 1,
		  "https://logs.example/base https://logs.example/base /base" },
		{ "{{ $externalLabels.x }}|{{ .ExternalLabels }}", 1, "|map[]" },
		{ "{{ if gt $value 10.0 }}high{{ else if gt $value 5.0 }}middle{{ else }}low{{ end }}", 7,
		  "middle" },
		{ "{{ range $k, $v := $labels }}{{ $k }}={{ $v }} {{ end }}", 1,
		  "app=web instance=db.example.com:5432 level=error " },
		{ "{{ with .Labels }}{{ .app }} {{ . }}{{ end }}", 1,
		  "web map[app:web instance:db.example.com:5432 level:error]" },
		{ "{{ $labels }}", 1, "map[app:web instance:db.example.com:5432 level:error]" },
		{ "{{ $x := $labels.app }}{{ $x | toUpper }}", 1, "WEB" },
		{ "{{ \"ABC\" | toLower }} {{ title \"a b\" }}", 1, "abc A B" },
		{ "{{ printf \"%.2f %s\" $value $labels.app }}", 2.345, "2.35 web" },
		{ "{{ if match \"^e\" $labels.level }}yes{{ end }}", 1, "yes" },
		{ "{{ reReplaceAll \"(w)eb\" \"${1}ide\" $labels.app }}", 1, "wide" },
		{ "{{ stripPort $labels.instance }}", 1, "db.example.com" },
		{ "{{ stripDomain $labels.instance }}", 1, "db:5432" },
		{ "{{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }}", 1, "10.0.0.1:80 ::1" },
		{ "{{ safeHtml \"<b>\" }}", 1, "<b>" },
		{ "{{ parseDuration \"1h30m\" }}", 1, "5400" },
	};
	struct tmpl_run run;
	struct arena a;
	bool ok;

	(void)state;
	tmpl_run_init(&run);
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(expand_text(&run, &a, rows[i].text, rows[i].value, &ok), rows[i].result);
		assert_true(ok);
	}
	arena_fini(&a);
	tmpl_run_fini(&run);
}

static void test_humanize(void **state)
{
	static const struct {
		const char *function;
		double value;
		const char *result;
	} rows[] = {
		{ "humanize", 0, "0" },
		{ "humanize", 1, "1" },
		{ "humanize", 1234567, "1.235M" },
		{ "humanize", 999, "999" },
		{ "humanize", 1000, "1k" },
		{ "humanize", -1500, "-1.5k" },
		{ "humanize", 0.00012, "120u" },
		{ "humanize", 1e30, "1e+06Y" },
		{ "humanize", NAN, "NaN" },
		{ "humanize", INFINITY, "+Inf" },
		{ "humanize1024", 0, "0" },
		{ "humanize1024", 1024, "1ki" },
		{ "humanize1024", 1536.0 * 1024, "1.5Mi" },
		{ "humanize1024", 0.5, "0.5" },
		{ "humanizeDuration", 0, "0s" },
		{ "humanizeDuration", 1, "1s" },
		{ "humanizeDuration", 59.1234, "59.12s" },
		{ "humanizeDuration", 60, "1m 0s" },
		{ "humanizeDuration", 3661, "1h 1m 1s" },
		{ "humanizeDuration", 90061, "1d 1h 1m 1s" },
		{ "humanizeDuration", -3600, "-1h 0m 0s" },
		{ "humanizeDuration", .1, "100ms" },
		{ "humanizeDuration", .0001, "100us" },
		{ "humanizeDuration", INFINITY, "+Inf" },
		{ "humanizePercentage", 0.1234567, "12.35%" },
		{ "humanizePercentage", 1, "100%" },
		{ "humanizeTimestamp", 1435065584.128, "2015-06-23 13:19:44.128 +0000 UTC" },
		{ "humanizeTimestamp", 0, "1970-01-01 00:00:00 +0000 UTC" },
		{ "humanizeTimestamp", NAN, "NaN" },
		{ "toTime", 1435065584, "2015-06-23 13:19:44 +0000 UTC" },
	};
	struct tmpl_run run;
	struct arena a;
	bool ok;

	(void)state;
	tmpl_run_init(&run);
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *text = arena_printf(&a, "{{ $value | %s }}", rows[i].function);

		assert_string_equal(expand_text(&run, &a, text, rows[i].value, &ok), rows[i].result);
		assert_true(ok);
	}
	assert_string_equal(expand_text(&run, &a, "{{ humanize \"2048\" }}", 0, &ok), "2.048k");
	assert_string_equal(expand_text(&run, &a, "{{ humanizeDuration 3600 }}", 0, &ok), "1h 0m 0s");
	arena_fini(&a);
	tmpl_run_fini(&run);
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *result; /* what the result begins with */
	} rows[] = {
		{ "{{ .Labels",
		  "<error expanding template: error parsing template __alert_A: template: __alert_A:1: " },
		{ "{{ nosuch }}", "<error expanding template: error parsing template __alert_A: template: "
				  "__alert_A:1: function \"nosuch\" not defined>" },
		{ "{{ query \"up\" | first | value }}",
		  "<error expanding template: error parsing template __alert_A: template: __alert_A:1: "
		  "function \"query\" not supported>" },
		{ "{{ lower \"functions of line_format are others\" }}",
		  "<error expanding template: error parsing template __alert_A: template: __alert_A:1: "
		  "function \"lower\" not defined>" },
		{ "{{ $labels.app | humanize }}",
		  "<error expanding template: error executing template __alert_A: template: __alert_A:1:" },
		{ "{{ .Lables.app }}",
		  "<error expanding template: error executing template __alert_A: template: __alert_A:1:" },
		{ "{{ match \"(\" \"x\" }}",
		  "<error expanding template: error executing template __alert_A: template: __alert_A:1:" },
		{ "{{ range $i, $x := $labels }}{{ template \"t\" }}{{ end }}",
		  "<error expanding template: error executing template __alert_A: template: __alert_A:1:" },
	};
	struct tmpl_run run;
	struct arena a;
	struct err err;
	bool ok;

	(void)state;
	tmpl_run_init(&run);
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *result = expand_text(&run, &a, rows[i].text, 1, &ok);

		if (ok || strncmp(result, rows[i].result, strlen(rows[i].result)) != 0)
			fail_msg("%s: %s", rows[i].text, result);
		assert_int_equal(result[strlen(result) - 1], '>');
	}
	assert_int_equal(rule_template_check(SLICE("A"), SLICE("{{ nosuch }}"), &err), -1);
	assert_int_equal(rule_template_check(SLICE("A"), SLICE("{{ $value | humanize }}"), &err), 0);
	assert_int_equal(rule_template_check(SLICE("A"), SLICE("}} no template"), &err), 0);
	arena_fini(&a);
	tmpl_run_fini(&run);
}

/* Functions of rules are none of line_format, which would pass some for others. */
static void test_functions_apart(void **state)
{
	struct tmpl *t;
	struct arena a;
	struct err err;

	(void)state;
	arena_init(&a);
	assert_int_equal(tmpl_parse("line", SLICE("{{ humanize .x }}"), &a, &t, &err), -1);
	assert_string_equal(err.msg, "template: line:1: function \"humanize\" not defined");
	assert_int_equal(tmpl_parse("line", SLICE("{{ __line__ }}"), &a, &t, &err), 0);
	assert_int_equal(tmpl_parse_rule("r", SLICE("{{ __line__ }}"), &a, &t, &err), -1);
	assert_int_equal(tmpl_parse_rule("r", SLICE("{{ printf \"%v\" 1 | title }}"), &a, &t, &err), 0);
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_humanize),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_functions_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
