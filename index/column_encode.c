/* Choosing: a constant is seen at once. A few values spread over the column say which typed kind it could be (struct fit). A
 * dictionary is tried first, for it gives up early where values keep being new; then the typed kind, which gives up when more
 * than one value in sixteen does not fit; and the smaller one wins. Whatever neither suits is text.
 *
 * What is chosen lies in the encoder's arrays: a number for each value (the dictionary's ids as well) or fixed bytes, and the
 * list of exceptions. */
#include "index/column_encode.h"
#include "base/hash.h"
#include "base/mem.h"
#include "index/bitpack.h"
#include "index/time_format.h"

#include <assert.h>
#include <lz4.h>
#include <lz4hc.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
	N_SAMPLES = 16,
	EXCEPTIONS_SHARE = 16, /* at most one value in so many */
	MAX_DIGITS = 18,
	MAX_SCALE = 18,
	MAX_FIXED = 512,
	FEW_VALUES = 256, /* a dictionary of no more is liked better than numbers */
	MIN_SLOTS = 1024,
	MIN_COMPRESS = 32,     /* bytes */
	TRY_PACKING = 1024,    /* numbers */
	KEEP_VALUES = 1 << 17, /* scratch kept from column to column */
};

/* A typed kind with its parameters. */
struct fit {
	enum column_kind kind;
	uint32_t width, scale, fixed_bytes;
	bool upper;
	struct time_format time;
};

struct column_encoder {
	enum column_kind kind;
	struct fit fit;
	int64_t *num;	  /* of the typed kind */
	int64_t *id;	  /* of the dictionary */
	uint32_t *except; /* value numbers */
	size_t cap;	  /* of these three */
	size_t n_except, except_bytes;
	int64_t min, max;
	unsigned char *fixed;
	size_t cap_fixed;
	struct slice *value; /* of the dictionary */
	size_t n_values, cap_values, value_bytes;
	uint64_t *slot; /* upper half of the hash, id + 1; 0 is free */
	size_t n_slots; /* a power of two */
	uint64_t seed;
	struct buf raw, wide;
	LZ4_stream_t *fast; /* kept: to make one anew costs more than to compress a small section */
	LZ4_streamHC_t *high;
};

struct column_encoder *column_encoder_new(void)
{
	struct column_encoder *e = xcalloc(1, sizeof(*e));

	e->seed = hash_seeded(SLICE("column"));
	e->fast = LZ4_createStream();
	e->high = LZ4_createStreamHC();
	if (e->fast == NULL || e->high == NULL)
		abort();
	return e;
}

static void scratch_free(struct column_encoder *e)
{
	free(e->num);
	free(e->id);
	free(e->except);
	free(e->fixed);
	free(e->value);
	free(e->slot);
	buf_fini(&e->raw);
	buf_fini(&e->wide);
	*e = (struct column_encoder){ .seed = e->seed, .fast = e->fast, .high = e->high };
}

void column_encoder_free(struct column_encoder *e)
{
	if (e == NULL)
		return;
	scratch_free(e);
	LZ4_freeStream(e->fast);
	LZ4_freeStreamHC(e->high);
	free(e);
}

static void scratch_reserve(struct column_encoder *e, size_t n)
{
	if (n <= e->cap)
		return;
	e->cap = n < 8192 ? 8192 : n + n / 2;
	free(e->num);
	free(e->id);
	free(e->except);
	e->num = xmalloc(e->cap * sizeof(*e->num));
	e->id = xmalloc(e->cap * sizeof(*e->id));
	e->except = xmalloc(e->cap * sizeof(*e->except));
}

static inline size_t entry_of(const struct column_values *v, size_t i)
{
	return v->entry != NULL ? v->entry[i] : i;
}

static size_t varint_bytes(uint64_t v)
{
	size_t n = 1;

	while ((v >>= 7) > 0)
		n++;
	return n;
}

/* ---- values of a dictionary -------------------------------------------------------------------------------------- */

static inline uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline uint32_t load32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Two numbers that hold all bytes of up to sixteen. */
static inline void ends_of(struct slice s, uint64_t *a, uint64_t *b)
{
	if (s.n >= 8) {
		*a = load64(s.p);
		*b = load64(s.p + s.n - 8);
	} else if (s.n >= 4) {
		*a = load32(s.p);
		*b = load32(s.p + s.n - 4);
	} else if (s.n > 0) {
		*a = (unsigned char)s.p[0] | (uint64_t)(unsigned char)s.p[s.n / 2] << 8;
		*b = (unsigned char)s.p[s.n - 1];
	} else {
		*a = *b = 0;
	}
}

