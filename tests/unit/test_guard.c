/* Who may ask: tenants, hosts (DNS rebinding), sites (CSRF). */
#include "api/guard.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* headers: lines with CRLF; host NULL: an HTTP/1.0 request without one */
static struct http1_head head_of(const char *host, const char *headers)
{
	const struct http1_limits limits = { 65536, 100 };
	struct http1_head head;
	struct http1 p;
	struct slice data;
	struct buf b;

	buf_init(&b);
	if (host != NULL)
		buf_printf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, headers);
	else
		buf_printf(&b, "GET / HTTP/1.0\r\n%s\r\n", headers);
	struct slice in = buf_slice(&b);
	http1_init(&p, &limits);
	assert_int_equal(http1_feed(&p, &in, &data), HTTP1_HEAD);
	http1_head_take(&p, &head);
	http1_fini(&p);
	buf_fini(&b);
	return head;
}

static int tenant_of(const struct http1_head *h, const struct server_settings *s, unsigned flags,
		     struct arena *a, struct slice *tenant, struct err *err)
{
	return guard_tenant(http1_header_get(h, SLICE("x-scope-orgid")), s, flags, NULL, a, tenant, err);
}

static void test_tenant(void **state)
{
	static const struct {
		const char *headers;
		bool on, queries;
		unsigned flags;
		enum err_code code;
		const char *want; /* tenant or error text */
	} cases[] = {
		{ "", false, false, 0, ERR_NONE, "fake" },
		{ "X-Scope-OrgID: a|b/\r\n", false, true, ROUTE_MULTI_TENANT, ERR_NONE, "fake" },
		{ "", true, false, 0, ERR_UNAUTHORIZED, "no org id" },
		{ "x-scope-orgid: acme\r\n", true, false, 0, ERR_NONE, "acme" },
		{ "X-Scope-OrgID: a!-_.*'()Z9\r\n", true, false, 0, ERR_NONE, "a!-_.*'()Z9" },
		{ "X-Scope-OrgID:  \r\n", true, false, 0, ERR_UNAUTHORIZED, "no org id" },
		{ "X-Scope-OrgID: a/b\r\n", true, false, 0, ERR_BAD_REQUEST,
		  "tenant ID 'a/b' contains unsupported character '/'" },
		{ "X-Scope-OrgID: caf\xc3\xa9\r\n", true, false, 0, ERR_BAD_REQUEST,
		  "tenant ID 'caf\xc3\xa9' contains unsupported character '\xc3\xa9'" },
		{ "X-Scope-OrgID: a\x9b\r\n", true, false, 0, ERR_BAD_REQUEST,
		  "tenant ID 'a\\x9b' contains unsupported character '\\x9b'" },
		{ "X-Scope-OrgID: .\r\n", true, false, 0, ERR_BAD_REQUEST, "tenant ID is '.' or '..'" },
		{ "X-Scope-OrgID: ..\r\n", true, false, 0, ERR_BAD_REQUEST, "tenant ID is '.' or '..'" },
		{ "X-Scope-OrgID: a|b\r\n", true, true, 0, ERR_BAD_REQUEST, "multiple org IDs present" },
		{ "X-Scope-OrgID: a|b\r\n", true, false, ROUTE_MULTI_TENANT, ERR_BAD_REQUEST,
		  "tenant ID 'a|b' contains unsupported character '|'" },
		{ "X-Scope-OrgID: a|b\r\n", true, true, ROUTE_MULTI_TENANT, ERR_NONE, "a|b" },
		{ "X-Scope-OrgID: a|..\r\n", true, true, ROUTE_MULTI_TENANT, ERR_BAD_REQUEST,
		  "tenant ID is '.' or '..'" },
		{ "X-Scope-OrgID: a|\r\n", true, true, ROUTE_MULTI_TENANT, ERR_BAD_REQUEST,
		  "tenant ID is empty" },
		{ "X-Scope-OrgID: |a\r\n", true, true, ROUTE_MULTI_TENANT, ERR_BAD_REQUEST,
		  "tenant ID is empty" },
	};
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct server_settings s = { .multi_tenant = cases[i].on,
					     .multi_tenant_queries = cases[i].queries };
		struct http1_head h = head_of("h", cases[i].headers);
		struct slice tenant;
		struct err err = { .code = ERR_NONE };

		if (tenant_of(&h, &s, cases[i].flags, &a, &tenant, &err) == 0)
			assert_true(slice_is(tenant, cases[i].want));
		else
			assert_string_equal(err.msg, cases[i].want);
		assert_int_equal(err.code, cases[i].code);
		http1_head_fini(&h);
	}
	arena_fini(&a);
}

