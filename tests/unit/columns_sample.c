#include "columns_sample.h"
#include "base/buf.h"
#include "model/labels.h"

#include <stdio.h>
#include <time.h>

static const char *const levels[] = { "info", "info", "info", "warn", "error", "debug" };
static const char *const words[] = { "cart",	"order",   "user", "payment", "",	  "a",
				     "timeout", "refused", "sku",  "é",	      "\\\"x\\\"" };

static void add_time(struct buf *b, int64_t ts)
{
	time_t s = (time_t)(ts / 1000000000);
	struct tm tm;
	char text[64];

	gmtime_r(&s, &tm);
	size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_append(b, text, n);
	buf_printf(b, ".%03dZ", (int)(ts % 1000000000 / 1000000));
}

static void add_json(struct buf *b, struct sample_random *r, int64_t ts)
{
	buf_puts(b, "{\"time\": \"");
	add_time(b, ts - (int64_t)sample_below(r, 3000) * 1000000);
	buf_printf(b, "\", \"level\": \"%s\", \"message\": \"%s %u for %s in %u.%02u ms\"",
		   levels[sample_below(r, 6)], words[sample_below(r, 11)], sample_below(r, 100000),
		   words[sample_below(r, 11)], sample_below(r, 300), sample_below(r, 100));
	buf_printf(b, ", \"trace_id\": \"%016llx%016llx\", \"n\": %d", (unsigned long long)sample_next(r),
		   (unsigned long long)sample_next(r), (int)sample_below(r, 5000) - 1000);
	if (sample_below(r, 3) == 0)
		buf_printf(b, ", \"id\": \"%08x-%04x-4%03x-a%03x-%012llx\"", (unsigned)sample_next(r),
			   sample_below(r, 65536), sample_below(r, 4096), sample_below(r, 4096),
			   (unsigned long long)(sample_next(r) >> 16));
	if (sample_below(r, 50) == 0)
		buf_puts(b, ", \"tags\": [1, \"x\"], \"ok\": true, \"none\": null");
	buf_puts(b, "}");
}

static void add_logfmt(struct buf *b, struct sample_random *r, int64_t ts)
{
	buf_puts(b, "ts=");
	add_time(b, ts);
	buf_printf(b, " level=%s msg=\"%s %s\" code=%03u dur=%u.%03us span=%016llX",
		   levels[sample_below(r, 6)], words[sample_below(r, 10)], words[sample_below(r, 10)],
		   sample_below(r, 600), sample_below(r, 9), sample_below(r, 1000),
		   (unsigned long long)sample_next(r));
	if (sample_below(r, 40) == 0)
		buf_puts(b, " code=none");
}

static void add_access(struct buf *b, struct sample_random *r, int64_t ts)
{
	time_t s = (time_t)(ts / 1000000000);
	struct tm tm;
	char text[64];

	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &tm);
	buf_printf(b, "%u.%u.%u.%u - - [%s] \"GET /%s/%u HTTP/1.1\" %u %u \"-\" \"Mozilla/5.0 (%s)\"",
		   sample_below(r, 256), sample_below(r, 256), sample_below(r, 256), sample_below(r, 256),
		   text, words[sample_below(r, 4)], sample_below(r, 1000), 200 + sample_below(r, 4) * 100,
		   sample_below(r, 100000), words[sample_below(r, 9)]);
}

static void add_noise(struct buf *b, struct sample_random *r)
{
	for (unsigned n = sample_below(r, 80); n > 0; n--)
		buf_putc(b, (char)sample_next(r));
}

static void add_words(struct buf *b, struct sample_random *r)
{
	for (unsigned n = sample_below(r, 12); n > 0; n--)
		buf_printf(b, "%s%s", words[sample_below(r, 11)], sample_below(r, 3) == 0 ? "" : " ");
	if (sample_below(r, 4) == 0)
		buf_printf(b, "%u", sample_below(r, 20));
}

static void add_line(struct buf *b, struct sample_random *r, enum sample_kind kind, int64_t ts)
{
	if (kind == SAMPLE_MIXED)
		kind = (enum sample_kind)(sample_below(r, 40) == 0 ? SAMPLE_NOISE : sample_below(r, 3));
	switch (kind) {
	case SAMPLE_JSON: add_json(b, r, ts); break;
	case SAMPLE_LOGFMT: add_logfmt(b, r, ts); break;
	case SAMPLE_ACCESS: add_access(b, r, ts); break;
	case SAMPLE_WORDS: add_words(b, r); break;
	default: add_noise(b, r);
	}
	if (sample_below(r, 300) == 0)
		buf_puts(b, " tail");
}

static void add_meta(struct buf *b, struct sample_random *r, enum sample_kind kind)
{
	char trace[33];
	struct label l[2] = { { SLICE("level"), slice_cstr(levels[sample_below(r, 6)]) },
			      { SLICE("trace_id"), slice_of(trace, 32) } };

	snprintf(trace, sizeof(trace), "%016llx%016llx", (unsigned long long)sample_next(r),
		 (unsigned long long)sample_next(r));
	size_t n = kind == SAMPLE_JSON	   ? 2
		   : kind == SAMPLE_LOGFMT ? 1
		   : kind == SAMPLE_MIXED  ? sample_below(r, 3)
					   : 0;
	labels_encode(b, (struct labels){ l, n });
}

struct chunk_entry *sample_entries(struct arena *a, enum sample_kind kind, uint64_t seed, size_t n)
{
	struct chunk_entry *e = arena_array(a, struct chunk_entry, n);
	struct sample_random r = { seed };
	int64_t ts = INT64_C(1795000000000000000);
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < n; i++) {
		ts += (int64_t)sample_below(&r, 2000) * 1000000;
		e[i].ts = ts;
		buf_reset(&b);
		add_line(&b, &r, kind, ts);
		e[i].line = arena_dup(a, buf_slice(&b));
		buf_reset(&b);
		add_meta(&b, &r, kind);
		e[i].meta = arena_dup(a, buf_slice(&b));
	}
	buf_fini(&b);
	return e;
}
