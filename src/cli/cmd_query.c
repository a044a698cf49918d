/* spoor query: log lines or samples. A limit above what the server gives at once is fetched in pages: the
 * next one starts at the timestamp of the last line, and lines already seen at that timestamp are left out.
 */
#include "cli/cli.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum { DEFAULT_LIMIT = 100, DEFAULT_BATCH = 1000 };

struct paging {
	struct slice query;
	int64_t start, end;
	bool forward;
	uint64_t left; /* lines still wanted; UINT64_MAX: all */
	uint64_t batch;
	uint64_t n_shown;
	bool is_log; /* the answer holds lines, not samples */
	/* lines of the last timestamp that are out already */
	int64_t last_ts;
	struct map seen; /* key: labels, then line */
	struct arena seen_keys;
	struct labels common; /* of the first page */
	bool have_common;
};

struct page {
	VEC(struct entry) entries;
	struct arena arena;
};

static int by_time(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;

	return a->ts < b->ts ? -1 : a->ts > b->ts;
}

/* Stable, in the direction of the query: streams come one after the other, lines of a stream in order. */
static void sort_entries(struct entry *e, size_t n, bool forward)
{
	struct entry *tmp;

	if (n < 2)
		return;
	size_t half = n / 2, i = 0, k = half, m = 0;
	sort_entries(e, half, forward);
	sort_entries(e + half, n - half, forward);
	tmp = xmalloc(n * sizeof(*tmp));
	while (i < half || k < n) {
		int order = i == half ? 1 : k == n ? -1 : by_time(&e[i], &e[k]);

		if (i < half && k < n && !forward)
			order = -order;
		tmp[m++] = order <= 0 ? e[i++] : e[k++];
	}
	memcpy(e, tmp, n * sizeof(*tmp));
	free(tmp);
}

static int bad_answer(struct cli *c)
{
	return cli_fail(c, CLI_BAD_ANSWER, "the server's answer does not look like Loki's");
}

static int read_stream(struct cli *c, const json_t *stream, struct page *page)
{
	struct labels labels = cli_labels(c, json_object_get(stream, "stream"));
	const json_t *values = json_object_get(stream, "values");

	for (size_t i = 0; i < json_array_size(values); i++) {
		const json_t *pair = json_array_get(values, i);
		struct slice ts = cli_string(json_array_get(pair, 0)),
			     line = cli_string(json_array_get(pair, 1));
		struct entry e = { .labels = labels, .line = line };

		if (ts.p == NULL || line.p == NULL || !slice_to_i64(ts, &e.ts))
			return bad_answer(c);
		vec_push(&page->entries, e);
	}
	return 0;
}

static struct slice entry_key(struct arena *a, const struct entry *e)
{
	struct buf key = { 0 };

	labels_encode(&key, e->labels);
	buf_add(&key, e->line);
	struct slice copy = arena_dup(a, buf_slice(&key));
	buf_fini(&key);
	return copy;
}

/* Drops what the pages before have shown and remembers what stands at the last timestamp. */
static void drop_seen(struct paging *p, struct page *page)
{
	size_t n = 0;

	for (size_t i = 0; i < page->entries.n; i++) {
		struct entry *e = &page->entries.v[i];

		if (p->seen.n > 0 && e->ts == p->last_ts) {
			struct arena_mark mark = arena_mark(&p->seen_keys);
			bool known = map_get(&p->seen, entry_key(&p->seen_keys, e)) != NULL;

			arena_rewind(&p->seen_keys, mark);
			if (known)
				continue;
		}
		page->entries.v[n++] = *e;
	}
	page->entries.n = n;
}

static void remember_last(struct paging *p, const struct page *page)
{
	static char yes;
	size_t n = page->entries.n;

	if (n == 0)
		return;
	int64_t last = page->entries.v[n - 1].ts;
	if (p->seen.n > 0 && last != p->last_ts) {
		map_fini(&p->seen);
		map_init(&p->seen);
		arena_reset(&p->seen_keys);
	}
	p->last_ts = last;
	for (size_t i = n; i > 0 && page->entries.v[i - 1].ts == last; i--) {
		bool is_new;

		*map_put(&p->seen, entry_key(&p->seen_keys, &page->entries.v[i - 1]), &is_new) = &yes;
	}
}

static int show_page(struct cli *c, struct paging *p, struct page *page)
{
	size_t n = (size_t)MIN(p->left, page->entries.n);

	cli_progress_end(c);
	if (!p->have_common && n > 0) {
		p->common = labels_common(&c->arena, page->entries.v, n);
		p->have_common = true;
		if (c->render.output == OUTPUT_TEXT && p->common.n > 0 && c->progress) {
			struct buf text = { 0 };

			render_labels(&text, &c->render, p->common);
			fprintf(stderr, "Common labels: %.*s\n", SLICE_ARG(buf_slice(&text)));
			buf_fini(&text);
		}
	}
	for (size_t i = 0; i < n; i++)
		render_entry(&c->out, &c->render, &page->entries.v[i],
			     c->progress ? p->common : (struct labels){ 0 });
	p->n_shown += n;
	p->left -= p->left == UINT64_MAX ? 0 : n;
	page->entries.n = n;
	return cli_flush(c);
}

static void page_path(const struct cli *c, const struct paging *p, uint64_t limit, struct buf *path)
{
	char number[32];

	buf_puts(path, "/loki/api/v1/query_range");
	cli_add_param(path, "query", p->query);
	snprintf(number, sizeof(number), "%" PRId64, p->start);
	cli_add_param(path, "start", slice_cstr(number));
	snprintf(number, sizeof(number), "%" PRId64, p->end);
	cli_add_param(path, "end", slice_cstr(number));
	snprintf(number, sizeof(number), "%" PRIu64, limit);
	cli_add_param(path, "limit", slice_cstr(number));
	cli_add_param(path, "direction", p->forward ? SLICE("forward") : SLICE("backward"));
	if (c->opt.step != NULL)
		cli_add_param(path, "step", slice_cstr(c->opt.step));
}

