/* A value of up to 56 bits lies in the eight bytes from the one that its first bit is in, so one unaligned load, a shift
 * and a mask read it; AVX2 does eight values (of up to 25 bits, as 32-bit numbers) or four at a time. Eight values take
 * `bits` whole bytes, which is what the loops count in. */
#include "index/bitpack.h"

#include <assert.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_AVX2 1
#endif

enum {
	PLAIN_BITS = 56,  /* wider than that is 64 */
	NARROW_BITS = 25, /* a value in the four bytes from its first bit's on */
	VECTOR_MIN = 64,  /* fewer values are not worth the set-up */
	PIECE = 256,	  /* ids read at once; a multiple of 8 */
};

unsigned bitpack_width(uint64_t v)
{
	unsigned bits = v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);

	return bits > PLAIN_BITS ? 64 : bits;
}

static bool width_valid(unsigned bits)
{
	return bits <= PLAIN_BITS || bits == 64;
}

static inline uint64_t mask_of(unsigned bits)
{
	return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static inline uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

/* v[i] - base, or v[i] - v[i - 1] - base where by_delta (v[-1] exists then). */
static inline void pack(const uint64_t *v, size_t n, bool by_delta, uint64_t base, unsigned bits,
			struct buf *out)
{
	size_t n_bytes = bitpack_bytes(n, bits);
	char *p = buf_reserve(out, n_bytes + 8);
	uint64_t acc = 0;
	unsigned fill = 0;

	assert(width_valid(bits));
	out->n += n_bytes;
	if (bits == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		uint64_t x = v[i] - base;

		if (by_delta)
			x -= v[(ptrdiff_t)i - 1];
		if (bits == 64) {
			memcpy(p, &x, 8);
			p += 8;
			continue;
		}
		acc |= x << fill;
		fill += bits;
		memcpy(p, &acc, 8);
		p += fill >> 3;
		acc >>= fill & ~7u;
		fill &= 7;
	}
}

void bitpack_write(const uint64_t *v, size_t n, unsigned bits, struct buf *out)
{
	pack(v, n, false, 0, bits, out);
}

struct range {
	int64_t min, max;
};

static inline uint64_t range_span(struct range r)
{
	return (uint64_t)r.max - (uint64_t)r.min;
}

/* Of the values from `from` >= 1 on and of their differences; those before are in *value, *delta. */
static void ranges_plain(const int64_t *v, size_t from, size_t n, struct range *value, struct range *delta)
{
	struct range a = *value, b = *delta;

	for (size_t i = from; i < n; i++) {
		int64_t d = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);

		a.min = v[i] < a.min ? v[i] : a.min;
		a.max = v[i] > a.max ? v[i] : a.max;
		b.min = d < b.min ? d : b.min;
		b.max = d > b.max ? d : b.max;
	}
	*value = a;
	*delta = b;
}

#ifdef HAVE_AVX2
__attribute__((target("avx2"))) static inline __m256i less_of(__m256i a, __m256i b)
{
	return _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b));
}

__attribute__((target("avx2"))) static inline __m256i more_of(__m256i a, __m256i b)
{
	return _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b));
}

__attribute__((target("avx2"))) static void range_join(__m256i min, __m256i max, struct range *r)
{
	int64_t low[4], high[4];

	_mm256_storeu_si256((__m256i *)(void *)low, min);
	_mm256_storeu_si256((__m256i *)(void *)high, max);
	for (unsigned k = 0; k < 4; k++) {
		r->min = low[k] < r->min ? low[k] : r->min;
		r->max = high[k] > r->max ? high[k] : r->max;
	}
}

/* Four at a time; returns the first one that is left. */
__attribute__((target("avx2"))) static size_t ranges_avx2(const int64_t *v, size_t n, struct range *value,
							  struct range *delta)
{
	__m256i min = _mm256_set1_epi64x(value->min), max = min, least = _mm256_set1_epi64x(INT64_MAX),
		most = _mm256_set1_epi64x(INT64_MIN);
	size_t i = 1;

	for (; i + 4 <= n; i += 4) {
		__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v + i));
		__m256i d =
			_mm256_sub_epi64(x, _mm256_loadu_si256((const __m256i *)(const void *)(v + i - 1)));

		min = less_of(min, x);
		max = more_of(max, x);
		least = less_of(least, d);
		most = more_of(most, d);
	}
	range_join(min, max, value);
	range_join(least, most, delta);
	return i;
}
#endif

/* n > 1, or *delta is of nothing. */
static void ranges(const int64_t *v, size_t n, struct range *value, struct range *delta)
{
	size_t done = 1;

	*value = (struct range){ v[0], v[0] };
	*delta = (struct range){ INT64_MAX, INT64_MIN };
#ifdef HAVE_AVX2
	if (n >= VECTOR_MIN && __builtin_cpu_supports("avx2"))
		done = ranges_avx2(v, n, value, delta);
#endif
	ranges_plain(v, done, n, value, delta);
}

