#include "base/buf.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

void buf_init(struct buf *b)
{
	*b = (struct buf){ 0 };
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void buf_grow(struct buf *b, size_t more)
{
	size_t want, cap;

	if (__builtin_add_overflow(b->n, more, &want))
		abort();
	cap = b->cap < 64 ? 64 : b->cap;
	while (cap < want)
		cap = cap > SIZE_MAX / 2 ? want : cap * 2;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
}

char *buf_take(struct buf *b, size_t *n)
{
	char *p = b->p;

	*n = b->n;
	*b = (struct buf){ 0 };
	return p;
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	assert(n >= 0);
	vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
	va_end(again);
	b->n += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_cstr_end(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
}
