#include "query/unwrap.h"
#include "logql/units.h"
#include "query/labelfilter.h"

struct unwrap {
	const struct logql_unwrap *spec;
	VEC(struct label_test *) tests;
};

void unwrap_free(struct unwrap *u)
{
	if (u == NULL)
		return;
	for (size_t i = 0; i < u->tests.n; i++)
		label_test_free(u->tests.v[i]);
	vec_fini(&u->tests);
	free(u);
}

int unwrap_new(const struct logql_unwrap *spec, struct unwrap **out, struct err *err)
{
	struct unwrap *u = xcalloc(1, sizeof(*u));
	int rc = -1;

	u->spec = spec;
	for (size_t i = 0; i < spec->n_filters; i++) {
		struct label_test *t;

		if (label_test_new(spec->filters[i], &t, err) == -1)
			goto out;
		vec_push(&u->tests, t);
	}
	*out = TAKE(u);
	rc = 0;
out:
	unwrap_free(u);
	return rc;
}

const struct logql_unwrap *unwrap_spec(const struct unwrap *u)
{
	return u->spec;
}

size_t unwrap_tests(const struct unwrap *u, const struct label_test **out, size_t max)
{
	for (size_t i = 0; i < u->tests.n && i < max; i++)
		out[i] = u->tests.v[i];
	return u->tests.n;
}

static int convert(enum unwrap_conv conv, struct slice text, double *out, struct err *err)
{
	uint64_t bytes;
	int64_t ns;

	switch (conv) {
	case UNWRAP_NUMBER: return units_parse_number(text, out, err);
	case UNWRAP_BYTES:
		if (units_parse_bytes(text, &bytes, err) == -1)
			return -1;
		*out = (double)bytes;
		return 0;
	case UNWRAP_DURATION:
	case UNWRAP_DURATION_SECONDS:
		if (units_parse_go_duration(text, &ns, err) == -1)
			return -1;
		/* As Go does: whole seconds and the rest apart. */
		*out = (double)(ns / 1000000000) + (double)(ns % 1000000000) / 1e9;
		return 0;
	}
	return err_set(err, ERR_INTERNAL, "no such conversion");
}

bool unwrap_run(const struct unwrap *u, struct pipe_state *st, double *value)
{
	struct slice text = label_set_get(&st->set, u->spec->label);
	struct err why;

	if (text.n == 0)
		return false;
	*value = 0;
	if (convert(u->spec->conv, text, value, &why) == -1)
		label_set_error(&st->set, SLICE("SampleExtractionErr"),
				arena_dup(&st->scratch, slice_cstr(why.msg)));
	for (size_t i = 0; i < u->tests.n; i++)
		if (!label_test_run(u->tests.v[i], &st->set, &st->scratch))
			return false;
	return true;
}
