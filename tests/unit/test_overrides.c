/* The files beside the configuration: limits of single tenants, credentials; and what holds of several tenants. */
#include "api/route.h"
#include "base/clock.h"
#include "base/mem.h"
#include "daemon/credentials.h"
#include "daemon/overrides.h"
#include "daemon/tenants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct config *defaults(const char *set)
{
	const struct config_args args = { .set = &set, .n_set = set != NULL };
	struct config *c = NULL;
	struct err err;

	if (config_load(&args, &c, &err) == -1)
		fail_msg("%s", err.msg);
	return c;
}

static struct overrides *load(const char *yaml, const struct config *c)
{
	struct overrides *o = NULL;
	struct err err;

	if (overrides_load_text(slice_cstr(yaml), "f", config_settings(c), &o, &err) == -1)
		fail_msg("%s", err.msg);
	return o;
}

static void test_overrides(void **state)
{
	struct config *c = defaults("max_line_size=1000");
	struct overrides *o = load("# as Loki's\n"
				   "overrides:\n"
				   "  acme:\n"
				   "    max_query_series: 7\n"
				   "    query_timeout: 5m\n"
				   "    ingestion_rate_mb: 1.5\n"
				   "    max_line_size: 2KB\n"
				   "    max_line_size_truncate: true\n"
				   "  globex: {}\n"
				   "  \"29\":\n"
				   "  initech: &same {max_query_series: 9}\n"
				   "  hooli: *same\n",
				   c);

	(void)state;
	const struct limits *l = overrides_find(o, SLICE("acme")), *base = &config_settings(c)->limits;
	assert_int_equal(l->max_query_series, 7);
	assert_int_equal(l->query_timeout, 5 * NS_PER_MIN);
	assert_true(l->ingestion_rate_mb == 1.5);
	assert_int_equal(l->max_line_size, 2048);
	assert_true(l->max_line_size_truncate);
	assert_int_equal(l->max_query_length, base->max_query_length); /* what it does not say */
	assert_int_equal(overrides_find(o, SLICE("globex"))->max_line_size, 1000);
	assert_non_null(overrides_find(o, SLICE("29")));
	assert_int_equal(overrides_find(o, SLICE("hooli"))->max_query_series, 9);
	assert_null(overrides_find(o, SLICE("ACME")));
	assert_null(overrides_find(NULL, SLICE("acme")));
	overrides_free(o);
	static const char *const empty[] = { "", "# nothing\n", "overrides:\n", "overrides: {}\n", "~\n" };
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		o = load(empty[i], c);
		assert_null(overrides_find(o, SLICE("acme")));
		overrides_free(o);
	}
	config_free(c);
}

static int refuses_sevens(const struct limits *l, struct err *err)
{
	return l->max_query_series == 7 ? err_set(err, ERR_CONFIG, "seven") : 0;
}

static void test_check_of_limits(void **state)
{
	struct config *c = defaults(NULL);
	struct overrides *good = load("overrides:\n  a: {max_query_series: 8}\n  b: {}\n", c);
	struct overrides *bad = load("overrides:\n  a: {}\n  b: {max_query_series: 7}\n", c);
	struct err err;

	(void)state;
	assert_int_equal(overrides_check(good, refuses_sevens, &err), 0);
	assert_int_equal(overrides_check(bad, refuses_sevens, &err), -1);
	assert_string_equal(err.msg, "b: seven");
	overrides_free(good);
	overrides_free(bad);
	config_free(c);
}

