#include "golden.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/labels.h"

enum { MAX_FILE = 64 << 20, MAX_PAIRS = 64 };

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = memchr(digits, c, 16);

	return at != NULL ? (int)(at - digits) : -1;
}

/* One field, unescaped into the arena; -1 for an escape that is none. */
static int unescape(struct arena *a, struct slice in, struct slice *out)
{
	char *to = arena_alloc_bytes(a, in.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] != '\\') {
			to[n++] = in.p[i];
			continue;
		}
		char what = ++i < in.n ? in.p[i] : '\0';

		if (what == 'x' && in.n - i > 2 && hex_digit(in.p[i + 1]) >= 0 &&
		    hex_digit(in.p[i + 2]) >= 0) {
			to[n++] = (char)(hex_digit(in.p[i + 1]) << 4 | hex_digit(in.p[i + 2]));
			i += 2;
		} else if (what == '\\' || what == 't' || what == 'n') {
			to[n++] = what == 't' ? '\t' : what == 'n' ? '\n' : '\\';
		} else {
			return -1;
		}
	}
	*out = slice_of(to, n);
	return 0;
}

static int next_field(struct arena *a, struct slice *rest, struct slice *out)
{
	size_t end = slice_find_byte(*rest, '\t');
	struct slice field = slice_sub(*rest, 0, end != SLICE_NONE ? end : rest->n);

	*rest = end != SLICE_NONE ? slice_from(*rest, end + 1) : (struct slice){ NULL, 0 };
	return unescape(a, field, out);
}

static int read_entry(struct golden *g, struct slice rest)
{
	struct label pairs[MAX_PAIRS];
	struct chunk_entry e;
	struct slice ts;
	struct buf meta = { 0 };
	size_t n = 0;

	if (next_field(&g->text, &rest, &ts) == -1 || !slice_to_i64(ts, &e.ts) || rest.p == NULL ||
	    next_field(&g->text, &rest, &e.line) == -1)
		return -1;
	for (; rest.p != NULL; n++)
		if (n == MAX_PAIRS || next_field(&g->text, &rest, &pairs[n].name) == -1 || rest.p == NULL ||
		    next_field(&g->text, &rest, &pairs[n].value) == -1)
			return -1;
	labels_encode(&meta, (struct labels){ pairs, n });
	e.meta = arena_dup(&g->text, buf_slice(&meta));
	buf_fini(&meta);
	vec_push(&g->entries, e);
	return 0;
}

int golden_read(const char *path, struct golden *g, struct err *err)
{
	struct buf file = { 0 };
	int rc = 0;

	*g = (struct golden){ 0 };
	arena_init(&g->text);
	if (file_read_all(path, MAX_FILE, &file, err) == -1)
		rc = -1;
	for (struct slice rest = buf_slice(&file); rc == 0 && rest.n > 0;) {
		size_t end = slice_find_byte(rest, '\n');

		if (end == SLICE_NONE || read_entry(g, slice_sub(rest, 0, end)) == -1)
			rc = err_set(err, ERR_CORRUPT,
				     "%s: entry %zu is not in the form that golden.h describes", path,
				     g->entries.n + 1);
		else
			rest = slice_from(rest, end + 1);
	}
	buf_fini(&file);
	return rc;
}

void golden_fini(struct golden *g)
{
	vec_fini(&g->entries);
	arena_fini(&g->text);
}
