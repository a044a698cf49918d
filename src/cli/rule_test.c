#include "cli/rule_test.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/text.h"
#include "base/vec.h"
#include "index/store.h"
#include "logql/units.h"
#include "query/query.h"
#include "rules/eval.h"
#include "rules/rule_yaml.h"

#include <glob.h>
#include <semaphore.h>
#include <stdio.h>

enum {
	MAX_TEST_ENTRIES = 1000000, /* of a test */
	MAX_EVALUATIONS = 1000000,  /* of a test: groups times intervals */
	DEFAULT_SERIES = 10000,
};

/* A file of tests. */
struct suite {
	struct arena arena;
	const struct rule_yaml *root;
	VEC(struct rule_group *) groups;
	int64_t interval_ns;
	struct pool *pool;
	struct buf *out;
	const char *path;
	struct rule_test_counts *counts;
};

/* One test under way. */
struct bench {
	struct suite *suite;
	const struct rule_yaml *node;
	char dir[64];
	struct store *store;
	struct query_engine engine;
	struct query_control control;
	struct limits limits;
	struct rule_env env;
	struct rule_state **state; /* of the rules of each group */
	int64_t *due;		   /* of each group */
};

/* What must hold at some time. */
struct check {
	int64_t at;
	size_t order;
	const struct rule_yaml *node;
	void (*run)(struct bench *b, const struct check *k);
	struct slice subject; /* alert, recorded series or expression */
	const struct rule_yaml *expected;
};
typedef VEC(struct check) check_list;

static const struct slice test_tenant = { "test", 4 };

/* ------------------------------------------------------------------ the file's fields */

static const char *const suite_fields[] = { "rule_files", "evaluation_interval", "tests", NULL };
static const char *const test_fields[] = {
	"name", "input_streams", "alert_rule_test", "record_rule_test", "logql_expr_test", "external_url",
	NULL
};
static const char *const stream_fields[] = { "labels", "entries", NULL };
static const char *const entry_fields[] = { "at", "every", "from", "to", "line", "metadata", NULL };
static const char *const alert_test_fields[] = { "eval_time", "alertname", "exp_alerts", NULL };
static const char *const alert_fields[] = { "exp_labels", "exp_annotations", NULL };
static const char *const record_test_fields[] = { "eval_time", "record", "exp_samples", NULL };
static const char *const expr_test_fields[] = { "eval_time", "expr", "exp_samples", NULL };
static const char *const sample_fields[] = { "labels", "value", NULL };

static bool has(const struct rule_yaml *node, const char *key)
{
	return rule_yaml_get(node, key) != NULL;
}

static int read_map(const struct rule_yaml *parent, const char *key, struct arena *a, struct labels *out,
		    struct err *err)
{
	const struct rule_yaml *node = rule_yaml_get(parent, key);
	size_t n = 0;

	*out = (struct labels){ 0 };
	if (node == NULL || node->kind == RULE_YAML_NULL)
		return 0;
	if (node->kind != RULE_YAML_MAP)
		return rule_yaml_fail(node, err, "%s is a mapping of names to texts", key);
	struct label *v = arena_array(a, struct label, node->n + 2); /* room for alertname */
	for (const struct rule_yaml *it = node->in; it != NULL; it = it->next)
		v[n++] = (struct label){ it->key, it->text };
	labels_sort(v, n);
	*out = (struct labels){ v, n };
	return 0;
}

static int read_label_text(const struct rule_yaml *parent, struct arena *a, struct labels *out,
			   struct err *err)
{
	struct slice text;
	struct err why;

	if (rule_yaml_text(parent, "labels", &text, err) == -1)
		return -1;
	if (labels_parse(text, a, out, &why) == -1)
		return rule_yaml_fail(rule_yaml_get(parent, "labels"), err, "labels: %s", why.msg);
	return 0;
}

/* ------------------------------------------------------------------ log lines */

static int add_entry(struct batch *b, int64_t ts, struct slice line, struct labels meta, struct err *err)
{
	if (b->entries.n == MAX_TEST_ENTRIES)
		return err_set(err, ERR_BAD_REQUEST, "a test has more than %d entries", MAX_TEST_ENTRIES);
	struct batch_entry *e = batch_add_entry(b);
	e->ts = ts;
	e->line = line;
	e->meta = (struct label *)meta.v;
	e->n_meta = (uint32_t)meta.n;
	return 0;
}