static void test_bad_overrides(void **state)
{
	static const struct {
		const char *yaml, *why;
	} cases[] = {
		{ "overrides:\n  a:\n    max_query_serie: 1\n",
		  "f:3: unknown limit \"max_query_serie\" (did you mean max_query_series?)" },
		{ "overrides:\n  a:\n    no_such_thing_at_all: 1\n",
		  "f:3: unknown limit \"no_such_thing_at_all\"" },
		{ "overrides:\n  a:\n    \"x\\e[2J\": 1\n", "f:3: unknown limit \"x\\x1b[2J\"" },
		{ "overrides:\n  a:\n    listen: 1\n", "f:3: listen is no limit of a tenant" },
		{ "overrides:\n  a:\n    max_query_series: many\n",
		  "f:3: max_query_series is \"many\", must be a whole number, e.g. 100" },
		{ "overrides:\n  a:\n    max_query_series: 0\n",
		  "f:3: max_query_series is 0, must be between 1 and 10000000" },
		{ "overrides:\n  a:\n    max_query_series:\n", "f:3: max_query_series takes a value" },
		{ "overrides:\n  a:\n    max_query_series: {b: c}\n", "f:3: max_query_series takes a value" },
		{ "overrides:\n  a:\n    max_query_series: [1]\n",
		  "f:3: max_query_series is not a list but a whole number, e.g. 100" },
		{ "overrides:\n  a:\n    max_query_series: 1\n    max_query_series: 2\n",
		  "f:4: max_query_series is set twice" },
		{ "overrides:\n  a: {}\n  a: {}\n", "f:3: tenant a stands twice" },
		{ "overrides:\n  a/b: {}\n", "f:2: tenant ID 'a/b' contains unsupported character '/'" },
		{ "overrides:\n  ..: {}\n", "f:2: tenant ID is '.' or '..'" },
		{ "overrides:\n  a: 5\n", "f:2: expected limits as \"name: value\"" },
		{ "overrides:\n  [a]: {}\n", "f:2: no org id" },
		{ "overrides:\n  - a\n", "f:2: overrides takes tenants and their limits" },
		{ "limits:\n  a: {}\n", "f:1: expected \"overrides:\" and tenants below it" },
		{ "overrides: {}\nmore: {}\n", "f:2: nothing but overrides is expected here" },
		{ "- a\n", "f:1: expected \"overrides:\" and tenants below it" },
		{ "overrides: {}\n---\noverrides: {}\n", "f: more than one document" },
		{ "overrides:\n  a:\n    ingestion_burst_size_mb: 0\n",
		  "f:2: a: ingestion_burst_size_mb is 0: no push could ever be accepted" },
		{ "overrides:\n  a:\n    deletion_mode: filter\n",
		  "f:2: a: deletion_mode must be filter-and-delete, filter-only or disabled" },
		{ "overrides: [\n", NULL },
		{ "overrides: *nowhere\n", NULL },
		{ "\xff\xfe", NULL },
	};
	struct config *c = defaults(NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct overrides *o = NULL;
		struct err err = { .code = ERR_NONE };

		assert_int_equal(
			overrides_load_text(slice_cstr(cases[i].yaml), "f", config_settings(c), &o, &err),
			-1);
		assert_null(o);
		assert_int_equal(err.code, ERR_CONFIG);
		if (cases[i].why != NULL)
			assert_string_equal(err.msg, cases[i].why);
	}
	config_free(c);
}

static void test_tenants(void **state)
{
	struct config *c = defaults(NULL);
	struct tenants *t = tenants_new(
		c,
		load("overrides: {a: {max_query_series: 3}, b: {max_query_series: 5, max_query_lookback: 1h,"
		     " volume_enabled: false, query_timeout: 10s}}\n",
		     c));
	struct limits l;

	(void)state;
	assert_int_equal(tenants_limits(t, SLICE("a"))->max_query_series, 3);
	assert_int_equal(tenants_limits(t, SLICE("c"))->max_query_series, 500);
	/* of several the stricter of each, where 0 is no limit at all */
	tenants_copy_limits(t, SLICE("a|b|c"), &l);
	assert_int_equal(l.max_query_series, 3);
	assert_int_equal(l.max_query_lookback, NS_PER_H);
	assert_int_equal(l.query_timeout, 10 * NS_PER_S);
	assert_false(l.volume_enabled);
	assert_int_equal(l.max_query_bytes_read, 0);
	tenants_copy_limits(t, SLICE("c"), &l);
	assert_int_equal(l.max_query_lookback, 0);

	const struct limits *before = tenants_limits(t, SLICE("a"));
	tenants_replace_overrides(t, load("overrides: {a: {max_query_series: 4}}\n", tenants_config(t)));
	assert_int_equal(tenants_limits(t, SLICE("a"))->max_query_series, 4);
	assert_int_equal(tenants_limits(t, SLICE("b"))->max_query_series, 500);
	assert_int_equal(before->max_query_series, 3); /* still to be read */
	before = tenants_limits(t, SLICE("a"));
	tenants_replace_overrides(t, load("overrides: {a: {max_query_series: 4}}\n", tenants_config(t)));
	assert_ptr_equal(tenants_limits(t, SLICE("a")), before); /* nothing has changed */
	c = defaults("max_query_series=6");
	tenants_replace(t, c, load("overrides: {a: {max_query_series: 4}}\n", c));
	assert_int_equal(tenants_limits(t, SLICE("b"))->max_query_series, 6);
	c = defaults("max_query_series=6");
	tenants_replace(t, c, load("overrides: {a: {max_query_series: 4}}\n", c));
	c = defaults("max_query_series=6");
	tenants_replace(t, c, NULL);
	assert_int_equal(tenants_limits(t, SLICE("a"))->max_query_series, 6);
	tenants_free(t);
}

