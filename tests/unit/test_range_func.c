/* Range functions over unwrapped values, on random data against a reference that looks at every sample for every
 * window; and what moves through the windows by itself: quantiles, parts of parts. */
#define QUERY_TEST_UNIT INT64_C(1000000) /* queries name milliseconds at the finest */
#include "tests/unit/query_test.h"
#include "query/quantile.h"

#include <math.h>

enum { N_SAMPLES = 400, T_MAX = 900 };

/* In order of time; times are distinct, so that the first and the last are known. */
static struct {
	int64_t ts;
	int app, sm;
	double v;
} samples[N_SAMPLES];

static unsigned rnd(unsigned n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x >> 33) % n;
}

static double random_value(bool odd)
{
	static const double odd_values[] = { NAN, INFINITY, -INFINITY, 0, 1e300, -1e300, 1e-300 };

	if (odd && rnd(8) == 0)
		return odd_values[rnd(ARRAY_LEN(odd_values))];
	return rnd(3) == 0 ? (double)rnd(10) : ((double)rnd(2000000) - 1000000) / 1024;
}

static void add_samples(struct query_test *t, bool odd)
{
	static uint8_t used[T_MAX];
	size_t n = 0;

	memset(used, 0, sizeof(used));
	for (size_t i = 0; i < N_SAMPLES;) {
		unsigned at = rnd(T_MAX);

		i += !used[at];
		used[at] = 1;
	}
	for (int at = 0; at < T_MAX; at++) {
		char labels[32], meta[96];

		if (!used[at])
			continue;
		samples[n].ts = at;
		samples[n].app = (int)rnd(3);
		samples[n].sm = (int)rnd(2);
		samples[n].v = random_value(odd);
		snprintf(labels, sizeof(labels), "{app=\"%d\"}", samples[n].app);
		snprintf(meta, sizeof(meta), "{sm=\"%d\", v=\"%.17g\"}", samples[n].sm, samples[n].v);
		fake_store_add(&t->store, labels, at * QUERY_TEST_UNIT, "x", meta);
		n++;
	}
}

/* ---- the reference: v, n samples of a window in order of time ---- */

struct window {
	size_t n;
	double v[N_SAMPLES];
	int64_t ts[N_SAMPLES];
	double q;
	int64_t start, end; /* start exclusive; ms */
};

static double ref_sum(const struct window *w)
{
	double s = 0;

	for (size_t i = 0; i < w->n; i++)
		s += w->v[i];
	return s;
}

static double ref_rate(const struct window *w)
{
	return ref_sum(w) / ((double)(w->end - w->start) / 1000);
}

static double ref_avg(const struct window *w)
{
	double mean = 0, n = 0;

	for (size_t i = 0; i < w->n; i++) {
		double v = w->v[i];

		n++;
		if (isinf(mean) && !isnan(v) && (!isinf(v) || (mean > 0) == (v > 0)))
			continue;
		mean += v / n - mean / n;
	}
	return mean;
}

static double ref_min(const struct window *w)
{
	double m = w->v[0];

	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] < m || isnan(m))
			m = w->v[i];
	return m;
}

static double ref_max(const struct window *w)
{
	double m = w->v[0];

	for (size_t i = 1; i < w->n; i++)
		if (w->v[i] > m || isnan(m))
			m = w->v[i];
	return m;
}

static double ref_first(const struct window *w)
{
	return w->v[0];
}

static double ref_last(const struct window *w)
{
	return w->v[w->n - 1];
}

static double ref_stdvar(const struct window *w)
{
	double mean = 0, sum = 0;

	for (size_t i = 0; i < w->n; i++)
		mean += w->v[i] / (double)w->n;
	for (size_t i = 0; i < w->n; i++)
		sum += (w->v[i] - mean) * (w->v[i] - mean);
	return sum / (double)w->n;
}

static double ref_stddev(const struct window *w)
{
	return sqrt(ref_stdvar(w));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y))
		return isnan(y) - isnan(x);
	return x < y ? -1 : x > y;
}

static double ref_quantile(const struct window *w)
{
	double v[N_SAMPLES], rank = w->q * (double)(w->n - 1);
	size_t lower = (size_t)rank, upper = lower + 1 < w->n ? lower + 1 : w->n - 1;

	if (w->q > 1)
		return INFINITY;
	memcpy(v, w->v, w->n * sizeof(*v));
	qsort(v, w->n, sizeof(*v), by_value);
	return v[lower] * (1 - (rank - floor(rank))) + v[upper] * (rank - floor(rank));
}