void numbers_write(const int64_t *v, size_t n, struct buf *out)
{
	const uint64_t *u = (const uint64_t *)v;
	struct range value, delta;

	ranges(v, n, &value, &delta);
	unsigned bits = bitpack_width(range_span(value));
	unsigned delta_bits = n > 1 ? bitpack_width(range_span(delta)) : 64;
	/* The first value costs up to ten bytes more. */
	bool by_delta = n > 1 && bitpack_bytes(n - 1, delta_bits) + 10 < bitpack_bytes(n, bits);

	buf_putc(out, by_delta ? 1 : 0);
	if (by_delta) {
		buf_svarint(out, delta.min);
		buf_svarint(out, v[0]);
		buf_putc(out, (char)delta_bits);
		pack(u + 1, n - 1, true, (uint64_t)delta.min, delta_bits, out);
	} else {
		buf_svarint(out, value.min);
		buf_putc(out, (char)bits);
		pack(u, n, false, (uint64_t)value.min, bits, out);
	}
}

bool numbers_write_bytes(const int64_t *v, size_t n, struct buf *out)
{
	struct range value, delta;

	ranges(v, n, &value, &delta);
	unsigned bits = bitpack_width(range_span(value));
	if (bits == 0 || bits >= 16 || bits == 8)
		return false;
	bits = bits < 8 ? 8 : 16;
	buf_putc(out, 0);
	buf_svarint(out, value.min);
	buf_putc(out, (char)bits);
	pack((const uint64_t *)v, n, false, (uint64_t)value.min, bits, out);
	return true;
}

/* ---- reading: values plus a base, from value `from` on ----------------------------------------------------------- */

static void unpack_plain(const char *p, size_t from, size_t n, unsigned bits, uint64_t base, uint64_t *out)
{
	uint64_t mask = mask_of(bits);

	if (bits == 64) {
		for (size_t i = from; i < n; i++)
			out[i] = load64(p + i * 8) + base;
		return;
	}
	size_t at = from * bits;
	for (size_t i = from; i < n; i++, at += bits)
		out[i] = (load64(p + (at >> 3)) >> (at & 7) & mask) + base;
}

static void unpack32_plain(const char *p, size_t from, size_t n, unsigned bits, uint32_t base, uint32_t *out)
{
	uint32_t mask = (uint32_t)mask_of(bits);
	size_t at = from * bits;

	for (size_t i = from; i < n; i++, at += bits)
		out[i] = ((uint32_t)(load64(p + (at >> 3)) >> (at & 7)) & mask) + base;
}

#ifdef HAVE_AVX2
__attribute__((target("avx2"))) static inline __m256i load_lanes(const char *low, const char *high)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)low);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)high);

	return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

/* Eight values a round: four from the bytes at p in the low lane, four from those in the middle in the high one. Returns
 * how many were read. */
__attribute__((target("avx2"))) static size_t unpack32_avx2(const char *p, size_t n, unsigned bits,
							    uint32_t base, uint32_t *out)
{
	unsigned char pick[32];
	uint32_t shift[8];
	size_t middle = 4 * bits / 8, i;

	for (unsigned k = 0; k < 8; k++) {
		unsigned at = (k < 4 ? 0 : 4 * bits % 8) + k % 4 * bits;

		shift[k] = at % 8;
		for (unsigned b = 0; b < 4; b++)
			pick[4 * k + b] = (unsigned char)(at / 8 + b);
	}
	__m256i picks = _mm256_loadu_si256((const __m256i *)(const void *)pick);
	__m256i shifts = _mm256_loadu_si256((const __m256i *)(const void *)shift);
	__m256i mask = _mm256_set1_epi32((int)mask_of(bits)), add = _mm256_set1_epi32((int)base);

	for (i = 0; i + 8 <= n; i += 8, p += bits) {
		__m256i v = _mm256_shuffle_epi8(load_lanes(p, p + middle), picks);

		v = _mm256_and_si256(_mm256_srlv_epi32(v, shifts), mask);
		_mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_add_epi32(v, add));
	}
	return i;
}

/* Eight values a round, two in each of four lanes. */
__attribute__((target("avx2"))) static size_t unpack_avx2(const char *p, size_t n, unsigned bits,
							  uint64_t base, uint64_t *out)
{
	unsigned char pick[2][32];
	uint64_t shift[2][4];
	size_t start[4], i;

	for (unsigned lane = 0; lane < 4; lane++) {
		start[lane] = 2 * lane * bits / 8;
		for (unsigned k = 0; k < 2; k++) {
			unsigned at = 2 * lane * bits % 8 + k * bits;

			shift[lane / 2][lane % 2 * 2 + k] = at % 8;
			for (unsigned b = 0; b < 8; b++)
				pick[lane / 2][lane % 2 * 16 + 8 * k + b] = (unsigned char)(at / 8 + b);
		}
	}
	__m256i picks[2], shifts[2];
	for (unsigned h = 0; h < 2; h++) {
		picks[h] = _mm256_loadu_si256((const __m256i *)(const void *)pick[h]);
		shifts[h] = _mm256_loadu_si256((const __m256i *)(const void *)shift[h]);
	}
	__m256i mask = _mm256_set1_epi64x((long long)mask_of(bits)),
		add = _mm256_set1_epi64x((long long)base);

	for (i = 0; i + 8 <= n; i += 8, p += bits) {
		for (unsigned h = 0; h < 2; h++) {
			__m256i v = load_lanes(p + start[2 * h], p + start[2 * h + 1]);

			v = _mm256_srlv_epi64(_mm256_shuffle_epi8(v, picks[h]), shifts[h]);
			v = _mm256_add_epi64(_mm256_and_si256(v, mask), add);
			_mm256_storeu_si256((__m256i *)(void *)(out + i + 4 * h), v);
		}
	}
	return i;
}
#endif