#define YESCRYPT "$y$j75$kF3eOl3LNJ4Mk7rN$NGRE8xJhpyT5nLnP5QyDjxXUbP5DTXLsQ0k6PrqQ2c7"
#define TOKEN	 "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"

static void test_credentials(void **state)
{
	static const char yaml[] = "credentials:\n"
				   "  - name: agent\n"
				   "    token_sha256: " TOKEN "\n"
				   "    tenants: [acme, globex]\n"
				   "    roles: [write]\n"
				   "  - {name: admin, password_hash: \"" YESCRYPT
				   "\", tenants: \"*\", roles: [admin, read, delete]}\n"
				   "  - {name: one, certificate: one.example, tenants: acme, roles: read}\n"
				   "  - {name: single, certificate: two.example, roles: read}\n";
	struct credentials *c = NULL;
	struct err err;

	(void)state;
	if (credentials_load_text(slice_cstr(yaml), "f", AUTH_BEARER, &c, &err) == -1)
		fail_msg("%s", err.msg);
	assert_int_equal(c->v.n, 4);
	assert_true(slice_is(c->v.v[0].name, "agent"));
	assert_int_equal(c->v.v[0].roles, ROLE_WRITE);
	assert_int_equal(c->v.v[0].token_sha256[0], 0x3c);
	assert_true(credential_may_use(&c->v.v[0], SLICE("globex")) &&
		    !credential_may_use(&c->v.v[0], SLICE("x")));
	assert_string_equal(c->v.v[1].password_hash, YESCRYPT);
	assert_int_equal(c->v.v[1].roles, ROLE_ADMIN | ROLE_READ | ROLE_DELETE);
	assert_true(c->v.v[1].all_tenants);
	assert_int_equal(c->v.v[2].n_tenants, 1);
	assert_true(slice_is(c->v.v[2].certificate, "one.example"));
	assert_true(credential_may_use(&c->v.v[3], SLICE("fake")) && c->v.v[3].n_tenants == 1);
	credentials_unref(c);
}