static double ref_counter(const struct window *w)
{
	size_t n = w->n;

	if (n < 2)
		return 0;
	double delta = w->v[n - 1] - w->v[0];
	for (size_t i = 1; i < n; i++)
		if (w->v[i] < w->v[i - 1])
			delta += w->v[i - 1];
	double sampled = (double)(w->ts[n - 1] - w->ts[0]), gap = sampled / (double)(n - 1);
	double to_start = (double)(w->ts[0] - w->start), to_end = (double)(w->end - w->ts[n - 1]);
	if (to_start >= gap * 1.1)
		to_start = gap / 2;
	if (delta > 0 && w->v[0] >= 0 && sampled * w->v[0] / delta < to_start)
		to_start = sampled * w->v[0] / delta;
	if (to_end >= gap * 1.1)
		to_end = gap / 2;
	return delta * ((sampled + to_start + to_end) / sampled) / ((double)(w->end - w->start) / 1000);
}

static const struct function {
	const char *name;
	double (*value)(const struct window *w);
	bool grouping;
	bool odd; /* NaN and infinities have one right answer, whatever the order */
} functions[] = {
	{ "sum_over_time", ref_sum, false, false },	 { "rate", ref_rate, false, false },
	{ "avg_over_time", ref_avg, true, false },	 { "min_over_time", ref_min, true, true },
	{ "max_over_time", ref_max, true, true },	 { "first_over_time", ref_first, true, true },
	{ "last_over_time", ref_last, true, true },	 { "stdvar_over_time", ref_stdvar, true, false },
	{ "stddev_over_time", ref_stddev, true, false }, { "quantile_over_time", ref_quantile, true, true },
	{ "rate_counter", ref_counter, false, false },
};

struct question {
	const struct function *f;
	bool by_app, by_sm;
	int64_t range, offset;
	double q;
};

static bool fill_window(struct window *w, const struct question *q, int64_t at, int app, int sm)
{
	w->n = 0;
	w->q = q->q;
	w->end = at - q->offset;
	w->start = w->end - q->range;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		if ((q->by_app && samples[i].app != app) || (q->by_sm && samples[i].sm != sm) ||
		    samples[i].ts <= w->start || samples[i].ts > w->end)
			continue;
		w->v[w->n] = samples[i].v;
		w->ts[w->n++] = samples[i].ts;
	}
	return w->n > 0;
}

static bool close_to(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isnan(a) && isnan(b);
	return a == b || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) || fabs(a - b) < 1e-9;
}

static const struct result_series *find_series(const struct query_result *r, const struct question *q,
					       int app, int sm)
{
	char a[16], s[16];

	snprintf(a, sizeof(a), "%d", app);
	snprintf(s, sizeof(s), "%d", sm);
	for (size_t i = 0; i < r->n_series; i++) {
		struct labels l = r->series[i].labels;

		if (l.n == (size_t)q->by_app + q->by_sm &&
		    (!q->by_app || slice_is(labels_get(l, SLICE("app")), a)) &&
		    (!q->by_sm || slice_is(labels_get(l, SLICE("sm")), s)))
			return &r->series[i];
	}
	return NULL;
}

static void check_series(const struct query_test *t, const struct query_result *r, const struct question *q,
			 int app, int sm)
{
	const struct result_series *s = find_series(r, q, app, sm);
	static struct window w;
	size_t n = 0;

	for (int64_t at = t->req.start; at <= t->req.end; at += t->req.step) {
		if (!fill_window(&w, q, at / QUERY_TEST_UNIT, app, sm))
			continue;
		assert_non_null(s);
		assert_true(n < s->n && s->point[n].ts == at);
		if (!close_to(s->point[n].value, q->f->value(&w)))
			fail_msg("%.*s at %lld: %.17g, not %.17g", SLICE_ARG(t->req.text), (long long)at,
				 s->point[n].value, q->f->value(&w));
		n++;
	}
	assert_true(s == NULL ? n == 0 : n == s->n);
}

static void ask(struct query_test *t, const struct question *q)
{
	struct query_result r;
	char text[256], grouping[32] = "", param[16] = "";

	if (q->f->value == ref_quantile)
		snprintf(param, sizeof(param), "%g, ", q->q);
	if (q->f->grouping)
		snprintf(grouping, sizeof(grouping), "by (%s%s%s)", q->by_app ? "app" : "",
			 q->by_app && q->by_sm ? "," : "", q->by_sm ? "sm" : "");
	snprintf(text, sizeof(text), "%s(%s{app=~\".+\"} | unwrap v [%dms] offset %dms) %s", q->f->name,
		 param, (int)q->range, (int)q->offset, grouping);
	t->req.text = slice_cstr(text);
	err_clear(&t->err);
	if (query_run(&t->engine, &t->req, &t->control, &r, &t->err) == -1)
		fail_msg("%s: %s", text, t->err.msg);
	for (int app = 0; app < (q->by_app ? 3 : 1); app++)
		for (int sm = 0; sm < (q->by_sm ? 2 : 1); sm++)
			check_series(t, &r, q, app, sm);
	query_result_fini(&r);
}