static inline uint64_t value_hash(struct slice s, uint64_t seed)
{
	const uint64_t k1 = 0x9e3779b97f4a7c15ULL, k2 = 0xd6e8feb86659fd93ULL;
	uint64_t h = seed ^ s.n * k1, a, b;

	for (struct slice rest = s; rest.n > 16; rest.p += 16, rest.n -= 16)
		h = fold(load64(rest.p) ^ k1 ^ h, load64(rest.p + 8) ^ k2 ^ seed);
	if (s.n > 16)
		s = slice_of(s.p + s.n - 16, 16);
	ends_of(s, &a, &b);
	return fold(a ^ k1 ^ h, b ^ k2 ^ seed);
}

static inline bool value_eq(struct slice a, struct slice b)
{
	uint64_t a1, a2, b1, b2;

	if (a.n != b.n)
		return false;
	if (a.n > 16)
		return memcmp(a.p, b.p, a.n) == 0;
	ends_of(a, &a1, &a2);
	ends_of(b, &b1, &b2);
	return a1 == b1 && a2 == b2;
}

static void slots_resize(struct column_encoder *e, size_t n)
{
	uint64_t *old = e->slot;
	size_t n_old = e->n_slots;

	e->slot = xcalloc(n, sizeof(*e->slot));
	e->n_slots = n;
	for (size_t i = 0; i < n_old; i++) {
		size_t at = old[i] >> 32 & (n - 1);

		if (old[i] == 0)
			continue;
		while (e->slot[at] != 0)
			at = (at + 1) & (n - 1);
		e->slot[at] = old[i];
	}
	free(old);
}

static uint64_t value_add(struct column_encoder *e, struct slice s)
{
	if (e->n_values == e->cap_values) {
		e->cap_values = e->cap_values > 0 ? e->cap_values * 2 : 1024;
		e->value = xrealloc(e->value, e->cap_values * sizeof(*e->value));
	}
	e->value[e->n_values] = s;
	e->value_bytes += s.n + varint_bytes(s.n);
	return e->n_values++;
}

static inline uint64_t value_number(struct column_encoder *e, struct slice s)
{
	uint64_t tag = value_hash(s, e->seed) >> 32;
	size_t at = tag & (e->n_slots - 1);

	for (; e->slot[at] != 0; at = (at + 1) & (e->n_slots - 1)) {
		if (e->slot[at] >> 32 != tag)
			continue;
		uint64_t id = (uint32_t)e->slot[at] - 1;

		if (value_eq(e->value[id], s))
			return id;
	}
	uint64_t id = value_add(e, s);
	e->slot[at] = tag << 32 | (id + 1);
	if (e->n_values * 2 > e->n_slots)
		slots_resize(e, e->n_slots * 4);
	return id;
}

/* So many different values among so many say that it will not become a dictionary. */
static bool too_many(size_t n_values, size_t seen, bool typed)
{
	if (n_values > COLUMNS_MAX_VALUES)
		return true;
	if (typed)
		return seen >= 512 && n_values > seen / 2;
	return seen >= 2048 ? n_values > seen / 3 * 2 : seen >= 512 && n_values > seen - seen / 32;
}

static bool dict_build(struct column_encoder *e, const struct column_values *v, bool typed)
{
	if (e->n_slots > 0 && e->n_slots <= 4 * MIN_SLOTS) {
		memset(e->slot, 0, e->n_slots * sizeof(*e->slot));
	} else {
		free(e->slot);
		e->slot = NULL;
		e->n_slots = 0;
		slots_resize(e, MIN_SLOTS);
	}
	e->n_values = e->value_bytes = 0;
	for (size_t i = 0; i < v->n;) {
		size_t end = MIN(v->n, i + 256);

		for (; i < end; i++)
			e->id[i] = (int64_t)value_number(e, v->v[i]);
		if (too_many(e->n_values, i, typed))
			return false;
	}
	return true;
}

/* ---- typed values ------------------------------------------------------------------------------------------------ */

static const int64_t TENS[] = { 1,
				10,
				100,
				1000,
				10000,
				100000,
				1000000,
				10000000,
				100000000,
				1000000000,
				10000000000,
				100000000000,
				1000000000000,
				10000000000000,
				100000000000000,
				1000000000000000,
				10000000000000000,
				100000000000000000,
				1000000000000000000 };

