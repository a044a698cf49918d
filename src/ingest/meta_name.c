#include "ingest/meta_name.h"

static bool is_name_char(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

bool meta_name_clean(struct slice s)
{
	if (s.n == 0 || (s.p[0] >= '0' && s.p[0] <= '9') || slice_is(s, "_"))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_name_char(s.p[i]) || (s.p[i] == '_' && i > 0 && s.p[i - 1] == '_'))
			return false;
	return true;
}

struct slice meta_name_sanitise(struct arena *a, struct slice s)
{
	char *p = arena_alloc_bytes(a, s.n + 4);
	size_t n = 0;
	bool reserved = s.n > 4 && slice_starts(s, SLICE("__")) && slice_ends(s, SLICE("__"));

	if (s.p[0] >= '0' && s.p[0] <= '9') {
		memcpy(p, "key_", 4);
		n = 4;
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!is_name_char(c)) {
			/* One _ for a rune, not for each of its bytes. */
			if (reserved && (c & 0xc0) == 0x80)
				continue;
			c = '_';
		}
		if (c == '_' && !reserved && n > 0 && p[n - 1] == '_')
			continue;
		p[n++] = c;
	}
	return slice_of(p, n);
}