static void ask_many(struct query_test *t, bool odd)
{
	for (int round = 0; round < 400; round++) {
		struct question q = { .f = &functions[rnd(ARRAY_LEN(functions))],
				      .by_app = true,
				      .by_sm = true,
				      .range = 1 + rnd(rnd(2) ? 400 : 20),
				      .offset = (int)rnd(60) - 30,
				      .q = (double)rnd(23) / 20 };

		if (odd && !q.f->odd)
			continue;
		if (q.f->grouping) {
			q.by_app = rnd(2);
			q.by_sm = rnd(2);
		}
		t->req.start = ((int)rnd(T_MAX) - 100) * QUERY_TEST_UNIT;
		t->req.end = t->req.start + rnd(T_MAX) * QUERY_TEST_UNIT;
		t->req.step = (1 + rnd(rnd(2) ? 100 : 8)) * QUERY_TEST_UNIT;
		t->store.unit_entries = 1 + rnd(80);
		t->store.block_entries = 1 + rnd(20);
		t->store.share_metas = rnd(2);
		ask(t, &q);
	}
}

static void test_numbers(void **state)
{
	add_samples(*state, false);
	ask_many(*state, false);
}

static void test_nan_and_infinities(void **state)
{
	add_samples(*state, true);
	ask_many(*state, true);
}

/* The best of each step, by sorting all of it. */
static void test_topk(void **state)
{
	struct query_test *t = *state;
	struct query_result all, best;

	add_samples(t, false);
	t->req.start = 0;
	t->req.end = T_MAX * QUERY_TEST_UNIT;
	t->req.step = 20 * QUERY_TEST_UNIT;
	for (unsigned k = 1; k <= 7; k++) {
		char text[128];

		snprintf(text, sizeof(text), "topk(%u, max_over_time({app=~\".+\"} | unwrap v [30ms]))", k);
		t->req.text = SLICE("max_over_time({app=~\".+\"} | unwrap v [30ms])");
		assert_int_equal(query_run(&t->engine, &t->req, &t->control, &all, &t->err), 0);
		t->req.text = slice_cstr(text);
		assert_int_equal(query_run(&t->engine, &t->req, &t->control, &best, &t->err), 0);
		for (int64_t at = 0; at <= t->req.end; at += t->req.step) {
			double v[8], worst = INFINITY;
			size_t n = 0, n_best = 0;

			for (size_t i = 0; i < all.n_series; i++)
				for (size_t p = 0; p < all.series[i].n; p++)
					if (all.series[i].point[p].ts == at)
						v[n++] = all.series[i].point[p].value;
			for (size_t i = 0; i < best.n_series; i++)
				for (size_t p = 0; p < best.series[i].n; p++)
					if (best.series[i].point[p].ts == at) {
						n_best++;
						worst = fmin(worst, best.series[i].point[p].value);
					}
			if (n > 1)
				qsort(v, n, sizeof(*v), by_value);
			assert_int_equal(n_best, MIN(n, (size_t)k));
			if (n_best > 0)
				assert_true(worst == v[n - n_best]);
		}
		query_result_fini(&all);
		query_result_fini(&best);
	}
}

/* Values in an order that a fixed pivot would hate, many equal ones, and windows of both kinds. */
static void test_quantiles(void **state)
{
	enum { N = 3000 };
	static struct sample v[N];
	static double sorted[N];

	(void)state;
	for (int shape = 0; shape < 4; shape++) {
		for (size_t i = 0; i < N; i++)
			v[i] = (struct sample){ (int64_t)i, shape == 0	 ? (double)i
							    : shape == 1 ? (double)(N - i)
							    : shape == 2 ? (double)(i % 3)
									 : (double)rnd(1000) - 500 };
		for (int overlap = 0; overlap < 2; overlap++) {
			struct quantile *q = quantile_new(0.25, v, N, overlap);
			size_t step = overlap ? 50 : 500;

			for (size_t from = 0; from + 500 <= N; from += step) {
				for (size_t i = 0; i < 500; i++)
					sorted[i] = v[from + i].v;
				qsort(sorted, 500, sizeof(*sorted), by_value);
				assert_true(quantile_of(q, from, from + 500) ==
					    sorted[124] * 0.25 + sorted[125] * 0.75);
			}
			quantile_free(q);
		}
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, query_test_setup, query_test_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_numbers),
		TEST(test_nan_and_infinities),
		TEST(test_topk),
		cmocka_unit_test(test_quantiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
