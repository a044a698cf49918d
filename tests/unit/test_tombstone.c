/* Delete requests: what they cover, and their files, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "index/erase.h"
#include "index/retain.h"
#include "erase_words.h"

struct fixture {
	char dir[64];
	struct tombstones t;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "/tmp/spoor-tombstone-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	tombstones_init(&f->t, f->dir, &word_ops);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;

	file_fault("rename", 0, 0, 0);
	file_fault("write", 0, 0, 0);
	file_fault("open", 0, 0, 0);
	tombstones_fini(&f->t);
	file_remove_tree(f->dir, &err);
	free(f);
	return 0;
}

static void reload(struct fixture *f)
{
	struct err err = { 0 };

	tombstones_fini(&f->t);
	tombstones_init(&f->t, f->dir, &word_ops);
	if (tombstones_load(&f->t, &err) == -1)
		fail_msg("load: %s", err.msg);
}

static void add(struct fixture *f, const char *tenant, const char *text, int64_t start, int64_t end, char *id)
{
	char ignored[STORE_DELETE_ID];
	struct err err = { 0 };

	if (tombstones_add(&f->t, slice_cstr(tenant), slice_cstr(text), (struct timerange){ start, end },
			   false, id != NULL ? id : ignored, &err) == -1)
		fail_msg("add: %s", err.msg);
}

/* "query start-end state|" of each. */
static void expect(struct fixture *f, const char *tenant, const char *want)
{
	struct store_delete *v;
	struct arena a;
	struct buf got;
	size_t n;

	arena_init(&a);
	buf_init(&got);
	tombstones_list(&f->t, slice_cstr(tenant), &a, &v, &n);
	for (size_t i = 0; i < n; i++)
		buf_printf(&got, "%.*s %lld-%lld %d|", SLICE_ARG(v[i].query), (long long)v[i].range.start,
			   (long long)v[i].range.end, v[i].state);
	buf_cstr_end(&got);
	assert_string_equal(got.p, want);
	buf_fini(&got);
	arena_fini(&a);
}

static size_t n_in_force(struct fixture *f, const char *tenant, int64_t start, int64_t end)
{
	size_t n;
	struct tombstone **v =
		tombstones_take(&f->t, slice_cstr(tenant), (struct timerange){ start, end }, &n);

	tombstones_release(v, n);
	return n;
}

/* ---- the list -------------------------------------------------------------------------------------------------- */

