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

static bool has_path(const char *pattern, struct slice path, struct slice *param)
{
	struct slice pat = slice_cstr(pattern);
	size_t colon = slice_find_byte(pat, ':');

	*param = (struct slice){ NULL, 0 };
	if (colon == SLICE_NONE)
		return slice_eq(pat, path);
	struct slice tail = slice_from(pat, colon);
	size_t slash = slice_find_byte(tail, '/');
	tail = slice_from(tail, slash == SLICE_NONE ? tail.n : slash);
	if (path.n <= colon + tail.n || !slice_starts(path, slice_sub(pat, 0, colon)) ||
	    !slice_ends(path, tail))
		return false;
	*param = slice_sub(path, colon, path.n - colon - tail.n);
	return slice_find_byte(*param, '/') == SLICE_NONE;
}

const struct route *route_find(const struct route *routes, size_t n, struct slice method, struct slice path,
			       unsigned must, unsigned must_not, struct slice *param, bool *path_known)
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
		size_t colon = slice_find_byte(path, ':');

		assert(path.n > 0 && path.p[0] == '/' && routes[i].handler != NULL &&
		       *routes[i].methods != '\0');
		if (colon != SLICE_NONE) {
			assert(path.p[colon - 1] == '/');
			assert(slice_find_byte(slice_from(path, colon + 1), ':') == SLICE_NONE);
		}
	}
}
