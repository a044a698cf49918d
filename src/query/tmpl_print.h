/* query/tmpl_print.h - template values as text, as Go's fmt package prints them. */
#ifndef QUERY_TMPL_PRINT_H
#define QUERY_TMPL_PRINT_H

#include "base/buf.h"
#include "query/tmpl_value.h"

/* Text is only appended up to `limit` bytes; false from then on. */
struct tmpl_sink {
	struct buf *b;
	size_t limit;
	bool full;
};

void tmpl_print(struct tmpl_sink *out, const struct tmpl_value *v);		    /* %v */
void tmpl_print_all(struct tmpl_sink *out, const struct tmpl_value *v, size_t n);   /* Sprint */
void tmpl_println_all(struct tmpl_sink *out, const struct tmpl_value *v, size_t n); /* Sprintln */
void tmpl_printf(struct tmpl_sink *out, struct slice format, const struct tmpl_value *v, size_t n);

static inline void tmpl_sink_put(struct tmpl_sink *out, struct slice s)
{
	if (out->full || s.n > out->limit - out->b->n)
		out->full = true;
	else
		buf_add(out->b, s);
}

static inline void tmpl_sink_fill(struct tmpl_sink *out, char c, size_t n)
{
	if (out->full || n > out->limit - out->b->n) {
		out->full = true;
		return;
	}
	if (n == 0)
		return;
	memset(buf_reserve(out->b, n), c, n);
	out->b->n += n;
}

#endif
