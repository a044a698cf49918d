/* api/assets.c - the web page: /ui/ and what it loads. The page is one document for all of its addresses; it holds no
 * secrets, so no credential is asked for it. What it asks for over the API needs one. */
#include "api/assets.h"
#include "api/handlers.h"
#include "api/req.h"
#include "ingest/gunzip.h"

/* Nothing from elsewhere, nothing inline, no markup made from text. */
#define CONTENT_SECURITY_POLICY                                                                              \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "       \
	"data:; "                                                                                            \
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

static const struct web_asset *find(struct slice name)
{
	for (size_t i = 0; i < web_n_assets; i++)
		if (slice_is(name, web_assets[i].name))
			return &web_assets[i];
	return NULL;
}

/* If-None-Match: a list of tags, or * (RFC 9110, 13.1.2). */
static bool has_it(const struct req *req, const struct web_asset *f)
{
	struct slice rest = req_header(req, SLICE("If-None-Match"));

	while (rest.n > 0) {
		size_t comma = slice_find_byte(rest, ',');
		struct slice tag = slice_trim(slice_sub(rest, 0, comma));

		if (slice_starts(tag, SLICE("W/")))
			tag = slice_from(tag, 2);
		if (slice_is(tag, "*") || slice_is(tag, f->etag))
			return true;
		rest = slice_from(rest, comma == SLICE_NONE ? rest.n : comma + 1);
	}
	return false;
}

static void add_headers(struct req *req, const struct web_asset *f, const char *cache)
{
	req_add_header(req, "Cache-Control", cache);
	req_add_header(req, "ETag", f->etag);
	req_add_header(req, "Vary", "Accept-Encoding");
	req_add_header(req, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
	req_add_header(req, "X-Content-Type-Options", "nosniff");
	req_add_header(req, "Referrer-Policy", "no-referrer");
	req_add_header(req, "Cross-Origin-Opener-Policy", "same-origin");
	req_add_header(req, "Cross-Origin-Resource-Policy", "same-origin");
}

static void serve(struct req *req, const struct web_asset *f, const char *cache)
{
	const struct room room = { .limit = f->bytes };
	struct slice gzip = { (const char *)f->gzip, f->gzip_bytes };
	struct buf body;
	struct err err;

	add_headers(req, f, cache);
	if (has_it(req, f)) {
		req_reply(req, 304, NULL, NULL);
		return;
	}
	buf_init(&body);
	if (req_accepts_gzip(req)) {
		req_add_header(req, "Content-Encoding", "gzip");
		buf_add(&body, gzip);
		req_reply(req, 200, f->content_type, &body);
	} else if (gunzip(gzip, &room, &body, &err) == 0) {
		req_reply(req, 200, f->content_type, &body);
	} else {
		req_reply_error(req, &err);
	}
	buf_fini(&body);
}

void assets_page(struct req *req)
{
	const struct web_asset *index = find(SLICE("index.html"));

	if (index != NULL)
		serve(req, index, "no-cache");
	else
		req_reply_text(req, 404, SLICE("this spoord was built without its web page\n"));
}

void assets_file(struct req *req)
{
	const struct web_asset *f = find(req->param);

	if (f != NULL)
		serve(req, f, "public, max-age=31536000, immutable");
	else
		req_reply_text(req, 404, SLICE("404 page not found\n"));
}

static bool is_browser(const struct req *req)
{
	return slice_find(req_header(req, SLICE("Accept")), SLICE("text/html")) != SLICE_NONE;
}

/* Who opens the server in a browser wants the page; who asks for / otherwise is told what Loki says. */
void assets_root(struct req *req)
{
	if (web_n_assets == 0 || (slice_is(req->path, "/") && !is_browser(req))) {
		req_reply_text(req, 404, SLICE("404 page not found\n"));
		return;
	}
	req_add_header(req, "Location", "/ui/");
	req_reply(req, 302, NULL, NULL);
}
