#include "api/route.h"
#include "api/url.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_unescape(void **state)
{
	static const struct {
		const char *in;
		bool form;
		const char *out; /* NULL: fails with err */
		const char *err;
	} cases[] = {
		{ "", false, "", NULL },
		{ "abc", true, "abc", NULL },
		{ "a%20b+c", true, "a b c", NULL },
		{ "a%20b+c", false, "a b+c", NULL },
		{ "%7B%22%c3%A9", true, "{\"\xc3\xa9", NULL },
		{ "%252f", true, "%2f", NULL }, /* once */
		{ "%zz", true, NULL, "invalid URL escape \"%zz\"" },
		{ "a%2", true, NULL, "invalid URL escape \"%2\"" },
		{ "a%", true, NULL, "invalid URL escape \"%\"" },
		{ "%1\"2", true, NULL, "invalid URL escape \"%1\\\"\"" },
		{ "ok%G0more", false, NULL, "invalid URL escape \"%G0\"" },
	};
	struct arena a;
	struct err err;
	struct slice out;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int rc = url_unescape(&a, slice_cstr(cases[i].in), cases[i].form, &out, &err);

		assert_int_equal(rc, cases[i].out != NULL ? 0 : -1);
		if (rc == 0) {
			assert_true(slice_is(out, cases[i].out));
		} else {
			assert_string_equal(err.msg, cases[i].err);
			assert_int_equal(err.code, ERR_BAD_REQUEST);
		}
	}
	arena_fini(&a);
}

static void test_path(void **state)
{
	static const struct {
		const char *in, *out;
		enum url_path kind;
	} cases[] = {
		{ "/", "/", URL_PATH_PLAIN },
		{ "/ready", "/ready", URL_PATH_PLAIN },
		{ "/%72eady", "/ready", URL_PATH_PLAIN },
		{ "/a%20b+c/", "/a b+c/", URL_PATH_PLAIN },
		{ "/a%252fb", "/a%2fb", URL_PATH_PLAIN },
		{ "/...", "/...", URL_PATH_PLAIN },
		{ "/a%2Fb", "/a/b", URL_PATH_ESCAPED },
		{ "/a%2F..%2fb/c", "/a/../b/c", URL_PATH_ESCAPED }, /* a name with dots in it, not a way up */
		{ "/a%2Fb/%2e%2e", "/a/b/..", URL_PATH_NEVER },
		{ "/a%2Fb//c", "/a/b//c", URL_PATH_NEVER },
		{ "/..", "/..", URL_PATH_NEVER },
		{ "/a/../b", "/a/../b", URL_PATH_NEVER },
		{ "/a/%2e%2E/b", "/a/../b", URL_PATH_NEVER },
		{ "/./b", "/./b", URL_PATH_NEVER },
		{ "//a", "//a", URL_PATH_UNCLEAN },
		{ "/a//", "/a//", URL_PATH_UNCLEAN },
		{ "//..", "//..", URL_PATH_NEVER },
	};
	struct arena a;
	struct err err;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice out;
		enum url_path kind;

		assert_int_equal(url_path_decode(&a, slice_cstr(cases[i].in), &out, &kind, &err), 0);
		assert_true(slice_is(out, cases[i].out));
		assert_int_equal(kind, cases[i].kind);
	}
	struct slice out = SLICE("untouched");
	enum url_path kind = URL_PATH_PLAIN;
	assert_int_equal(url_path_decode(&a, SLICE("/%00"), &out, &kind, &err), 0);
	assert_int_equal(kind, URL_PATH_NEVER);
	out = SLICE("untouched");
	assert_int_equal(url_path_decode(&a, SLICE("/a/%0"), &out, &kind, &err), -1);
	assert_true(slice_is(out, "untouched"));
	arena_fini(&a);
}

static void test_clean(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "//", "/" },
		{ "//loki///api//", "/loki/api/" },
		{ "//\\evil.example", "/%5Cevil.example" }, /* browsers read \ as / */
		{ "//a%20b\"\xc3", "/a%20b%22%C3" },
	};
	struct buf b;

	(void)state;
	buf_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&b);
		url_path_clean(&b, slice_cstr(cases[i].in));
		assert_true(slice_is(buf_slice(&b), cases[i].out));
	}
	buf_fini(&b);
}