static void unpack(const char *p, size_t n, unsigned bits, uint64_t base, uint64_t *out)
{
	size_t done = 0;

#ifdef HAVE_AVX2
	if (n >= VECTOR_MIN && bits > 0 && bits <= PLAIN_BITS && __builtin_cpu_supports("avx2"))
		done = unpack_avx2(p, n, bits, base, out);
#endif
	unpack_plain(p, done, n, bits, base, out);
}

static void unpack32(const char *p, size_t n, unsigned bits, uint32_t base, uint32_t *out)
{
	size_t done = 0;

#ifdef HAVE_AVX2
	if (n >= VECTOR_MIN && bits > 0 && bits <= NARROW_BITS && __builtin_cpu_supports("avx2"))
		done = unpack32_avx2(p, n, bits, base, out);
#endif
	unpack32_plain(p, done, n, bits, base, out);
}

void bitpack_read(const char *p, size_t n, unsigned bits, uint64_t *out)
{
	assert(width_valid(bits));
	unpack(p, n, bits, 0, out);
}

void bitpack_read32(const char *p, size_t n, unsigned bits, uint32_t *out)
{
	assert(bits <= 32);
	unpack32(p, n, bits, 0, out);
}

struct numbers {
	const char *p;
	uint64_t base, first;
	unsigned bits;
	bool by_delta;
};

/* The head; the cursor stands behind the packed bytes then. */
static bool numbers_head(struct cursor *c, size_t n, struct numbers *x)
{
	uint8_t mode = cursor_u8(c);

	x->base = (uint64_t)cursor_svarint(c);
	x->by_delta = mode == 1;
	x->first = x->by_delta ? (uint64_t)cursor_svarint(c) : 0;
	x->bits = cursor_u8(c);
	if (mode > 1 || n == 0 || n > SIZE_MAX / 128 || !width_valid(x->bits))
		c->bad = true;
	if (c->bad)
		return false;
	x->p = cursor_bytes(c, bitpack_bytes(n - x->by_delta, x->bits)).p;
	return !c->bad;
}

static uint64_t sum_up(uint64_t *v, size_t n, uint64_t sum)
{
	for (size_t i = 0; i < n; i++)
		v[i] = sum += v[i];
	return sum;
}

void numbers_read(struct cursor *c, size_t n, int64_t *out)
{
	uint64_t *u = (uint64_t *)out;
	struct numbers x;

	if (!numbers_head(c, n, &x))
		return;
	if (!x.by_delta) {
		unpack(x.p, n, x.bits, x.base, u);
		return;
	}
	u[0] = x.first;
	unpack(x.p, n - 1, x.bits, x.base, u + 1);
	sum_up(u + 1, n - 1, x.first);
}

static void ids_by_pieces(struct cursor *c, const struct numbers *x, size_t n, uint32_t limit, uint32_t *out)
{
	uint64_t piece[PIECE], sum = x->first;

	if (x->by_delta) {
		if (x->first >= limit)
			c->bad = true;
		*out++ = (uint32_t)x->first;
		n--;
	}
	for (size_t from = 0; from < n && !c->bad; from += PIECE) {
		size_t m = n - from < PIECE ? n - from : PIECE;
		uint64_t max = 0;

		unpack(x->p + from / 8 * x->bits, m, x->bits, x->base, piece);
		if (x->by_delta)
			sum = sum_up(piece, m, sum);
		for (size_t i = 0; i < m; i++) {
			max = piece[i] > max ? piece[i] : max;
			out[from + i] = (uint32_t)piece[i];
		}
		if (max >= limit)
			c->bad = true;
	}
}

void numbers_read_ids(struct cursor *c, size_t n, uint32_t limit, uint32_t *out)
{
	struct numbers x;
	uint32_t max = 0;

	if (!numbers_head(c, n, &x))
		return;
	if (x.by_delta || x.bits > 31 || x.base > INT32_MAX) {
		ids_by_pieces(c, &x, n, limit, out);
		return;
	}
	unpack32(x.p, n, x.bits, (uint32_t)x.base, out);
	for (size_t i = 0; i < n; i++)
		max = out[i] > max ? out[i] : max;
	if (max >= limit)
		c->bad = true;
}
