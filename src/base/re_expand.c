#include "base/re_expand.h"
#include "base/fold.h"
#include "base/text.h"

enum { NOT_A_NUMBER = -1, MAX_NUMBER = 100000000 };

/* Letters, digits and underscores at the start of s, in bytes. */
static size_t name_length(struct slice s)
{
	size_t n = 0, len;

	while (n < s.n) {
		uint32_t r = utf8_decode(slice_from(s, n), &len);

		if (r != '_' && !rune_is_alnum(r))
			break;
		n += len;
	}
	return n;
}

/* The reference at the start of s, behind its dollar: returns its length, 0 if there is none. */
static size_t reference(struct slice s, struct slice *name)
{
	bool brace = s.n > 0 && s.p[0] == '{';
	struct slice from = slice_from(s, brace);
	size_t n = name_length(from);

	if (n == 0 || (brace && (n == from.n || from.p[n] != '}')))
		return 0;
	*name = slice_sub(from, 0, n);
	return n + (brace ? 2 : 0);
}

static int number_of(struct slice name)
{
	int v = 0;

	if (name.n > 1 && name.p[0] == '0')
		return NOT_A_NUMBER;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < '0' || name.p[i] > '9' || v >= MAX_NUMBER)
			return NOT_A_NUMBER;
		v = v * 10 + (name.p[i] - '0');
	}
	return v;
}

/* Of several groups with one name, the first that took part. */
static struct slice value_of(struct slice name, const struct re *re, const struct slice *group, size_t n)
{
	int number = number_of(name);

	if (number != NOT_A_NUMBER)
		return (size_t)number < n ? group[number] : SLICE("");
	for (size_t i = 1; i < n && i <= re_n_groups(re); i++)
		if (group[i].p != NULL && slice_eq(re_group_name(re, i), name))
			return group[i];
	return SLICE("");
}

void re_expand(struct buf *out, struct slice tmpl, const struct re *re, const struct slice *group,
	       size_t n_groups)
{
	struct slice name;

	for (;;) {
		size_t dollar = slice_find_byte(tmpl, '$'), n;

		buf_append(out, tmpl.p, dollar == SLICE_NONE ? tmpl.n : dollar);
		if (dollar == SLICE_NONE)
			return;
		tmpl = slice_from(tmpl, dollar + 1);
		if (tmpl.n > 0 && tmpl.p[0] == '$') {
			buf_putc(out, '$');
			tmpl = slice_from(tmpl, 1);
		} else if ((n = reference(tmpl, &name)) > 0) {
			struct slice v = value_of(name, re, group, n_groups);

			buf_append(out, v.p, v.n);
			tmpl = slice_from(tmpl, n);
		} else {
			buf_putc(out, '$');
		}
	}
}
