#include "cli/render.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/text.h"

#define RESET  "\x1b[0m"
#define DIM    "\x1b[2m"
#define BOLD   "\x1b[1m"
#define RED    "\x1b[31m"
#define GREEN  "\x1b[32m"
#define YELLOW "\x1b[33m"
#define BLUE   "\x1b[34m"
#define CYAN   "\x1b[36m"

static const struct {
	const char *level, *color;
} level_colors[] = {
	{ "critical", RED },   { "fatal", RED },  { "error", RED },  { "warn", YELLOW },
	{ "warning", YELLOW }, { "info", GREEN }, { "debug", BLUE }, { "trace", BLUE },
};

void render_text(struct buf *out, const struct render *r, struct slice s)
{
	if (r->escape)
		text_terminal(out, s);
	else
		buf_add(out, s);
}

static void color(struct buf *out, const struct render *r, const char *code)
{
	if (r->color)
		buf_puts(out, code);
}

static bool labels_has(struct labels l, struct label pair)
{
	struct slice value = labels_get(l, pair.name);

	return value.p != NULL && slice_eq(value, pair.value);
}

struct labels labels_common(struct arena *a, const struct entry *e, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return (struct labels){ NULL, 0 };
	struct label *v = arena_array(a, struct label, e[0].labels.n + 1);
	for (size_t i = 0; i < e[0].labels.n; i++) {
		bool everywhere = true;

		for (size_t k = 1; k < n && everywhere; k++)
			everywhere =
				e[k].labels.v == e[0].labels.v || labels_has(e[k].labels, e[0].labels.v[i]);
		if (everywhere)
			v[kept++] = e[0].labels.v[i];
	}
	return (struct labels){ v, kept };
}

static void json_labels(struct json_out *j, struct labels l)
{
	json_open(j, '{');
	for (size_t i = 0; i < l.n; i++) {
		json_key_slice(j, l.v[i].name);
		json_str(j, l.v[i].value);
	}
	json_close(j, '}');
}

void render_labels(struct buf *out, const struct render *r, struct labels l)
{
	struct json_out j = { .b = out };
	struct buf text = { 0 };

	if (r->output == OUTPUT_JSONL) {
		json_labels(&j, l);
		return;
	}
	labels_format(&text, l);
	render_text(out, r, buf_slice(&text));
	buf_fini(&text);
}

static void json_time(struct json_out *j, int64_t ts)
{
	struct buf text = { 0 };

	clock_format_rfc3339(&text, ts, true);
	json_key(j, "timestamp");
	json_str(j, buf_slice(&text));
	buf_fini(&text);
}

static void json_entry(struct buf *out, const struct entry *e)
{
	struct json_out j = { .b = out };

	json_open(&j, '{');
	json_time(&j, e->ts);
	json_key(&j, "labels");
	json_labels(&j, e->labels);
	json_key(&j, "line");
	json_str(&j, e->line);
	json_close(&j, '}');
	buf_putc(out, '\n');
}

/* What the line needs besides the common labels: pairs that are new or different, and "" for those it lacks.
 */
