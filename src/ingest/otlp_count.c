/* Counts without decoding: the paths through a request that lead to what is counted, as tables. */
#include "ingest/json_scan.h"
#include "ingest/otlp.h"
#include "ingest/pb.h"

enum { MAX_LEVELS = 6, MAX_NAMES = 5 };

/* Each level: the fields to go down by. What the last level finds is counted. */
struct path {
	struct {
		uint32_t number[MAX_NAMES]; /* 0 at the end */
		const char *name[MAX_NAMES];
	} level[MAX_LEVELS];
	unsigned n_levels;
};

static const struct path paths[] = {
	[OTLP_METRICS] = { { { { 1 }, { "resourceMetrics" } },
			     { { 2 }, { "scopeMetrics" } },
			     { { 2 }, { "metrics" } },
			     { { 5, 7, 9, 10, 11 },
			       { "gauge", "sum", "histogram", "exponentialHistogram", "summary" } },
			     { { 1 }, { "dataPoints" } } },
			   5 },
	[OTLP_TRACES] = { { { { 1 }, { "resourceSpans" } },
			    { { 2 }, { "scopeSpans" } },
			    { { 2 }, { "spans" } } },
			  3 },
};

static bool has_number(const struct path *p, unsigned level, uint32_t number)
{
	for (size_t i = 0; i < MAX_NAMES && p->level[level].number[i] != 0; i++)
		if (p->level[level].number[i] == number)
			return true;
	return false;
}

static bool has_name(const struct path *p, unsigned level, struct slice name)
{
	for (size_t i = 0; i < MAX_NAMES && p->level[level].name[i] != NULL; i++)
		if (slice_is(name, p->level[level].name[i]))
			return true;
	return false;
}

/* As deep as the path is long. */
static bool count_proto(const struct path *p, unsigned level, struct slice bytes, uint64_t *n)
{
	struct cursor c = cursor_of(bytes);
	struct pb_field f;

	while (pb_next(&c, &f)) {
		if (f.type != PB_BYTES || !has_number(p, level, f.number))
			continue;
		if (level + 1 == p->n_levels)
			++*n;
		else if (!count_proto(p, level + 1, f.bytes, n))
			return false;
	}
	return !c.bad;
}

int otlp_count_proto(enum otlp_signal signal, struct slice body, uint64_t *n, struct err *err)
{
	uint64_t found = 0;

	if (!count_proto(&paths[signal], 0, body, &found))
		return err_set(err, ERR_BAD_REQUEST, "unexpected EOF");
	*n = found;
	return 0;
}

static int count_json(const struct path *p, unsigned level, struct json_scan *s, uint64_t *n);

static int count_element(const struct path *p, unsigned level, struct json_scan *s, uint64_t *n)
{
	if (level + 1 < p->n_levels && jscan_peek(s) == '{')
		return count_json(p, level + 1, s, n);
	*n += level + 1 == p->n_levels;
	return jscan_skip_deep(s);
}

/* At an object. */
static int count_json(const struct path *p, unsigned level, struct json_scan *s, uint64_t *n)
{
	bool first = true;
	struct slice key;
	int rc;

	while ((rc = jscan_next_key(s, &first, &key)) == 1) {
		bool first_element = true;

		if (!has_name(p, level, key)) {
			rc = jscan_skip_deep(s);
		} else if (jscan_peek(s) != '[') {
			rc = jscan_peek(s) == '{' ? count_element(p, level, s, n) : jscan_skip_deep(s);
		} else {
			while ((rc = jscan_next_element(s, &first_element)) == 1)
				if (count_element(p, level, s, n) == -1)
					return -1;
		}
		if (rc == -1)
			return -1;
	}
	return rc;
}

int otlp_count_json(enum otlp_signal signal, struct slice body, uint64_t *n, struct err *err)
{
	struct json_scan s;
	struct arena arena;
	uint64_t found = 0;
	int rc;

	arena_init(&arena);
	jscan_init(&s, body, &arena, err);
	rc = jscan_peek(&s) == '\0' && s.p >= s.end ? 0 : count_json(&paths[signal], 0, &s, &found);
	arena_fini(&arena);
	if (rc == 0)
		*n = found;
	return rc;
}