/* Eight digits, the first in the low byte. */
static inline bool eight_digits(uint64_t x, uint64_t *out)
{
	uint64_t d = x - 0x3030303030303030ULL;

	if (((d | (d + 0x7676767676767676ULL)) & 0x8080808080808080ULL) != 0)
		return false;
	d = d * 10 + (d >> 8);
	*out = ((d & 0x000000ff000000ffULL) * 0x000f424000000064ULL +
		(d >> 16 & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >>
	       32;
	return true;
}

/* All of 1 to 18 digits. */
static inline bool digits_read(const char *p, size_t n, int64_t *out)
{
	uint64_t x, low;

	if (n - 1 >= MAX_DIGITS)
		return false;
	if (n >= 8) {
		size_t head = n % 8;
		uint64_t sum = 0;

		for (size_t i = 0; i < head; i++) {
			unsigned d = (unsigned char)p[i] - (unsigned)'0';

			if (d > 9)
				return false;
			sum = sum * 10 + d;
		}
		for (size_t i = head; i < n; i += 8) {
			if (!eight_digits(load64(p + i), &low))
				return false;
			sum = sum * 100000000 + low;
		}
		*out = (int64_t)sum;
		return true;
	}
	if (n >= 4)
		x = load32(p) | (uint64_t)load32(p + n - 4) << 8 * (n - 4);
	else
		x = (unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 * (n / 2) |
		    (uint64_t)(unsigned char)p[n - 1] << 8 * (n - 1);
	size_t missing = 8 * (8 - n);
	x = x << missing | 0x3030303030303030ULL >> (64 - missing);
	if (!eight_digits(x, &low))
		return false;
	*out = (int64_t)low;
	return true;
}

/* The sign makes no difference for zero, so a negative zero is no number. */
static inline bool int_read(struct slice s, uint32_t width, int64_t *out)
{
	bool negative = s.n > 1 && s.p[0] == '-';

	if (negative)
		s = slice_of(s.p + 1, s.n - 1);
	if (s.n == 0 || (s.p[0] == '0' && s.n != (width > 0 ? width : 1)) || s.n < width)
		return false;
	if (!digits_read(s.p, s.n, out))
		return false;
	if (!negative)
		return true;
	if (width > 0 || *out == 0)
		return false;
	*out = -*out;
	return true;
}

static inline bool decimal_read(struct slice s, uint32_t scale, int64_t *out)
{
	bool negative = s.n > 1 && s.p[0] == '-';
	int64_t whole, part;

	if (negative)
		s = slice_of(s.p + 1, s.n - 1);
	if (s.n < scale + 2 || s.n > MAX_DIGITS + 1)
		return false;
	size_t n = s.n - scale - 1;
	if (s.p[n] != '.' || (s.p[0] == '0' && n > 1) || !digits_read(s.p, n, &whole) ||
	    !digits_read(s.p + n + 1, scale, &part))
		return false;
	*out = whole * TENS[scale] + part;
	if (negative) {
		if (*out == 0)
			return false;
		*out = -*out;
	}
	return true;
}

static inline bool ipv4_read(struct slice s, int64_t *out)
{
	uint64_t address = 0;
	size_t i = 0;

	if (s.n < 7 || s.n > 15)
		return false;
	for (int part = 0; part < 4; part++) {
		size_t from = i;
		unsigned v = 0, d;

		while (i < s.n && i - from < 3 && (d = (unsigned char)s.p[i] - (unsigned)'0') <= 9) {
			v = v * 10 + d;
			i++;
		}
		if (i == from || v > 255 || (s.p[from] == '0' && i - from > 1))
			return false;
		if (part < 3 && (i >= s.n || s.p[i++] != '.'))
			return false;
		address = address << 8 | v;
	}
	*out = (int64_t)address;
	return i == s.n;
}

/* One more than a hex digit's value, [1] in capitals; 0 is none. */
#define DIGIT_VALUES                                                                                         \
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9,   \
	['9'] = 10
static const uint8_t nibble[2][256] = {
	{ DIGIT_VALUES, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16 },
	{ DIGIT_VALUES, ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16 },
};

#if defined(__SSE2__)
/* Sixteen digits. */
static inline bool hex_read16(const char *p, bool upper, unsigned char *out)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i d = _mm_sub_epi8(v, _mm_set1_epi8('0')),
		l = _mm_sub_epi8(v, _mm_set1_epi8(upper ? 'A' : 'a'));
	__m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(9)), d);
	__m128i letter = _mm_cmpeq_epi8(_mm_min_epu8(l, _mm_set1_epi8(5)), l);

	v = _mm_or_si128(_mm_and_si128(digit, d), _mm_and_si128(letter, _mm_add_epi8(l, _mm_set1_epi8(10))));
	v = _mm_or_si128(_mm_slli_epi16(_mm_and_si128(v, _mm_set1_epi16(0xff)), 4), _mm_srli_epi16(v, 8));
	_mm_storel_epi64((__m128i *)(void *)out, _mm_packus_epi16(v, v));
	return _mm_movemask_epi8(_mm_or_si128(digit, letter)) == 0xffff;
}
#endif

