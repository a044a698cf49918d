#include "base/arena.h"
#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_BLOCK = 4096, MAX_GROWTH = 1 << 20 };

struct arena_block {
	struct arena_block *prev;
	size_t cap;
	char data[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_init_blocks(struct arena *a, size_t first, size_t most)
{
	*a = (struct arena){ .first = first, .most = most };
}

void arena_fini(struct arena *a)
{
	for (struct arena_block *b = a->block, *prev; b != NULL; b = prev) {
		prev = b->prev;
		free(b);
	}
	*a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
	struct arena_block *keep = a->block;

	if (keep == NULL)
		return;
	for (struct arena_block *b = keep->prev, *prev; b != NULL; b = prev) {
		prev = b->prev;
		free(b);
	}
	keep->prev = NULL;
	a->used = 0;
	a->total = keep->cap;
}

static void grow(struct arena *a, size_t n)
{
	size_t first = a->first != 0 ? a->first : FIRST_BLOCK, most = a->most != 0 ? a->most : MAX_GROWTH;
	size_t cap = a->block == NULL ? first : MIN(a->block->cap * 2, most);

	if (cap < n)
		cap = n;
	struct arena_block *b = xmalloc(sizeof(*b) + cap);
	b->prev = a->block;
	b->cap = cap;
	a->block = b;
	a->used = 0;
	a->total += cap;
}

char *arena_alloc_bytes(struct arena *a, size_t n)
{
	if (a->block == NULL || a->block->cap - a->used < n)
		grow(a, n);
	char *p = a->block->data + a->used;
	a->used += n;
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t pad = (8 - (a->used & 7)) & 7;

	if (a->block == NULL || a->block->cap - a->used < pad || a->block->cap - a->used - pad < n)
		grow(a, n);
	else
		a->used += pad;
	void *p = a->block->data + a->used;
	a->used += n;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

void arena_give_back(struct arena *a, size_t n_unused)
{
	assert(a->used >= n_unused);
	a->used -= n_unused;
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	char *p = arena_alloc_bytes(a, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return slice_of(p, s.n);
}

char *arena_cstr(struct arena *a, struct slice s)
{
	return (char *)(uintptr_t)arena_dup(a, s).p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	char *p = arena_alloc_bytes(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->block, a->used };
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
	while (a->block != mark.block && a->block != NULL) {
		struct arena_block *b = a->block;

		/* The first block ever is kept, so that a loop that starts on an empty arena does not malloc each time. */
		if (b->prev == NULL && mark.block == NULL) {
			a->used = 0;
			return;
		}
		a->block = b->prev;
		a->total -= b->cap;
		free(b);
	}
	a->used = mark.used;
}
