#include "ingest/shape.h"
#include "base/hash.h"

#include <pthread.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { BLOCK = 64 };

/* One bit for each byte of a block. */
struct masks {
	uint64_t digit, word, glue; /* word: digits included; glue: part of a word between digits */
};

#if defined(__SSE2__)

static __m128i in_range(__m128i c, char from, char n)
{
	__m128i x = _mm_sub_epi8(c, _mm_set1_epi8(from));

	return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8((char)(n - 1))), x);
}

static uint64_t bits(__m128i v, unsigned shift)
{
	return (uint64_t)(unsigned)_mm_movemask_epi8(v) << shift;
}

static inline struct masks masks_of(const char *p)
{
	struct masks m = { 0, 0, 0 };

	for (unsigned i = 0; i < BLOCK; i += 16) {
		__m128i c = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		__m128i digit = in_range(c, '0', 10);
		__m128i letter = in_range(_mm_or_si128(c, _mm_set1_epi8(0x20)), 'a', 26);
		__m128i other = _mm_or_si128(in_range(c, '-', 2), _mm_cmpeq_epi8(c, _mm_set1_epi8('_')));
		__m128i glue = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8(',')),
							 _mm_cmpeq_epi8(c, _mm_set1_epi8(':'))),
					    _mm_cmpeq_epi8(c, _mm_set1_epi8('/')));

		m.digit |= bits(digit, i);
		/* The sign bit of c marks bytes >= 0x80. */
		m.word |= bits(_mm_or_si128(_mm_or_si128(digit, letter), _mm_or_si128(other, c)), i);
		m.glue |= bits(glue, i);
	}
	return m;
}

#else

static inline struct masks masks_of(const char *p)
{
	struct masks m = { 0, 0, 0 };

	for (unsigned i = 0; i < BLOCK; i++) {
		unsigned char c = (unsigned char)p[i], low = c | 0x20;
		uint64_t bit = UINT64_C(1) << i;
		bool digit = c >= '0' && c <= '9';

		if (digit)
			m.digit |= bit;
		if (digit || (low >= 'a' && low <= 'z') || c == '_' || c == '-' || c == '.' || c >= 0x80)
			m.word |= bit;
		if (c == ',' || c == ':' || c == '/')
			m.glue |= bit;
	}
	return m;
}

#endif

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed;

static void make_seed(void)
{
	seed = hash_seeded(SLICE("shape"));
}

