#include "query/labelre.h"

#include "base/mem.h"
#include "query/simple_re.h"

struct label_re {
	struct simple_re *simple;
};

int label_re_new(struct slice pattern, struct label_re **out, struct err *err)
{
	struct simple_re *simple;

	if (simple_re_new(pattern, SIMPLE_RE_LABEL, &simple, err) == -1)
		return -1;
	*out = xmalloc(sizeof(**out));
	(*out)->simple = simple;
	return 0;
}

void label_re_free(struct label_re *re)
{
	if (re == NULL)
		return;
	simple_re_free(re->simple);
	free(re);
}

bool label_re_match(const struct label_re *re, struct slice value)
{
	return simple_re_match(re->simple, value);
}
