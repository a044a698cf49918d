#include "query/label_replace.h"
#include "base/re_expand.h"

/* Without dst and without empty labels, then dst with its new value unless that is empty. */
static struct labels with_label(struct arena *a, struct labels l, struct slice dst, struct slice value)
{
	struct label *v = arena_array(a, struct label, l.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].value.n > 0 && !slice_eq(l.v[i].name, dst))
			v[n++] = l.v[i];
	if (value.n > 0)
		v[n++] = (struct label){ dst, value };
	labels_sort(v, n);
	return (struct labels){ v, n };
}

int label_replace_run(struct exec *x, const struct logql_expr *e, const struct matrix *in, struct matrix *out,
		      struct err *err)
{
	struct slice group[RE_MAX_GROUPS];
	const struct re *re = e->label_replace.re;
	size_t n_groups = MIN(re_n_groups(re) + 1, (size_t)RE_MAX_GROUPS);
	struct buf value;
	int rc = 0;

	*out = (struct matrix){ in->n, arena_array(x->arena, struct series, in->n) };
	buf_init(&value);
	for (size_t i = 0; i < in->n && rc == 0; i++) {
		struct series *s = &out->series[i];
		struct slice src = labels_get(in->series[i].labels, e->label_replace.src);

		*s = in->series[i];
		if (!re_find(re, src.p != NULL ? src : SLICE(""), group, n_groups))
			continue;
		buf_reset(&value);
		re_expand(&value, e->label_replace.replacement, re, group, n_groups);
		rc = exec_charge(x, value.n + s->labels.n * sizeof(struct label), err);
		s->labels = with_label(x->arena, s->labels, e->label_replace.dst,
				       arena_dup(x->arena, buf_slice(&value)));
		if (rc == 0 && i % 1024 == 0)
			rc = query_control_check(x->control, err);
	}
	buf_fini(&value);
	return rc;
}
