/* The configuration: what may stand in the file and after --set, what is refused and with which text. */
#include "daemon/config.h"
#include "daemon/tenants.h"
#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct config *load(const char *yaml, const char *set)
{
	const struct config_args args = { .set = &set, .n_set = set != NULL };
	struct config *c = NULL;
	struct err err;

	if (config_load_text(slice_cstr(yaml), "t.yaml", &args, &c, &err) == -1)
		fail_msg("%s", err.msg);
	return c;
}

static void refused(const char *yaml, const char *set, const char *text)
{
	const struct config_args args = { .set = &set, .n_set = set != NULL };
	struct config *c = NULL;
	struct err err;

	if (config_load_text(slice_cstr(yaml), "t.yaml", &args, &c, &err) != -1)
		fail_msg("accepted, should say: %s", text);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_string_equal(err.msg, text);
	assert_null(c);
}

static void defaults_are_those_of_the_table(void **state)
{
	(void)state;
	struct config *c = load("", NULL);
	const struct settings *s = config_settings(c);

	assert_string_equal(s->listen, "127.0.0.1:3100");
	assert_false(s->auth_enabled);
	assert_int_equal(s->limits.max_line_size, 256 << 10);
	assert_int_equal(s->limits.max_query_length, 721 * NS_PER_H);
	assert_int_equal(s->limits.reject_old_samples_max_age, 7 * NS_PER_DAY);
	assert_int_equal(s->limits.retention_period, 0);
	assert_true(s->limits.ingestion_rate_mb == 50);
	assert_int_equal(s->wal_sync, 0);
	assert_int_equal(s->log_level, 1);
	assert_int_equal(s->trace_id_keys.n, 10);
	assert_true(slice_is(s->trace_id_keys.v[0], "trace_id"));
	assert_int_equal(s->indexed_fields.n, 0);
	config_free(c);
}

static void each_type_is_read(void **state)
{
	(void)state;
	struct config *c = load("auth_enabled: true\n"
				"max_query_series: 10000\n"
				"ingestion_rate_mb: 4.5\n"
				"max_line_size: 1 MiB\n"
				"query_timeout: 1m30s\n"
				"listen: \"[::1]:3100\"\n"
				"wal_sync: interval\n"
				"trace_id_keys: [trace_id, 'x,y']\n"
				"indexed_fields:\n  - request_id\n  - order_id\n"
				"allowed_hosts: logs.example, loki\n",
				NULL);
	const struct settings *s = config_settings(c);

	assert_true(s->auth_enabled);
	assert_int_equal(s->limits.max_query_series, 10000);
	assert_true(s->limits.ingestion_rate_mb == 4.5);
	assert_int_equal(s->limits.max_line_size, 1 << 20);
	assert_int_equal(s->limits.query_timeout, 90 * NS_PER_S);
	assert_string_equal(s->listen, "[::1]:3100");
	assert_int_equal(s->wal_sync, 1);
	assert_int_equal(s->trace_id_keys.n, 2);
	assert_true(slice_is(s->trace_id_keys.v[1], "x,y"));
	assert_int_equal(s->indexed_fields.n, 2);
	assert_true(slice_is(s->indexed_fields.v[1], "order_id"));
	assert_int_equal(s->allowed_hosts.n, 2);
	assert_true(slice_is(s->allowed_hosts.v[1], "loki"));
	config_free(c);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} table[] = {
		{ "1024", 1024 },	 { "1KB", 1024 }, { "1kb", 1024 },
		{ "1KiB", 1024 },	 { "3K", 3072 },  { "64MB", 64 << 20 },
		{ "2 GiB", 2ULL << 30 }, { "100B", 100 }, { "1TB", 1ULL << 40 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char *set = xasprintf("max_query_bytes_read=%s", table[i].text);
		struct config *c = load("", set);

		assert_int_equal(config_settings(c)->limits.max_query_bytes_read, table[i].bytes);
		config_free(c);
		free(set);
	}
}

static void nested_mappings_only_group(void **state)
{
	(void)state;
	struct config *c = load("limits_config:\n  max_line_size: 1MB\n  retention_period: 744h\n"
				"ingester:\n  wal: { wal_sync: none }\n",
				NULL);

	assert_int_equal(config_settings(c)->limits.max_line_size, 1 << 20);
	assert_int_equal(config_settings(c)->limits.retention_period, 31 * NS_PER_DAY);
	assert_int_equal(config_settings(c)->wal_sync, 2);
	config_free(c);
}

