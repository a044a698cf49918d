#include "base/slice.h"

#include <stdlib.h>
#include <locale.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d;

	if (n == 0)
		return a.n < b.n ? -1 : a.n > b.n;
	/* Most pairs differ at once. */
	d = (unsigned char)a.p[0] - (unsigned char)b.p[0];
	if (d == 0)
		d = memcmp(a.p, b.p, n);
	if (d != 0)
		return d;
	return a.n < b.n ? -1 : a.n > b.n;
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

size_t slice_find_byte(struct slice s, char c)
{
	const char *p = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return p == NULL ? SLICE_NONE : (size_t)(p - s.p);
}

static size_t find_generic(struct slice s, struct slice needle)
{
	const char *p = memmem(s.p, s.n, needle.p, needle.n);

	return p == NULL ? SLICE_NONE : (size_t)(p - s.p);
}

#if defined(__x86_64__)
/* Compares the first and the last byte of the needle at 32 offsets at a time and looks closer only where both
 * agree (W. Mula, "SIMD-friendly algorithms for substring searching"). */
__attribute__((target("avx2"))) static size_t find_avx2(struct slice s, struct slice needle)
{
	const __m256i first = _mm256_set1_epi8(needle.p[0]);
	const __m256i last = _mm256_set1_epi8(needle.p[needle.n - 1]);
	size_t i = 0;

	for (; i + needle.n - 1 + 32 <= s.n; i += 32) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(s.p + i));
		__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(s.p + i + needle.n - 1));
		uint32_t mask = (uint32_t)_mm256_movemask_epi8(
			_mm256_and_si256(_mm256_cmpeq_epi8(a, first), _mm256_cmpeq_epi8(b, last)));

		while (mask != 0) {
			size_t at = i + (size_t)__builtin_ctz(mask);

			if (memcmp(s.p + at + 1, needle.p + 1, needle.n - 2) == 0)
				return at;
			mask &= mask - 1;
		}
	}
	size_t rest = find_generic(slice_from(s, i), needle);
	return rest == SLICE_NONE ? SLICE_NONE : i + rest;
}
#endif

size_t slice_find(struct slice s, struct slice needle)
{
	if (needle.n == 0)
		return 0;
	if (needle.n > s.n)
		return SLICE_NONE;
	if (needle.n == 1)
		return slice_find_byte(s, needle.p[0]);
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return find_avx2(s, needle);
#endif
	return find_generic(s, needle);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = slice_from(s, 1);
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Eight digits at once: pairs, then fours, then all. */
static bool eight_digits(const char *p, uint64_t *out)
{
	const uint64_t high = 0xf0f0f0f0f0f0f0f0ULL, zeros = 0x3030303030303030ULL;
	uint64_t c;

	memcpy(&c, p, 8);
	if ((c & high) != zeros || ((c + 0x0606060606060606ULL) & high) != zeros)
		return false;
	c -= zeros;
	c = c * 10 + (c >> 8);
	*out = ((c & 0x000000ff000000ffULL) * (100 + (1000000ULL << 32)) +
		(c >> 16 & 0x000000ff000000ffULL) * (1 + (10000ULL << 32))) >>
	       32;
	return true;
}

bool slice_to_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0, eight;
	size_t i = 0;

	if (s.n == 0)
		return false;
	/* Sixteen digits cannot overflow. */
	for (; i < 16 && s.n - i >= 8 && eight_digits(s.p + i, &eight); i += 8)
		v = v * 100000000 + eight;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool slice_to_i64(struct slice s, int64_t *out)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t v;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = slice_from(s, 1);
	if (!slice_to_u64(s, &v))
		return false;
	if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

bool slice_to_double(struct slice s, double *out)
{
	char tmp[512];
	char *end;

	if (s.n == 0 || s.n >= sizeof(tmp))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (strchr("0123456789+-.eE", s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	memcpy(tmp, s.p, s.n);
	tmp[s.n] = '\0';
	double v = strtod(tmp, &end);
	if (*end != '\0' || end == tmp)
		return false;
	*out = v;
	return true;
}
