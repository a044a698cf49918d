/* Lines that no format expects, to see what they cost: random bytes, random text, very many templates, lines of nothing
 * but rare words, long and tiny lines, JSON and logfmt out of shape. */
#include "gen.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"

/* Any byte: NUL, newline, what is no UTF-8. */
static void put_random_bytes(struct corpus *c, struct buf *b)
{
	for (unsigned n = rng_below(&c->rng, 400); n > 0; n--)
		buf_putc(b, (char)rng_next(&c->rng));
}

static void put_random_text(struct corpus *c, struct buf *b)
{
	for (unsigned n = rng_below(&c->rng, 400); n > 0; n--)
		buf_putc(b, (char)(' ' + rng_below(&c->rng, 95)));
}

/* One of 10,000 sentences, all equally likely, with three numbers in it. */
static void put_templates(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng, fixed = { rng_below(r, 10000) };
	unsigned words = 4 + rng_below(&fixed, 12), numbers = 3;

	for (unsigned i = 0; i < words; i++) {
		if (i > 0)
			buf_putc(b, ' ');
		put_word(b, rng_below(&fixed, 3000));
		if (numbers > 0 && rng_below(&fixed, words) < 4) {
			buf_printf(b, " %u", rng_skewed(r, 100000));
			numbers--;
		}
	}
}

/* No two lines share more than chance allows: each word is one of 2^40, cut and joined at random. */
static void put_words(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned words = 3 + rng_below(r, 30);

	for (unsigned i = 0; i < words; i++) {
		if (i > 0)
			buf_puts(b, PICK(r, " ", " ", " ", ", ", ": ", "=", "/", "-"));
		put_word(b, rng_next(r) >> 24);
		if (rng_one_in(r, 5))
			buf_printf(b, "%u", rng_below(r, 100000));
	}
}

/* 20 to 200 KB: a stack of calls, or a dump in hex. */
static void put_long(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	size_t n = b->n + 20000 + rng_below(r, 180000);

	put_time(b, c->stamp, "%Y-%m-%dT%H:%M:%SZ ERROR request failed");
	if (rng_one_in(r, 4))
		while (b->n < n)
			put_hex(b, r, 64);
	while (b->n < n) {
		buf_puts(b, "\\n\tat com.example.");
		put_word(b, rng_skewed(r, 200));
		buf_putc(b, '.');
		put_word(b, rng_skewed(r, 2000));
		buf_printf(b, "(%s.java:%u)", PICK(r, "Handler", "Filter", "Proxy", "Service"),
			   1 + rng_skewed(r, 900));
	}
}

static void put_tiny(struct corpus *c, struct buf *b)
{
	for (unsigned n = rng_below(&c->rng, 3); n > 0; n--)
		buf_putc(b, PICK(&c->rng, "a", "b", "0", "9", "{", "\"", "=", " ", ".")[0]);
}

static void put_json_value(struct buf *b, struct rng *r)
{
	switch (rng_below(r, 9)) {
	case 0: buf_printf(b, "%" PRId64, (int64_t)rng_next(r)); break;
	case 1:
		buf_printf(b, "-%u.%ue%d", rng_below(r, 1000), rng_below(r, 1000),
			   (int)rng_below(r, 40) - 20);
		break;
	case 2: buf_puts(b, PICK(r, "true", "false", "null", "-0", "1E5", "0.10")); break;
	case 3:
		buf_puts(b, PICK(r, "\"\"", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"a\\\"b\\\\\"",
				 "\"\xc3\xa9\""));
		break;
	case 4: buf_puts(b, PICK(r, "[]", "[1, [2, [3]]]", "{}", "[{}, {\"a\": []}]")); break;
	case 5: buf_printf(b, "%08u", rng_below(r, 1000)); break; /* not JSON */
	default:
		buf_putc(b, '"');
		put_word(b, rng_below(r, 5000));
		buf_putc(b, '"');
	}
}

/* Keys in any order, some twice, objects in objects, spaces as they fall, one line in ten cut off. */
static void put_json_chaos(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned keys = 1 + rng_below(r, 14), depth = 0;
	size_t start = b->n;

	buf_putc(b, '{');
	for (unsigned i = 0; i < keys; i++) {
		buf_puts(b, i > 0 ? PICK(r, ", ", ",", " ,\t") : PICK(r, "", " "));
		buf_printf(b, "\"k%u\"%s", rng_below(r, 24), PICK(r, ": ", ":", " : "));
		if (rng_one_in(r, 4)) {
			buf_putc(b, '{');
			buf_printf(b, "\"n%u\": ", rng_below(r, 6));
			depth++;
		}
		put_json_value(b, r);
		if (depth > 0 && rng_one_in(r, 2)) {
			buf_putc(b, '}');
			depth--;
		}
	}
	for (depth++; depth > 0; depth--)
		buf_putc(b, '}');
	if (rng_one_in(r, 10))
		b->n = start + 1 + rng_below(r, (unsigned)(b->n - start));
}

/* Nothing but brackets inside brackets. */
static void put_json_deep(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned depth = 1 + rng_skewed(r, 3000);

	for (unsigned i = 0; i < depth; i++)
		buf_puts(b, rng_one_in(r, 2) ? "{\"a\":" : "{\"b\": ");
	buf_printf(b, "%u", rng_below(r, 1000));
	for (unsigned i = 0; i < depth; i++)
		buf_putc(b, '}');
}

/* Empty values, keys alone, keys twice, quotes that do not close, escapes, equals signs everywhere. */
static void put_logfmt_chaos(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned pairs = 1 + rng_below(r, 20);

	for (unsigned i = 0; i < pairs; i++) {
		buf_puts(b, i > 0 ? PICK(r, " ", " ", " ", "  ", "\t") : "");
		if (!rng_one_in(r, 12))
			buf_printf(b, "key%u", rng_skewed(r, 40));
		if (rng_one_in(r, 8))
			continue;
		buf_puts(b, rng_one_in(r, 15) ? "==" : "=");
		switch (rng_below(r, 7)) {
		case 0: break;
		case 1:
			buf_puts(b, PICK(r, "\"\"", "\"a b\"", "\"a\\\"b\"", "\"\\n\"", "\"open", "a\"b\"",
					 "'x y'"));
			break;
		case 2: buf_printf(b, "%" PRIu64, rng_next(r) >> rng_below(r, 64)); break;
		case 3: put_hex(b, r, (int)rng_below(r, 40)); break;
		case 4: buf_printf(b, "%u.%ums", rng_skewed(r, 1000), rng_below(r, 1000)); break;
		default: put_word(b, rng_skewed(r, 20000));
		}
	}
}

const struct corpus_shape corpus_hostile[] = {
	{ "random-bytes", 50 * NS_PER_MS, 1, false, put_random_bytes },
	{ "random-text", 50 * NS_PER_MS, 1, true, put_random_text },
	{ "10000-templates", 50 * NS_PER_MS, 1, true, put_templates },
	{ "random-words", 50 * NS_PER_MS, 1, true, put_words },
	{ "long-lines", NS_PER_S, 1, true, put_long },
	{ "tiny-lines", NS_PER_MS, 1, true, put_tiny },
	{ "json-chaos", 50 * NS_PER_MS, 1, true, put_json_chaos },
	{ "json-deep", 50 * NS_PER_MS, 1, true, put_json_deep },
	{ "logfmt-chaos", 50 * NS_PER_MS, 1, true, put_logfmt_chaos },
};
const size_t corpus_n_hostile = ARRAY_LEN(corpus_hostile);