/* ------------------------------------------------------------------ */

static void say_warnings(struct cli *c, const json_t *answer)
{
	const json_t *warnings = json_object_get(answer, "warnings");

	for (size_t i = 0; i < json_array_size(warnings); i++) {
		struct slice text = cli_string(json_array_get(warnings, i));

		cli_fail(c, 0, "warning: %.*s", SLICE_ARG(text));
	}
}

/* One answer of the server. *more: it was a full page of lines. */
static int take_answer(struct cli *c, struct paging *p, const json_t *answer, uint64_t asked, bool *more)
{
	const json_t *data = json_object_get(answer, "data"), *result = json_object_get(data, "result");
	const char *type = json_string_value(json_object_get(data, "resultType"));
	struct page page = { 0 };
	int rc = 0;

	*more = false;
	if (type == NULL || !json_is_array(result))
		return bad_answer(c);
	say_warnings(c, answer);
	if (strcmp(type, "streams") != 0)
		return cli_show_samples(c, type, result);
	p->is_log = true;
	for (size_t i = 0; i < json_array_size(result) && rc == 0; i++)
		rc = read_stream(c, json_array_get(result, i), &page);
	if (rc != 0)
		goto out;
	size_t n_got = page.entries.n;
	sort_entries(page.entries.v, n_got, p->forward);
	drop_seen(p, &page);
	*more = n_got >= asked && page.entries.n > 0 && p->left > page.entries.n;
	rc = show_page(c, p, &page);
	remember_last(p, &page);
out:
	vec_fini(&page.entries);
	return rc;
}

static int ask_page(struct cli *c, struct paging *p, bool *more)
{
	uint64_t wanted = MIN(p->batch, p->left) + p->seen.n; /* those come again */
	struct arena_mark mark = arena_mark(&c->arena);
	bool first = !p->have_common;
	struct buf path = { 0 };
	json_t *answer = NULL;

	page_path(c, p, wanted, &path);
	int rc = cli_get_json(c, buf_slice(&path), &answer);
	buf_fini(&path);
	if (rc == 0)
		rc = take_answer(c, p, answer, wanted, more);
	if (p->forward)
		p->start = p->seen.n > 0 ? p->last_ts : p->start;
	else
		p->end = p->seen.n > 0 && p->last_ts < INT64_MAX ? p->last_ts + 1 : p->end;
	json_decref(answer);
	if (!first)
		arena_rewind(&c->arena, mark); /* the first page's holds the common labels */
	return rc;
}

static int query_range(struct cli *c, struct paging *p)
{
	struct buf at = { 0 };
	bool more = true;
	int rc = 0;

	while (more && rc == 0) {
		rc = ask_page(c, p, &more);
		if (rc == 0 && more) {
			buf_reset(&at);
			clock_format_rfc3339(&at, p->last_ts, false);
			cli_progress(c, "%" PRIu64 " lines, at %.*s", p->n_shown, SLICE_ARG(buf_slice(&at)));
		}
	}
	cli_progress_end(c);
	buf_fini(&at);
	return rc;
}

static int query_instant(struct cli *c, struct paging *p, const struct slice query)
{
	struct buf path = { 0 };
	json_t *answer = NULL;
	char number[32];
	bool more;

	buf_puts(&path, "/loki/api/v1/query");
	cli_add_param(&path, "query", query);
	snprintf(number, sizeof(number), "%" PRId64, p->end);
	cli_add_param(&path, "time", slice_cstr(number));
	int rc = cli_get_json(c, buf_slice(&path), &answer);
	if (rc == 0)
		rc = take_answer(c, p, answer, UINT64_MAX, &more);
	json_decref(answer);
	buf_fini(&path);
	return rc;
}

static int get_paging(struct cli *c, struct paging *p)
{
	uint64_t limit = DEFAULT_LIMIT;

	p->batch = DEFAULT_BATCH;
	int rc = cli_range(c, "1h", &p->start, &p->end);
	if (rc == 0)
		rc = cli_number(c, "--limit", c->opt.limit, UINT64_MAX - 1, &limit);
	if (rc == 0)
		rc = cli_number(c, "--batch", c->opt.batch, 1000000, &p->batch);
	if (rc != 0)
		return rc;
	if (p->batch == 0)
		return cli_fail(c, CLI_USAGE, "--batch must be at least 1");
	p->left = limit == 0 ? UINT64_MAX : limit;
	const char *direction = c->opt.direction;
	p->forward = c->opt.forward || (direction != NULL && strcmp(direction, "forward") == 0);
	if (direction != NULL && !p->forward && strcmp(direction, "backward") != 0)
		return cli_fail(c, CLI_USAGE, "--direction %s: forward or backward", direction);
	return 0;
}

int cmd_query(struct cli *c, int argc, char **argv)
{
	struct paging p = { .query = slice_cstr(argv[0]) };

	(void)argc;
	map_init(&p.seen);
	arena_init(&p.seen_keys);
	int rc = get_paging(c, &p);
	if (rc == 0)
		rc = cli_connect(c);
	if (rc == 0)
		rc = c->opt.instant ? query_instant(c, &p, p.query) : query_range(c, &p);
	if (rc == 0 && p.is_log && p.n_shown == 0)
		rc = CLI_NOTHING;
	map_fini(&p.seen);
	arena_fini(&p.seen_keys);
	return rc;
}
