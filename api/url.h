/* api/url.h - request targets: percent decoding (once), paths, and parameters of a query string or a form
 * body. Pure. */
#ifndef API_URL_H
#define API_URL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Decodes %XX, and + as a space where form is set. Errors: 400 `invalid URL escape "%zz"`. */
int url_unescape(struct arena *a, struct slice in, bool form, struct slice *out, struct err *err);

enum url_path {
	URL_PATH_PLAIN,
	URL_PATH_NEVER,	  /* holds %00, "." or ".." as a segment: no route may match it */
	URL_PATH_ESCAPED, /* holds %2f: only a route with ROUTE_ESCAPED may match it, and that the raw path */
	URL_PATH_UNCLEAN, /* holds "//": redirect to url_path_clean */
};

/* The path of a target, each segment decoded; on failure (a bad escape) *kind and *out are untouched. */
int url_path_decode(struct arena *a, struct slice raw, struct slice *out, enum url_path *kind,
		    struct err *err);
/* Appends raw with its slashes collapsed and everything escaped that could mean something in a Location
 * header. */
void url_path_clean(struct buf *b, struct slice raw);

struct url_param {
	struct slice name;
	struct slice value;
};
struct url_params {
	struct url_param *v; /* the arena's */
	size_t n;
};

enum { URL_MAX_PARAMS = 10000 };

/* Adds the pairs of a=b&c=d behind those already there: add the body before the URL, and the body wins in
 * `first`. Errors: a bad escape, a ';', too many pairs. */
int url_params_add(struct url_params *p, struct arena *a, struct slice text, struct err *err);
struct slice url_params_first(const struct url_params *p, struct slice name); /* absent if there is none */
/* for (size_t i = 0; url_params_next(&params, &i, SLICE("match[]"), &value); ) */
bool url_params_next(const struct url_params *p, size_t *i, struct slice name, struct slice *value);

#endif
