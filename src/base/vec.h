/* base/vec.h - a typed growing array: VEC(struct entry) entries; */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/mem.h"

#define VEC(type)                                                                                            \
	struct {                                                                                             \
		type *v;                                                                                     \
		size_t n;                                                                                    \
		size_t cap;                                                                                  \
	}

#define vec_reserve(vec, more)                                                                               \
	do {                                                                                                 \
		if ((vec)->cap - (vec)->n < (size_t)(more)) {                                                \
			size_t vec_cap_ = (vec)->cap < 8 ? 8 : (vec)->cap * 2;                               \
			if (vec_cap_ < (vec)->n + (size_t)(more))                                            \
				vec_cap_ = (vec)->n + (size_t)(more);                                        \
			(vec)->v = xrealloc((vec)->v, vec_cap_ * sizeof(*(vec)->v));                         \
			(vec)->cap = vec_cap_;                                                               \
		}                                                                                            \
	} while (0)

#define vec_push(vec, item)                                                                                  \
	do {                                                                                                 \
		vec_reserve(vec, 1);                                                                         \
		(vec)->v[(vec)->n++] = (item);                                                               \
	} while (0)

/* Makes room for one more, zeroed, and yields its address. */
#define vec_add(vec)                                                                                         \
	__extension__({                                                                                      \
		vec_reserve(vec, 1);                                                                         \
		memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v));                                           \
		&(vec)->v[(vec)->n++];                                                                       \
	})

#define vec_fini(vec)                                                                                        \
	do {                                                                                                 \
		free((vec)->v);                                                                              \
		(vec)->v = NULL;                                                                             \
		(vec)->n = (vec)->cap = 0;                                                                   \
	} while (0)

#endif