static void test_params(void **state)
{
	struct url_params p = { NULL, 0 };
	struct arena a;
	struct err err;
	struct slice v;
	size_t i = 0;

	(void)state;
	arena_init(&a);
	/* the body first, then the URL */
	assert_int_equal(
		url_params_add(&p, &a, SLICE("query=%7Ba%3D%22b%22%7D&match[]=1&match%5B%5D=2&&empty"), &err),
		0);
	assert_int_equal(url_params_add(&p, &a, SLICE("query=url&match[]=3&limit=1=2"), &err), 0);
	assert_int_equal(p.n, 7);
	assert_true(slice_is(url_params_first(&p, SLICE("query")), "{a=\"b\"}"));
	assert_true(slice_is(url_params_first(&p, SLICE("limit")), "1=2"));
	assert_int_equal(url_params_first(&p, SLICE("empty")).n, 0);
	assert_non_null(url_params_first(&p, SLICE("empty")).p);
	assert_null(url_params_first(&p, SLICE("absent")).p);
	for (int want = '1'; want <= '3'; want++) {
		assert_true(url_params_next(&p, &i, SLICE("match[]"), &v));
		assert_int_equal(v.n, 1);
		assert_int_equal(v.p[0], want);
	}
	assert_false(url_params_next(&p, &i, SLICE("match[]"), &v));

	assert_int_equal(url_params_add(&p, &a, SLICE("a=1;b=2"), &err), -1);
	assert_string_equal(err.msg, "invalid semicolon separator in query");
	assert_int_equal(url_params_add(&p, &a, SLICE("a=1&b=%zz"), &err), -1);
	assert_string_equal(err.msg, "invalid URL escape \"%zz\"");
	assert_int_equal(url_params_add(&p, &a, SLICE("%=1"), &err), -1);
	assert_int_equal(p.n, 7); /* untouched by what failed */
	assert_int_equal(url_params_add(&p, &a, SLICE(""), &err), 0);

	char many[URL_MAX_PARAMS + 1];
	memset(many, '&', sizeof(many));
	assert_int_equal(url_params_add(&p, &a, slice_of(many, sizeof(many)), &err), -1);
	arena_fini(&a);
}

static void handler(struct req *req)
{
	(void)req;
}

static void test_routes(void **state)
{
	static const struct route routes[] = {
		{ "GET|POST", "/labels", handler, 0 },
		{ "GET", "/label/:name/values", handler, 0 },
		{ "POST", "/delete", handler, 0 },
		{ "GET", "/delete", handler, NEED_TENANT },
		{ "GET", "/trace/:id", handler, 0 },
		{ "GET", "/metrics", handler, ROUTE_ADMIN },
		{ "GET", "/rules/:ns/:group", handler, ROUTE_ESCAPED },
	};
	static const struct {
		const char *method, *path;
		int row; /* -1: none */
		bool known;
		const char *param, *param2;
	} cases[] = {
		{ "GET", "/labels", 0, true, NULL, NULL },
		{ "POST", "/labels", 0, true, NULL, NULL },
		{ "HEAD", "/labels", -1, true, NULL, NULL },
		{ "GET|POST", "/labels", -1, true, NULL, NULL },
		{ "GE", "/labels", -1, true, NULL, NULL },
		{ "GET", "/labels/", -1, false, NULL, NULL },
		{ "GET", "/", -1, false, NULL, NULL },
		{ "GET", "/label/app/values", 1, true, "app", NULL },
		{ "GET", "/label//values", -1, false, NULL, NULL },
		{ "GET", "/label/values", -1, false, NULL, NULL },
		{ "GET", "/label/a/b/values", -1, false, NULL, NULL },
		{ "GET", "/delete", 3, true, NULL, NULL },
		{ "POST", "/delete", 2, true, NULL, NULL },
		{ "PUT", "/delete", -1, true, NULL, NULL },
		{ "GET", "/trace/4bf9", 4, true, "4bf9", NULL },
		{ "GET", "/trace/", -1, false, NULL, NULL },
		{ "GET", "/trace/4bf9/", -1, false, NULL, NULL },
		{ "GET", "/rules/a/b", 6, true, "a", "b" },
		{ "GET", "/rules/a%2Fb/c%20d", 6, true, "a%2Fb", "c%20d" },
		{ "DELETE", "/rules/a/b", -1, true, NULL, NULL },
		{ "GET", "/rules/a", -1, false, NULL, NULL },
		{ "GET", "/rules/a/", -1, false, NULL, NULL },
		{ "GET", "/rules//b", -1, false, NULL, NULL },
		{ "GET", "/rules/a/b/c", -1, false, NULL, NULL },
	};
	struct slice param[ROUTE_MAX_PARAMS];
	bool known;

	(void)state;
	route_check(routes, ARRAY_LEN(routes));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct route *r = route_find(routes, ARRAY_LEN(routes), slice_cstr(cases[i].method),
						   slice_cstr(cases[i].path), 0, 0, param, &known);

		assert_ptr_equal(r, cases[i].row >= 0 ? &routes[cases[i].row] : NULL);
		assert_int_equal(known, cases[i].known);
		if (cases[i].param != NULL)
			assert_true(slice_is(param[0], cases[i].param));
		if (cases[i].param2 != NULL)
			assert_true(slice_is(param[1], cases[i].param2));
	}
	assert_null(route_find(routes, ARRAY_LEN(routes), SLICE("GET"), SLICE("/metrics"), 0, ROUTE_ADMIN,
			       param, &known));
	assert_false(known);
	assert_non_null(route_find(routes, ARRAY_LEN(routes), SLICE("GET"), SLICE("/metrics"), ROUTE_ADMIN, 0,
				   param, &known));
	assert_non_null(route_find(routes, ARRAY_LEN(routes), SLICE("GET"), SLICE("/trace/4bf9"), 0, 0, param,
				   &known));
	assert_null(param[1].p);
	assert_null(route_find(routes, ARRAY_LEN(routes), SLICE("GET"), SLICE("/labels"), ROUTE_ADMIN, 0,
			       param, &known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unescape), cmocka_unit_test(test_path),	cmocka_unit_test(test_clean),
		cmocka_unit_test(test_params),	 cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