static void the_command_line_wins_and_the_last_of_it(void **state)
{
	const char *set[] = { "max_query_series=1", " max_query_series = 10000 ",
			      "reject_old_samples=false" };
	const struct config_args args = { .set = set, .n_set = 3 };
	struct config *c = NULL;
	struct err err;

	(void)state;
	assert_int_equal(config_load_text(SLICE("max_query_series: 7"), "t.yaml", &args, &c, &err), 0);
	assert_int_equal(config_settings(c)->limits.max_query_series, 10000);
	assert_false(config_settings(c)->limits.reject_old_samples);
	config_free(c);
}

static void an_empty_file_and_one_of_comments_are_fine(void **state)
{
	(void)state;
	config_free(load("", NULL));
	config_free(load("# nothing\n", NULL));
	config_free(load("---\n", NULL));
	config_free(load("{}\n", NULL));
	config_free(load("limits_config: {}\n", NULL));
}

static void errors_name_line_and_setting(void **state)
{
	(void)state;
	refused("listen: a:1\nmax_line_sise: 1MB\n", NULL,
		"t.yaml:2: unknown setting \"max_line_sise\" (did you mean max_line_size?)");
	refused("frobnicate: 1\n", NULL, "t.yaml:1: unknown setting \"frobnicate\"");
	refused("a:\n  b:\n    c: 1\n", NULL, "t.yaml:3: unknown setting \"c\"");
	refused("nosuch: [1]\n", NULL, "t.yaml:1: unknown setting \"nosuch\"");
	refused("max_line_size: 1MB\nlimits_config:\n  max_line_size: 2MB\n", NULL,
		"t.yaml:3: max_line_size is set twice, first in line 1");
	refused("max_line_size: big\n", NULL,
		"t.yaml:1: max_line_size is \"big\", must be a size, e.g. 256KB, 64MB or 1048576");
	refused("query_timeout: 30\n", NULL,
		"t.yaml:1: query_timeout is \"30\", must be a duration, e.g. 30s, 1h30m or 7d");
	refused("wal_sync: sometimes\n", NULL,
		"t.yaml:1: wal_sync is \"sometimes\", must be one of always|interval|none");
	refused("auth_enabled: maybe\n", NULL, "t.yaml:1: auth_enabled is \"maybe\", must be true or false");
	refused("max_query_series:\n", NULL,
		"t.yaml:1: max_query_series has no value (for an empty text write \"\")");
	refused("max_query_series: [1]\n", NULL,
		"t.yaml:1: max_query_series is not a list but a whole number, e.g. 100");
	refused("max_query_series: {a: 1}\n", NULL,
		"t.yaml:1: max_query_series takes a value, not a mapping");
	refused("- a\n- b\n", NULL, "t.yaml:1: expected settings as \"name: value\"");
	refused("text\n", NULL, "t.yaml:1: expected settings as \"name: value\"");
	refused("indexed_fields: [[a]]\n", NULL, "t.yaml:1: indexed_fields is a list of texts, not of lists");
	refused("indexed_fields: [{a: b}]\n", NULL, "t.yaml:1: indexed_fields takes a value, not a mapping");
	refused("listen: a:1\n---\nlisten: b:1\n", NULL, "t.yaml:2: more than one document");
	refused("indexed_fields: ['']\n", NULL, "t.yaml:1: indexed_fields has an empty item");
	refused("listen: \"a\\0b\"\n", NULL, "t.yaml:1: listen holds a NUL byte");
	refused("{? {a: b} : c}\n", NULL, "t.yaml:1: a mapping cannot be a name");
	refused("? [a]\n: b\n", NULL, "t.yaml:1: expected settings as \"name: value\"");
}