static inline bool hex_read(const char *p, size_t n_bytes, bool upper, unsigned char *out)
{
	const uint8_t *table = nibble[upper];
	unsigned bad = 0;
	size_t i = 0;

#if defined(__SSE2__)
	for (; i + 8 <= n_bytes; i += 8)
		bad |= hex_read16(p + 2 * i, upper, out + i) ? 0 : 16;
#endif
	for (; i < n_bytes; i++) {
		unsigned a = table[(unsigned char)p[2 * i]] - 1u;
		unsigned b = table[(unsigned char)p[2 * i + 1]] - 1u;

		bad |= a | b;
		out[i] = (unsigned char)(a << 4 | b);
	}
	return bad < 16;
}

static inline bool uuid_read(struct slice s, unsigned char *out)
{
	return s.n == 36 && s.p[8] == '-' && s.p[13] == '-' && s.p[18] == '-' && s.p[23] == '-' &&
	       hex_read(s.p, 4, false, out) && hex_read(s.p + 9, 2, false, out + 4) &&
	       hex_read(s.p + 14, 2, false, out + 6) && hex_read(s.p + 19, 2, false, out + 8) &&
	       hex_read(s.p + 24, 6, false, out + 10);
}

static inline __attribute__((always_inline)) bool value_read(const struct fit *t, enum column_kind kind,
							     struct slice s, int64_t ts, int64_t *num,
							     unsigned char *fixed, struct time_seen *seen)
{
	switch (kind) {
	case COLUMN_INT: return int_read(s, t->width, num);
	case COLUMN_DECIMAL: return decimal_read(s, t->scale, num);
	case COLUMN_IPV4: return ipv4_read(s, num);
	case COLUMN_TIME: return time_format_diff_next(&t->time, seen, s, ts, num);
	case COLUMN_HEX:
		return s.n == 2 * (size_t)t->fixed_bytes && hex_read(s.p, t->fixed_bytes, t->upper, fixed);
	case COLUMN_UUID: return uuid_read(s, fixed);
	default: return false;
	}
}

static bool is_fixed(enum column_kind kind)
{
	return kind == COLUMN_HEX || kind == COLUMN_UUID;
}

/* ---- which kind it could be -------------------------------------------------------------------------------------- */

static size_t count_of(struct slice s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

static bool guess_number(struct slice s, struct fit *t)
{
	size_t dot = slice_find_byte(s, '.');
	int64_t num;

	if (dot == SLICE_NONE) {
		t->kind = COLUMN_INT;
		t->width = s.n > 1 && s.p[0] == '0' ? (uint32_t)s.n : 0;
		return int_read(s, t->width, &num);
	}
	if (count_of(s, '.') == 3) {
		t->kind = COLUMN_IPV4;
		return ipv4_read(s, &num);
	}
	t->kind = COLUMN_DECIMAL;
	t->scale = (uint32_t)(s.n - dot - 1);
	return t->scale - 1 < MAX_SCALE && decimal_read(s, t->scale, &num);
}

static bool guess_hex(struct slice s, struct fit *t)
{
	unsigned char bytes[MAX_FIXED];

	if (s.n == 36) {
		t->kind = COLUMN_UUID;
		return uuid_read(s, bytes);
	}
	if (s.n < 2 || s.n % 2 != 0 || s.n > 2 * MAX_FIXED)
		return false;
	t->kind = COLUMN_HEX;
	t->fixed_bytes = (uint32_t)s.n / 2;
	t->upper = false;
	if (hex_read(s.p, t->fixed_bytes, false, bytes))
		return true;
	t->upper = true;
	return hex_read(s.p, t->fixed_bytes, true, bytes);
}

static bool guess(struct slice s, struct fit *t)
{
	*t = (struct fit){ 0 };
	if (s.n == 0 || s.n > 2 * MAX_FIXED)
		return false;
	if (s.n <= MAX_DIGITS + 2 && guess_number(s, t))
		return true;
	if (guess_hex(s, t))
		return true;
	t->kind = COLUMN_TIME;
	return s.n <= TIME_TEXT_MAX && time_format_detect(s, &t->time) == s.n;
}

static bool same_fit(const struct fit *a, const struct fit *b)
{
	return a->kind == b->kind && a->width == b->width && a->scale == b->scale &&
	       a->fixed_bytes == b->fixed_bytes && a->upper == b->upper &&
	       (a->kind != COLUMN_TIME ||
		slice_eq(slice_of(a->time.text, a->time.n), slice_of(b->time.text, b->time.n)));
}

static size_t sample_at(size_t i, size_t n)
{
	return n <= N_SAMPLES ? i : i * (n - 1) / (N_SAMPLES - 1);
}

/* What most of a few values are. */
static bool best_guess(const struct column_frame *f, const struct column_values *v, struct fit *best)
{
	size_t n = MIN(v->n, N_SAMPLES), most = 0, n_tried = 0;
	struct fit tried[4];
	unsigned char bytes[MAX_FIXED];

	for (size_t i = 0; i < n && n_tried < ARRAY_LEN(tried) && most < n; i++) {
		struct fit *t = &tried[n_tried];
		size_t fits = 0, j = 0;
		struct time_seen seen = { .asked = false };

		if (!guess(v->v[sample_at(i, v->n)], t))
			continue;
		while (j < n_tried && !same_fit(&tried[j], t))
			j++;
		if (j < n_tried)
			continue;
		n_tried++;
		for (j = 0; j < n; j++) {
			size_t at = sample_at(j, v->n);
			int64_t num;

			fits += value_read(t, t->kind, v->v[at], f->entry[entry_of(v, at)].ts, &num, bytes,
					   &seen);
		}
		if (fits > most) {
			most = fits;
			*best = *t;
		}
	}
	return most > 0 && most >= n - n / 4;
}

/* ---- reading all ------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) bool read_all_of(struct column_encoder *e,
							      const struct column_frame *f,
							      const struct column_values *v,
							      enum column_kind kind)
{
	const struct fit *t = &e->fit;
	size_t limit = v->n / EXCEPTIONS_SHARE, size = t->fixed_bytes;
	int64_t last = 0, min = INT64_MAX, max = INT64_MIN;
	struct time_seen seen = { .asked = false };

	e->n_except = e->except_bytes = 0;
	for (size_t i = 0; i < v->n; i++) {
		int64_t ts = kind == COLUMN_TIME ? f->entry[entry_of(v, i)].ts : 0, num = 0;

		if (value_read(t, kind, v->v[i], ts, &num, is_fixed(kind) ? e->fixed + i * size : NULL,
			       &seen)) {
			last = num;
			min = num < min ? num : min;
			max = num > max ? num : max;
		} else {
			if (e->n_except == limit)
				return false;
			if (is_fixed(kind))
				memset(e->fixed + i * size, 0, size);
			e->except[e->n_except++] = (uint32_t)i;
			e->except_bytes += v->v[i].n + 2;
		}
		if (!is_fixed(kind))
			e->num[i] = last;
	}
	e->min = min;
	e->max = max;
	/* Those before the first number take that, so that they do not widen the range. */
	for (size_t i = e->n_except; i-- > 0 && !is_fixed(kind);)
		if (e->num[e->except[i]] < min || e->num[e->except[i]] > max)
			e->num[e->except[i]] = min;
	return e->n_except < v->n;
}

