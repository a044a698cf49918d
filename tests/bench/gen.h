/* bench/gen.h - log lines for benchmarks, the same ones for the same arguments. gen_shop.c makes the day of a shop that
 * `make bench` loads; gen_corpus.c lines as well-known programs write them, in words of our own; gen_hostile.c lines
 * that no format expects. Not for threads. */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include "base/buf.h"
#include "base/vec.h"
#include "model/labels.h"

struct rng {
	uint64_t s;
};

uint64_t rng_next(struct rng *r);
unsigned rng_below(struct rng *r, unsigned n);	/* 0 … n-1 */
unsigned rng_skewed(struct rng *r, unsigned n); /* the same, small numbers far more often */
bool rng_one_in(struct rng *r, unsigned n);
const char *rng_pick(struct rng *r, const char *const *of, size_t n);
#define PICK(r, ...)                                                                                         \
	rng_pick((r), (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

/* ---- the shop */

enum { SHOP_SERVICES = 11, SHOP_NGINX = SHOP_SERVICES - 1 }; /* the last one is nginx, with two pods */
#define SHOP_RARE_WORD	  "quetzalcoatl"
#define SHOP_SLOW_PATTERN "gave up after [0-9]{5} ms"

struct shop_event;
struct shop_sample {
	uint64_t hi, lo; /* of the trace id */
	unsigned n_lines;
	int64_t day;
};

struct shop {
	uint64_t n_lines; /* a day */
	unsigned n_days, n_pods;
	uint64_t seed;
	int64_t end_ns, span_ns; /* of the last day, and how long each is */
	/* Called for each line, in order of time. The line is borrowed. */
	void (*emit)(void *arg, unsigned stream, int64_t ts, struct slice line);
	void *arg;

	/* what was made */
	uint64_t lines, raw_bytes, n_traces, error_lines, rare_lines, slow_lines;
	uint64_t by_service[SHOP_SERVICES];
	int64_t first_ns, last_ns;
	VEC(struct shop_sample) samples;

	VEC(struct shop_event) heap;
	struct buf line;
};

void shop_day(struct shop *s, int64_t day);
void shop_fini(struct shop *s);
unsigned shop_n_streams(const struct shop *s);
const char *shop_service(unsigned service);
unsigned shop_service_of(const struct shop *s, unsigned stream);
/* Labels of a stream as they stand in a push body. */
void shop_put_labels(const struct shop *s, unsigned stream, struct buf *b);
int shop_write_facts(const struct shop *s, const char *path); /* -1: says why on stderr */

/* ---- single streams of one shape */

enum { CORPUS_RECENT = 16, CORPUS_MAX_META = 4 };

/* One stream in the making. A shape's put() appends the line of the entry at ts, and may set metadata. */
struct corpus {
	struct rng rng;
	int64_t now, ts, stamp; /* when it happens; time of the entry; of the line, where the line has one */
	uint64_t n;		/* lines before this one */
	uint64_t recent[CORPUS_RECENT];
	struct label meta[CORPUS_MAX_META]; /* sorted by name; values live in meta_text */
	size_t n_meta;
	struct buf meta_text;
};

struct corpus_shape {
	const char *name;
	int64_t gap_ns; /* mean time between two lines */
	int64_t stamp_ns; /* what the line's own stamp counts in: the entry has that time. 0: the time of reading */
	bool text;	  /* false: bytes that no JSON string can carry */
	void (*put)(struct corpus *c, struct buf *b);
};

extern const struct corpus_shape corpus_logs[], corpus_hostile[];
extern const size_t corpus_n_logs, corpus_n_hostile;

const struct corpus_shape *corpus_find(const char *name); /* NULL if there is none */
const struct corpus_shape *corpus_get(size_t i);	  /* all of them; NULL past the last */
void corpus_init(struct corpus *c, const struct corpus_shape *shape, uint64_t seed, int64_t start_ns);
void corpus_fini(struct corpus *c);
/* The next line, appended to b; c->ts, c->meta are its entry's. */
void corpus_next(struct corpus *c, const struct corpus_shape *shape, struct buf *b);
void corpus_add_meta(struct corpus *c, const char *name, struct slice value);

/* Text for lines of any shape. */
void put_time(struct buf *b, int64_t ts, const char *form); /* %Y %y %m %d %e %b %a %H %M %S */
void put_fraction(struct buf *b, int64_t ts, int digits);
void put_hex(struct buf *b, struct rng *r, int digits);
void put_word(struct buf *b, uint64_t number); /* pronounceable, the same for the same number */

#endif
