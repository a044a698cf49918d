#include "model/trace_link.h"
#include "base/clock.h"
#include "base/text.h"

static bool put_hole(struct buf *b, struct slice hole, const struct trace_link_values *v)
{
	if (slice_is(hole, "{trace_id}"))
		trace_id_format(b, v->id);
	else if (slice_is(hole, "{start}"))
		buf_printf(b, "%lld", (long long)(v->first_ns / NS_PER_MS));
	else if (slice_is(hole, "{end}"))
		buf_printf(b, "%lld", (long long)(v->last_ns / NS_PER_MS + (v->last_ns % NS_PER_MS > 0)));
	else
		return false;
	return true;
}

bool trace_link(struct buf *url, struct slice setting, const struct trace_link_values *v, struct slice *name)
{
	size_t eq = slice_find_byte(setting, '=');
	struct slice t = slice_trim(slice_from(setting, eq + 1));

	if (eq == SLICE_NONE || (!v->has_times && (slice_find(t, SLICE("{start}")) != SLICE_NONE ||
						   slice_find(t, SLICE("{end}")) != SLICE_NONE)))
		return false;
	*name = slice_trim(slice_sub(setting, 0, eq));
	while (t.n > 0) {
		size_t close = t.p[0] == '{' ? slice_find_byte(t, '}') : SLICE_NONE;
		size_t eaten = close == SLICE_NONE ? 1 : close + 1;

		if (close == SLICE_NONE || !put_hole(url, slice_sub(t, 0, eaten), v)) {
			eaten = 1;
			buf_putc(url, t.p[0]);
		}
		t = slice_from(t, eaten);
	}
	return true;
}

static bool is_printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

int trace_link_check(struct slice setting, struct err *err)
{
	enum { MAX_NAME_BYTES = 64 };
	size_t eq = slice_find_byte(setting, '=');
	struct slice name = slice_trim(slice_sub(setting, 0, eq));
	struct slice url = eq != SLICE_NONE ? slice_trim(slice_from(setting, eq + 1)) : SLICE("");

	if (eq == SLICE_NONE || name.n == 0 || name.n > MAX_NAME_BYTES || !utf8_valid(name))
		return err_set(err, ERR_CONFIG,
			       "trace_links: expected NAME=URL, the name of at most %d bytes",
			       MAX_NAME_BYTES);
	if (!slice_starts(url, SLICE("http://")) && !slice_starts(url, SLICE("https://")))
		return err_set(err, ERR_CONFIG,
			       "trace_links: the URL of %.*s must start with http:// or https://",
			       SLICE_ARG(name));
	if (slice_find(url, SLICE("{trace_id}")) == SLICE_NONE)
		return err_set(err, ERR_CONFIG, "trace_links: the URL of %.*s has no {trace_id} in it",
			       SLICE_ARG(name));
	if (!is_printable(url))
		return err_set(err, ERR_CONFIG, "trace_links: the URL of %.*s has white space in it",
			       SLICE_ARG(name));
	return 0;
}
