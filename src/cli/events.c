#include "cli/events.h"

void events_init(struct events *e, bool (*on_event)(void *, struct slice, struct slice, struct slice),
		 void *arg)
{
	*e = (struct events){ .on_event = on_event, .arg = arg };
}

void events_fini(struct events *e)
{
	buf_fini(&e->line);
	buf_fini(&e->type);
	buf_fini(&e->id);
	buf_fini(&e->data);
}

void events_reset(struct events *e)
{
	buf_reset(&e->line);
	buf_reset(&e->type);
	buf_reset(&e->data);
	e->skip_lf = e->has_id = false;
}

static void take_field(struct events *e, struct slice line)
{
	size_t colon = slice_find_byte(line, ':');
	struct slice name = slice_sub(line, 0, colon),
		     value = colon == SLICE_NONE ? SLICE("") : slice_from(line, colon + 1);

	if (slice_starts(value, SLICE(" ")))
		value = slice_from(value, 1);
	if (slice_is(name, "data")) {
		buf_add(&e->data, value);
		buf_putc(&e->data, '\n');
	} else if (slice_is(name, "event")) {
		buf_reset(&e->type);
		buf_add(&e->type, value);
	} else if (slice_is(name, "id") && slice_find_byte(value, '\0') == SLICE_NONE) {
		buf_reset(&e->id);
		buf_add(&e->id, value);
		e->has_id = true;
	}
}

static bool take_line(struct events *e)
{
	bool more = true;

	if (e->line.n > 0) {
		take_field(e, buf_slice(&e->line)); /* a comment has an empty name: no field */
		buf_reset(&e->line);
		return e->data.n <= EVENTS_MAX_BYTES;
	}
	if (e->data.n > 0)
		more = e->on_event(e->arg, buf_slice(&e->type), buf_slice(&e->id),
				   slice_sub(buf_slice(&e->data), 0, e->data.n - 1));
	else if (e->has_id)
		more = e->on_event(e->arg, SLICE(""), buf_slice(&e->id), slice_of(NULL, 0));
	buf_reset(&e->data);
	buf_reset(&e->type);
	e->has_id = false;
	return more;
}

static size_t line_length(struct slice s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r')
		n++;
	return n;
}

bool events_feed(struct events *e, struct slice s)
{
	while (s.n > 0) {
		if (e->skip_lf && s.p[0] == '\n')
			s = slice_from(s, 1);
		e->skip_lf = false;
		size_t n = line_length(s);
		if (n > EVENTS_MAX_BYTES - e->line.n)
			return false;
		buf_add(&e->line, slice_sub(s, 0, n));
		if (n == s.n)
			return true;
		e->skip_lf = s.p[n] == '\r';
		s = slice_from(s, n + 1);
		if (!take_line(e))
			return false;
	}
	return true;
}