static uint64_t mum(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

enum {
	MAX_BLOCKS = SHAPE_MAX_BYTES / BLOCK + 2,
	MAX_EDGES = 2 * (SHAPE_MAX_WORDS + 1) + BLOCK, /* the last block's are taken as a whole */
	PAD = 2 * BLOCK,
};

/* A line with zeros behind it, and where words begin and end in turn. */
struct edges {
	size_t n_text, n;
	uint16_t at[MAX_EDGES];
	uint64_t digit[MAX_BLOCKS];
	char text[SHAPE_MAX_BYTES + PAD];
};

/* memcpy and memset of such lengths become string instructions, which take long to start. */
static void copy_padded(char *to, const char *from, size_t n)
{
	static const char zeros[16];
	size_t i = 0;

	for (; i + 16 <= n; i += 16)
		memcpy(to + i, from + i, 16);
	for (; i < n; i++)
		to[i] = from[i];
	for (i = 0; i < PAD; i += 16)
		memcpy(to + n + i, zeros, 16);
}

static void find_edges(struct slice line, struct edges *e)
{
	uint64_t word_before = 0, digit_before = 0; /* bit 0: of the byte in front of the block */
	size_t n = line.n < SHAPE_MAX_BYTES ? line.n : SHAPE_MAX_BYTES;
	uint16_t *at = e->at;

	copy_padded(e->text, line.p, n);
	e->n_text = n;
	for (size_t base = 0; base <= n && at <= e->at + 2 * SHAPE_MAX_WORDS; base += BLOCK) {
		const char *p = e->text + base;
		struct masks m = masks_of(p);
		uint64_t digit_after = (uint64_t)(p[BLOCK] >= '0' && p[BLOCK] <= '9') << (BLOCK - 1);
		uint64_t word =
			m.word | (m.glue & (m.digit << 1 | digit_before) & (m.digit >> 1 | digit_after));

		for (uint64_t left = word ^ (word << 1 | word_before); left != 0; left &= left - 1)
			*at++ = (uint16_t)(base + (unsigned)__builtin_ctzll(left));
		e->digit[base / BLOCK] = m.digit;
		e->digit[base / BLOCK + 1] = 0;
		word_before = word >> (BLOCK - 1);
		digit_before = m.digit >> (BLOCK - 1);
	}
	e->n = (size_t)(at - e->at);
}

/* Of the bytes from `from` up to `to`. */
static bool has_digit(const struct edges *e, unsigned from, unsigned to)
{
	uint64_t bits;

	do {
		unsigned shift = from % BLOCK, n = to - from;

		/* Twice, because a shift by 64 is none. */
		bits = e->digit[from / BLOCK] >> shift | e->digit[from / BLOCK + 1] << (BLOCK - 1 - shift)
										    << 1;
		if (n < BLOCK)
			bits &= ~(~UINT64_C(0) << n);
		from += BLOCK;
	} while (bits == 0 && from < to);
	return bits != 0;
}

/* How many words count and how many bytes they cover with what follows them. False: the line is longer. */
static bool extent(const struct edges *e, struct slice line, size_t *n_words, size_t *n_bytes)
{
	*n_words = (e->n + 1) / 2; /* the end of one too many may be missing */
	*n_bytes = e->n_text;
	if (*n_words > SHAPE_MAX_WORDS) {
		*n_words = SHAPE_MAX_WORDS;
		*n_bytes = e->at[2 * SHAPE_MAX_WORDS];
		return false;
	}
	if (line.n == e->n_text)
		return true;
	/* What the limit cuts in two is left out as a whole. */
	if (*n_words > 0 && e->at[2 * *n_words - 1] == e->n_text)
		*n_bytes = e->at[2 * --*n_words];
	return false;
}

/* ---------------------------------------------------------------- the words */

void shape_split(struct slice line, struct shape *s)
{
	struct edges e;
	size_t n_bytes;

	find_edges(line, &e);
	s->cut = !extent(&e, line, &s->n, &n_bytes);
	s->n_bytes = (uint16_t)n_bytes;
	for (size_t i = 0; i < s->n; i++)
		s->word[i] = (struct shape_word){ e.at[2 * i], (uint16_t)(e.at[2 * i + 1] - e.at[2 * i]),
						  has_digit(&e, e.at[2 * i], e.at[2 * i + 1]) };
}

/* ---------------------------------------------------------------- the hash
 *
 * It is the sum of hashed pieces of what stands between wild words; each is mixed with its number, so that they need not
 * wait for each other. Only wild words have to be found for it, by their digits. */

static uint64_t load(const char *p, size_t n)
{
	static const uint64_t mask[9] = { 0,	      0xff,	    0xffff,	    0xffffff,
					  0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
					  UINT64_MAX };
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v & mask[n < 8 ? n : 8];
}

struct hasher {
	const char *text; /* with PAD bytes behind it */
	size_t from;	  /* what precedes it is hashed */
	uint64_t sum, key;
};

static inline void hash_piece(struct hasher *h, const char *p, size_t n)
{
	h->sum += mum(load(p, n) ^ seed, load(p + 8, n > 8 ? n - 8 : 0) ^ h->key);
	h->key += UINT64_C(0x9e3779b97f4a7c16);
}

/* What stands in front of a wild word, or of the end. */
static inline void hash_up_to(struct hasher *h, size_t to)
{
	const char *p = h->text + h->from;
	size_t n = to - h->from;

	for (; n > 32; n -= 16, p += 16)
		hash_piece(h, p, 16);
	hash_piece(h, p, n);
	hash_piece(h, p + 16, n > 16 ? n - 16 : 0);
}

static unsigned count_bits(uint64_t v)
{
	v -= v >> 1 & UINT64_C(0x5555555555555555);
	v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
	return (unsigned)(((v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * UINT64_C(0x0101010101010101) >>
			  56);
}

struct walk {
	struct hasher h;
	uint64_t word_before, digit_before; /* bit 0: of the byte in front of the block */
	size_t open;			    /* where the word began that reaches into the block */
	bool open_wild;			    /* it is wild, and hashed up to there */
	unsigned n_words;
};

static void walk_block(struct walk *w, size_t base)
{
	const char *p = w->h.text + base;
	struct masks m = masks_of(p);
	uint64_t digit_after = (uint64_t)(p[BLOCK] >= '0' && p[BLOCK] <= '9') << (BLOCK - 1);
	uint64_t word = m.word | (m.glue & (m.digit << 1 | w->digit_before) & (m.digit >> 1 | digit_after));
	uint64_t gaps = ~word, digits = m.digit;

	w->n_words += count_bits(word & ~(word << 1 | w->word_before));
	if (w->open_wild) { /* the rest of it */
		if (gaps == 0)
			goto out;
		unsigned end = (unsigned)__builtin_ctzll(gaps);

		w->h.from = base + end;
		w->open_wild = false;
		digits &= ~UINT64_C(0) << end;
	}
	while (digits != 0) {
		unsigned at = (unsigned)__builtin_ctzll(digits);
		uint64_t before = gaps & ((UINT64_C(1) << at) - 1), behind = gaps >> at;
		size_t start = before != 0	     ? base + BLOCK - (unsigned)__builtin_clzll(before)
			       : w->word_before != 0 ? w->open
						     : base;

		hash_up_to(&w->h, start);
		if (behind == 0) {
			w->open_wild = true;
			break;
		}
		unsigned end = at + (unsigned)__builtin_ctzll(behind);

		w->h.from = base + end;
		digits &= ~UINT64_C(0) << end;
	}
out:
	if (gaps != 0)
		w->open = base + BLOCK - (unsigned)__builtin_clzll(gaps);
	else if (w->word_before == 0)
		w->open = base;
	w->word_before = word >> (BLOCK - 1);
	w->digit_before = m.digit >> (BLOCK - 1);
}

static uint64_t hash_cut(struct slice line)
{
	char text[SHAPE_MAX_BYTES + PAD];
	struct hasher h = { .text = text, .key = seed };
	struct shape s;

	shape_split(line, &s);
	copy_padded(text, line.p, s.n_bytes);
	for (size_t i = 0; i < s.n; i++)
		if (s.word[i].wild) {
			hash_up_to(&h, s.word[i].off);
			h.from = (size_t)s.word[i].off + s.word[i].len;
		}
	hash_up_to(&h, s.n_bytes);
	return hash_mix(h.sum);
}

uint64_t shape_hash(struct slice line)
{
	char text[SHAPE_MAX_BYTES + PAD];
	struct walk w;

	pthread_once(&seed_once, make_seed);
	if (line.n > SHAPE_MAX_BYTES)
		return hash_cut(line);
	/* Each for itself: an initialiser that leaves some out would become a string instruction. */
	w.h.text = text;
	w.h.from = w.h.sum = w.open = 0;
	w.h.key = seed | 1;
	w.word_before = w.digit_before = 0;
	w.open_wild = false;
	w.n_words = 0;
	copy_padded(text, line.p, line.n);
	for (size_t base = 0; base <= line.n; base += BLOCK)
		walk_block(&w, base);
	if (w.n_words > SHAPE_MAX_WORDS)
		return hash_cut(line);
	hash_up_to(&w.h, line.n);
	return hash_mix(w.h.sum);
}