static bool read_all(struct column_encoder *e, const struct column_frame *f, const struct column_values *v)
{
	if (e->fit.kind == COLUMN_UUID)
		e->fit.fixed_bytes = 16;
	if (is_fixed(e->fit.kind) && e->cap_fixed < v->n * e->fit.fixed_bytes) {
		free(e->fixed);
		e->cap_fixed = v->n * e->fit.fixed_bytes;
		e->fixed = xmalloc(e->cap_fixed);
	}
	switch (e->fit.kind) {
	case COLUMN_INT: return read_all_of(e, f, v, COLUMN_INT);
	case COLUMN_DECIMAL: return read_all_of(e, f, v, COLUMN_DECIMAL);
	case COLUMN_IPV4: return read_all_of(e, f, v, COLUMN_IPV4);
	case COLUMN_TIME: return read_all_of(e, f, v, COLUMN_TIME);
	case COLUMN_HEX: return read_all_of(e, f, v, COLUMN_HEX);
	case COLUMN_UUID: return read_all_of(e, f, v, COLUMN_UUID);
	default: return false;
	}
}

/* Bits that the numbers take, by value or by difference. */
static size_t numbers_bits(const int64_t *v, size_t n)
{
	int64_t min = v[0], max = v[0], least = INT64_MAX, most = INT64_MIN;

	for (size_t i = 1; i < n; i++) {
		int64_t d = (int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1]);

		min = v[i] < min ? v[i] : min;
		max = v[i] > max ? v[i] : max;
		least = d < least ? d : least;
		most = d > most ? d : most;
	}
	unsigned plain = bitpack_width((uint64_t)max - (uint64_t)min);
	unsigned delta = n > 1 ? bitpack_width((uint64_t)most - (uint64_t)least) : plain;
	return n * MIN(plain, delta);
}

