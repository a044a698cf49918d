/* Rule files and groups: what is read, what is refused and with which text, and that what is written reads back. */
#include "rules/rule.h"
#include "rules/rule_yaml.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct rule_group *parse(const char *yaml)
{
	struct rule_group *g = NULL;
	struct err err;

	if (rule_group_parse(slice_cstr(yaml), &g, &err) == -1)
		fail_msg("%s", err.msg);
	return g;
}

static const char full[] = "name: g\n"
			   "interval: 1m\n"
			   "limit: 10\n"
			   "query_offset: 30s\n"
			   "labels: {team: infra}\n"
			   "rules:\n"
			   "- alert: A\n"
			   "  expr: sum(rate({app=\"x\"}[1m])) > 0\n"
			   "  for: 5m\n"
			   "  keep_firing_for: 1h30m\n"
			   "  labels: {sev: page, team: web}\n"
			   "  annotations:\n"
			   "    summary: |\n"
			   "      {{ $value }} lines\n"
			   "      of trouble\n"
			   "- record: job:x\n"
			   "  expr: 'sum(rate({app=\"x\"}[1m]))'\n";

static void a_group_has_these_parts(void **state)
{
	(void)state;
	struct rule_group *g = parse(full);

	assert_true(slice_is(g->name, "g"));
	assert_int_equal(g->interval_ns, NS_PER_MIN);
	assert_int_equal(g->query_offset_ns, 30 * NS_PER_S);
	assert_int_equal(g->limit, 10);
	assert_int_equal(g->n_rules, 2);
	const struct rule *a = &g->rule[0], *r = &g->rule[1];
	assert_true(slice_is(a->alert, "A"));
	assert_null(a->record.p);
	assert_true(slice_is(a->expr, "sum(rate({app=\"x\"}[1m])) > 0"));
	assert_int_equal(a->for_ns, 5 * NS_PER_MIN);
	assert_int_equal(a->keep_firing_for_ns, 90 * NS_PER_MIN);
	assert_int_equal(a->labels.n, 2);
	assert_true(slice_is(labels_get(a->labels, SLICE("team")), "web")); /* over that of the group */
	assert_true(
		slice_is(labels_get(a->annotations, SLICE("summary")), "{{ $value }} lines\nof trouble\n"));
	assert_int_equal(a->line, 7);
	assert_null(r->alert.p);
	assert_true(slice_is(r->record, "job:x"));
	assert_int_equal(r->labels.n, 1);
	assert_true(slice_is(labels_get(r->labels, SLICE("team")), "infra"));
	assert_int_equal(r->line, 16);
	assert_ptr_equal(rule_group_ref(g), g);
	rule_group_unref(g);
	rule_group_unref(g);
	rule_group_unref(NULL);
}

static void groups_are_written_as_loki_does(void **state)
{
	(void)state;
	struct rule_group *g = parse(full);
	struct buf b = { 0 };

	rule_group_format(g, true, &b);
	buf_cstr_end(&b);
	assert_string_equal(b.p, "    - name: g\n"
				 "      interval: 1m\n"
				 "      query_offset: 30s\n"
				 "      limit: 10\n"
				 "      labels:\n"
				 "        team: infra\n"
				 "      rules:\n"
				 "        - alert: A\n"
				 "          expr: sum(rate({app=\"x\"}[1m])) > 0\n"
				 "          for: 5m\n"
				 "          keep_firing_for: 1h30m\n"
				 "          labels:\n"
				 "            sev: page\n"
				 "            team: web\n"
				 "          annotations:\n"
				 "            summary: |\n"
				 "                {{ $value }} lines\n"
				 "                of trouble\n"
				 "        - record: job:x\n"
				 "          expr: sum(rate({app=\"x\"}[1m]))\n");
	rule_group_unref(g);
	g = parse("{\"name\": \"only json\", \"rules\": []}");
	buf_reset(&b);
	rule_group_format(g, false, &b);
	buf_cstr_end(&b);
	assert_string_equal(b.p, "name: only json\nrules: []\n");
	buf_fini(&b);
	rule_group_unref(g);
}

