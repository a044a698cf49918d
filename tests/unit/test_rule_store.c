/* The rule store: what its folder holds, what becomes of it when files change under it, and what writes leave behind. */
#include "rules/rule_store.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char root[64], dir[80];

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	strcpy(root, "/tmp/spoor-rules-XXXXXX");
	if (mkdtemp(root) == NULL)
		return -1;
	snprintf(dir, sizeof(dir), "%s/rules", root);
	return 0;
}

static int teardown(void **state)
{
	struct err err;

	(void)state;
	return file_remove_tree(root, &err);
}

static struct rule_store *open_store(void)
{
	struct rule_store *s = NULL;
	struct err err;

	if (rule_store_open(dir, &s, &err) == -1)
		fail_msg("%s", err.msg);
	return s;
}

static void write_file(const char *name, const char *text)
{
	char path[512];
	struct err err;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	char *slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(file_mkdirs(path, &err), 0);
	*slash = '/';
	assert_int_equal(file_replace(path, slice_cstr(text), &err), 0);
}

static bool has_file(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return file_exists(path);
}

/* "tenant/ns/group ..." of all that the view holds. */
static void expect_view(struct rule_store *s, struct slice tenant, struct slice ns, struct slice group,
			const char *text)
{
	struct rule_view v;
	struct buf b = { 0 };

	rule_view_take(s, tenant, ns, group, &v);
	for (size_t i = 0; i < v.n; i++)
		buf_printf(&b, "%s%.*s/%.*s/%.*s", i > 0 ? " " : "", SLICE_ARG(v.ref[i].tenant),
			   SLICE_ARG(v.ref[i].ns), SLICE_ARG(v.ref[i].group->name));
	rule_view_fini(&v);
	buf_cstr_end(&b);
	assert_string_equal(b.p, text);
	buf_fini(&b);
}

static void expect(struct rule_store *s, const char *text)
{
	const struct slice any = { NULL, 0 };

	expect_view(s, any, any, any, text);
}

static int put(struct rule_store *s, const char *tenant, const char *ns, const char *group, const char *expr,
	       struct err *err)
{
	struct rule_group *g;
	struct buf b = { 0 };

	buf_printf(&b, "name: %s\nrules: [{record: a, expr: '%s'}]\n", group, expr);
	assert_int_equal(rule_group_parse(buf_slice(&b), &g, err), 0);
	int rc = rule_store_put(s, slice_cstr(tenant), slice_cstr(ns), g, err);
	rule_group_unref(g);
	buf_fini(&b);
	return rc;
}

static void groups_are_added_replaced_and_deleted(void **state)
{
	struct rule_store *s = open_store();
	const struct slice any = { NULL, 0 };
	struct err err;

	(void)state;
	expect(s, "");
	assert_false(file_exists(dir));
	uint64_t version = rule_store_version(s);
	assert_int_equal(put(s, "t", "n", "b", "1", &err), 0);
	assert_int_equal(put(s, "t", "n", "a", "1", &err), 0);
	assert_int_equal(put(s, "t", "m", "a", "1", &err), 0);
	assert_int_equal(put(s, "s", "n", "a", "1", &err), 0);
	assert_true(rule_store_version(s) > version);
	expect(s, "s/n/a t/m/a t/n/b t/n/a");
	expect_view(s, SLICE("t"), any, any, "t/m/a t/n/b t/n/a");
	expect_view(s, SLICE("t"), SLICE("n"), SLICE("a"), "t/n/a");
	expect_view(s, SLICE("u"), any, any, "");
	assert_int_equal(put(s, "t", "n", "b", "2", &err), 0);
	expect(s, "s/n/a t/m/a t/n/b t/n/a");
	assert_true(has_file("t/n.yaml"));

	struct rule_view v;
	rule_view_take(s, SLICE("t"), SLICE("n"), SLICE("b"), &v); /* what is held lives on */
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("b"), &err), 0);
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("b"), &err), 0);
	assert_true(slice_is(v.ref[0].group->rule[0].expr, "2"));
	rule_view_fini(&v);
	expect(s, "s/n/a t/m/a t/n/a");
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("a"), &err), 0);
	assert_false(has_file("t/n.yaml"));
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("a"), &err), 0);
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), any, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(err.msg, "group namespace does not exist");
	assert_int_equal(rule_store_delete(s, SLICE("s"), SLICE("n"), any, &err), 0);
	expect(s, "t/m/a");
	assert_false(rule_store_refresh(s));
	rule_store_close(s);
	s = open_store();
	expect(s, "t/m/a");
	rule_store_close(s);
}