static void ranges_are_checked(void **state)
{
	(void)state;
	refused("max_chunk_entries: 3\n", NULL,
		"t.yaml:1: max_chunk_entries is 3, must be between 16 and 1048576");
	refused("retention_period: 1h\n", NULL,
		"t.yaml:1: retention_period is 1h, must be between 1d and 100y, or 0");
	refused("", "max_line_size=1GB", "--set: max_line_size is 1GB, must be between 1 and 64MB, or 0");
	refused("", "max_query_series=18446744073709551616",
		"--set: max_query_series is \"18446744073709551616\", must be a whole number, e.g. 100");
	refused("", "max_query_bytes_read=99999999999999TB",
		"--set: max_query_bytes_read is \"99999999999999TB\", must be a size, e.g. 256KB, 64MB or "
		"1048576");
	refused("", "max_query_series=-1",
		"--set: max_query_series is \"-1\", must be a whole number, e.g. 100");
	refused("", "ingestion_rate_mb=NaN",
		"--set: ingestion_rate_mb is \"NaN\", must be a number, e.g. 4.5");
	config_free(load("", "retention_period=0"));
	config_free(load("", "retention_period=30d"));
	config_free(load("", "max_line_size=0"));
}

static void settings_must_fit_together(void **state)
{
	(void)state;
	refused("", "trace_url_template=javascript:alert(1)",
		"trace_url_template must start with http:// or https://");
	refused("", "trace_url_template=https://jaeger/trace/", "trace_url_template has no {trace_id} in it");
	refused("", "trace_links=Jaeger=javascript:{trace_id}",
		"trace_links: the URL of Jaeger must start with http:// or https://");
	refused("", "trace_links=A=https://a/{trace_id},B=https://b/",
		"trace_links: the URL of B has no {trace_id} in it");
	refused("", "max_recv_msg_size=300MB", "max_decompressed_size is smaller than max_recv_msg_size");
	refused("", "query_memory=1MB", "query_memory is smaller than max_query_memory");
	refused("", "ingestion_burst_size_mb=0",
		"ingestion_burst_size_mb is 0: no push could ever be accepted");
}

static void set_errors(void **state)
{
	(void)state;
	refused("", "max_line_size", "--set max_line_size: expected NAME=VALUE");
	refused("", "wal-sync=none", "--set: unknown setting \"wal-sync\" (did you mean wal_sync?)");
	refused("", "=1", "--set: unknown setting \"\"");
}

/* Text of `n` copies of a part. */
static char *repeat(const char *part, size_t n)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_puts(&b, part);
	buf_putc(&b, '\0');
	return b.p;
}

static void bombs_are_refused(void **state)
{
	(void)state;
	char *deep = repeat("{a: ", 1000);
	char *lists = repeat("[", 100000);
	char *long_list = repeat("x,", 20000);
	char *items = xasprintf("indexed_fields: [%s]", long_list);

	refused(deep, NULL, "t.yaml:1: mappings are nested deeper than 16");
	refused(lists, NULL, "t.yaml:1: expected settings as \"name: value\"");
	refused(items, NULL, "t.yaml:1: indexed_fields has more than 10000 items");
	refused("a: &x\n  log_level: info\nb: *x\n", NULL, "t.yaml:1: anchors (&name) are not supported");
	refused("log_level: *x\n", NULL, "t.yaml:1: aliases (*name) are not supported");
	refused("a: &a [l]\nb: &b [*a,*a]\nc: [*b,*b]\n", NULL,
		"t.yaml:1: anchors (&name) are not supported");
	free(deep);
	free(lists);
	free(items);
	free(long_list);
}

