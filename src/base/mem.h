/* base/mem.h - allocation that does not return NULL. A small allocation that fails means the machine is out of
 * memory: the process says so and exits. Sizes that a client chooses go through mem_try_*. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* Hands a pointer over: the variable is NULL afterwards, so the common exit path can free it blindly. */
#define TAKE(p)                                                                                              \
	__extension__({                                                                                      \
		__typeof__(p) take_ = (p);                                                                   \
		(p) = NULL;                                                                                  \
		take_;                                                                                       \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

#endif
