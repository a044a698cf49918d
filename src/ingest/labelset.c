#include "ingest/labelset.h"
#include "base/mem.h"
#include "base/text.h"

static int refuse(struct labels l, struct arena *a, struct err *err)
{
	struct buf text;
	struct labels unused;

	buf_init(&text);
	labels_format(&text, l);
	/* The parser finds what is wrong with it, and says so at the right column. */
	if (labelset_parse(buf_slice(&text), a, &unused, err) == 0)
		err_set(err, ERR_BAD_REQUEST, "couldn't parse labels: label name is not an identifier");
	buf_fini(&text);
	return -1;
}

int labelset_make(struct label *v, size_t n, struct arena *a, struct labels *out, struct err *err)
{
	size_t kept = 0;
	bool ok = true;

	labels_sort(v, n);
	for (size_t i = 0; i < n; i++) {
		if ((i + 1 < n && slice_eq(v[i].name, v[i + 1].name)) || v[i].value.n == 0)
			continue;
		ok &= label_name_valid(v[i].name) && utf8_valid(v[i].value);
		v[kept++] = v[i];
	}
	if (!ok)
		return refuse((struct labels){ v, kept }, a, err);
	struct label *copy = arena_array(a, struct label, kept);
	if (kept > 0)
		memcpy(copy, v, kept * sizeof(*v));
	*out = (struct labels){ copy, kept };
	return 0;
}

int labelset_parse(struct slice text, struct arena *a, struct labels *out, struct err *err)
{
	if (labels_parse(text, a, out, err) == 0)
		return 0;
	err_prefix(err, "couldn't parse labels");
	return -1;
}