static void test_bad_credentials(void **state)
{
#define ITEM(text) "credentials:\n  - {name: a, roles: [read], " text "}\n"
	static const struct {
		const char *yaml, *why;
	} cases[] = {
		{ "", "f:1: expected \"credentials:\" and a list" },
		{ "credentials: []\n", "f: nobody could log in: no credential has a password_hash" },
		{ "credentials: x\n", "f:1: credentials is not a list" },
		{ "credentials: []\nmore: 1\n", "f:2: nothing but credentials is expected here" },
		{ "credentials: [x]\n", "f:1: expected a credential: name, roles and a secret" },
		{ ITEM("token_sha256: " TOKEN), "f: nobody could log in: no credential has a password_hash" },
		{ ITEM("tenants: b"),
		  "f:2: a credential without password_hash, token_sha256 or certificate" },
		{ ITEM("password: secret"), "f:2: unknown key; there are name, password_hash, token_sha256, "
					    "certificate, tenants and roles" },
		{ ITEM("password_hash: secret"),
		  "f:2: password_hash is no hash of a strong method of crypt(5), such as yescrypt ($y$…)" },
		{ ITEM("token_sha256: secret"), "f:2: token_sha256 is not a SHA-256 as 64 hex digits" },
		{ ITEM("token_sha256: "), "f:2: token_sha256 takes a text" },
		{ ITEM("certificate: [a]"), "f:2: certificate takes a text" },
		{ ITEM("certificate: a, certificate: b"), "f:2: certificate stands twice" },
		{ ITEM("certificate: a, tenants: []"), "f:2: tenants is empty (\"*\" means all)" },
		{ ITEM("certificate: a, tenants: [a/b]"),
		  "f:2: tenant ID 'a/b' contains unsupported character '/'" },
		{ ITEM("certificate: a, tenants: [\"*\"]"),
		  NULL }, /* '*' is a valid id: the tenant of that name */
		{ "credentials:\n  - {name: a, certificate: b}\n", "f:2: a credential without roles" },
		{ "credentials:\n  - {certificate: b, roles: read}\n", "f:2: a credential without a name" },
		{ "credentials:\n  - {name: a, certificate: b, roles: [root]}\n",
		  "f:2: roles are write, read, delete and admin" },
		{ "credentials:\n  - {name: \"a:b\", certificate: b, roles: read}\n",
		  "f:2: name must be UTF-8 without colons, at most 255 bytes" },
		{ ITEM("certificate: x") "  - {name: a, certificate: y, roles: read}\n",
		  "f:3: this name belongs to a credential further up" },
		{ ITEM("certificate: x") "  - {name: b, certificate: x, roles: read}\n",
		  "f:3: this certificate belongs to a credential further up" },
		{ ITEM("token_sha256: " TOKEN) "  - {name: b, token_sha256: " TOKEN ", roles: read}\n",
		  "f:3: this token_sha256 belongs to a credential further up" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct credentials *c = NULL;
		struct err err;

		assert_int_equal(credentials_load_text(slice_cstr(cases[i].yaml), "f", AUTH_BASIC, &c, &err),
				 -1);
		assert_null(c);
		assert_int_equal(err.code, ERR_CONFIG);
		if (cases[i].why != NULL)
			assert_string_equal(err.msg, cases[i].why);
		assert_null(strstr(err.msg, "secret is")); /* no error shows a value */
		assert_null(strstr(err.msg, TOKEN));
	}
}

static void test_file_mode(void **state)
{
	static const char yaml[] = "credentials: [{name: a, certificate: b, roles: read}]\n";
	char path[] = "/tmp/spoor-credentials-XXXXXX";
	struct credentials *c = NULL;
	struct err err;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, yaml, sizeof(yaml) - 1), sizeof(yaml) - 1);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(credentials_load(path, AUTH_MTLS, &c, &err), -1);
	assert_non_null(strstr(err.msg, "open to everyone"));
	assert_int_equal(err.code, ERR_CONFIG);
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(credentials_load(path, AUTH_MTLS, &c, &err), 0);
	credentials_unref(c);
	close(fd);
	unlink(path);
	assert_int_equal(credentials_load(path, AUTH_MTLS, &c, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

static void test_hide_secrets(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a: http://u:p@h/x\nb: 1\n", "a: http://<secret>@h/x\nb: 1\n" },
		{ "a: [https://u@h, 'http://h/a@b']\n", "a: [https://<secret>@h, 'http://h/a@b']\n" },
		{ "a: http://h:80\nb: me@x\n", "a: http://h:80\nb: me@x\n" },
		{ "", "" },
		{ "a: x://", "a: x://" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = { 0 };

		buf_puts(&b, "x://y@z ");
		size_t from = b.n;
		buf_puts(&b, cases[i].in);
		config_hide_secrets(&b, from);
		assert_true(slice_starts(buf_slice(&b), SLICE("x://y@z ")));
		assert_true(slice_is(slice_from(buf_slice(&b), from), cases[i].out));
		buf_fini(&b);
	}
}

static void test_render_limits(void **state)
{
	struct config *c = defaults("max_query_series=77");
	struct buf b = { 0 };

	(void)state;
	config_render_limits(&config_settings(c)->limits, &b);
	buf_cstr_end(&b);
	assert_non_null(strstr(b.p, "max_query_series: 77\n"));
	assert_non_null(strstr(b.p, "max_query_length: "));
	assert_null(strstr(b.p, "listen"));
	buf_fini(&b);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overrides),	cmocka_unit_test(test_bad_overrides),
		cmocka_unit_test(test_tenants),		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_bad_credentials), cmocka_unit_test(test_file_mode),
		cmocka_unit_test(test_hide_secrets),	cmocka_unit_test(test_render_limits),
		cmocka_unit_test(test_check_of_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