/* Integers or decimals that are the time since 1970: counted from the entry's own they are smaller. */
static void try_epoch(struct column_encoder *e, const struct column_frame *f, const struct column_values *v)
{
	static const struct {
		uint32_t digits, scale; /* of whole seconds; of what stands for a fraction */
	} units[] = { { 10, 0 }, { 13, 3 }, { 16, 6 } };
	uint32_t scale = e->fit.kind == COLUMN_DECIMAL ? e->fit.scale : 0;
	char form[16];
	bool point = e->fit.kind == COLUMN_DECIMAL;

	if (e->min < TENS[9] || scale > 9 || e->fit.width > 0 || f->entry[0].ts < 0 ||
	    f->entry[f->n_entries - 1].ts > INT64_MAX / 2)
		return;
	for (size_t i = 0; !point && i < ARRAY_LEN(units); i++)
		if (e->min >= TENS[units[i].digits - 1] && e->max < TENS[units[i].digits])
			scale = units[i].scale;
	int n = 2;
	memcpy(form, "%s", 2);
	if (point)
		form[n++] = '.';
	if (scale > 0) {
		form[n++] = '%';
		form[n++] = (char)('0' + scale);
	}
	struct time_format time;
	if (!time_format_parse(slice_of(form, (size_t)n), &time))
		return;
	int64_t day = 86400 * TENS[scale];
	int64_t first = f->entry[0].ts / time.unit_ns, last = f->entry[f->n_entries - 1].ts / time.unit_ns;
	if (e->min < first - day || e->max > last + day)
		return;
	for (size_t i = 0; i < v->n; i++)
		e->id[i] = e->num[i] - f->entry[entry_of(v, i)].ts / time.unit_ns;
	if (numbers_bits(e->id, v->n) + 2 * v->n > numbers_bits(e->num, v->n))
		return;
	int64_t *num = e->num;
	e->num = e->id;
	e->id = num;
	e->fit.kind = COLUMN_TIME;
	e->fit.time = time;
}

static size_t typed_cost(const struct column_encoder *e, size_t n)
{
	size_t bytes = is_fixed(e->fit.kind) ? n * e->fit.fixed_bytes : numbers_bits(e->num, n) / 8;

	return bytes + e->except_bytes + (e->n_except > 0 ? 32 : 0) + 32;
}

static bool all_equal(const struct column_values *v)
{
	for (size_t i = 1; i < v->n; i++)
		if (!value_eq(v->v[i], v->v[0]))
			return false;
	return true;
}

static size_t text_bytes(const struct column_values *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++)
		n += v->v[i].n;
	return n;
}

/* Not what the numbers were read for: the exceptions go. */
static enum column_kind not_typed(struct column_encoder *e)
{
	e->n_except = e->except_bytes = 0;
	return e->kind;
}

