/* The schedule itself, over a store in memory: groups come, change and go while they are evaluated and looked at. */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#define QUERY_TEST_UNIT NS_PER_S
#include "base/file.h"
#include "base/metrics.h"
#include "query/sched.h"
#include "rules/ruler.h"
#include "tests/unit/query_test.h"

static const struct slice tenant = { "fake", 4 };

struct fixture {
	struct query_test *t;
	struct sched *sched;
	struct rule_store *rules;
	struct ruler *ruler;
	char dir[64], state_file[96];
	struct buf text;
};

static void no_limits(void *arg, struct slice of, struct limits *out)
{
	(void)arg, (void)of;
	*out = (struct limits){ .max_query_series = 100 };
}

static void start(struct fixture *f)
{
	const struct ruler_options o = { .rules = f->rules,
					 .engine = &f->t->engine,
					 .sched = f->sched,
					 .limits = no_limits,
					 .state_file = f->state_file,
					 .interval_ns = NS_PER_S,
					 .remote_write_url = "",
					 .external_url = "" };
	struct err err;

	assert_int_equal(ruler_new(&o, &f->ruler, &err), 0);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct sched_options o;
	struct err err;

	query_test_setup((void **)&f->t);
	fake_store_add(&f->t->store, "{app=\"web\"}", clock_now_ns() - 60 * NS_PER_S, "error", NULL);
	sched_options_init(&o, 1);
	f->sched = sched_new(&o);
	strcpy(f->dir, "/tmp/spoor-ruler-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->state_file, sizeof(f->state_file), "%s/state.json", f->dir);
	assert_int_equal(rule_store_open(f->dir, &f->rules, &err), 0);
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct err err;

	ruler_free(f->ruler);
	sched_free(f->sched);
	rule_store_close(f->rules);
	file_remove_tree(f->dir, &err);
	query_test_teardown((void **)&f->t);
	buf_fini(&f->text);
	free(f);
	return 0;
}

static void put(struct fixture *f, const char *yaml)
{
	struct rule_group *g;
	struct err err;

	if (rule_group_parse(slice_cstr(yaml), &g, &err) == -1)
		fail_msg("%s", err.msg);
	assert_int_equal(rule_store_put(f->rules, tenant, SLICE("ns"), g, &err), 0);
	rule_group_unref(g);
}

static const char *groups(struct fixture *f)
{
	const struct ruler_filter all = { 0 };

	buf_reset(&f->text);
	ruler_groups_json(f->ruler, tenant, &all, &f->text);
	buf_cstr_end(&f->text);
	return f->text.p;
}

static const char *metrics(struct fixture *f)
{
	buf_reset(&f->text);
	metrics_render(&f->text);
	buf_cstr_end(&f->text);
	return f->text.p;
}

/* Until what show gives holds the text (or no longer does). */
static void wait_for(struct fixture *f, const char *(*show)(struct fixture *f), const char *text, bool there)
{
	for (int i = 0; i < 3000; i++) {
		if ((strstr(show(f), text) != NULL) == there)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	fail_msg("waited in vain for %s%s in %s", there ? "" : "no ", text, f->text.p);
}

#define ALERT_GROUP(more)                                                                                    \
	"name: g\ninterval: 1s\nrules:\n  - alert: A\n    expr: sum(count_over_time({app=\"web\"}[1h])) > "  \
	"0\n"                                                                                                \
	"    for: 1h\n" more

static void test_life_of_a_group(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(groups(f), "[]");
	put(f, ALERT_GROUP(""));
	assert_non_null(strstr(groups(f),
			       "\"health\":\"unknown\",\"lastError\":\"\",\"type\":\"alerting\","
			       "\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"evaluationTime\":0}]"));
	wait_for(f, groups, "\"state\":\"pending\",\"activeAt\"", true);
	const char *since = strstr(f->text.p, "\"activeAt\"");
	char active_at[32];
	snprintf(active_at, sizeof(active_at), "%.31s", since);
	put(f, ALERT_GROUP("  - record: some:gauge\n    expr: vector(1.5)\n"));
	wait_for(f, metrics, "\nsome:gauge 1.5\n", true);
	assert_non_null(strstr(groups(f), active_at));
	ruler_free(f->ruler);
	assert_null(strstr(metrics(f), "some:gauge"));
	start(f);
	assert_non_null(strstr(groups(f), active_at));
	wait_for(f, metrics, "\nsome:gauge 1.5\n", true);
	assert_non_null(strstr(groups(f), active_at));
	struct err err;
	assert_int_equal(rule_store_delete(f->rules, tenant, SLICE("ns"), SLICE("g"), &err), 0);
	assert_string_equal(groups(f), "[]");
	assert_null(strstr(metrics(f), "some:gauge"));
}

static void *change_all_the_time(void *arg)
{
	struct fixture *f = arg;
	struct err err;

	for (int i = 0; i < 100; i++) {
		put(f, i % 2 == 0 ? ALERT_GROUP("  - record: some:gauge\n    expr: vector(1)\n")
				  : ALERT_GROUP(""));
		if (i % 10 == 0)
			rule_store_delete(f->rules, tenant, SLICE("ns"), SLICE("g"), &err);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return NULL;
}

/* For the thread sanitizer. */
static void test_everybody_at_once(void **state)
{
	struct fixture *f = *state;
	pthread_t changer;

	assert_int_equal(pthread_create(&changer, NULL, change_all_the_time, f), 0);
	for (int i = 0; i < 100; i++) {
		struct buf alerts = { 0 };

		assert_int_equal(groups(f)[0], '[');
		metrics(f);
		ruler_alerts_json(f->ruler, tenant, &alerts);
		buf_fini(&alerts);
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	pthread_join(changer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_life_of_a_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everybody_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
