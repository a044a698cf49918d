/* message WriteRequest { repeated TimeSeries timeseries = 1; }
 * message TimeSeries   { repeated Label labels = 1; repeated Sample samples = 2; }
 * message Label        { string name = 1; string value = 2; }
 * message Sample       { double value = 1; int64 timestamp = 2; }   the time in milliseconds                */
#include "rules/remote_write.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rules/outbox.h"

#include <snappy-c.h>

enum { MAX_QUEUED = 100000, MAX_BATCH = 2000 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

struct remote_write {
	struct outbox *box;
};

/* ---- protobuf ---- */

static void put_tag(struct buf *b, unsigned number, unsigned type)
{
	buf_varint(b, number << 3 | type);
}

static void put_bytes(struct buf *b, unsigned number, struct slice s)
{
	put_tag(b, number, WIRE_BYTES);
	buf_lenslice(b, s);
}

static void put_label(struct buf *out, struct buf *tmp, const struct label *l)
{
	buf_reset(tmp);
	put_bytes(tmp, 1, l->name);
	put_bytes(tmp, 2, l->value);
	put_bytes(out, 1, buf_slice(tmp));
}

void remote_write_series(struct buf *out, struct labels labels, int64_t t_ms, uint64_t bits)
{
	struct buf series = { 0 }, tmp = { 0 };

	for (size_t i = 0; i < labels.n; i++)
		put_label(&series, &tmp, &labels.v[i]);
	buf_reset(&tmp);
	put_tag(&tmp, 1, WIRE_FIXED64);
	buf_u64le(&tmp, bits);
	put_tag(&tmp, 2, WIRE_VARINT);
	buf_varint(&tmp, (uint64_t)t_ms);
	put_bytes(&series, 2, buf_slice(&tmp));
	put_bytes(out, 1, buf_slice(&series));
	buf_fini(&series);
	buf_fini(&tmp);
}

void remote_write_body(const struct slice *series, size_t n, struct buf *out)
{
	struct buf plain = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_add(&plain, series[i]);
	size_t size = snappy_max_compressed_length(plain.n);
	char *to = buf_reserve(out, size);
	if (snappy_compress(plain.p, plain.n, to, &size) != SNAPPY_OK)
		abort();
	out->n += size;
	buf_fini(&plain);
}

uint64_t remote_write_bits(double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	return bits;
}

/* ---- life ---- */

int remote_write_new(const char *url, struct remote_write **out, struct err *err)
{
	static const char *const header[] = { "Content-Type: application/x-protobuf",
					      "Content-Encoding: snappy",
					      "X-Prometheus-Remote-Write-Version: 0.1.0" };
	const struct outbox_options o = {
		.thread = "remote-write",
		.url = url,
		.path = "",
		.max_items = MAX_QUEUED,
		.max_batch = MAX_BATCH,
		.header = header,
		.n_headers = ARRAY_LEN(header),
		.by_tenant = true,
		.body = remote_write_body,
		.sent = metric_counter("spoor_rule_samples_sent_total",
				       "Samples of rules that the remote write receiver took.", NULL),
		.failed = metric_counter("spoor_rule_samples_failed_total",
					 "Samples of rules in attempts at remote write that failed.", NULL),
		.dropped = metric_counter("spoor_rule_samples_dropped_total",
					  "Samples of rules that the remote write receiver never got.", NULL),
	};
	struct remote_write *w = xcalloc(1, sizeof(*w));

	if (outbox_new(&o, &w->box, err) == -1) {
		free(w);
		return err_prefix(err, "ruler_remote_write_url");
	}
	*out = w;
	return 0;
}

void remote_write_stop(struct remote_write *w)
{
	outbox_stop(w->box);
}

void remote_write_free(struct remote_write *w)
{
	if (w == NULL)
		return;
	outbox_free(w->box);
	free(w);
}

void remote_write_put(struct remote_write *w, struct slice tenant, struct labels labels, int64_t t_ns,
		      uint64_t bits)
{
	struct buf b;

	buf_init(&b);
	remote_write_series(&b, labels, t_ns / NS_PER_MS, bits);
	outbox_put(w->box, tenant, buf_slice(&b));
	buf_fini(&b);
}
