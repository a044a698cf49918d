/* base/slice.h - text is a pointer and a length. A slice is a view: it never owns its bytes, need not end in
 * NUL and may hold NUL. A slice whose p is NULL means "absent"; an empty slice with a p means "empty". */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const char *p;
	size_t n;
};

/* A slice of a string literal, usable in initialisers. */
#define SLICE(lit) ((struct slice){ "" lit, sizeof(lit) - 1 })
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)((s).n > INT32_MAX ? INT32_MAX : (s).n), ((s).p != NULL ? (s).p : "")

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ (const char *)p, n };
}

static inline struct slice slice_cstr(const char *s)
{
	return (struct slice){ s, s != NULL ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_cstr(s));
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The part from byte `from` on; empty when from is past the end. */
static inline struct slice slice_from(struct slice s, size_t from)
{
	if (from > s.n)
		from = s.n;
	return (struct slice){ s.p != NULL ? s.p + from : NULL, s.n - from };
}

static inline struct slice slice_sub(struct slice s, size_t from, size_t n)
{
	s = slice_from(s, from);
	if (s.n > n)
		s.n = n;
	return s;
}

#define SLICE_NONE ((size_t)-1)

int slice_cmp(struct slice a, struct slice b);		/* bytewise; a proper prefix sorts first */
bool slice_eq_nocase(struct slice a, struct slice b);	/* ASCII case only */
size_t slice_find_byte(struct slice s, char c);		/* offset or SLICE_NONE */
size_t slice_find(struct slice s, struct slice needle); /* first offset or SLICE_NONE; "" is found at 0 */
struct slice slice_trim(struct slice s);		/* without ASCII white space at both ends */
bool slice_to_i64(struct slice s, int64_t *out); /* whole text, optional sign, base 10; false on overflow */
bool slice_to_u64(struct slice s, uint64_t *out);
bool slice_to_double(struct slice s, double *out); /* whole text, C locale decimal or exponent form */

#endif