static void groups_are_refused_with_lokis_texts(void **state)
{
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{ "", "group 0: Groupname must not be empty" },
		{ "rules: []", "group 0: Groupname must not be empty" },
		{ "name:", "group 0: Groupname must not be empty" },
		{ "hello", "unable to decoded rule group" },
		{ "[]", "unable to decoded rule group" },
		{ "name: [", "unable to decoded rule group" },
		{ "name: g\nname: h", "unable to decoded rule group" },
		{ "name: g\n---\nname: h", "unable to decoded rule group" },
		{ "name: g\ninterval: fast", "unable to decoded rule group" },
		{ "name: g\ninterval: -1m", "unable to decoded rule group" },
		{ "name: g\nlimit: many", "unable to decoded rule group" },
		{ "name: {a: b}", "unable to decoded rule group" },
		{ "name: g\nrules: {a: b}", "unable to decoded rule group" },
		{ "name: g\nrules: [text]", "unable to decoded rule group" },
		{ "name: g\nrules: [{alert: A, expr: '1', labels: [a]}]", "unable to decoded rule group" },
		{ "name: g\nrules: [{alert: A, expr: '1', labels: {a: [b]}}]",
		  "unable to decoded rule group" },
		{ "name: &x g\nlabels: {a: *x}", "unable to decoded rule group" },
		{ "name: !!str g", "unable to decoded rule group" },
		{ "name: \"a\\0b\"", "unable to decoded rule group" },
		{ "name: \xff", "unable to decoded rule group" },
		{ "name: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "unable to decoded rule group" },
		{ "name: g\nevery: 1m",
		  "unable to decoded rule group: line 2: a group has no field \"every\"" },
		{ "name: g\nrules:\n- alrt: A",
		  "unable to decoded rule group: line 3: a rule has no field \"alrt\"" },
		{ "name: g\nlimit: -1", "group 0: limit is -1, it cannot be negative" },
		{ "name: g\nrules: [{expr: '1'}]", "one of 'record' or 'alert' must be set" },
		{ "name: g\nrules: [~]", "one of 'record' or 'alert' must be set" },
		{ "name: g\nrules: [{alert: A, record: a, expr: '1'}]",
		  "only one of 'record' and 'alert' must be set" },
		{ "name: g\nrules: [{alert: A}]", "field 'expr' must be set in rule" },
		{ "name: g2\nrules: [{alert: A, expr: 'sum(rate({app=\"x\"}[1m])'}]",
		  "could not parse expression for alert 'A' in group 'g2': parse error at line 1, col 24: "
		  "syntax error: "
		  "unexpected $end" },
		{ "name: g\nrules: [{record: a, expr: '}'}]",
		  "could not parse expression for record 'a' in group 'g': parse error at line 1, col 1: "
		  "syntax error: "
		  "unexpected }" },
		{ "name: g\nrules: [{alert: A, expr: '{a=\"b\"}'}]",
		  "could not parse expression for alert 'A' in group 'g': a rule takes a metric query, such "
		  "as "
		  "count_over_time(…), this one selects log lines" },
		{ "name: g\nrules: [{record: 1a, expr: '1'}]", "invalid recording rule name: 1a" },
		{ "name: g\nrules: [{record: a-b, expr: '1'}]", "invalid recording rule name: a-b" },
		{ "name: g\nrules: [{record: a, expr: '1', for: 1m}]",
		  "invalid field 'for' in recording rule" },
		{ "name: g\nrules: [{record: a, expr: '1', keep_firing_for: 1m}]",
		  "invalid field 'keep_firing_for' in recording rule" },
		{ "name: g\nrules: [{record: a, expr: '1', annotations: {a: b}}]",
		  "invalid field 'annotations' in recording rule" },
		{ "name: g\nrules: [{alert: A, expr: '1', labels: {a-b: c}}]", "invalid label name: a-b" },
		{ "name: g\nrules: [{alert: A, expr: '1', labels: {__name__: c}}]",
		  "invalid label name: __name__" },
		{ "name: g\nrules: [{alert: A, expr: '1', annotations: {a.b: c}}]",
		  "invalid annotation name: a.b" },
		{ "name: g\nrules: [{alert: A, expr: '1', annotations: {a: '{{ .Oops'}}]",
		  "annotation \"a\": error parsing template __alert_A: template: __alert_A:1: unclosed "
		  "action" },
		{ "name: g\nrules: [{alert: A, expr: '1', labels: {a: '{{ nofunc }}'}}]",
		  "label \"a\": error parsing template __alert_A: template: __alert_A:1: function \"nofunc\" "
		  "not defined" },
		{ "rules: [{alert: A}, {record: a}]", "group 0: Groupname must not be empty, field 'expr' "
						      "must be set in rule, field 'expr' must be set in "
						      "rule" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rule_group *g = NULL;
		struct err err = { 0 };

		if (rule_group_parse(slice_cstr(cases[i].yaml), &g, &err) != -1)
			fail_msg("accepted: %s", cases[i].yaml);
		assert_null(g);
		assert_string_equal(err.msg, cases[i].text);
		assert_int_equal(err.code, ERR_BAD_REQUEST);
	}
}

static void a_group_has_bounds(void **state)
{
	struct rule_group *g = NULL;
	struct buf b = { 0 };
	struct err err;

	(void)state;
	buf_puts(&b, "name: g\nrules:\n");
	for (int i = 0; i < RULES_MAX_RULES; i++)
		buf_puts(&b, "- {record: a, expr: '1'}\n");
	buf_cstr_end(&b);
	rule_group_unref(parse(b.p));
	buf_puts(&b, "- {record: a, expr: '1'}\n");
	assert_int_equal(rule_group_parse(buf_slice(&b), &g, &err), -1);
	buf_reset(&b);
	buf_puts(&b, "name: g #");
	memset(buf_reserve(&b, RULES_MAX_FILE_BYTES), '#', RULES_MAX_FILE_BYTES);
	b.n += RULES_MAX_FILE_BYTES;
	assert_int_equal(rule_group_parse(buf_slice(&b), &g, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buf_fini(&b);
}

static void any_text_survives_being_written(void **state)
{
	static const struct {
		const char *text, *yaml; /* yaml NULL: however it is written */
	} cases[] = {
		{ "plain text", "plain text" },
		{ "sum(rate({a=\"b\"}[1m])) > 0", "sum(rate({a=\"b\"}[1m])) > 0" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "http://x:80/#a", "http://x:80/#a" },
		{ "", "\"\"" },
		{ "5", "\"5\"" },
		{ "-1.5e3", "\"-1.5e3\"" },
		{ "0x1f", "\"0x1f\"" },
		{ ".inf", "\".inf\"" },
		{ "1:30", "\"1:30\"" },
		{ "2026-11-23", "\"2026-11-23\"" },
		{ "true", "\"true\"" },
		{ "No", "\"No\"" },
		{ "null", "\"null\"" },
		{ "~", "\"~\"" },
		{ "{{ $value }}", "'{{ $value }}'" },
		{ "{a=\"b\"} |= 'x'", "'{a=\"b\"} |= ''x'''" },
		{ "a: b", "'a: b'" },
		{ "a #b", "'a #b'" },
		{ "a:", "'a:'" },
		{ "- a", "'- a'" },
		{ " a", "' a'" },
		{ "a ", "'a '" },
		{ "*a", "'*a'" },
		{ "tab\there", "\"tab\\there\"" },
		{ "bell\a", "\"bell\\x07\"" },
		{ "nel\xc2\x85", "\"nel\\x85\"" },
		{ "ls\xe2\x80\xa8", "\"ls\\u2028\"" },
		{ "bom\xef\xbb\xbf", "\"bom\\uFEFF\"" },
		{ "a\nb", "|-\n    a\n    b" },
		{ "a\n\n  b\n", "|\n    a\n\n      b" },
		{ "a\nb\n\n", "\"a\\nb\\n\\n\"" },
		{ "\na", "\"\\na\"" },
		{ " a\nb", "\" a\\nb\"" },
		{ "a\n  \nb", "\"a\\n  \\nb\"" },
		{ "a\r\nb", "\"a\\r\\nb\"" },
		{ "a\n#b\n---\n...\n%TAG", NULL },
		{ "--- a", NULL },
		{ "---", NULL },
		{ "...", NULL },
		{ "%x", NULL },
		{ "? a", NULL },
		{ "\xf0\x9f\x94\xa5 \"fire\" \\", NULL },
	};
	struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct rule_yaml *root;
		struct arena a;
		struct err err;

		arena_init(&a);
		buf_reset(&b);
		buf_puts(&b, "k: ");
		rule_yaml_quote(&b, slice_cstr(cases[i].text), 4);
		buf_cstr_end(&b);
		if (cases[i].yaml != NULL)
			assert_string_equal(b.p + 3, cases[i].yaml);
		buf_puts(&b, "\n");
		rule_yaml_quote(&b, slice_cstr(cases[i].text), 0);
		buf_puts(&b, ": v\n");
		if (rule_yaml_parse(buf_slice(&b), &a, &root, &err) == -1)
			fail_msg("%s in %.*s", err.msg, (int)b.n, b.p);
		assert_int_equal(root->n, 2);
		assert_int_equal(root->in->kind, RULE_YAML_TEXT);
		assert_true(slice_is(root->in->text, cases[i].text));
		assert_true(slice_is(root->in->next->key, cases[i].text));
		arena_fini(&a);
	}
	buf_fini(&b);
}

static void files_hold_groups_with_names_of_their_own(void **state)
{
	struct rule_group **group = NULL;
	struct buf b = { 0 };
	struct err err;
	size_t n = 0;

	(void)state;
	assert_int_equal(
		rule_file_parse(SLICE("namespace: upload\ngroups:\n- name: a\n  rules: []\n- name: b\n"),
				&group, &n, &err),
		0);
	assert_int_equal(n, 2);
	assert_true(slice_is(group[1]->name, "b"));
	rule_file_format(group, n, &b);
	buf_cstr_end(&b);
	assert_string_equal(b.p, "groups:\n    - name: a\n      rules: []\n    - name: b\n      rules: []\n");
	for (size_t i = 0; i < n; i++)
		rule_group_unref(group[i]);
	free(group);
	buf_fini(&b);

	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{ "groups:\n- name: a\n- name: a\n",
		  "line 3: groupname: \"a\" is repeated in the same file" },
		{ "groups:\n- name: a\n  rules:\n  - alert: A\n",
		  "line 4: field 'expr' must be set in rule" },
		{ "groups: [{name: a, colour: red}]", "line 1: a group has no field \"colour\"" },
		{ "grups: []\n", "line 1: a rule file has no field \"grups\"" },
		{ "groups: none\n", "line 1: groups is a list" },
		{ "groups:\n\t- name: a\n", "line 2: found character that cannot start any token" },
		{ "- groups\n", "line 1: a rule file is a mapping of names to values" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		group = NULL;
		assert_int_equal(rule_file_parse(slice_cstr(cases[i].yaml), &group, &n, &err), -1);
		assert_string_equal(err.msg, cases[i].text);
		assert_null(group);
	}
	assert_int_equal(rule_file_parse(SLICE(""), &group, &n, &err), 0);
	assert_int_equal(n, 0);
	free(group);
}

static void note(void *arg, size_t line, const char *msg)
{
	buf_printf(arg, "%zu: %s\n", line, msg);
}

static void a_check_tells_everything(void **state)
{
	struct rule_counts counts;
	struct buf b = { 0 };

	(void)state;
	rule_file_check(SLICE("groups:\n"
			      "- name: a\n"
			      "  rules:\n"
			      "  - record: x\n"
			      "    expr: '1'\n"
			      "  - record: 0\n"
			      "    expr: '1'\n"
			      "- name: b\n"
			      "  interval: soon\n"
			      "- rules:\n"
			      "  - alert: A\n"),
			note, &b, &counts);
	buf_cstr_end(&b);
	assert_string_equal(b.p, "6: invalid recording rule name: 0\n"
				 "9: interval: not a valid duration string: \"soon\"\n"
				 "10: group 1: Groupname must not be empty\n"
				 "11: field 'expr' must be set in rule\n");
	assert_int_equal(counts.n_problems, 4);
	assert_int_equal(counts.n_recording, 2);
	assert_int_equal(counts.n_alerting, 1);
	buf_fini(&b);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_has_these_parts),
		cmocka_unit_test(groups_are_written_as_loki_does),
		cmocka_unit_test(groups_are_refused_with_lokis_texts),
		cmocka_unit_test(a_group_has_bounds),
		cmocka_unit_test(any_text_survives_being_written),
		cmocka_unit_test(files_hold_groups_with_names_of_their_own),
		cmocka_unit_test(a_check_tells_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
