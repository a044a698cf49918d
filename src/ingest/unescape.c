/* A block of bytes gives bit masks of its backslashes, quotes and slashes. From these come the backslashes that begin an
 * escape, hence where to stop, and which bytes to leave out: the ones that begin an escape. With AVX-512 the rest is
 * compressed in one step; otherwise it is copied piece by piece, a whole vector for each. */
#include "ingest/unescape.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static bool is_itself(char c)
{
	return c == '"' || c == '\\' || c == '/';
}

static size_t unescape_portable(char *out, const char **at, const char *end)
{
	const char *p = *at;
	char *o = out;

	while (p < end && *p != '"') {
		if (*p == '\\') {
			if (end - p < 2 || !is_itself(p[1]))
				break;
			p++;
		}
		*o++ = *p++;
	}
	*at = p;
	return (size_t)(o - out);
}

#if defined(__x86_64__)
/* What to do with a block of up to 64 bytes. */
struct block {
	unsigned stop;	   /* so many of its bytes are dealt with */
	bool more;	   /* and the next block may be */
	uint64_t left_out; /* which of them are not copied */
};

/* The backslashes that begin an escape: runs of backslashes pair up from their first one on. */
static inline uint64_t escape_starts(uint64_t slash)
{
	const uint64_t odd = 0xaaaaaaaaaaaaaaaaULL;

	/* The subtraction borrows through each run; what it leaves tells the even places of a run from the odd ones. */
	return (((slash << 1 | odd) - slash) ^ odd) & slash;
}

/* An escape that begins in the last place is left to the next block, which sees how it goes on. */
static inline struct block block_of(uint64_t slash, uint64_t quote, uint64_t solidus, unsigned width)
{
	uint64_t starts = escape_starts(slash), last = 1ULL << (width - 1);
	uint64_t strange = starts & ~((slash | quote | solidus) >> 1) & ~last;
	uint64_t stops = (quote & ~(starts << 1)) | strange;
	struct block b = { .more = stops == 0 };

	b.stop = stops != 0 ? (unsigned)__builtin_ctzll(stops) : width - ((starts & last) != 0);
	b.left_out = b.stop == 64 ? starts : starts & ((1ULL << b.stop) - 1);
	return b;
}

__attribute__((target("avx2"))) static inline __m256i load_avx2(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

__attribute__((target("avx2"))) static inline void store_avx2(char *p, __m256i v)
{
	_mm256_storeu_si256((__m256i *)(void *)p, v);
}

__attribute__((target("avx2"))) static inline uint64_t equal_avx2(__m256i v, char c)
{
	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}

__attribute__((target("avx2,bmi"))) static size_t unescape_avx2(char *out, const char **at, const char *end)
{
	const char *p = *at;
	struct block b = { .more = true };
	char *o = out;

	/* Pieces are read a whole vector from wherever they begin in the block. */
	while (b.more && end - p >= 64) {
		__m256i v = load_avx2(p);
		unsigned from = 0;

		b = block_of(equal_avx2(v, '\\'), equal_avx2(v, '"'), equal_avx2(v, '/'), 32);
		store_avx2(o, v);
		for (; b.left_out != 0; b.left_out &= b.left_out - 1) {
			unsigned next = (unsigned)__builtin_ctzll(b.left_out);

			o += next - from;
			from = next + 1;
			store_avx2(o, load_avx2(p + from));
		}
		o += b.stop - from;
		p += b.stop;
	}
	*at = p;
	size_t n = (size_t)(o - out);
	return b.more ? n + unescape_portable(o, at, end) : n;
}

#define AVX512 "avx512f,avx512bw,avx512vbmi2,bmi,popcnt"

__attribute__((target(AVX512))) static inline uint64_t equal_avx512(__m512i v, char c)
{
	return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}

__attribute__((target(AVX512))) static size_t unescape_avx512(char *out, const char **at, const char *end)
{
	const char *p = *at;
	struct block b = { .more = true };
	char *o = out;

	while (b.more && end - p >= 64) {
		__m512i v = _mm512_loadu_si512(p);

		b = block_of(equal_avx512(v, '\\'), equal_avx512(v, '"'), equal_avx512(v, '/'), 64);
		_mm512_storeu_si512(o, _mm512_maskz_compress_epi8(~b.left_out, v));
		o += b.stop - (unsigned)__builtin_popcountll(b.left_out);
		p += b.stop;
	}
	*at = p;
	size_t n = (size_t)(o - out);
	return b.more ? n + unescape_portable(o, at, end) : n;
}
#endif

size_t unescape_ways(struct unescape_way out[3])
{
	size_t n = 0;

	out[n++] = (struct unescape_way){ "portable", unescape_portable };
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		out[n++] = (struct unescape_way){ "AVX2", unescape_avx2 };
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2"))
		out[n++] = (struct unescape_way){ "AVX-512", unescape_avx512 };
#endif
	return n;
}

size_t unescape(char *out, const char **p, const char *end)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2"))
		return unescape_avx512(out, p, end);
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		return unescape_avx2(out, p, end);
#endif
	return unescape_portable(out, p, end);
}
