/* base/arena.h - memory that lives as long as a request, a query or a scratch mark. Allocation is a pointer bump;
 * everything goes in one free. Not thread-safe: one owner at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena_block;
struct arena {
	struct arena_block *block; /* newest */
	size_t used;		   /* bytes of the newest block */
	size_t total;		   /* bytes held from malloc, all blocks */
	size_t first, most;	   /* sizes of the first block and of the largest; 0 = 4 KiB, 1 MiB */
};
struct arena_mark {
	struct arena_block *block;
	size_t used;
};

void arena_init(struct arena *a);
/* With blocks of these sizes, for arenas that are many or that must not hold much more than what is in them. */
void arena_init_blocks(struct arena *a, size_t first, size_t most);
void arena_fini(struct arena *a);
void arena_reset(struct arena *a); /* emptied; one block is kept */
void *arena_alloc(struct arena *a, size_t n)
	__attribute__((returns_nonnull)); /* 8-byte aligned, not zeroed */
void *arena_zalloc(struct arena *a, size_t n) __attribute__((returns_nonnull));
char *arena_alloc_bytes(struct arena *a, size_t n) __attribute__((returns_nonnull)); /* unaligned */
/* Gives back the tail of the newest allocation: the last n_unused bytes were not needed. */
void arena_give_back(struct arena *a, size_t n_unused);
struct slice arena_dup(struct arena *a, struct slice s); /* followed by a NUL that is not counted */
char *arena_cstr(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark); /* frees all that was allocated since the mark */

#define arena_new(a, type)	((type *)arena_zalloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

#endif
