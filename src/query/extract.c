#include "query/extract.h"
#include "base/text.h"

bool extract_is_clean(struct slice v)
{
	return ascii_prefix(v) == v.n ||
	       (utf8_valid(v) && slice_find(v, SLICE("\xef\xbf\xbd")) == SLICE_NONE);
}

struct slice extract_clean(struct slice v, struct arena *scratch)
{
	size_t n = 0, len;

	if (extract_is_clean(v))
		return v;
	char *p = arena_alloc_bytes(scratch, v.n);
	for (; v.n > 0; v = slice_from(v, len)) {
		if (utf8_decode(v, &len) == 0xfffd)
			p[n++] = ' ';
		else
			for (size_t i = 0; i < len; i++)
				p[n++] = v.p[i];
	}
	return slice_of(p, n);
}