static void requests_are_kept(void **state)
{
	struct fixture *f = *state;
	char id[STORE_DELETE_ID];
	struct err err = { 0 };

	add(f, "a", "{web}", 10, 20, id);
	add(f, "a", "{api/x}", 15, 30, NULL);
	add(f, "b/../c", "{web}", 0, 1, NULL);
	for (int round = 0; round < 2; round++) {
		expect(f, "a", "{web} 10-20 0|{api/x} 15-30 0|");
		expect(f, "b/../c", "{web} 0-1 0|");
		expect(f, "", "");
		assert_int_equal(n_in_force(f, "a", 0, 10), 0);
		assert_int_equal(n_in_force(f, "a", 0, 11), 1);
		assert_int_equal(n_in_force(f, "a", 19, 21), 2);
		assert_int_equal(n_in_force(f, "b", 0, 100), 0);
		reload(f);
	}
	assert_int_equal(tombstones_cancel(&f->t, SLICE("b"), slice_cstr(id), false, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(tombstones_cancel(&f->t, SLICE("a"), slice_cstr(id), false, &err), 0);
	for (int round = 0; round < 2; round++) {
		expect(f, "a", "{api/x} 15-30 0|");
		reload(f);
	}
	assert_int_equal(atomic_load(&f->t.n_damaged), 0);
}

static void a_request_goes_through_its_states(void **state)
{
	struct fixture *f = *state;
	char id[STORE_DELETE_ID];
	struct err err = { 0 };
	size_t n;

	add(f, "a", "{web}", 10, 20, id);
	struct tombstone **v = tombstones_due(&f->t, NS_PER_H, false, &n);
	assert_int_equal(n, 0); /* it can be cancelled for an hour */
	v = tombstones_due(&f->t, 0, false, &n);
	assert_int_equal(n, 1);
	assert_int_equal(tombstones_set_state(&f->t, v[0], STORE_DELETE_PICKED_UP, &err), 0);
	assert_int_equal(tombstones_cancel(&f->t, SLICE("a"), slice_cstr(id), false, &err), -1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
	tombstones_count(&f->t, v[0], 3, 30, 1);
	assert_int_equal(tombstones_set_state(&f->t, v[0], STORE_DELETE_PROCESSED, &err), 0);
	assert_int_equal(n_in_force(f, "a", 0, 100), 0);
	tombstones_release(v, n);
	reload(f);
	expect(f, "a", "{web} 10-20 2|");
	assert_int_equal(n_in_force(f, "a", 0, 100), 0);
	assert_null(tombstones_due(&f->t, 0, true, &n));
	assert_int_equal(tombstones_cancel(&f->t, SLICE("a"), slice_cstr(id), true, &err), 0);
	expect(f, "a", "");
}

static void what_cannot_be_written_is_not_in_force(void **state)
{
	struct fixture *f = *state;
	char id[STORE_DELETE_ID];
	struct err err = { 0 };

	add(f, "a", "{web}", 10, 20, NULL);
	file_fault("rename", ENOSPC, 0, -1);
	assert_int_equal(tombstones_add(&f->t, SLICE("a"), SLICE("{api}"), (struct timerange){ 1, 2 }, false,
					id, &err),
			 -1);
	file_fault("rename", 0, 0, 0);
	expect(f, "a", "{web} 10-20 0|");
	reload(f);
	expect(f, "a", "{web} 10-20 0|");
	assert_int_equal(
		tombstones_add(&f->t, SLICE("a"), SLICE("?"), (struct timerange){ 1, 2 }, false, id, &err),
		-1);
	assert_int_equal(err.code, ERR_BAD_REQUEST);
}

/* ---- limits ---- */

static void process_all(struct fixture *f)
{
	struct err err;
	size_t n;
	struct tombstone **v = tombstones_due(&f->t, 0, true, &n);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(tombstones_set_state(&f->t, v[i], STORE_DELETE_PROCESSED, &err), 0);
	tombstones_release(v, n);
}

static size_t n_listed(struct fixture *f, const char *tenant)
{
	struct store_delete *v;
	struct arena a;
	size_t n;

	arena_init(&a);
	tombstones_list(&f->t, slice_cstr(tenant), &a, &v, &n);
	arena_fini(&a);
	return n;
}

static void only_so_many_wait(void **state)
{
	struct fixture *f = *state;
	char id[STORE_DELETE_ID], *text = xmalloc(TOMBSTONES_MAX_TEXT / 4);
	struct err err = { 0 };

	memset(text, ' ', TOMBSTONES_MAX_TEXT / 4);
	memcpy(text, "{web}", 5);
	struct slice large = slice_of(text, TOMBSTONES_MAX_TEXT / 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			tombstones_add(&f->t, SLICE("b"), large, (struct timerange){ 1, 2 }, false, id, &err),
			0);
	assert_int_equal(tombstones_add(&f->t, SLICE("b"), SLICE("{web}"), (struct timerange){ 1, 2 }, false,
					id, &err),
			 -1);
	assert_int_equal(err.code, ERR_LIMITED);
	add(f, "c", "{web}", 1, 2, NULL); /* each tenant by itself */
	free(text);
}

static void only_so_many_are_remembered(void **state)
{
	struct fixture *f = *state;
	struct err err = { 0 };
	char id[STORE_DELETE_ID];

	for (int i = 0; i < TOMBSTONES_MAX; i++)
		add(f, "a", "{web}", i, i + 1, NULL);
	assert_int_equal(tombstones_add(&f->t, SLICE("a"), SLICE("{web}"), (struct timerange){ 1, 2 }, false,
					id, &err),
			 -1);
	assert_int_equal(err.code, ERR_LIMITED);
	process_all(f);
	assert_int_equal(n_listed(f, "a"), TOMBSTONES_MAX);
	add(f, "a", "{api}", 5, 6, NULL);
	add(f, "a", "{api}", 6, 7, NULL);
	process_all(f);
	for (int round = 0; round < 2; round++) {
		struct store_delete *v;
		struct arena a;
		size_t n;

		arena_init(&a);
		tombstones_list(&f->t, SLICE("a"), &a, &v, &n);
		assert_int_equal(n, TOMBSTONES_MAX);
		assert_int_equal(v[0].range.start, 2); /* the oldest two are forgotten */
		assert_int_equal(v[n - 1].range.start, 6);
		arena_fini(&a);
		reload(f);
	}
}

/* A wall clock that is set neither shortens the time to cancel nor makes it endless. */
static void the_time_to_cancel_is_real_time(void **state)
{
	struct fixture *f = *state;
	const int64_t hour = NS_PER_H;
	struct tombstone **v;
	size_t n;

	add(f, "a", "{web}", 10, 20, NULL);
	struct tombstone *x = f->t.list.v[0];
	int64_t now = x->created_ns;
	for (int64_t jump = -48; jump <= 48; jump += 48) {
		x->created_ns = now - jump * hour;
		v = tombstones_due(&f->t, hour, false, &n);
		assert_int_equal(n, 0);
	}
	x->known_mono_ns -= 2 * hour;
	v = tombstones_due(&f->t, hour, false, &n);
	assert_int_equal(n, 1);
	tombstones_release(v, n);
	/* Of one that was made before the start only the wall clock knows. */
	x->known_mono_ns += 2 * hour;
	x->loaded = true;
	x->created_ns = now + 2 * hour;
	v = tombstones_due(&f->t, hour, false, &n);
	assert_int_equal(n, 0);
	x->created_ns = now - 2 * hour;
	v = tombstones_due(&f->t, hour, false, &n);
	assert_int_equal(n, 1);
	tombstones_release(v, n);
}

/* ---- damage ---------------------------------------------------------------------------------------------------- */

static void flip(struct fixture *f, const char *name, long at)
{
	char *path = xasprintf("%s/tenants/a/%s", f->dir, name);
	FILE *file = fopen(path, "r+b");

	assert_non_null(file);
	fseek(file, at, SEEK_SET);
	int c = fgetc(file);
	fseek(file, at, SEEK_SET);
	fputc(c ^ 1, file);
	fclose(file);
	free(path);
}

static void one_good_file_is_enough(void **state)
{
	struct fixture *f = *state;

	add(f, "a", "{web}", 10, 20, NULL);
	add(f, "a", "{api}", 15, 30, NULL);
	for (long at = 0; at < 100; at += 7) {
		flip(f, "deletes", at);
		reload(f);
		struct store_delete *v;
		struct arena a;
		size_t n;

		/* Those of the first file come first: the order is of no matter. */
		arena_init(&a);
		tombstones_list(&f->t, SLICE("a"), &a, &v, &n);
		assert_int_equal(n, 2);
		arena_fini(&a);
		assert_int_equal(atomic_load(&f->t.n_damaged), 0);
	}
	char *path = xasprintf("%s/tenants/a/deletes", f->dir);
	assert_int_equal(remove(path), 0);
	free(path);
	reload(f);
	assert_int_equal(n_in_force(f, "a", 17, 18), 2);
}

static void loss_is_counted(void **state)
{
	struct fixture *f = *state;

	add(f, "a", "{web}", 10, 20, NULL);
	add(f, "a", "{api}", 15, 30, NULL);
	/* The first request in one file, and in the other: the second request is still there. */
	flip(f, "deletes", 45);
	flip(f, "deletes.copy", 45);
	reload(f);
	expect(f, "a", "{api} 15-30 0|");
	assert_int_equal(atomic_load(&f->t.n_damaged), 1);
	reload(f); /* two good files were written */
	expect(f, "a", "{api} 15-30 0|");
	assert_int_equal(atomic_load(&f->t.n_damaged), 0);
}

static char *file_of(struct fixture *f, const char *name)
{
	return xasprintf("%s/tenants/a/%s", f->dir, name);
}

/* Whatever is wrong with the files, and whether or not they can be written again at once, the start goes on and what one of
 * them held stays in force for good. */
static void damage_stops_no_start(void **state)
{
	struct fixture *f = *state;
	char *first = file_of(f, "deletes"), *second = file_of(f, "deletes.copy");

	add(f, "a", "{web}", 10, 20, NULL);
	add(f, "a", "{api}", 15, 30, NULL);
	assert_int_equal(remove(second), 0);
	flip(f, "deletes", 45);
	for (int round = 0; round < 2; round++) {
		reload(f);
		expect(f, "a", "{api} 15-30 0|");
	}
	assert_int_equal(remove(first), 0);
	flip(f, "deletes.copy", 5);
	for (int round = 0; round < 2; round++) {
		reload(f);
		expect(f, "a", "");
	}
	add(f, "a", "{web}", 10, 20, NULL);
	flip(f, "deletes", 45);
	file_fault("write", ENOSPC, 0, -1);
	for (int round = 0; round < 3; round++) {
		if (round == 2)
			file_fault("write", 0, 0, 0);
		reload(f);
		expect(f, "a", "{web} 10-20 0|");
	}
	free(first);
	free(second);
}

/* No descriptor left, say: that is no damage, and nothing is moved away. */
static void what_cannot_be_read_now_stops_the_start(void **state)
{
	struct fixture *f = *state;
	char *quarantine = xasprintf("%s/quarantine", f->dir);
	struct err err = { 0 };

	add(f, "a", "{web}", 10, 20, NULL);
	tombstones_fini(&f->t);
	tombstones_init(&f->t, f->dir, &word_ops);
	file_fault("open", EMFILE, 0, -1);
	assert_int_equal(tombstones_load(&f->t, &err), -1);
	file_fault("open", 0, 0, 0);
	assert_false(file_exists(quarantine));
	reload(f);
	expect(f, "a", "{web} 10-20 0|");
	file_fault("open", EIO, 0, 1); /* the other file will do */
	reload(f);
	expect(f, "a", "{web} 10-20 0|");
	free(quarantine);
}

static void another_tenants_file_is_refused(void **state)
{
	struct fixture *f = *state;
	struct tombstone_vec v = { 0 };
	struct buf b;
	struct err err;
	size_t lost = 0;
	char *path = xasprintf("%s/tenants/a/deletes", f->dir);

	add(f, "a", "{web}", 10, 20, NULL);
	buf_init(&b);
	assert_int_equal(file_read_all(path, 1 << 20, &b, &err), 0);
	assert_int_equal(tombstones_parse(buf_slice(&b), SLICE("b"), &v, &lost, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(tombstones_parse(buf_slice(&b), SLICE("a"), &v, &lost, &err), 0);
	assert_int_equal(v.n, 1);
	tombstone_unref(v.v[0]);
	/* Cut anywhere: what is lost is counted. */
	for (size_t n = 0; n < b.n; n++) {
		v.n = lost = 0;
		int rc = tombstones_parse(slice_sub(buf_slice(&b), 0, n), SLICE("a"), &v, &lost, &err);
		assert_true(rc == -1 ? err.code == ERR_CORRUPT && n < 28 : lost == 1 && v.n == 0);
	}
	vec_fini(&v);
	buf_fini(&b);
	free(path);
}

/* ---- what a stream's requests cover ----------------------------------------------------------------------------- */

static const struct {
	const char *requests; /* "text start end;" each */
	int64_t first, last;
	enum erase_fate fate;
	double share;
} covers[] = {
	{ "{web} 10 20", 0, 9, ERASE_NONE, 0 },
	{ "{web} 10 20", 20, 30, ERASE_NONE, 0 },
	{ "{web} 10 20", 10, 19, ERASE_ALL, 1 },
	{ "{web} 10 20", 10, 20, ERASE_SOME, 10.0 / 11 },
	{ "{web} 10 20", 15, 15, ERASE_ALL, 1 },
	{ "{web} 10 20;{web} 20 30", 10, 29, ERASE_ALL, 1 },
	{ "{web} 20 30;{web} 5 20", 10, 29, ERASE_ALL, 1 },
	{ "{web} 10 20;{web} 21 30", 10, 29, ERASE_SOME, 19.0 / 20 },
	{ "{web} 10 20;{web} 12 15", 10, 29, ERASE_SOME, 0.5 },
	{ "{web/x} 10 20", 10, 19, ERASE_SOME, 0 },
	{ "{api} 10 20", 10, 19, ERASE_NONE, 0 },
	{ "{web/x} 0 90;{web} 10 20", 10, 19, ERASE_ALL, 1 },
};

static void coverage(void **state)
{
	struct fixture *f = *state;
	const struct label app = { SLICE("app"), SLICE("web") };
	struct buf encoded;

	buf_init(&encoded);
	labels_encode(&encoded, (struct labels){ &app, 1 });
	for (size_t i = 0; i < ARRAY_LEN(covers); i++) {
		char tenant[16], text[32];
		long long start, end;
		struct arena a;
		size_t n;
		int used;

		snprintf(tenant, sizeof(tenant), "t%zu", i);
		for (const char *s = covers[i].requests;
		     sscanf(s, "%31s %lld %lld%n", text, &start, &end, &used) == 3;) {
			add(f, tenant, text, start, end, NULL);
			s += used + (s[used] == ';');
		}
		arena_init(&a);
		struct tombstone **v = tombstones_take(&f->t, slice_cstr(tenant), TIMERANGE_ALL, &n);
		const struct erase_set *set = erase_set_of(v, n, buf_slice(&encoded), &a);
		assert_int_equal(erase_fate(set, covers[i].first, covers[i].last), covers[i].fate);
		double off = erase_share(set, covers[i].first, covers[i].last) - covers[i].share;
		assert_true(off < 1e-9 && off > -1e-9);
		tombstones_release(v, n);
		arena_fini(&a);
	}
	buf_fini(&encoded);
}

/* ---- retention by stream ---------------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	int64_t web_h, longest_h; /* -1: refused */
} rules[] = {
	{ "", 48, 48 },
	{ "  ", 48, 48 },
	{ "{web}=24h", 24, 48 },
	{ " {web} = 72h ; ", 72, 72 },
	{ "{api}=96h;{web}=24h;{web}=240h", 24, 240 },
	{ "{web}=0", 0, 0 },
	{ "{web}=1h", -1, 0 }, /* less than a day */
	{ "{web}", -1, 0 },
	{ "{web}=", -1, 0 },
	{ "{web=24h", -1, 0 },
	{ "web=24h", -1, 0 },
	{ "{web}=24h {api}=24h", -1, 0 },
	{ "{W}=24h", -1, 0 },
};

static void retention_rules(void **state)
{
	const struct label app = { SLICE("app"), SLICE("web") };
	struct buf encoded;

	(void)state;
	buf_init(&encoded);
	labels_encode(&encoded, (struct labels){ &app, 1 });
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct retain r;
		struct err err;
		int rc = retain_parse(&word_ops, rules[i].text, 48 * NS_PER_H, &r, &err);

		if (rc != (rules[i].web_h == -1 ? -1 : 0))
			fail_msg("%s: %d", rules[i].text, rc);
		if (rc == -1)
			continue;
		assert_int_equal(retain_period(&r, buf_slice(&encoded)), rules[i].web_h * NS_PER_H);
		assert_int_equal(retain_longest(&r), rules[i].longest_h * NS_PER_H);
		retain_fini(&r);
	}
	buf_fini(&encoded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(requests_are_kept),
		TEST(a_request_goes_through_its_states),
		TEST(what_cannot_be_written_is_not_in_force),
		TEST(one_good_file_is_enough),
		TEST(loss_is_counted),
		TEST(damage_stops_no_start),
		TEST(what_cannot_be_read_now_stops_the_start),
		TEST(only_so_many_wait),
		TEST(only_so_many_are_remembered),
		TEST(the_time_to_cancel_is_real_time),
		TEST(another_tenants_file_is_refused),
		TEST(coverage),
		TEST(retention_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
