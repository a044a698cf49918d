#include "api/route.h"

#include <assert.h>

static bool has_method(const char *methods, struct slice method)
{
	for (struct slice rest = slice_cstr(methods); rest.n > 0;) {
		size_t bar = slice_find_byte(rest, '|');

		if (slice_eq(slice_sub(rest, 0, bar), method))
			return true;
		rest = slice_from(rest, bar == SLICE_NONE ? rest.n : bar + 1);
	}
	return false;
}

/* Cuts the first segment and its slash off; rest must begin with one. */
static struct slice next_segment(struct slice *rest)
{
	struct slice tail = slice_from(*rest, 1);
	size_t slash = slice_find_byte(tail, '/');

	*rest = slice_from(tail, slash == SLICE_NONE ? tail.n : slash);
	return slice_sub(tail, 0, slash);
}

static bool has_path(const char *pattern, struct slice path, struct slice param[ROUTE_MAX_PARAMS])
{
	struct slice pat = slice_cstr(pattern);
	size_t n = 0;

	for (size_t i = 0; i < ROUTE_MAX_PARAMS; i++)
		param[i] = (struct slice){ NULL, 0 };
	while (pat.n > 0 && path.n > 0 && path.p[0] == '/') {
		struct slice want = next_segment(&pat), have = next_segment(&path);

		if (want.n == 0 || want.p[0] != ':') {
			if (!slice_eq(want, have))
				return false;
		} else if (have.n > 0) {
			param[n++] = have;
		} else {
			return false;
		}
	}
	return pat.n == 0 && path.n == 0;
}

const struct route *route_find(const struct route *routes, size_t n, struct slice method, struct slice path,
			       unsigned must, unsigned must_not, struct slice param[ROUTE_MAX_PARAMS],
			       bool *path_known)
{
	*path_known = false;
	for (size_t i = 0; i < n; i++) {
		const struct route *r = &routes[i];

		if ((r->flags & must) != must || (r->flags & must_not) != 0 ||
		    !has_path(r->path, path, param))
			continue;
		*path_known = true;
		if (has_method(r->methods, method))
			return r;
	}
	return NULL;
}

void route_check(const struct route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice path = slice_cstr(routes[i].path);
		size_t n_params = 0;

		assert(path.n > 0 && path.p[0] == '/' && routes[i].handler != NULL &&
		       *routes[i].methods != '\0');
		for (size_t k = 1; k < path.n; k++) {
			assert(path.p[k] != ':' || path.p[k - 1] == '/');
			n_params += path.p[k] == ':';
		}
		assert(n_params <= ROUTE_MAX_PARAMS);
	}
}