static void names_become_files(void **state)
{
	struct rule_store *s = open_store();
	char longest[200];
	struct err err;

	(void)state;
	assert_int_equal(put(s, "team.(a)*", "../x/y \xc3\xa9", "a", "1", &err), 0);
	assert_true(has_file("team%2E%28a%29%2A/%2E%2E%2Fx%2Fy%20%C3%A9.yaml"));
	assert_int_equal(put(s, "t", "", "a", "1", &err), -1);
	assert_int_equal(put(s, "t", "\xff", "a", "1", &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	memset(longest, '.', sizeof(longest));
	longest[82] = '\0';
	assert_int_equal(put(s, "t", longest, "a", "1", &err), -1);
	longest[81] = '\0';
	assert_int_equal(put(s, "t", longest, "a", "1", &err), 0);
	rule_store_close(s);
	s = open_store();
	expect_view(s, SLICE("team.(a)*"), SLICE("../x/y \xc3\xa9"), SLICE("a"),
		    "team.(a)*/../x/y \xc3\xa9/a");
	expect_view(s, SLICE("t"), slice_cstr(longest), SLICE("b"), "");
	rule_store_close(s);
}

static void files_made_by_hand_are_read(void **state)
{
	struct rule_store *s = open_store();
	struct err err;

	(void)state;
	write_file("t/web.alerts.yml", "groups: [{name: a}, {name: b}]");
	write_file("t/notes.txt", "groups: [{name: no}]");
	write_file("t/.hidden.yaml", "groups: [{name: no}]");
	write_file("t/%zz.yaml", "groups: [{name: no}]");
	write_file("t o/x.yaml", "groups: [{name: no}]"); /* no tenant is called so */
	write_file("loose.yaml", "groups: [{name: no}]");
	write_file("t/twice.yaml", "groups: [{name: first}]");
	write_file("t/twice.yml", "groups: [{name: second}]");
	expect(s, "");
	assert_true(rule_store_refresh(s));
	expect(s, "t/twice/first t/web.alerts/a t/web.alerts/b");
	assert_false(rule_store_refresh(s));

	/* The API writes to the file that is there. */
	assert_int_equal(put(s, "t", "web.alerts", "c", "1", &err), 0);
	assert_false(has_file("t/web%2Ealerts.yaml"));
	assert_false(rule_store_refresh(s));
	expect_view(s, SLICE("t"), SLICE("web.alerts"), SLICE("c"), "t/web.alerts/c");

	write_file("t/web.alerts.yml", "groups: [{name: z}]");
	assert_true(rule_store_refresh(s));
	expect(s, "t/twice/first t/web.alerts/z");
	char path[128];
	snprintf(path, sizeof(path), "%s/t/web.alerts.yml", dir);
	assert_int_equal(unlink(path), 0);
	assert_true(rule_store_refresh(s));
	expect(s, "t/twice/first");
	rule_store_close(s);
}

static void damage_keeps_what_was_known(void **state)
{
	const struct slice any = { NULL, 0 };
	struct rule_store *s;
	struct err err;

	(void)state;
	write_file("t/n.yaml", "groups: [{name: a}]");
	write_file("t/never.yaml", "groups: [");
	s = open_store();
	expect(s, "t/n/a");
	write_file("t/n.yaml", "groups: [{name: a}, {name: a}]");
	rule_store_refresh(s);
	expect(s, "t/n/a");
	assert_int_equal(put(s, "t", "n", "b", "1", &err), -1);
	assert_int_equal(err.code, ERR_UNPROCESSABLE);
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("a"), &err), -1);
	write_file("t/n.yaml", "groups: [{name: mended}]");
	assert_true(rule_store_refresh(s));
	expect(s, "t/n/mended");
	assert_int_equal(put(s, "t", "n", "b", "1", &err), 0);
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("never"), any, &err), 0);
	assert_false(has_file("t/never.yaml"));
	rule_store_close(s);
}

static void a_disk_that_fails_changes_nothing(void **state)
{
	struct rule_store *s = open_store();
	struct err err;

	(void)state;
	assert_int_equal(put(s, "t", "n", "a", "1", &err), 0);
	static const char *const kinds[] = { "create", "write", "sync", "rename" };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		file_fault(kinds[i], ENOSPC, 0, 1);
		assert_int_equal(put(s, "t", "n", "b", "1", &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		file_fault(kinds[i], ENOSPC, 0, 1);
		assert_int_equal(put(s, "t", "new", "b", "1", &err), -1);
		expect(s, "t/n/a");
		file_fault(kinds[i], 0, 0, 0);
	}
	file_fault("unlink", EIO, 0, 1);
	assert_int_equal(rule_store_delete(s, SLICE("t"), SLICE("n"), SLICE("a"), &err), -1);
	expect(s, "t/n/a");
	file_fault("unlink", 0, 0, 0);
	rule_store_refresh(s);
	expect(s, "t/n/a");

	/* Read errors are tried again, not taken for damage for ever. */
	write_file("t/n.yaml", "groups: [{name: changed}]");
	file_fault("read", EIO, 0, 1);
	rule_store_refresh(s);
	expect(s, "t/n/a");
	rule_store_refresh(s);
	expect(s, "t/n/changed");
	rule_store_close(s);
}

static void a_tenant_has_so_many_groups(void **state)
{
	struct rule_store *s;
	struct buf b = { 0 };
	struct err err;

	(void)state;
	buf_puts(&b, "groups:\n");
	for (int i = 0; i < RULES_MAX_GROUPS; i++)
		buf_printf(&b, "- name: g%d\n", i);
	buf_cstr_end(&b);
	write_file("t/n.yaml", b.p);
	buf_fini(&b);
	s = open_store();
	assert_int_equal(put(s, "t", "n", "new", "1", &err), -1);
	assert_string_equal(err.msg, "per-user rule groups limit (limit: 1000 actual: 1001) exceeded");
	assert_int_equal(put(s, "t", "m", "new", "1", &err), -1);
	assert_int_equal(put(s, "u", "n", "new", "1", &err), 0);
	assert_int_equal(put(s, "t", "n", "g7", "2", &err), 0);
	rule_store_close(s);
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORE_TEST(groups_are_added_replaced_and_deleted), STORE_TEST(names_become_files),
		STORE_TEST(files_made_by_hand_are_read),	   STORE_TEST(damage_keeps_what_was_known),
		STORE_TEST(a_disk_that_fails_changes_nothing),	   STORE_TEST(a_tenant_has_so_many_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