/* {at: 1m} or {every: 10s, from: 0s, to: 5m} */
static int add_entries(struct batch *b, const struct rule_yaml *node, struct err *err)
{
	int64_t at, every, from, to;
	struct labels meta;
	struct slice line;

	if (rule_yaml_check_map(node, "log entry", entry_fields, err) == -1 ||
	    rule_yaml_duration(node, "at", &at, err) == -1 ||
	    rule_yaml_duration(node, "every", &every, err) == -1 ||
	    rule_yaml_duration(node, "from", &from, err) == -1 ||
	    rule_yaml_duration(node, "to", &to, err) == -1 ||
	    rule_yaml_text(node, "line", &line, err) == -1 ||
	    read_map(node, "metadata", &b->arena, &meta, err) == -1)
		return -1;
	if (!has(node, "every") && has(node, "at") && !has(node, "from") && !has(node, "to"))
		return add_entry(b, at, line, meta, err);
	if (every == 0 || !has(node, "to") || has(node, "at"))
		return rule_yaml_fail(node, err,
				      "an entry has `at`, or `every` with `to` and perhaps `from`");
	for (int64_t ts = from; ts <= to; ts += every)
		if (add_entry(b, ts, line, meta, err) == -1)
			return -1;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct batch_entry *x = a, *y = b;

	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

static int add_stream(struct batch *b, const struct rule_yaml *node, struct err *err)
{
	const struct rule_yaml *first;
	struct labels labels;
	struct buf encoded = { 0 };

	if (rule_yaml_check_map(node, "stream", stream_fields, err) == -1 ||
	    read_label_text(node, &b->arena, &labels, err) == -1 ||
	    rule_yaml_list(node, "entries", &first, err) == -1)
		return -1;
	if (labels.n == 0)
		return rule_yaml_fail(node, err, "a stream needs labels");
	struct batch_stream *s = batch_add_stream(b);
	s->labels = labels;
	labels_encode(&encoded, labels);
	s->hash = labels_hash(buf_slice(&encoded));
	buf_fini(&encoded);
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		if (add_entries(b, it, err) == -1)
			return -1;
	s = &b->streams.v[b->streams.n - 1];
	qsort(b->entries.v + s->first, s->n, sizeof(*b->entries.v), by_time);
	return 0;
}

struct stored {
	struct err err;
	sem_t done;
};

/* On the store's thread. */
static void on_stored(void *arg, const struct err *err, size_t n_refused)
{
	struct stored *s = arg;

	(void)n_refused;
	s->err = *err;
	sem_post(&s->done);
}

static int store_streams(struct bench *b, struct err *err)
{
	const struct rule_yaml *first;
	struct stored stored = { 0 };
	struct batch batch;
	int rc = -1;

	sem_init(&stored.done, 0, 0);
	batch_init(&batch);
	batch.tenant = test_tenant;
	if (rule_yaml_list(b->node, "input_streams", &first, err) == -1)
		goto out;
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		if (add_stream(&batch, it, err) == -1)
			goto out;
	if (batch.entries.n > 0) {
		store_append(b->store, &batch, on_stored, &stored);
		while (sem_wait(&stored.done) == -1)
			; /* interrupted */
	}
	if (stored.err.code != ERR_NONE) {
		*err = stored.err;
		goto out;
	}
	rc = 0;
out:
	batch_fini(&batch);
	sem_destroy(&stored.done);
	return rc;
}

/* ------------------------------------------------------------------ comparing */

static void start_failure(struct bench *b, const struct check *k, const char *what)
{
	struct buf *out = b->suite->out;

	b->suite->counts->n_failed++;
	buf_printf(out, "%s:%zu: %s ", b->suite->path, k->node->line, what);
	text_terminal(out, k->subject);
	buf_puts(out, " at ");
	clock_format_prom_duration(out, k->at);
	buf_puts(out, ":\n");
}

static void broken_check(struct bench *b, const struct check *k, const char *what, const struct err *err)
{
	start_failure(b, k, what);
	buf_printf(b->suite->out, "    %s\n", err->msg);
}

static int by_text(const void *a, const void *b)
{
	return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Lines of text, in any order. */
typedef VEC(struct slice) lines;

static void add_line(lines *l, struct arena *a, struct buf *b)
{
	vec_push(l, arena_dup(a, buf_slice(b)));
	buf_reset(b);
}

static void put_lines(struct buf *out, const char *title, const lines *l)
{
	buf_printf(out, "    %s:%s\n", title, l->n == 0 ? " none" : "");
	for (size_t i = 0; i < l->n; i++) {
		buf_puts(out, "        ");
		text_terminal(out, l->v[i]);
		buf_putc(out, '\n');
	}
}

static void compare(struct bench *b, const struct check *k, const char *what, lines *want, lines *got)
{
	bool same = want->n == got->n;

	if (want->n > 1)
		qsort(want->v, want->n, sizeof(*want->v), by_text);
	if (got->n > 1)
		qsort(got->v, got->n, sizeof(*got->v), by_text);
	for (size_t i = 0; same && i < want->n; i++)
		same = slice_eq(want->v[i], got->v[i]);
	if (same)
		return;
	start_failure(b, k, what);
	put_lines(b->suite->out, "expected", want);
	put_lines(b->suite->out, "got", got);
}

/* ------------------------------------------------------------------ alerts */

static void put_alert(struct buf *b, struct labels labels, struct labels annotations)
{
	labels_format(b, labels);
	buf_puts(b, " ");
	labels_format(b, annotations);
}

static int want_alerts(const struct check *k, struct arena *a, lines *want, struct err *err)
{
	struct buf b = { 0 };
	int rc = 0;

	for (const struct rule_yaml *it = k->expected; rc == 0 && it != NULL; it = it->next) {
		struct labels labels, annotations;

		if (rule_yaml_check_map(it, "expected alert", alert_fields, err) == -1 ||
		    read_map(it, "exp_labels", a, &labels, err) == -1 ||
		    read_map(it, "exp_annotations", a, &annotations, err) == -1) {
			rc = -1;
			break;
		}
		struct label *v = arena_array(a, struct label, labels.n + 1);
		size_t n = labels.n;
		if (n > 0)
			memcpy(v, labels.v, n * sizeof(*v));
		if (labels_get(labels, SLICE("alertname")).p == NULL)
			v[n++] = (struct label){ SLICE("alertname"), k->subject };
		labels_sort(v, n);
		put_alert(&b, (struct labels){ v, n }, annotations);
		add_line(want, a, &b);
	}
	buf_fini(&b);
	return rc;
}

static void got_alerts(const struct bench *b, struct slice name, struct arena *a, lines *got)
{
	struct buf text = { 0 };

	for (size_t g = 0; g < b->suite->groups.n; g++) {
		const struct rule_group *group = b->suite->groups.v[g];

		for (size_t i = 0; i < group->n_rules; i++) {
			const struct alerts *alerts = &b->state[g][i].alerts;

			if (!slice_eq(group->rule[i].alert, name))
				continue;
			for (size_t n = 0; n < alerts->v.n; n++) {
				if (alerts->v.v[n].state != ALERT_FIRING)
					continue;
				put_alert(&text, alerts->v.v[n].labels, alerts->v.v[n].annotations);
				add_line(got, a, &text);
			}
		}
	}
	buf_fini(&text);
}

static void check_alerts(struct bench *b, const struct check *k)
{
	lines want = { 0 }, got = { 0 };
	struct arena a;
	struct err err;

	arena_init(&a);
	if (want_alerts(k, &a, &want, &err) == -1) {
		broken_check(b, k, "alert", &err);
	} else {
		got_alerts(b, k->subject, &a, &got);
		compare(b, k, "alert", &want, &got);
	}
	vec_fini(&want);
	vec_fini(&got);
	arena_fini(&a);
}

/* ------------------------------------------------------------------ samples */

static void put_sample(struct buf *b, struct labels l, double v)
{
	labels_format(b, l);
	buf_putc(b, ' ');
	text_float(b, v);
}

static int want_samples(const struct check *k, struct slice metric, struct arena *a, lines *want,
			struct err *err)
{
	struct buf b = { 0 };
	int rc = -1;

	for (const struct rule_yaml *it = k->expected; it != NULL; it = it->next) {
		struct labels given;
		struct slice text;
		double value;
		size_t n = 0;

		if (rule_yaml_check_map(it, "expected sample", sample_fields, err) == -1 ||
		    read_label_text(it, a, &given, err) == -1 ||
		    rule_yaml_text(it, "value", &text, err) == -1)
			goto out;
		if (units_parse_number(text, &value, err) == -1) {
			rule_yaml_fail(it, err, "value is no number");
			goto out;
		}
		struct label *v = arena_array(a, struct label, given.n + 1);
		for (size_t i = 0; i < given.n; i++)
			if (metric.p == NULL || !slice_is(given.v[i].name, "__name__"))
				v[n++] = given.v[i];
		put_sample(&b, (struct labels){ v, n }, value);
		add_line(want, a, &b);
	}
	rc = 0;
out:
	buf_fini(&b);
	return rc;
}

static struct labels without_name(struct labels l, struct arena *a)
{
	struct label *v = arena_array(a, struct label, l.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < l.n; i++)
		if (!slice_is(l.v[i].name, "__name__"))
			v[n++] = l.v[i];
	return (struct labels){ v, n };
}

static void got_recorded(const struct bench *b, struct slice name, struct arena *a, lines *got)
{
	struct buf text = { 0 };

	for (size_t g = 0; g < b->suite->groups.n; g++) {
		const struct rule_group *group = b->suite->groups.v[g];

		for (size_t i = 0; i < group->n_rules; i++) {
			const struct rule_samples *s = &b->state[g][i].samples;

			if (!slice_eq(group->rule[i].record, name))
				continue;
			for (size_t n = 0; n < s->v.n; n++) {
				put_sample(&text, without_name(s->v.v[n].labels, a), s->v.v[n].value);
				add_line(got, a, &text);
			}
		}
	}
	buf_fini(&text);
}

static int got_result(struct bench *b, const struct check *k, struct arena *a, lines *got, struct err *err)
{
	const struct query_request r = { .tenant = test_tenant,
					 .text = k->subject,
					 .instant = true,
					 .start = k->at,
					 .end = k->at,
					 .step = NS_PER_S,
					 .limits = &b->limits };
	struct query_result result;
	struct buf text = { 0 };

	if (query_run(&b->engine, &r, &b->control, &result, err) == -1)
		return -1;
	bool fits = result.type == RESULT_VECTOR || result.type == RESULT_SCALAR;
	for (size_t i = 0; fits && i < result.n_series; i++) {
		put_sample(&text, result.series[i].labels, result.series[i].point[0].value);
		add_line(got, a, &text);
	}
	query_result_fini(&result);
	buf_fini(&text);
	return fits ? 0
		    : err_set(err, ERR_BAD_REQUEST,
			      "a test takes a metric query, this one selects log lines");
}

static void check_samples(struct bench *b, const struct check *k, bool recorded)
{
	const char *what = recorded ? "series" : "expression";
	lines want = { 0 }, got = { 0 };
	struct arena a;
	struct err err;
	int rc;

	arena_init(&a);
	rc = want_samples(k, recorded ? k->subject : (struct slice){ NULL, 0 }, &a, &want, &err);
	if (rc == 0 && recorded)
		got_recorded(b, k->subject, &a, &got);
	else if (rc == 0)
		rc = got_result(b, k, &a, &got, &err);
	if (rc == -1)
		broken_check(b, k, what, &err);
	else
		compare(b, k, what, &want, &got);
	vec_fini(&want);
	vec_fini(&got);
	arena_fini(&a);
}

static void check_recorded(struct bench *b, const struct check *k)
{
	check_samples(b, k, true);
}

static void check_expr(struct bench *b, const struct check *k)
{
	check_samples(b, k, false);
}

/* ------------------------------------------------------------------ the run of one test */

static int add_checks(const struct rule_yaml *test, const char *key, const char *const *fields,
		      const char *subject, const char *expected,
		      void (*run)(struct bench *, const struct check *), check_list *out, struct err *err)
{
	const struct rule_yaml *first;

	if (rule_yaml_list(test, key, &first, err) == -1)
		return -1;
	for (const struct rule_yaml *it = first; it != NULL; it = it->next) {
		struct check k = { .node = it, .run = run, .order = out->n };

		if (rule_yaml_check_map(it, "check", fields, err) == -1 ||
		    rule_yaml_duration(it, "eval_time", &k.at, err) == -1 ||
		    rule_yaml_text(it, subject, &k.subject, err) == -1 ||
		    rule_yaml_list(it, expected, &k.expected, err) == -1)
			return -1;
		if (k.subject.n == 0)
			return rule_yaml_fail(it, err, "%s is missing", subject);
		vec_push(out, k);
	}
	return 0;
}

static int check_order(const void *a, const void *b)
{
	const struct check *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int read_checks(const struct rule_yaml *test, check_list *out, struct err *err)
{
	if (rule_yaml_check_map(test, "test", test_fields, err) == -1 ||
	    add_checks(test, "alert_rule_test", alert_test_fields, "alertname", "exp_alerts", check_alerts,
		       out, err) == -1 ||
	    add_checks(test, "record_rule_test", record_test_fields, "record", "exp_samples", check_recorded,
		       out, err) == -1 ||
	    add_checks(test, "logql_expr_test", expr_test_fields, "expr", "exp_samples", check_expr, out,
		       err) == -1)
		return -1;
	if (out->n > 1)
		qsort(out->v, out->n, sizeof(*out->v), check_order);
	return 0;
}

static int64_t interval_of(const struct suite *s, size_t group)
{
	int64_t own = s->groups.v[group]->interval_ns;

	return own > 0 ? own : s->interval_ns;
}

static void eval_group(struct bench *b, size_t g, int64_t t)
{
	const struct rule_group *group = b->suite->groups.v[g];
	struct err err;

	b->env.query_offset_ns = group->query_offset_ns;
	for (size_t i = 0; i < group->n_rules; i++) {
		const struct rule *r = &group->rule[i];

		if (rule_eval(&b->env, r, group->limit, t, &b->state[g][i], &err) == 0)
			continue;
		b->suite->counts->n_failed++;
		buf_printf(b->suite->out, "%s: rule \"", b->suite->path);
		text_terminal(b->suite->out, r->alert.p != NULL ? r->alert : r->record);
		buf_puts(b->suite->out, "\" at ");
		clock_format_prom_duration(b->suite->out, t);
		buf_printf(b->suite->out, ": %s\n", err.msg);
	}
}

/* The group that is due first; SLICE_NONE: none up to `until`. */
static size_t next_group(const struct bench *b, int64_t until)
{
	size_t first = SLICE_NONE;

	for (size_t g = 0; g < b->suite->groups.n; g++)
		if (b->due[g] <= until && (first == SLICE_NONE || b->due[g] < b->due[first]))
			first = g;
	return first;
}

/* A check sees the evaluations up to and at its own time. */
static int run_checks(struct bench *b, const check_list *checks, struct err *err)
{
	size_t n = 0, g;

	for (size_t i = 0; i < checks->n; i++) {
		while ((g = next_group(b, checks->v[i].at)) != SLICE_NONE) {
			if (n++ == MAX_EVALUATIONS)
				return err_set(err, ERR_BAD_REQUEST, "a test takes more than %d evaluations",
					       MAX_EVALUATIONS);
			eval_group(b, g, b->due[g]);
			b->due[g] += interval_of(b->suite, g);
		}
		b->suite->counts->n_checks++;
		checks->v[i].run(b, &checks->v[i]);
	}
	return 0;
}

static int bench_open(struct bench *b, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	struct store_options o;

	if (snprintf(b->dir, sizeof(b->dir), "%s/spoor-rules-XXXXXX",
		     tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp") < 0 ||
	    mkdtemp(b->dir) == NULL) {
		err_errno(err, "make a temporary folder %s", b->dir);
		b->dir[0] = '\0';
		return -1;
	}
	store_options_init(&o);
	o.dir = b->dir;
	o.wal_sync = WAL_SYNC_NONE;
	o.merge_interval_ns = 0;
	o.min_free_bytes = 1;
	if (store_open(&o, &b->store, err) == -1)
		return -1;
	b->engine = (struct query_engine){ .store = b->store, .pool = b->suite->pool };
	b->limits = (struct limits){ .max_query_series = DEFAULT_SERIES };
	b->env = (struct rule_env){
		.engine = &b->engine, .tenant = test_tenant, .limits = &b->limits, .control = &b->control
	};
	size_t n = b->suite->groups.n;
	b->due = xcalloc(n + 1, sizeof(*b->due));
	b->state = xcalloc(n + 1, sizeof(*b->state));
	for (size_t g = 0; g < n; g++) {
		size_t n_rules = b->suite->groups.v[g]->n_rules;

		b->state[g] = xcalloc(n_rules + 1, sizeof(**b->state));
		for (size_t i = 0; i < n_rules; i++)
			rule_state_init(&b->state[g][i]);
	}
	return rule_yaml_text(b->node, "external_url", &b->env.external_url, err);
}

static void bench_close(struct bench *b)
{
	struct err ignored;

	for (size_t g = 0; b->state != NULL && g < b->suite->groups.n; g++) {
		for (size_t i = 0; i < b->suite->groups.v[g]->n_rules; i++)
			rule_state_fini(&b->state[g][i]);
		free(b->state[g]);
	}
	free(b->state);
	free(b->due);
	store_close(b->store, false);
	if (b->dir[0] != '\0')
		file_remove_tree(b->dir, &ignored);
}

static int run_test(struct suite *s, const struct rule_yaml *node, struct err *err)
{
	struct bench b = { .suite = s, .node = node };
	check_list checks = { 0 };
	int rc = -1;

	s->counts->n_tests++;
	if (read_checks(node, &checks, err) == 0 && bench_open(&b, err) == 0 && store_streams(&b, err) == 0)
		rc = run_checks(&b, &checks, err);
	bench_close(&b);
	vec_fini(&checks);
	return rc;
}

/* ------------------------------------------------------------------ the file */

static int load_rules(struct suite *s, const char *path, struct err *err)
{
	struct rule_group **group = NULL;
	struct buf text = { 0 };
	size_t n = 0;
	int rc = file_read_all(path, RULES_MAX_FILE_BYTES, &text, err);

	if (rc == 0 && (rc = rule_file_parse(buf_slice(&text), &group, &n, err)) == -1)
		err_prefix(err, "%s", path);
	for (size_t i = 0; rc == 0 && i < n; i++)
		vec_push(&s->groups, group[i]);
	free(group);
	buf_fini(&text);
	return rc;
}

/* Relative names start where the file of tests is. */
static int load_pattern(struct suite *s, const struct rule_yaml *node, struct err *err)
{
	const char *slash = strrchr(s->path, '/');
	struct buf pattern = { 0 };
	glob_t found = { 0 };
	int rc = -1;

	if (slash != NULL && node->text.n > 0 && node->text.p[0] != '/')
		buf_append(&pattern, s->path, (size_t)(slash - s->path) + 1);
	buf_add(&pattern, node->text);
	buf_cstr_end(&pattern);
	if (glob(pattern.p, 0, NULL, &found) != 0) {
		rule_yaml_fail(node, err, "no rule file %s", pattern.p);
		goto out;
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (load_rules(s, found.gl_pathv[i], err) == -1)
			goto out;
	rc = 0;
out:
	globfree(&found);
	buf_fini(&pattern);
	return rc;
}

static int run_suite(struct suite *s, struct err *err)
{
	const struct rule_yaml *first;

	if (rule_yaml_check_map(s->root, "file of rule tests", suite_fields, err) == -1 ||
	    rule_yaml_duration(s->root, "evaluation_interval", &s->interval_ns, err) == -1 ||
	    rule_yaml_list(s->root, "rule_files", &first, err) == -1)
		return -1;
	if (s->interval_ns == 0)
		s->interval_ns = NS_PER_MIN;
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		if (load_pattern(s, it, err) == -1)
			return -1;
	if (rule_yaml_list(s->root, "tests", &first, err) == -1)
		return -1;
	for (const struct rule_yaml *it = first; it != NULL; it = it->next)
		if (run_test(s, it, err) == -1)
			return -1;
	return 0;
}

int rule_test_file(const char *path, struct buf *out, struct rule_test_counts *counts, struct err *err)
{
	struct suite s = { .path = path, .out = out, .counts = counts };
	struct buf text = { 0 };
	int rc = -1;

	arena_init(&s.arena);
	s.pool = pool_new("query", 2);
	if (file_read_all(path, RULES_MAX_FILE_BYTES, &text, err) == 0 &&
	    rule_yaml_parse(buf_slice(&text), &s.arena, &s.root, err) == 0)
		rc = run_suite(&s, err);
	for (size_t i = 0; i < s.groups.n; i++)
		rule_group_unref(s.groups.v[i]);
	vec_fini(&s.groups);
	pool_free(s.pool);
	buf_fini(&text);
	arena_fini(&s.arena);
	return rc;
}