static void test_tenant_of_credential(void **state)
{
	static const struct slice a[] = { { "a", 1 } }, ab[] = { { "a", 1 }, { "b", 1 } },
				  fake[] = { { "fake", 4 } };
	static const struct credential one = { .tenants = a, .n_tenants = 1 },
				       two = { .tenants = ab, .n_tenants = 2 }, all = { .all_tenants = true },
				       single = { .tenants = fake, .n_tenants = 1 };
	static const struct {
		const struct credential *who;
		const char *header; /* NULL: not sent */
		bool multi;
		enum err_code code;
		const char *want; /* tenant or error text */
	} cases[] = {
		{ &one, NULL, true, ERR_NONE, "a" },
		{ &one, "", true, ERR_UNAUTHORIZED, "no org id" },
		{ &one, "a", true, ERR_NONE, "a" },
		{ &one, "b", true, ERR_FORBIDDEN, "tenant 'b' is not one of this credential's" },
		{ &one, "A", true, ERR_FORBIDDEN, "tenant 'A' is not one of this credential's" },
		{ &one, "a|b", true, ERR_FORBIDDEN, "tenant 'b' is not one of this credential's" },
		{ &one, "a|a", true, ERR_NONE, "a" },
		{ &one, "a/", true, ERR_BAD_REQUEST, "tenant ID 'a/' contains unsupported character '/'" },
		{ &two, NULL, true, ERR_UNAUTHORIZED, "no org id" },
		{ &two, "b|a|b", true, ERR_NONE, "a|b" },
		{ &two, "a|c", true, ERR_FORBIDDEN, "tenant 'c' is not one of this credential's" },
		{ &two, "a|", true, ERR_BAD_REQUEST, "tenant ID is empty" },
		{ &all, NULL, true, ERR_UNAUTHORIZED, "no org id" },
		{ &all, "c|b", true, ERR_NONE, "b|c" },
		{ NULL, "z|b|z", true, ERR_NONE, "b|z" },
		{ NULL, NULL, true, ERR_UNAUTHORIZED, "no org id" },
		/* one tenant for all: the header is ignored, the credential is not */
		{ &single, "b", false, ERR_NONE, "fake" },
		{ &all, NULL, false, ERR_NONE, "fake" },
		{ NULL, "a|b", false, ERR_NONE, "fake" },
		{ &one, "a", false, ERR_FORBIDDEN, "tenant 'fake' is not one of this credential's" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct server_settings s = { .multi_tenant = cases[i].multi, .multi_tenant_queries = true };
		struct slice tenant;
		struct arena arena;
		struct err err = { .code = ERR_NONE };

		arena_init(&arena);
		if (guard_tenant(slice_cstr(cases[i].header), &s, ROUTE_MULTI_TENANT, cases[i].who, &arena,
				 &tenant, &err) == 0)
			assert_true(slice_is(tenant, cases[i].want));
		else
			assert_string_equal(err.msg, cases[i].want);
		assert_int_equal(err.code, cases[i].code);
		arena_fini(&arena);
	}
}

static void test_too_many_tenants(void **state)
{
	struct server_settings s = { .multi_tenant = true, .multi_tenant_queries = true };
	struct buf b = { 0 };
	struct slice tenant;
	struct arena arena;
	struct err err;

	(void)state;
	arena_init(&arena);
	for (int i = 0; i < 256; i++)
		buf_printf(&b, "%st%d", i > 0 ? "|" : "", i);
	assert_int_equal(guard_tenant(buf_slice(&b), &s, ROUTE_MULTI_TENANT, NULL, &arena, &tenant, &err), 0);
	assert_int_equal(tenant.n, b.n);
	buf_puts(&b, "|x");
	assert_int_equal(guard_tenant(buf_slice(&b), &s, ROUTE_MULTI_TENANT, NULL, &arena, &tenant, &err),
			 -1);
	assert_string_equal(err.msg, "too many tenants at once: 257 > 256");
	buf_fini(&b);
	arena_fini(&arena);
}

static void test_role(void **state)
{
	static const struct {
		unsigned flags, roles;
		const char *why; /* NULL: may pass */
	} cases[] = {
		{ ROLE_READ, ROLE_READ, NULL },
		{ ROLE_READ, ROLE_WRITE | ROLE_READ, NULL },
		{ ROLE_READ | ROLE_DELETE, ROLE_DELETE, NULL },
		{ ROLE_ANY, ROLE_WRITE, NULL },
		{ ROLE_READ, ROLE_WRITE | ROLE_DELETE | ROLE_ADMIN,
		  "this takes a credential with the role read" },
		{ ROLE_READ | ROLE_DELETE, ROLE_WRITE,
		  "this takes a credential with the role read or delete" },
		{ NEED_TENANT, ROLE_ANY & ~(unsigned)ROLE_ADMIN,
		  "this takes a credential with the role admin" }, /* a row that says nothing */
		{ NEED_TENANT, ROLE_ADMIN, NULL },
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct credential who = { .roles = cases[i].roles };
		int rc = guard_role(cases[i].flags, &who, &err);

		assert_int_equal(rc, cases[i].why == NULL ? 0 : -1);
		if (rc == -1) {
			assert_int_equal(err.code, ERR_FORBIDDEN);
			assert_string_equal(err.msg, cases[i].why);
		}
		assert_int_equal(guard_role(cases[i].flags, NULL, &err), 0);
	}
}

static void test_tenant_length(void **state)
{
	struct server_settings s = { .multi_tenant = true };
	struct slice tenant;
	struct arena a;
	struct err err;

	(void)state;
	arena_init(&a);
	for (size_t n = 150; n <= 151; n++) {
		char line[256] = "X-Scope-OrgID: ";

		memset(line + 15, 'a', n);
		memcpy(line + 15 + n, "\r\n", 3);
		struct http1_head h = head_of("h", line);
		assert_int_equal(tenant_of(&h, &s, 0, &a, &tenant, &err), n == 150 ? 0 : -1);
		http1_head_fini(&h);
	}
	assert_string_equal(err.msg, "tenant ID is too long: max 150 characters");
	arena_fini(&a);
}

static void test_host(void **state)
{
	static const struct {
		const char *host;
		bool ok;
	} cases[] = {
		{ "127.0.0.1:3100", true },
		{ "10.1.2.3", true },
		{ "[::1]:3100", true },
		{ "[2001:db8::1]", true },
		{ "localhost:3100", true },
		{ "LOCALHOST", true },
		{ "localhost.", true },
		{ "spoor:3100", true },
		{ "logs.local", true },
		{ "a.b.internal", true },
		{ "loki.monitoring.svc", true },
		{ "loki.x.svc.cluster.local:80", true },
		{ "me.example.org", true },
		{ "Logs.Example.com:8", true },
		{ NULL, true },
		{ "evil.example", false },
		{ "127.0.0.1.evil.example", false },
		{ "1.2.3", false },
		{ "0x7f.0.0.1", false },
		{ "[nonsense.x]", false },
		{ "local.evil.com", false },
		{ "notlogs.example.com", false },
		{ ".local", false },
	};
	static const char *const allowed[] = { "logs.example.com" };
	struct server_settings s = { .check_host = true, .allowed_hosts = allowed, .n_allowed_hosts = 1 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http1_head h = { .host = slice_cstr(cases[i].host) };
		int rc = guard_host(&h, &s, SLICE("me.example.org"), &err);

		if ((rc == 0) != cases[i].ok)
			fail_msg("host %s", cases[i].host);
		if (rc == -1) {
			assert_int_equal(err.code, ERR_FORBIDDEN);
			assert_non_null(strstr(err.msg, "allowed_hosts"));
		}
	}
	struct http1_head h = { .host = SLICE("evil.example") };
	s.check_host = false;
	assert_int_equal(guard_host(&h, &s, SLICE(""), &err), 0);
	static const char *const all[] = { "*" };
	s = (struct server_settings){ .check_host = true, .allowed_hosts = all, .n_allowed_hosts = 1 };
	assert_int_equal(guard_host(&h, &s, SLICE(""), &err), 0);
}

static void test_site(void **state)
{
	static const struct {
		const char *headers;
		bool ok;
	} cases[] = {
		{ "", true }, /* curl */
		{ "Origin: http://h:3100\r\n", true },
		{ "Origin: https://H:3100\r\nSec-Fetch-Site: same-origin\r\n", true },
		{ "Origin: https://grafana.example\r\nSec-Fetch-Site: cross-site\r\n", true },
		{ "Sec-Fetch-Site: none\r\n", true },
		{ "Sec-Fetch-Site: cross-site\r\n", false },
		{ "Sec-Fetch-Site: Same-Site\r\n", false },
		{ "Origin: http://evil.example\r\n", false },
		{ "Origin: null\r\n", false },
		{ "Origin: \r\n", false },
		{ "Origin: http://h\r\n", false }, /* another port is another site's */
		{ "Origin: ftp://h:3100\r\n", false },
		{ "Origin: http://evil.example\r\nX-Scope-OrgID: a\r\n", true },
		{ "Origin: http://evil.example\r\nX-Grafana-Org-Id: 1\r\n", true },
		{ "Origin: http://evil.example\r\nauthorization: Bearer x\r\n", true },
		/* a browser adds these by itself, whichever page asks */
		{ "Origin: http://evil.example\r\nAuthorization: Basic YTpi\r\n", false },
		{ "Sec-Fetch-Site: cross-site\r\nAuthorization: Basic YTpi\r\n", false },
		{ "Origin: http://evil.example\r\nAuthorization: Negotiate YTpi\r\n", false },
		{ "Origin: http://evil.example\r\nAuthorization: Digest username=\"a\"\r\n", false },
		{ "Origin: http://evil.example\r\nAuthorization:\r\n", false },
		{ "Origin: https://grafana.example\r\nAuthorization: Basic YTpi\r\n", true },
		{ "Origin: http://h:3100\r\nAuthorization: Basic YTpi\r\n", true },
		{ "Authorization: Basic YTpi\r\n", true },
		{ "Sec-Fetch-Site: cross-site\r\nX-Spoor-Request: 1\r\n", true },
		{ "Origin: http://evil.example\r\nX-Grafan: 1\r\n", false },
	};
	static const char *const allowed[] = { "https://grafana.example" };
	struct server_settings s = { .allowed_origins = allowed, .n_allowed_origins = 1 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http1_head h = head_of("h:3100", cases[i].headers);

		if ((guard_site(&h, &s, &err) == 0) != cases[i].ok)
			fail_msg("headers %s", cases[i].headers);
		http1_head_fini(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tenant),
		cmocka_unit_test(test_tenant_of_credential),
		cmocka_unit_test(test_too_many_tenants),
		cmocka_unit_test(test_role),
		cmocka_unit_test(test_tenant_length),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_site),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