static void differing(struct buf *out, const struct render *r, struct labels l, struct labels common)
{
	struct label *v = xmalloc((l.n + common.n + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < l.n; i++) {
		if (!labels_has(common, l.v[i]))
			v[n++] = l.v[i];
	}
	for (size_t i = 0; i < common.n; i++) {
		if (labels_get(l, common.v[i].name).p == NULL)
			v[n++] = (struct label){ common.v[i].name, SLICE("") };
	}
	labels_sort(v, n);
	if (n > 0) {
		color(out, r, CYAN);
		render_labels(out, r, (struct labels){ v, n });
		color(out, r, RESET);
		buf_putc(out, ' ');
	}
	free(v);
}

void render_entry(struct buf *out, const struct render *r, const struct entry *e, struct labels common)
{
	if (r->output == OUTPUT_JSONL) {
		json_entry(out, e);
		return;
	}
	if (r->output == OUTPUT_TEXT) {
		color(out, r, DIM);
		clock_format_rfc3339(out, e->ts, true);
		color(out, r, RESET);
		buf_putc(out, ' ');
		differing(out, r, e->labels, common);
	}
	render_text(out, r, e->line);
	buf_putc(out, '\n');
}

static void pad(struct buf *out, size_t used, size_t width)
{
	for (; used < width; used++)
		buf_putc(out, ' ');
}

static void json_sample(struct buf *out, const struct sample *s)
{
	struct json_out j = { .b = out };

	json_open(&j, '{');
	json_time(&j, s->ts);
	json_key(&j, "labels");
	json_labels(&j, s->labels);
	json_key(&j, "value");
	json_str(&j, s->value);
	json_close(&j, '}');
	buf_putc(out, '\n');
}

/* TIME, VALUE (to the right), LABELS */
static void sample_table(struct buf *out, const struct render *r, const struct sample *s, size_t n)
{
	size_t time_width = 4, value_width = 5;
	struct buf cell = { 0 };

	for (size_t i = 0; i < n; i++) {
		buf_reset(&cell);
		clock_format_rfc3339(&cell, s[i].ts, true);
		time_width = MAX(time_width, cell.n);
		value_width = MAX(value_width, s[i].value.n);
	}
	color(out, r, BOLD);
	buf_puts(out, "TIME");
	pad(out, 4, time_width + 2 + value_width - 5);
	buf_puts(out, "VALUE  LABELS");
	color(out, r, RESET);
	buf_putc(out, '\n');
	for (size_t i = 0; i < n; i++) {
		buf_reset(&cell);
		clock_format_rfc3339(&cell, s[i].ts, true);
		buf_add(out, buf_slice(&cell));
		pad(out, cell.n, time_width + 2 + value_width - s[i].value.n);
		render_text(out, r, s[i].value);
		buf_puts(out, "  ");
		color(out, r, CYAN);
		render_labels(out, r, s[i].labels);
		color(out, r, RESET);
		buf_putc(out, '\n');
	}
	buf_fini(&cell);
}

void render_samples(struct buf *out, const struct render *r, const struct sample *s, size_t n)
{
	if (r->output == OUTPUT_TEXT) {
		sample_table(out, r, s, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (r->output == OUTPUT_JSONL) {
			json_sample(out, &s[i]);
		} else {
			render_text(out, r, s[i].value);
			buf_putc(out, '\n');
		}
	}
}

static struct slice first_of(struct labels l, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice value = labels_get(l, slice_cstr(names[i]));

		if (value.n > 0)
			return value;
	}
	return SLICE("-");
}

struct slice entry_service(struct labels l)
{
	static const char *const names[] = { "service_name", "service", "app", "job" };

	return first_of(l, names, ARRAY_LEN(names));
}

struct slice entry_level(struct labels l)
{
	static const char *const names[] = { "detected_level", "level" };

	return first_of(l, names, ARRAY_LEN(names));
}

static const char *level_color(struct slice level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_colors); i++) {
		if (slice_eq_nocase(level, slice_cstr(level_colors[i].level)))
			return level_colors[i].color;
	}
	return "";
}

void render_elapsed(struct buf *out, int64_t ns)
{
	if (ns < NS_PER_S)
		buf_printf(out, "%.3fms", (double)ns / 1e6);
	else
		buf_printf(out, "%.3fs", (double)ns / 1e9);
}

/* Two spaces also behind what is wider than its column. */
static void end_column(struct buf *out, size_t used, size_t width)
{
	pad(out, MIN(used, width), width + 2);
}

void render_trace_entry(struct buf *out, const struct render *r, const struct entry *e, int64_t first_ns,
			size_t service_width)
{
	enum { ELAPSED_WIDTH = 10, LEVEL_WIDTH = 8 };
	struct slice service = entry_service(e->labels), level = entry_level(e->labels);
	size_t start = out->n;

	buf_putc(out, '+');
	render_elapsed(out, e->ts - first_ns);
	end_column(out, out->n - start, ELAPSED_WIDTH);
	color(out, r, CYAN);
	render_text(out, r, service);
	color(out, r, RESET);
	end_column(out, utf8_count(service), service_width);
	color(out, r, level_color(level));
	render_text(out, r, level);
	color(out, r, RESET);
	end_column(out, utf8_count(level), LEVEL_WIDTH);
	render_text(out, r, e->line);
	buf_putc(out, '\n');
}
