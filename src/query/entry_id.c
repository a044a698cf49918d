#include "query/entry_id.h"

#include "base/hash.h"
#include "base/text.h"

static uint64_t hash_labels(struct labels l, uint64_t h)
{
	for (size_t i = 0; i < l.n; i++)
		h = hash64_seed(l.v[i].value, hash64_seed(l.v[i].name, h));
	return h;
}

uint64_t entry_hash(struct labels labels, struct slice line, struct labels meta)
{
	return hash_labels(meta, hash64_seed(line, hash_labels(labels, labels.n)));
}

void entry_id_format(struct buf *b, int64_t ts, uint64_t hash)
{
	buf_printf(b, "%lld-%016llx", (long long)ts, (unsigned long long)hash);
}

bool entry_id_parse(struct slice text, int64_t *ts, uint64_t *hash)
{
	size_t dash = slice_find_byte(text, '-');
	uint64_t h = 0;

	if (dash == SLICE_NONE || text.n - dash != 17 || !slice_to_i64(slice_sub(text, 0, dash), ts))
		return false;
	for (size_t i = dash + 1; i < text.n; i++) {
		char c = text.p[i];

		if (c >= '0' && c <= '9')
			h = h << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			h = h << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*hash = h;
	return true;
}
