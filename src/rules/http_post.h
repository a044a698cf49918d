/* rules/http_post.h - sends bodies to one URL by libcurl: http and https only, no redirects, certificates checked, time
 * limits. Name and password of the URL become basic authentication and are never logged. One thread at a time, but for
 * http_post_stop. */
#ifndef RULES_HTTP_POST_H
#define RULES_HTTP_POST_H

#include "base/err.h"

struct http_post;

/* path is put behind that of the URL ("" for none). ERR_CONFIG: no such URL. */
int http_post_new(const char *url, const char *path, struct http_post **out, struct err *err);
void http_post_free(struct http_post *p); /* NULL is fine */
/* The URL for logs: scheme, host, port and path. */
const char *http_post_name(const struct http_post *p);
/* Any thread: what is being sent and all that comes is given up with ERR_CANCELLED. */
void http_post_stop(struct http_post *p);

/* header: n lines "Name: value". 0: the server said 2xx. -1: *status is its answer with the start of the text in err,
 * or 0 where there was none. */
int http_post_send(struct http_post *p, struct slice body, const char *const *header, size_t n, long *status,
		   struct err *err);
/* Is it worth another try? No answer, 5xx, 429. */
bool http_post_may_retry(long status);

#endif