static void syntax_errors_name_the_line(void **state)
{
	static const char *const bad[] = { "a: b: c\n", "listen: 'x\n", "\tlisten: x\n", "{listen: x\n",
					   "listen: \xff\n" };
	const struct config_args args = { 0 };
	struct config *c = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(config_load_text(slice_cstr(bad[i]), "t.yaml", &args, &c, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_memory_equal(err.msg, "t.yaml:", 7);
	}
}

static void a_missing_file_is_an_error(void **state)
{
	const struct config_args args = { .file = "/nonexistent/spoor.yaml" };
	struct config *c = NULL;
	struct err err;

	(void)state;
	assert_int_equal(config_load(&args, &c, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.msg, "/nonexistent/spoor.yaml"));
}

static void what_is_rendered_reads_back_the_same(void **state)
{
	(void)state;
	struct config *c = load(
		"allowed_hosts: [\"it's\", 'a: b', \"tab\\there\", '#x', \"line\\nbreak\"]\n"
		"trace_url_template: https://g/x?a='1'&id={trace_id}\n"
		"ingestion_rate_mb: 0.1\nquery_timeout: 1.5s\nmax_line_size: 1000\nmax_query_lookback: 90d\n",
		NULL);
	struct buf text = { 0 };

	config_render(c, CONFIG_ALL, &text);
	buf_cstr_end(&text);
	struct config *again = load(text.p, NULL);
	assert_true(config_same(c, again));
	buf_reset(&text);
	config_render(c, CONFIG_DIFFS, &text);
	buf_cstr_end(&text);
	assert_null(strstr(text.p, "listen"));
	assert_non_null(strstr(text.p, "max_line_size: 1000  # configuration file, line 5\n"));
	struct config *diffs = load(text.p, NULL);
	assert_true(config_same(c, diffs));
	buf_reset(&text);
	config_render(c, CONFIG_DEFAULTS, &text);
	buf_cstr_end(&text);
	assert_non_null(strstr(text.p, "max_line_size: 256KB  # default\n"));
	buf_fini(&text);
	config_free(diffs);
	config_free(again);
	config_free(c);
}

static void reload_takes_over_what_it_can(void **state)
{
	const char *set[] = { "max_line_size=1MB", "listen=127.0.0.1:9", "indexed_fields=order_id" };
	const struct config_args args = { .set = set, .n_set = 3 };
	struct config *running = load("", NULL), *c = NULL;
	struct buf needs_restart = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(config_reload(running, &args, &c, &needs_restart, &err), 0);
	assert_int_equal(config_settings(c)->limits.max_line_size, 1 << 20);
	assert_string_equal(config_settings(c)->listen, "127.0.0.1:3100");
	assert_int_equal(config_settings(c)->indexed_fields.n, 0);
	assert_true(slice_is(buf_slice(&needs_restart), "listen indexed_fields"));
	config_free(running);
	config_free(c);
	buf_fini(&needs_restart);
}

static void reload_is_all_or_nothing(void **state)
{
	const char *set[] = { "max_line_size=1MB", "query_timeout=never" };
	const struct config_args args = { .set = set, .n_set = 2 };
	struct config *running = load("", NULL), *c = NULL;
	struct buf needs_restart = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(config_reload(running, &args, &c, &needs_restart, &err), -1);
	assert_null(c);
	assert_int_equal(config_settings(running)->limits.max_line_size, 256 << 10);
	config_free(running);
	buf_fini(&needs_restart);
}

static void old_limits_outlive_a_reload(void **state)
{
	(void)state;
	struct tenants *t = tenants_new(load("", NULL), NULL);
	const struct limits *before = tenants_limits(t, SLICE("fake"));

	tenants_replace(t, load("", "max_line_size=1MB"), NULL);
	assert_int_equal(before->max_line_size, 256 << 10);
	assert_int_equal(tenants_limits(t, SLICE("fake"))->max_line_size, 1 << 20);
	const struct config *now = tenants_config(t);
	tenants_replace(t, load("", "max_line_size=1024KB"), NULL);
	assert_ptr_equal(tenants_config(t), now); /* the same values: nothing to replace */
	tenants_free(t);
}

static void help_and_manual_know_every_setting(void **state)
{
	(void)state;
	struct buf help = { 0 }, mdoc = { 0 };

	config_help(&help);
	config_mdoc(&mdoc);
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL)
			continue;
		assert_true(slice_find(buf_slice(&help), slice_cstr(row->name)) != SLICE_NONE);
		assert_true(slice_find(buf_slice(&mdoc), slice_cstr(row->name)) != SLICE_NONE);
	}
	buf_fini(&help);
	buf_fini(&mdoc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_table),
		cmocka_unit_test(each_type_is_read),
		cmocka_unit_test(sizes),
		cmocka_unit_test(nested_mappings_only_group),
		cmocka_unit_test(the_command_line_wins_and_the_last_of_it),
		cmocka_unit_test(an_empty_file_and_one_of_comments_are_fine),
		cmocka_unit_test(errors_name_line_and_setting),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(settings_must_fit_together),
		cmocka_unit_test(set_errors),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(syntax_errors_name_the_line),
		cmocka_unit_test(a_missing_file_is_an_error),
		cmocka_unit_test(what_is_rendered_reads_back_the_same),
		cmocka_unit_test(reload_takes_over_what_it_can),
		cmocka_unit_test(reload_is_all_or_nothing),
		cmocka_unit_test(old_limits_outlive_a_reload),
		cmocka_unit_test(help_and_manual_know_every_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
