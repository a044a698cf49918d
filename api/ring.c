/* api/ring.c - pages about a cluster, which here has one member, always active: tools and dashboards look for them. */
#include <unistd.h>

#include "api/api.h"
#include "api/handlers.h"
#include "api/req.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/metrics.h"

enum { HOST_BYTES = 256 };

static void host_name(char out[HOST_BYTES])
{
	if (gethostname(out, HOST_BYTES) == -1)
		out[0] = '\0';
	out[HOST_BYTES - 1] = '\0';
}

static bool wants_json(const struct req *req)
{
	return slice_find(req_header(req, SLICE("Accept")), SLICE("application/json")) != SLICE_NONE;
}

static void put_time(struct json_out *j, const char *key, int64_t ns)
{
	json_key(j, key);
	json_sep(j);
	buf_putc(j->b, '"');
	clock_format_rfc3339(j->b, ns, false);
	buf_putc(j->b, '"');
}

static void put_shards(struct buf *b, const char *host, struct slice address, int64_t started)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	json_key(&j, "shards");
	json_open(&j, '[');
	json_open(&j, '{');
	json_key(&j, "id");
	json_cstr(&j, host);
	json_key(&j, "state");
	json_cstr(&j, "ACTIVE");
	json_key(&j, "address");
	json_str(&j, address);
	put_time(&j, "timestamp", clock_now_ns());
	put_time(&j, "registered_timestamp", started);
	json_key(&j, "read_only");
	json_bool(&j, false);
	json_key(&j, "zone");
	json_cstr(&j, "");
	json_key(&j, "tokens");
	json_open(&j, '[');
	json_int(&j, 0); /* the whole ring is its own */
	json_close(&j, ']');
	json_close(&j, '}');
	json_close(&j, ']');
	put_time(&j, "now", clock_now_ns());
	json_close(&j, '}');
	buf_putc(b, '\n');
}

static void put_html(struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		switch (text.p[i]) {
		case '<': buf_puts(b, "&lt;"); break;
		case '>': buf_puts(b, "&gt;"); break;
		case '&': buf_puts(b, "&amp;"); break;
		case '"': buf_puts(b, "&quot;"); break;
		default: buf_putc(b, text.p[i]);
		}
}

static void put_page(struct buf *b, const char *host, struct slice address, int64_t started)
{
	buf_puts(b,
		 "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
		 "charset=\"UTF-8\"><title>Ring</title></head><body>\n"
		 "<h1>Ring</h1>\n<p>One process does everything; there is no ring.</p>\n"
		 "<table "
		 "border=\"1\"><thead><tr><th>Instance</th><th>State</th><th>Address</th><th>Since</th></tr>"
		 "</thead><tbody>\n<tr><td>");
	put_html(b, slice_cstr(host));
	buf_puts(b, "</td><td>ACTIVE</td><td>");
	put_html(b, address);
	buf_puts(b, "</td><td>");
	clock_format_rfc3339(b, started, false);
	buf_puts(b, "</td></tr>\n</tbody></table>\n</body></html>\n");
}

void ring_page(struct req *req)
{
	int64_t started = (int64_t)metric_value(metric_gauge("process_start_time_seconds",
							     "Start of the process, Unix time.", NULL)) *
			  NS_PER_S;
	struct slice address = req_header(req, SLICE("Host"));
	char host[HOST_BYTES];
	struct buf body;

	host_name(host);
	buf_init(&body);
	if (wants_json(req))
		put_shards(&body, host, address, started);
	else
		put_page(&body, host, address, started);
	req_reply(req, 200, wants_json(req) ? "application/json" : "text/html", &body);
	buf_fini(&body);
}
