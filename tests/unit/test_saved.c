/* Saved queries: what may be saved, how many, and that the file holds the old list or the new one. */
#include "query/saved.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static struct saved_queries *s;
static const struct slice tenant = { "a.b", 3 };

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/spoor-saved-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	s = saved_queries_new(dir);
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	saved_queries_free(s);
	file_fault("rename", 0, 0, 0);
	return file_remove_tree(dir, &err);
}

static int put(const char *name, const char *query, const char *note)
{
	const struct saved_query q = { slice_cstr(name), slice_cstr(query), slice_cstr(note), 17 };
	struct err err;

	err_clear(&err);
	return saved_put(s, tenant, &q, &err) == 0 ? 0 : (int)err.code;
}

static const char *list(struct slice who)
{
	static char text[4096];
	struct saved_query *v;
	struct arena a;
	struct err err;
	size_t n, at = 0;

	arena_init(&a);
	text[0] = '\0';
	int rc = saved_list(s, who, &a, &v, &n, &err);
	for (size_t i = 0; rc == 0 && i < n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s=%.*s(%.*s)@%lld;",
				       SLICE_ARG(v[i].name), SLICE_ARG(v[i].query), SLICE_ARG(v[i].note),
				       (long long)v[i].saved_ns);
	arena_fini(&a);
	return rc == 0 ? text : err_name(err.code);
}

static void put_list_delete(void **state)
{
	struct err err;

	(void)state;
	assert_string_equal(list(tenant), "");
	assert_int_equal(put("b", "{x=\"1\"}", "two\nlines"), 0);
	assert_int_equal(put("a", "{}", ""), 0);
	assert_string_equal(list(tenant), "a={}()@17;b={x=\"1\"}(two\nlines)@17;");
	assert_int_equal(put("b", "{y=\"2\"}", ""), 0);
	saved_queries_free(s);
	s = saved_queries_new(dir);
	assert_string_equal(list(tenant), "a={}()@17;b={y=\"2\"}()@17;");
	assert_string_equal(list(SLICE("other")), "");
	assert_int_equal(saved_delete(s, tenant, SLICE("a"), &err), 0);
	assert_int_equal(saved_delete(s, tenant, SLICE("a"), &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(list(tenant), "b={y=\"2\"}()@17;");
}

static void what_may_be_saved(void **state)
{
	char *large = xmalloc(SAVED_MAX_BYTES + 1);

	(void)state;
	memset(large, 'x', SAVED_MAX_BYTES);
	large[SAVED_MAX_BYTES] = '\0';
	assert_int_equal(put("../../up", "x", ""), 0);
	assert_int_equal(put("\"\\", "\xe2\x80\xa8", "\x01"), 0);
	assert_string_equal(list(tenant), "\"\\=\xe2\x80\xa8(\x01)@17;../../up=x()@17;");
	assert_int_equal(put("", "x", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("a\nb", "x", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("\xff", "x", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("n", "\xff", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("n", "x", "\xff"), ERR_BAD_REQUEST);
	assert_int_equal(put("n", " ", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("n", large, ""), ERR_BAD_REQUEST);
	assert_int_equal(put("n", large + 1, ""), 0);
	assert_int_equal(put(large + SAVED_MAX_BYTES - SAVED_MAX_NAME_BYTES - 1, "x", ""), ERR_BAD_REQUEST);
	free(large);
}

static void as_many_as_fit(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < SAVED_MAX; i++) {
		snprintf(name, sizeof(name), "q%d", i);
		assert_int_equal(put(name, "{}", ""), 0);
	}
	assert_int_equal(put("more", "{}", ""), ERR_BAD_REQUEST);
	assert_int_equal(put("q7", "{a=\"b\"}", ""), 0);
}

static void old_or_new(void **state)
{
	char path[128];
	struct err err;

	(void)state;
	assert_int_equal(put("a", "old", ""), 0);
	static const char *const kinds[] = { "create", "write", "sync", "rename" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		file_fault(kinds[i], ENOSPC, 0, 1);
		assert_int_not_equal(put("a", "new", ""), 0);
		file_fault(kinds[i], 0, 0, 0);
		assert_string_equal(list(tenant), "a=old()@17;");
	}
	/* What cannot be read is neither an empty list nor written over. */
	snprintf(path, sizeof(path), "%s/a%%2Eb.jsonl", dir);
	assert_int_equal(file_replace(path, SLICE("{\"name\":\"a\",\"query\":\"x\"}\n"), &err), 0);
	assert_string_equal(list(tenant), err_name(ERR_CORRUPT));
	assert_int_equal(put("b", "x", ""), ERR_CORRUPT);
	assert_int_equal(
		file_replace(path, SLICE("{\"name\":\"a\",\"query\":\"x\",\"saved\":\"1\"}\n{\"na"), &err),
		0);
	assert_string_equal(list(tenant), err_name(ERR_CORRUPT));
}

static void bodies(void **state)
{
	static const struct {
		const char *json, *query, *note;
	} cases[] = {
		{ "{\"query\":\"a\\n\\u00e9\",\"note\":\"n\"}", "a\n\xc3\xa9", "n" },
		{ " {\"more\":[{}],\"query\":\"x\"} ", "x", "" },
		{ "{\"note\":\"x\"}", "", "x" },
		{ "", NULL, NULL },
		{ "[]", NULL, NULL },
		{ "{\"query\":1}", NULL, NULL },
		{ "{\"query\":null}", NULL, NULL },
		{ "{\"query\":\"\\q\"}", NULL, NULL },
		{ "{\"query\":\"x\"", NULL, NULL },
		{ "{\"query\":\"x\"}{}", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct saved_query q;
		struct arena a;
		struct err err;

		arena_init(&a);
		int rc = saved_parse(slice_cstr(cases[i].json), &a, &q, &err);
		assert_int_equal(rc, cases[i].query != NULL ? 0 : -1);
		assert_true(rc == -1 ? err.code == ERR_BAD_REQUEST
				     : slice_is(q.query, cases[i].query) && slice_is(q.note, cases[i].note));
		arena_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(put_list_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_be_saved, setup, teardown),
		cmocka_unit_test_setup_teardown(as_many_as_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(old_or_new, setup, teardown),
		cmocka_unit_test(bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