enum column_kind column_choose(struct column_encoder *e, const struct column_frame *f,
			       const struct column_values *v, size_t *cost)
{
	assert(v->n > 0);
	e->n_except = 0;
	if (all_equal(v)) {
		*cost = v->v[0].n + 8;
		return e->kind = COLUMN_CONST;
	}
	scratch_reserve(e, v->n);
	bool typed = best_guess(f, v, &e->fit);
	bool dict = dict_build(e, v, typed);
	size_t text = text_bytes(v), dict_cost = SIZE_MAX;

	e->kind = COLUMN_TEXT;
	*cost = text / 2 + v->n + 64;
	if (dict) {
		dict_cost = e->value_bytes + v->n * bitpack_width(e->n_values - 1) / 8 + 32;
		/* Text compresses, but hardly to a third of its values' bytes and the ids. */
		if (dict_cost < text) {
			e->kind = COLUMN_DICT;
			*cost = dict_cost;
		}
	}
	/* Few values: only times, whose differences may be all the same, are worth the parsing. */
	if (!typed || (e->kind == COLUMN_DICT && e->n_values <= FEW_VALUES && e->fit.kind != COLUMN_TIME))
		return e->kind;
	if (!read_all(e, f, v))
		return not_typed(e);
	size_t typed_bytes = typed_cost(e, v->n);
	/* The dictionary's ids must survive, so this comes last. */
	if (e->kind == COLUMN_DICT && dict_cost <= typed_bytes)
		return not_typed(e);
	if (e->fit.kind == COLUMN_INT || e->fit.kind == COLUMN_DECIMAL) {
		try_epoch(e, f, v);
		typed_bytes = typed_cost(e, v->n);
	}
	*cost = typed_bytes;
	return e->kind = e->fit.kind;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Appends nothing yet, returns the size at the end of out; 0: it saves less than a sixteenth. */
static size_t compress(struct column_encoder *e, struct slice raw, int effort, struct buf *out)
{
	int cap = (int)(raw.n - raw.n / 16), n;
	char *to = buf_reserve(out, (size_t)cap);

	LZ4_resetStream_fast(e->fast);
	n = LZ4_compress_fast_continue(e->fast, raw.p, to, (int)raw.n, cap, 1);
	/* What the fast way finds nothing in is noise, unless it is text. */
	if (effort > 1 && (n > 0 || e->kind == COLUMN_TEXT)) {
		LZ4_resetStreamHC_fast(e->high, effort);
		n = LZ4_compress_HC_continue(e->high, raw.p, to, (int)raw.n, cap);
	}
	return n > 0 ? (size_t)n : 0;
}

void column_section(struct column_encoder *e, const struct column_frame *f, struct slice raw,
		    struct buf *reference, struct buf *sections)
{
	size_t stored = raw.n >= MIN_COMPRESS && raw.n <= LZ4_MAX_INPUT_SIZE
				? compress(e, raw, f->effort, sections)
				: 0;

	if (stored == 0) {
		memcpy(buf_reserve(sections, raw.n + 1), raw.n > 0 ? raw.p : "", raw.n);
		stored = raw.n;
	}
	buf_varint(reference, raw.n);
	buf_varint(reference, stored);
	buf_u32le(reference, (uint32_t)hash64(slice_of(sections->p + sections->n, stored)));
	sections->n += stored;
}

static void bytes_note(struct slice s, uint8_t seen[256])
{
	for (size_t i = 0; i < s.n; i++)
		seen[(unsigned char)s.p[i]] = 1;
}

static void bytes_write(const uint8_t seen[256], struct buf *out)
{
	unsigned char set[32] = { 0 };

	for (unsigned c = 0; c < 256; c++)
		set[c >> 3] |= (unsigned char)(seen[c] << (c & 7));
	buf_append(out, set, sizeof(set));
}

/* Values of blocks, one after the other. */
struct block_values {
	size_t from, to;
};

static void block_next(const struct column_frame *f, const uint32_t *entry, size_t n, size_t block,
		       struct block_values *b)
{
	b->from = b->to;
	if (entry == NULL)
		b->to = MIN(n, f->block_first[block + 1]);
	else
		while (b->to < n && entry[b->to] < f->block_first[block + 1])
			b->to++;
}

/* Numbers packed to the bit, or to the byte where that leaves LZ4 more to find; what won in the first block is taken in
 * the others. */
enum packing { PACKING_UNKNOWN, PACKING_BITS, PACKING_BYTES };

static void put_numbers(struct column_encoder *e, const struct column_frame *f, const int64_t *v, size_t n,
			enum packing *packing, struct buf *sections)
{
	size_t at = e->raw.n, bits_size, bytes_size;

	if (*packing == PACKING_BYTES && numbers_write_bytes(v, n, &e->raw))
		return;
	numbers_write(v, n, &e->raw);
	if (*packing != PACKING_UNKNOWN || n < 64)
		return;
	size_t some = MIN(n, TRY_PACKING), bits_raw = (e->raw.n - at) * some / n;
	buf_reset(&e->wide);
	if (!numbers_write_bytes(v, n, &e->wide))
		return;
	bits_size = compress(e, slice_sub(buf_slice(&e->raw), at, bits_raw), 1, sections);
	if (bits_size == 0)
		bits_size = bits_raw;
	bytes_size =
		compress(e, slice_sub(buf_slice(&e->wide), 0, e->wide.n * some / n), f->effort, sections);
	*packing = PACKING_BITS;
	if (bytes_size > 0 && bytes_size + bytes_size / 16 < bits_size) {
		*packing = PACKING_BYTES;
		e->raw.n = at;
		buf_add(&e->raw, buf_slice(&e->wide));
	}
}

static void put_exceptions(struct column_encoder *e, const struct column_values *v, struct block_values b,
			   size_t *next)
{
	size_t end = *next, before = b.from;

	while (end < e->n_except && e->except[end] < b.to)
		end++;
	buf_varint(&e->raw, end - *next);
	for (; *next < end; (*next)++) {
		size_t at = e->except[*next];

		buf_varint(&e->raw, at - before);
		buf_lenslice(&e->raw, v->v[at]);
		before = at;
	}
}

static void put_texts(struct column_encoder *e, const struct column_values *v, struct block_values b)
{
	size_t n = 0;

	for (size_t i = b.from; i < b.to; i++) {
		e->num[i] = (int64_t)v->v[i].n;
		n += v->v[i].n;
	}
	numbers_write(e->num + b.from, b.to - b.from, &e->raw);
	char *p = buf_reserve(&e->raw, n + 1);
	for (size_t i = b.from; i < b.to; i++) {
		if (v->v[i].n > 0)
			memcpy(p, v->v[i].p, v->v[i].n);
		p += v->v[i].n;
	}
	e->raw.n += n;
}

static void put_values(struct column_encoder *e, struct buf *out)
{
	for (size_t i = 0; i < e->n_values; i++)
		buf_lenslice(out, e->value[i]);
}

static void put_head(struct column_encoder *e, const struct column_values *v, struct buf *out)
{
	bool apart = e->kind == COLUMN_DICT && e->value_bytes > COLUMNS_INLINE_DICT_BYTES;
	uint8_t seen[256] = { 0 };

	buf_putc(out, (char)e->kind);
	buf_putc(out, (char)((e->n_except > 0 ? COLUMNS_FLAG_EXCEPTIONS : 0) |
			     (apart ? COLUMNS_FLAG_DICT_SECTION : 0)));
	switch (e->kind) {
	case COLUMN_CONST: buf_lenslice(out, v->v[0]); break;
	case COLUMN_DICT:
		buf_varint(out, e->n_values);
		if (!apart)
			put_values(e, out);
		break;
	case COLUMN_INT:
	case COLUMN_DECIMAL:
	case COLUMN_IPV4:
		if (e->kind != COLUMN_IPV4)
			buf_varint(out, e->kind == COLUMN_INT ? e->fit.width : e->fit.scale);
		buf_svarint(out, e->min);
		buf_svarint(out, e->max);
		break;
	case COLUMN_HEX:
		buf_varint(out, e->fit.fixed_bytes);
		buf_putc(out, e->fit.upper ? 1 : 0);
		break;
	case COLUMN_TIME: buf_lenslice(out, slice_of(e->fit.time.text, e->fit.time.n)); break;
	case COLUMN_TEXT:
		for (size_t i = 0; i < v->n; i++)
			bytes_note(v->v[i], seen);
		bytes_write(seen, out);
		break;
	default: break;
	}
	if (e->n_except > 0) {
		memset(seen, 0, sizeof(seen));
		for (size_t i = 0; i < e->n_except; i++)
			bytes_note(v->v[e->except[i]], seen);
		bytes_write(seen, out);
	}
}

static void put_block(struct column_encoder *e, const struct column_frame *f, const struct column_values *v,
		      struct block_values b, enum packing *packing, struct buf *sections)
{
	size_t size = e->fit.fixed_bytes;

	switch (e->kind) {
	case COLUMN_TEXT: put_texts(e, v, b); break;
	case COLUMN_HEX:
	case COLUMN_UUID: buf_append(&e->raw, e->fixed + b.from * size, (b.to - b.from) * size); break;
	case COLUMN_DICT: put_numbers(e, f, e->id + b.from, b.to - b.from, packing, sections); break;
	default: put_numbers(e, f, e->num + b.from, b.to - b.from, packing, sections); break;
	}
}

static void scratch_trim(struct column_encoder *e)
{
	if (e->cap > KEEP_VALUES || e->cap_values > KEEP_VALUES || e->cap_fixed > 16 * KEEP_VALUES ||
	    e->raw.cap > 64 * KEEP_VALUES)
		scratch_free(e);
}

void column_encode(struct column_encoder *e, const struct column_frame *f, const struct column_values *v,
		   struct buf *descriptor, struct buf *sections)
{
	enum packing packing = PACKING_UNKNOWN;
	struct block_values b = { 0 };
	size_t next = 0;

	put_head(e, v, descriptor);
	if (e->kind == COLUMN_DICT && e->value_bytes > COLUMNS_INLINE_DICT_BYTES) {
		buf_reset(&e->raw);
		put_values(e, &e->raw);
		column_section(e, f, buf_slice(&e->raw), descriptor, sections);
	}
	for (size_t block = 0; block < f->n_blocks; block++) {
		block_next(f, v->entry, v->n, block, &b);
		buf_varint(descriptor, b.to - b.from);
		if (b.to == b.from || e->kind == COLUMN_CONST)
			continue;
		buf_reset(&e->raw);
		put_block(e, f, v, b, &packing, sections);
		if (e->n_except > 0)
			put_exceptions(e, v, b, &next);
		column_section(e, f, buf_slice(&e->raw), descriptor, sections);
	}
	assert(b.to == v->n);
	scratch_trim(e);
}

void column_encode_ids(struct column_encoder *e, const struct column_frame *f, const uint32_t *entry,
		       const uint32_t *id, size_t n, struct buf *descriptor, struct buf *sections)
{
	enum packing packing = PACKING_UNKNOWN;
	struct block_values b = { 0 };

	scratch_reserve(e, n);
	for (size_t i = 0; i < n; i++)
		e->id[i] = id[i];
	for (size_t block = 0; block < f->n_blocks; block++) {
		block_next(f, entry, n, block, &b);
		buf_varint(descriptor, b.to - b.from);
		if (b.to == b.from)
			continue;
		buf_reset(&e->raw);
		put_numbers(e, f, e->id + b.from, b.to - b.from, &packing, sections);
		column_section(e, f, buf_slice(&e->raw), descriptor, sections);
	}
	assert(b.to == n);
	scratch_trim(e);
}
