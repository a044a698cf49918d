#include "query/labelfilter.h"
#include "logql/units.h"
#include "query/labelre.h"
#include "query/linefilter.h"

struct label_test {
	const struct label_filter *f;
	struct label_test *left, *right;
	struct label_re *re;
	uint64_t bytes; /* LABEL_FILTER_BYTES */
};

void label_test_free(struct label_test *t)
{
	if (t == NULL)
		return;
	label_test_free(t->left);
	label_test_free(t->right);
	label_re_free(t->re);
	free(t);
}

/* Loki passes queries on in canonical form, where a size has two digits at the most: 1GiB becomes 1.1GB. */
static uint64_t canonical_bytes(uint64_t bytes)
{
	struct err ignored;
	struct buf b;

	buf_init(&b);
	units_fmt_bytes(&b, bytes);
	units_parse_bytes(buf_slice(&b), &bytes, &ignored);
	buf_fini(&b);
	return bytes;
}

int label_test_new(const struct label_filter *f, struct label_test **out, struct err *err)
{
	struct label_test *t = xcalloc(1, sizeof(*t));
	int rc = -1;

	t->f = f;
	if (f->kind == LABEL_FILTER_BYTES)
		t->bytes = canonical_bytes(f->bytes);
	if (f->kind == LABEL_FILTER_AND || f->kind == LABEL_FILTER_OR) {
		if (label_test_new(f->left, &t->left, err) == -1 ||
		    label_test_new(f->right, &t->right, err) == -1)
			goto out;
	} else if (f->kind == LABEL_FILTER_STRING &&
		   (f->matcher.op == MATCH_RE || f->matcher.op == MATCH_NRE)) {
		if (label_re_new(f->matcher.value, &t->re, err) == -1)
			goto out;
	}
	*out = TAKE(t);
	rc = 0;
out:
	label_test_free(t);
	return rc;
}

static struct slice or_empty(struct slice v)
{
	return v.p != NULL ? v : SLICE("");
}

static bool string_matches(const struct label_test *t, struct slice v)
{
	const struct matcher *m = &t->f->matcher;

	switch (m->op) {
	case MATCH_EQ: return slice_eq(v, m->value);
	case MATCH_NE: return !slice_eq(v, m->value);
	case MATCH_RE: return label_re_match(t->re, v);
	case MATCH_NRE: return !label_re_match(t->re, v);
	}
	return false;
}

static bool test_string(const struct label_test *t, const struct label_set *s)
{
	struct slice name = t->f->matcher.name;

	return string_matches(t, or_empty(slice_eq(name, LABEL_ERROR) ? s->error : label_set_get(s, name)));
}

#define COMPARE(op, a, b)                                                                                    \
	((op) == CMP_EQ	  ? (a) == (b)                                                                       \
	 : (op) == CMP_NE ? (a) != (b)                                                                       \
	 : (op) == CMP_GT ? (a) > (b)                                                                        \
	 : (op) == CMP_GE ? (a) >= (b)                                                                       \
	 : (op) == CMP_LT ? (a) < (b)                                                                        \
			  : (a) <= (b))

/* -1: the value does not convert. */
static int typed_matches(const struct label_test *t, struct slice v, struct err *why)
{
	const struct label_filter *f = t->f;
	double number;
	int64_t ns;
	uint64_t bytes;

	switch (f->kind) {
	case LABEL_FILTER_NUMBER:
		return units_parse_number(v, &number, why) == -1 ? -1 : COMPARE(f->cmp, number, f->number);
	case LABEL_FILTER_DURATION:
		return units_parse_go_duration(v, &ns, why) == -1 ? -1 : COMPARE(f->cmp, ns, f->duration_ns);
	default: return units_parse_bytes(v, &bytes, why) == -1 ? -1 : COMPARE(f->cmp, bytes, t->bytes);
	}
}

/* A value that does not convert keeps the entry; an earlier error stands. */
static bool test_typed(const struct label_test *t, struct label_set *s, struct arena *scratch)
{
	struct slice v = label_set_get(s, t->f->name);
	struct err why;

	if (v.p == NULL)
		return false;
	int rc = typed_matches(t, v, &why);
	if (rc == -1 && s->error.p == NULL)
		label_set_error(s, SLICE("LabelFilterErr"), arena_dup(scratch, slice_cstr(why.msg)));
	return rc != 0;
}

struct slice label_test_name(const struct label_test *t)
{
	switch (t->f->kind) {
	case LABEL_FILTER_AND:
	case LABEL_FILTER_OR: return (struct slice){ NULL, 0 };
	case LABEL_FILTER_STRING:
		return slice_eq(t->f->matcher.name, LABEL_ERROR) ? (struct slice){ NULL, 0 }
								 : t->f->matcher.name;
	default: return t->f->name;
	}
}

size_t label_test_leaves(const struct label_test *t, const struct label_test **out, size_t max)
{
	if (t->left == NULL) {
		if (max > 0)
			out[0] = t;
		return 1;
	}
	size_t n = label_test_leaves(t->left, out, max);
	size_t used = MIN(n, max);
	return n + label_test_leaves(t->right, out + used, max - used);
}

enum label_verdict label_test_value(const struct label_test *t, struct slice value)
{
	struct err why;

	switch (t->f->kind) {
	case LABEL_FILTER_STRING: return string_matches(t, value) ? LABEL_YES : LABEL_NO;
	case LABEL_FILTER_IP:
		return t->f->ip_ok && line_has_ip(value, &t->f->ip) == (t->f->cmp == CMP_EQ) ? LABEL_YES
											     : LABEL_NO;
	default: break;
	}
	int rc = typed_matches(t, value, &why);
	return rc == -1 ? LABEL_NO_VALUE : rc == 1 ? LABEL_YES : LABEL_NO;
}

bool label_test_is_number(const struct label_test *t)
{
	return t->f->kind == LABEL_FILTER_NUMBER;
}

enum label_verdict label_test_number(const struct label_test *t, double value)
{
	return COMPARE(t->f->cmp, value, t->f->number) ? LABEL_YES : LABEL_NO;
}

bool label_test_sees_errors(const struct label_test *t)
{
	return t->f->kind == LABEL_FILTER_IP;
}

struct slice label_test_required(const struct label_test *t)
{
	if (t->f->kind != LABEL_FILTER_STRING || t->f->matcher.op != MATCH_EQ || label_test_name(t).p == NULL)
		return (struct slice){ NULL, 0 };
	return t->f->matcher.value;
}

static bool test_ip(const struct label_filter *f, const struct label_set *s)
{
	struct slice v = label_set_get(s, f->name);

	if (s->error.p != NULL)
		return true;
	if (v.p == NULL || !f->ip_ok)
		return false;
	return line_has_ip(v, &f->ip) == (f->cmp == CMP_EQ);
}

bool label_test_run(const struct label_test *t, struct label_set *s, struct arena *scratch)
{
	switch (t->f->kind) {
	case LABEL_FILTER_AND: {
		/* Both sides run, so that the right one can leave its error. */
		bool left = label_test_run(t->left, s, scratch);
		bool right = label_test_run(t->right, s, scratch);

		return left && right;
	}
	case LABEL_FILTER_OR:
		return label_test_run(t->left, s, scratch) || label_test_run(t->right, s, scratch);
	case LABEL_FILTER_STRING: return test_string(t, s);
	case LABEL_FILTER_IP: return test_ip(t->f, s);
	case LABEL_FILTER_NUMBER:
	case LABEL_FILTER_DURATION:
	case LABEL_FILTER_BYTES: return test_typed(t, s, scratch);
	}
	return false;
}
