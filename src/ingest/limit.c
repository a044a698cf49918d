#include "ingest/limit.h"
#include "base/clock.h"
#include "base/hash.h"

enum { EXAMPLES = 10 };

static bool is_kept(const struct batch_stream *s, const struct batch_entry *e)
{
	return !s->rejected && !e->rejected;
}

static struct tally_sample first_kept(const struct batch *b)
{
	for (size_t i = 0; i < b->streams.n; i++) {
		const struct batch_stream *s = &b->streams.v[i];

		for (size_t j = 0; j < s->n; j++)
			if (is_kept(s, &b->entries.v[s->first + j]))
				return (struct tally_sample){ s, &b->entries.v[s->first + j] };
	}
	return (struct tally_sample){ NULL, NULL };
}

bool limit_blocked(const struct batch *b, const struct limits *l, int64_t now_ns, struct tally *t,
		   struct buf *text)
{
	int64_t until;

	if (l->block_ingestion_until == NULL || l->block_ingestion_until[0] == '\0' ||
	    !clock_parse_rfc3339(slice_cstr(l->block_ingestion_until), &until) || now_ns >= until)
		return true;
	buf_printf(text, "ingestion blocked for user '%.*s' until '%s' with status code '%llu'",
		   SLICE_ARG(b->tenant), l->block_ingestion_until,
		   (unsigned long long)l->block_ingestion_status_code);
	t->discarded_entries[DISCARD_BLOCKED] += b->entries.n;
	for (size_t i = 0; i < b->entries.n; i++)
		t->discarded_bytes[DISCARD_BLOCKED] += entry_bytes(&b->entries.v[i]);
	t->sample[DISCARD_BLOCKED] = first_kept(b);
	return false;
}

bool limit_tenant(struct rate *r, const struct batch *b, const struct limits *l, struct tally *t,
		  struct buf *text)
{
	double rate = l->ingestion_rate_mb * (1 << 20), burst = l->ingestion_burst_size_mb * (1 << 20);

	if (t->n_entries == 0 || rate_take_tenant(r, b->tenant, rate, burst, (double)t->n_bytes))
		return true;
	buf_printf(text,
		   "ingestion rate limit exceeded for user %.*s (limit: %lld bytes/sec) while attempting to "
		   "ingest '%llu' "
		   "lines totaling '%llu' bytes, reduce log volume or contact your Loki administrator to see "
		   "if the limit "
		   "can be increased",
		   SLICE_ARG(b->tenant), (long long)rate, (unsigned long long)t->n_entries,
		   (unsigned long long)t->n_bytes);
	t->discarded_entries[DISCARD_RATE_LIMITED] += t->n_entries;
	t->discarded_bytes[DISCARD_RATE_LIMITED] += t->n_bytes;
	t->sample[DISCARD_RATE_LIMITED] = first_kept(b);
	t->n_entries = t->n_bytes = 0;
	return false;
}

/* The largest unit that leaves no remainder: 1KB, 2000B. */
static void put_size(struct buf *out, uint64_t n)
{
	static const char *const unit[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
	size_t u = 0;

	for (; u < 6 && n > 0 && n % 1024 == 0; u++)
		n /= 1024;
	buf_printf(out, "%llu%s", (unsigned long long)n, unit[u]);
}

/* The level that we added ourselves does not count. */
static uint64_t sent_bytes(const struct batch_entry *e)
{
	uint64_t n = entry_bytes(e);

	for (size_t i = 0; i < e->n_meta; i++)
		if (slice_is(e->meta[i].name, "detected_level"))
			n -= e->meta[i].name.n + e->meta[i].value.n;
	return n;
}

static void put_refused(struct buf *text, const struct batch_stream *s, const struct batch_entry *e,
			uint64_t bytes, const struct limits *l)
{
	struct buf when;

	buf_init(&when);
	clock_format_rfc3339(&when, e->ts, false);
	/* 2026-11-23T09:14:19Z, written as Go prints a time. */
	if (when.n >= 20)
		buf_printf(text,
			   "entry with timestamp %.10s %.8s +0000 UTC ignored, reason: 'Per stream rate "
			   "limit exceeded "
			   "(limit: ",
			   when.p, when.p + 11);
	put_size(text, l->per_stream_rate_limit);
	buf_puts(text, "/sec) while attempting to ingest for stream '");
	validate_stream_text(text, s->labels);
	buf_puts(text, "' totaling ");
	put_size(text, bytes);
	buf_puts(text, ", consider splitting a stream via additional labels or contact your Loki "
		       "administrator to see if "
		       "the limit can be increased',\n");
	buf_fini(&when);
}

static size_t limit_stream(struct rate *r, struct batch *b, struct batch_stream *s, const struct limits *l,
			   struct tally *t, struct buf *text, bool tell)
{
	uint64_t key = hash64(b->tenant) ^ s->hash;
	size_t refused = 0, sent = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct batch_entry *e = &b->entries.v[s->first + i];
		uint64_t bytes;

		if (!is_kept(s, e))
			continue;
		sent++;
		bytes = sent_bytes(e);
		if (rate_take_stream(r, key, (double)l->per_stream_rate_limit,
				     (double)l->per_stream_rate_limit_burst, (double)bytes))
			continue;
		if (tell && refused < EXAMPLES)
			put_refused(text, s, e, bytes, l);
		e->rejected = true;
		refused++;
		t->n_entries--;
		t->n_bytes -= bytes;
		tally_discard(t, DISCARD_STREAM_RATE, s, e, bytes);
	}
	if (tell && refused > 0) {
		buf_printf(text,
			   "user '%.*s', total ignored: %zu out of %zu for stream: ", SLICE_ARG(b->tenant),
			   refused, sent);
		validate_stream_text(text, s->labels);
	}
	return refused;
}

size_t limit_streams(struct rate *r, struct batch *b, const struct limits *l, struct tally *t,
		     struct buf *text)
{
	size_t refused = 0;

	if (l->per_stream_rate_limit == 0)
		return 0;
	for (size_t i = 0; i < b->streams.n; i++)
		refused += limit_stream(r, b, &b->streams.v[i], l, t, text, refused == 0);
	return refused;
}
