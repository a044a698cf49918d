/* How an entry is searched. Most lines hold their id as 32 hex digits, so the run rule does nearly all of the
 * work: a run of 32 covers one of the offsets 31, 63, 95, ..., and only those are probed. Ids of other forms
 * and indexed fields are found by their key. A key must spell a word of its name in one piece (the "gate",
 * trace for all the usual ones), so lines without a gate are never parsed; where a gate stands in a JSON key
 * or a logfmt key, the value is taken on the spot. Only what cannot be decided on the spot (a name that
 * nested objects may spell together, an escape inside a key) makes the whole line be walked.
 *
 * Names are compared in one normal form that is coarser than the renaming of the json and logfmt stages:
 * lower case, runs of anything but letters and digits as one _, none at the ends. So equal labels always have
 * equal normal forms, and the detector finds at least what those stages would call by that name. */
#include "model/traceid.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <stdatomic.h>

enum {
	KEY_MAX = 96,	  /* normal form of a name; longer names are no keys */
	WALK_DEPTH = 130, /* beyond the depth that the json stage reads */
	LEAF_DEPTH = 3,	  /* how deep a key counts by its own name alone */
	MAX_MARKED = 8,	  /* gates that one pass can look for */
	MAX_MARKS = 12,	  /* places of each that are noted */
	FINGERPRINT = 3,  /* bytes of a gate that the pass looks at */
	MEMO_SLOTS = 32,
	MEMO_NAME = 28,
};

enum key_flags {
	IS_KEY = 1,	   /* the whole name of a trace id key */
	IS_FIELD = 2,	   /* the whole name of an indexed field */
	IS_HEAD = 4,	   /* words of a longer name before its end: matter if an object follows */
	IS_TAIL = 8,	   /* the last words of a longer key */
	IS_FIELD_TAIL = 16 /* the last words of a longer indexed field */
};

struct key {
	struct slice name; /* normal form */
	unsigned flags;
	uint64_t hash; /* of the name, for indexed fields */
};

struct trace_keys {
	struct arena arena;
	struct map by_name; /* normal form -> struct key */
	bool first[256];    /* the letters and digits that these begin with */
	struct slice
		*literal; /* keys too short to search for by a word, such as @tr: compared as they stand */
	size_t n_literals;
	struct slice *gate; /* lower case; every other name holds at least one of them */
	size_t n_gates;
	uint64_t fingerprint;
	uint64_t serial; /* never used twice: says whose keys a memo holds */
	bool vectors;	 /* the gates' fingerprints are looked for by AVX2 */
	/* Which gates (a bit each) may have a byte with this low and this high half at this place */
	uint8_t low[FINGERPRINT][16], high[FINGERPRINT][16];
};

/* Where a line holds what decides whether it must be looked at more closely. */
struct marks {
	size_t dash;  /* the first dash that may be an id's, SLICE_NONE if there is none */
	size_t slash; /* the first backslash, or the line's length */
	uint32_t n[MAX_MARKED];
	uint32_t at[MAX_MARKED]
		   [MAX_MARKS]; /* each gate's places, without overlaps; n > MAX_MARKS: not all of them */
};

/* Names met and what they were found to be: the same few stand on nearly all lines. */
struct known_name {
	char name[MEMO_NAME];
	uint16_t n; /* 0: unused */
	uint16_t flags;
	const struct key *key;
};

struct trace_scratch {
	struct marks marks;
	uint64_t serial; /* of the keys that the names belong to */
	struct known_name known[MEMO_SLOTS];
};

static const uint8_t is_hex[256] = {
	['0' ... '9'] = 1,
	['a' ... 'f'] = 1,
	['A' ... 'F'] = 1,
};

static bool hex_at(const char *p)
{
	return is_hex[(unsigned char)*p] != 0;
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_space(char c)
{
	return (unsigned char)c <= ' ';
}

/* ---------------------------------------------------------------- what was found */

void trace_found_fini(struct trace_found *f)
{
	free(f->ref);
	free(f->token);
	free(f->scratch);
	*f = (struct trace_found){ 0 };
}

static bool is_zero(struct trace_id id)
{
	return id.hi == 0 && id.lo == 0;
}

static void add_token(struct trace_found *f, uint64_t token)
{
	if (f->n_tokens > 0 && f->token[f->n_tokens - 1] == token)
		return;
	if (f->n_tokens == f->cap_tokens) {
		f->cap_tokens = f->cap_tokens == 0 ? 8 : f->cap_tokens * 2;
		f->token = xrealloc(f->token, f->cap_tokens * sizeof(*f->token));
	}
	f->token[f->n_tokens++] = token;
}

static void add_id(struct trace_found *f, struct trace_id id, enum trace_source source)
{
	if (is_zero(id))
		return;
	if (f->n_refs == f->cap_refs) {
		f->cap_refs = f->cap_refs == 0 ? 4 : f->cap_refs * 2;
		f->ref = xrealloc(f->ref, f->cap_refs * sizeof(*f->ref));
	}
	f->ref[f->n_refs++] = (struct trace_ref){ id, source };
	add_token(f, id.lo);
}

static int cmp_token(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int cmp_ref(const void *a, const void *b)
{
	const struct trace_ref *x = a, *y = b;

	if (x->id.hi != y->id.hi)
		return x->id.hi < y->id.hi ? -1 : 1;
	if (x->id.lo != y->id.lo)
		return x->id.lo < y->id.lo ? -1 : 1;
	return (int)x->source - (int)y->source;
}

static bool same_id(struct trace_id a, struct trace_id b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

static void unique_tokens(struct trace_found *f)
{
	size_t n = 0;

	if (f->n_tokens > 12) {
		qsort(f->token, f->n_tokens, sizeof(*f->token), cmp_token);
		for (size_t i = 0; i < f->n_tokens; i++)
			if (n == 0 || f->token[n - 1] != f->token[i])
				f->token[n++] = f->token[i];
		f->n_tokens = n;
		return;
	}
	for (size_t i = 0, j; i < f->n_tokens; i++) {
		for (j = 0; j < n && f->token[j] != f->token[i]; j++)
			;
		if (j == n)
			f->token[n++] = f->token[i];
	}
	f->n_tokens = n;
}

/* Each id once, with its best source; the sources in order, and inside a source the order of the line. */
static void unique_refs(struct trace_found *f)
{
	size_t n = 0;

	if (f->n_refs > 12) {
		/* So many ids on one line have no order worth keeping, except that the own one comes first.
		 */
		struct trace_ref own = f->ref[0];

		for (size_t i = 1; i < f->n_refs; i++)
			if (f->ref[i].source < own.source)
				own = f->ref[i];
		qsort(f->ref, f->n_refs, sizeof(*f->ref), cmp_ref);
		for (size_t i = 0; i < f->n_refs; i++)
			if (n == 0 || !same_id(f->ref[n - 1].id, f->ref[i].id))
				f->ref[n++] = f->ref[i];
		for (size_t i = 0; i < n; i++) {
			if (same_id(f->ref[i].id, own.id)) {
				f->ref[i] = f->ref[0];
				f->ref[0] = own;
				break;
			}
		}
		f->n_refs = n;
		return;
	}
	for (size_t i = 0; i < f->n_refs; i++) {
		struct trace_ref r = f->ref[i];
		size_t j = 0;

		while (j < n && !same_id(f->ref[j].id, r.id))
			j++;
		if (j < n && f->ref[j].source <= r.source)
			continue;
		if (j == n)
			n++;
		for (; j > 0 && f->ref[j - 1].source > r.source; j--)
			f->ref[j] = f->ref[j - 1];
		f->ref[j] = r;
	}
	f->n_refs = n;
}

/* ---------------------------------------------------------------- forms of an id */

/* Eight hex digits that are known to be such. */
static uint32_t hex8(const char *p)
{
	uint64_t c;

	memcpy(&c, p, 8);
	c = (c & 0x0f0f0f0f0f0f0f0fULL) + 9 * ((c >> 6) & 0x0101010101010101ULL);
	c = __builtin_bswap64(c);
	c = (c | c >> 4) & 0x00ff00ff00ff00ffULL;
	c = (c | c >> 8) & 0x0000ffff0000ffffULL;
	return (uint32_t)(c | c >> 16);
}

static struct trace_id hex32(const char *p)
{
	return (struct trace_id){ (uint64_t)hex8(p) << 32 | hex8(p + 8),
				  (uint64_t)hex8(p + 16) << 32 | hex8(p + 24) };
}

#if defined(__x86_64__)
static inline __m128i load16(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline unsigned hex_mask16(const char *p)
{
	__m128i v = load16(p), digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
	__m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));

	digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
	letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(digit, letter));
}
#endif

/* How many hex digits stand in a row at p, of n bytes. */
static size_t hex_after(const char *p, size_t n)
{
	size_t i = 0;

#if defined(__x86_64__)
	for (; n - i >= 16; i += 16) {
		unsigned other = hex_mask16(p + i) ^ 0xffff;

		if (other != 0)
			return i + (size_t)__builtin_ctz(other);
	}
#endif
	while (i < n && hex_at(p + i))
		i++;
	return i;
}

/* The same for the n bytes before p, backwards. */
static size_t hex_before(const char *p, size_t n)
{
	size_t i = 0;

#if defined(__x86_64__)
	for (; n - i >= 16; i += 16) {
		unsigned other = hex_mask16(p - i - 16) ^ 0xffff;

		if (other != 0)
			return i + (size_t)(__builtin_clz(other) - 16);
	}
#endif
	while (i < n && hex_at(p - i - 1))
		i++;
	return i;
}

static bool all_hex(const char *p, size_t n)
{
	return hex_after(p, n) == n;
}

static size_t hex_len(struct slice s)
{
	return s.n == 0 ? 0 : hex_after(s.p, s.n);
}

/* The next run of at least 32 hex digits that begins at or after *pos; false at the end. */
static bool next_run(struct slice s, size_t *pos, size_t *start, size_t *end)
{
	size_t floor = *pos;

	for (size_t i = floor + 31; i < s.n;) {
		if (!hex_at(s.p + i)) {
			i += 32;
			continue;
		}
		size_t a = i - hex_before(s.p + i, i - floor);
		size_t b = i + hex_after(s.p + i, s.n - i);
		if (b - a >= 32) {
			*start = a;
			*end = *pos = b;
			return true;
		}
		floor = b;
		i = b + 31;
	}
	return false;
}

/* A dashed UUID whose first dash stands at s.p[at], whatever surrounds its 36 characters. */
static bool uuid_at(struct slice s, size_t at, struct trace_id *id)
{
	const char *p = s.p + at;
	char digits[32];

	if (at < 8 || s.n - at < 28 || p[5] != '-' || p[10] != '-' || p[15] != '-')
		return false;
	memcpy(digits, p - 8, 8);
	memcpy(digits + 8, p + 1, 4);
	memcpy(digits + 12, p + 6, 4);
	memcpy(digits + 16, p + 11, 4);
	memcpy(digits + 20, p + 16, 12);
	if (!all_hex(digits, 32))
		return false;
	*id = hex32(digits);
	return true;
}

/* AWS X-Ray, 1-<8 hex>-<24 hex>, whose first dash stands at s.p[at]. */
static bool xray_at(struct slice s, size_t at, struct trace_id *id)
{
	const char *p = s.p + at;
	char digits[32];

	if (at < 1 || s.n - at < 34 || p[-1] != '1' || p[9] != '-')
		return false;
	memcpy(digits, p + 1, 8);
	memcpy(digits + 8, p + 10, 24);
	if (!all_hex(digits, 32))
		return false;
	*id = hex32(digits);
	return true;
}

/* The next dashed id (UUID or X-Ray) at or after *pos. */
static bool next_dashed(struct slice s, size_t *pos, struct trace_id *id)
{
	for (size_t at = *pos; at < s.n; at++) {
		size_t skip = slice_find_byte(slice_from(s, at), '-');

		if (skip == SLICE_NONE)
			break;
		at += skip;
		if (uuid_at(s, at, id) || xray_at(s, at, id)) {
			*pos = at + 1;
			return true;
		}
	}
	*pos = s.n;
	return false;
}

static struct trace_id hex_padded(const char *p, size_t n)
{
	char digits[32];

	memset(digits, '0', sizeof(digits));
	memcpy(digits + 32 - n, p, n);
	return hex32(digits);
}

/* <16 or 32 hex>-<16 hex>, the rest is free: B3 in one header. */
static bool parse_b3(struct slice s, struct trace_id *id, bool *exact_hi)
{
	size_t n = hex_len(s);

	if ((n != 16 && n != 32) || s.n < n + 17 || s.p[n] != '-' || hex_len(slice_from(s, n + 1)) != 16)
		return false;
	if (s.n > n + 17 && s.p[n + 17] != '-')
		return false;
	*id = hex_padded(s.p, n);
	*exact_hi = n == 32;
	return true;
}

/* trace-id:span-id:parent-id:flags, hex without leading zeros: uber-trace-id. */
static bool parse_uber(struct slice s, struct trace_id *id, bool *exact_hi)
{
	size_t n = hex_len(s), span;

	if (n == 0 || n > 32 || n == s.n || s.p[n] != ':')
		return false;
	span = hex_len(slice_from(s, n + 1));
	if (span == 0 || span > 16 || n + 1 + span >= s.n || s.p[n + 1 + span] != ':')
		return false;
	*id = hex_padded(s.p, n);
	*exact_hi = n > 16;
	return true;
}

/* 00-<32 hex>-<16 hex>-<2 hex>: W3C traceparent. */
static bool parse_traceparent(struct slice s, struct trace_id *id)
{
	if (s.n < 55 || !all_hex(s.p, 2) || s.p[2] != '-' || hex_len(slice_from(s, 3)) != 32 ||
	    s.p[35] != '-' || hex_len(slice_from(s, 36)) != 16 || s.p[52] != '-' || !all_hex(s.p + 53, 2))
		return false;
	if (s.n > 55 && s.p[55] != '-')
		return false;
	*id = hex32(s.p + 3);
	return true;
}

static bool parse_decimal(struct slice s, struct trace_id *id)
{
	uint64_t v;

	if (s.n == 0 || s.n > 20 || s.p[0] < '0' || s.p[0] > '9' || !slice_to_u64(s, &v))
		return false;
	*id = (struct trace_id){ 0, v };
	return true;
}

static bool parse_forms(struct slice s, struct trace_id *id, bool *exact_hi)
{
	size_t n = hex_len(s);

	*exact_hi = true;
	if (n == s.n && n == 32) {
		*id = hex32(s.p);
		return true;
	}
	if (n == 8 && s.n == 36 && uuid_at(s, 8, id))
		return true;
	if (parse_traceparent(s, id) || parse_b3(s, id, exact_hi) || parse_uber(s, id, exact_hi))
		return true;
	if (slice_starts(s, SLICE("Root=")))
		s = slice_from(s, 5);
	if (s.n >= 35 && xray_at(s, 1, id) && (s.n == 35 || s.p[35] == ';'))
		return true;
	*exact_hi = false;
	if (n == s.n && n == 16) {
		*id = hex_padded(s.p, 16);
		return true;
	}
	return parse_decimal(s, id);
}

bool trace_id_parse(struct slice text, struct trace_id *id, bool *exact_hi)
{
	struct trace_id found;
	bool exact;

	text = slice_trim(text);
	if (text.n >= 2 && (text.p[0] == '"' || text.p[0] == '\'') && text.p[text.n - 1] == text.p[0])
		text = slice_sub(text, 1, text.n - 2);
	if (text.n == 0 || !parse_forms(text, &found, &exact) || is_zero(found))
		return false;
	*id = found;
	*exact_hi = exact;
	return true;
}

void trace_id_format(struct buf *b, struct trace_id id)
{
	static const char digit[] = "0123456789abcdef";
	char *p = buf_reserve(b, 32);

	for (int i = 0; i < 16; i++) {
		p[i] = digit[id.hi >> (60 - 4 * i) & 15];
		p[16 + i] = digit[id.lo >> (60 - 4 * i) & 15];
	}
	b->n += 32;
}

/* ---------------------------------------------------------------- keys */

/* Length of the normal form, SLICE_NONE if it is longer than KEY_MAX. */
static size_t normalise(struct slice s, char out[KEY_MAX])
{
	size_t n = 0;
	bool gap = false;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!is_alnum(c)) {
			gap = n > 0;
			continue;
		}
		if (n + gap >= KEY_MAX)
			return SLICE_NONE;
		if (gap)
			out[n++] = '_';
		gap = false;
		out[n++] = lower(c);
	}
	return n;
}

static struct key *put_key(struct trace_keys *k, struct slice name, unsigned flags)
{
	struct key *key = map_get(&k->by_name, name);

	if (key == NULL) {
		key = arena_new(&k->arena, struct key);
		key->name = arena_dup(&k->arena, name);
		key->hash = hash64(name);
		bool is_new;
		*map_put(&k->by_name, key->name, &is_new) = key;
		k->first[(unsigned char)name.p[0]] = true;
	}
	key->flags |= flags;
	return key;
}

/* Every run of whole words of a name, so that a JSON key that spells a piece of it is recognised. */
static void put_parts(struct trace_keys *k, struct slice name, unsigned tail)
{
	for (size_t a = 0; a < name.n; a++) {
		if (a > 0 && name.p[a - 1] != '_')
			continue;
		for (size_t b = a + 1; b <= name.n; b++) {
			if (b < name.n && name.p[b] != '_')
				continue;
			if (b < name.n)
				put_key(k, slice_sub(name, a, b - a), IS_HEAD);
			else if (a > 0)
				put_key(k, slice_sub(name, a, b - a), IS_TAIL | tail);
		}
	}
}

static struct slice longest_word(struct slice name)
{
	struct slice best = slice_sub(name, 0, 0);

	for (size_t a = 0, b; a < name.n; a = b + 1) {
		for (b = a; b < name.n && name.p[b] != '_'; b++)
			;
		if (b - a > best.n)
			best = slice_sub(name, a, b - a);
	}
	return best;
}

static void put_gate(struct trace_keys *k, struct slice gate)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_gates; i++)
		if (slice_find(gate, k->gate[i]) != SLICE_NONE)
			return;
	for (size_t i = 0; i < k->n_gates; i++)
		if (slice_find(k->gate[i], gate) == SLICE_NONE)
			k->gate[n++] = k->gate[i];
	k->gate[n++] = arena_dup(&k->arena, gate);
	k->n_gates = n;
}

static struct slice lowered(struct arena *a, struct slice s)
{
	char *p = arena_alloc_bytes(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = lower(s.p[i]);
	return slice_of(p, s.n);
}

static void put_name(struct trace_keys *k, struct slice name, bool is_field)
{
	char norm[KEY_MAX];
	size_t n = normalise(name, norm);
	struct slice s = slice_of(norm, n);

	if (n == SLICE_NONE || n == 0)
		return;
	struct slice gate = longest_word(s);
	if (!is_field && gate.n < 4) {
		k->literal[k->n_literals] = lowered(&k->arena, name);
		put_gate(k, k->literal[k->n_literals++]);
		return;
	}
	put_key(k, s, is_field ? IS_FIELD : IS_KEY);
	put_parts(k, s, is_field ? IS_FIELD_TAIL : 0);
	put_gate(k, gate);
}

/* Both cases of a letter share their low half, so the two halves never say more than the gate means. */
static void put_fingerprint(struct trace_keys *k, size_t gate)
{
	uint8_t bit = (uint8_t)(1 << gate);

	for (size_t at = 0; at < MIN(k->gate[gate].n, (size_t)FINGERPRINT); at++) {
		unsigned char c = (unsigned char)k->gate[gate].p[at];

		k->low[at][c & 15] |= bit;
		k->high[at][c >> 4] |= bit;
		if (c >= 'a' && c <= 'z')
			k->high[at][(c & ~0x20) >> 4] |= bit;
	}
}

bool trace_keys_use_vectors(struct trace_keys *k, bool use)
{
	k->vectors = false;
#if defined(__x86_64__)
	k->vectors = use && k->n_gates <= MAX_MARKED && __builtin_cpu_supports("avx2");
	for (size_t i = 0; i < k->n_gates; i++)
		k->vectors &= k->gate[i].n >= FINGERPRINT;
#endif
	return k->vectors;
}

struct trace_keys *trace_keys_new(const struct slice *keys, size_t n_keys, const struct slice *fields,
				  size_t n_fields)
{
	static atomic_uint_least64_t n_made;
	struct trace_keys *k = xcalloc(1, sizeof(*k));

	arena_init(&k->arena);
	map_init(&k->by_name);
	k->literal = arena_array(&k->arena, struct slice, n_keys + 1);
	k->gate = arena_array(&k->arena, struct slice, n_keys + n_fields + 1);
	for (size_t i = 0; i < n_keys; i++)
		put_name(k, keys[i], false);
	for (size_t i = 0; i < n_fields; i++)
		put_name(k, fields[i], true);
	/* Sums, so that the order in which the names are given does not matter. */
	for (size_t i = 0; i < n_keys; i++)
		k->fingerprint += hash64_seed(keys[i], 1);
	for (size_t i = 0; i < n_fields; i++)
		k->fingerprint += hash64_seed(fields[i], 2);
	k->serial = atomic_fetch_add(&n_made, 1) + 1;
	for (size_t i = 0; i < MIN(k->n_gates, (size_t)MAX_MARKED); i++)
		put_fingerprint(k, i);
	trace_keys_use_vectors(k, true);
	return k;
}

uint64_t trace_keys_fingerprint(const struct trace_keys *k)
{
	return k->fingerprint != 0 ? k->fingerprint : 1;
}

void trace_keys_free(struct trace_keys *k)
{
	if (k == NULL)
		return;
	map_fini(&k->by_name);
	arena_fini(&k->arena);
	free(k);
}

static const struct key *find_key(const struct trace_keys *k, struct slice name)
{
	char norm[KEY_MAX];
	size_t i = 0, n;

	while (i < name.n && !is_alnum(name.p[i]))
		i++;
	if (i == name.n || !k->first[(unsigned char)lower(name.p[i])])
		return NULL;
	n = normalise(name, norm);
	return n == 0 || n == SLICE_NONE ? NULL : map_get(&k->by_name, slice_of(norm, n));
}

static bool is_literal(const struct trace_keys *k, struct slice name)
{
	for (size_t i = 0; i < k->n_literals; i++)
		if (slice_eq_nocase(k->literal[i], name))
			return true;
	return false;
}

static unsigned key_flags(const struct trace_keys *k, struct slice name, const struct key **key)
{
	*key = find_key(k, name);
	return (*key != NULL ? (*key)->flags : 0) | (is_literal(k, name) ? IS_KEY : 0);
}

/* The same, remembered. */
static unsigned known_flags(struct trace_scratch *sc, const struct trace_keys *k, struct slice name,
			    const struct key **key)
{
	uint32_t head, tail;

	if (name.n < sizeof(head) || name.n > MEMO_NAME)
		return key_flags(k, name, key);
	memcpy(&head, name.p, sizeof(head));
	memcpy(&tail, name.p + name.n - sizeof(tail), sizeof(tail));
	struct known_name *m = &sc->known[((head ^ tail * 31 ^ (uint32_t)name.n) * 0x9e3779b1u) >> 27];
	if (m->n != name.n || memcmp(m->name, name.p, name.n) != 0) {
		m->flags = (uint16_t)key_flags(k, name, &m->key);
		m->n = (uint16_t)name.n;
		memcpy(m->name, name.p, name.n);
	}
	*key = m->key;
	return m->flags;
}

static void ready_scratch(struct trace_found *f, const struct trace_keys *k)
{
	if (f->scratch == NULL)
		f->scratch = xcalloc(1, sizeof(*f->scratch));
	if (f->scratch->serial == k->serial)
		return;
	memset(f->scratch->known, 0, sizeof(f->scratch->known));
	f->scratch->serial = k->serial;
}

bool trace_keys_has(const struct trace_keys *k, struct slice name)
{
	const struct key *key = find_key(k, name);

	return key != NULL && (key->flags & IS_KEY) != 0;
}

bool trace_keys_has_field(const struct trace_keys *k, struct slice name)
{
	const struct key *key = find_key(k, name);

	return key != NULL && (key->flags & IS_FIELD) != 0;
}

static uint64_t field_token(const struct key *key, struct slice value)
{
	return hash64_seed(value, key->hash);
}

/* ---------------------------------------------------------------- what a text names by itself */

enum needle_kind { NEEDLE_NONE, NEEDLE_LONG, NEEDLE_EDGE, NEEDLE_EXACT };

/* The best id that the text names. at_edge: the run touches an end of it, so that a line may hold more
 * digits. */
static enum needle_kind needle_of(struct slice s, uint64_t *token, bool *at_start)
{
	enum needle_kind best = NEEDLE_NONE;
	struct trace_id id;
	size_t pos = 0, a, b;

	*at_start = false;
	while (best < NEEDLE_EXACT && next_run(s, &pos, &a, &b)) {
		enum needle_kind kind = b - a > 32	     ? NEEDLE_LONG
					: a == 0 || b == s.n ? NEEDLE_EDGE
							     : NEEDLE_EXACT;

		if (b - a == 32) {
			id = hex32(s.p + a);
			if (is_zero(id))
				continue;
		}
		if (kind > best) {
			best = kind;
			*token = kind == NEEDLE_LONG ? TRACE_TOKEN_LONG_RUN : id.lo;
			*at_start = a == 0;
		}
	}
	for (pos = 0; best < NEEDLE_EXACT && next_dashed(s, &pos, &id);) {
		if (!is_zero(id)) {
			best = NEEDLE_EXACT;
			*token = id.lo;
			*at_start = true;
		}
	}
	return best;
}

/* ---------------------------------------------------------------- one entry */

struct finder {
	const struct trace_keys *k;
	struct trace_found *f;
	struct slice line;
	bool walk; /* the line must be parsed as JSON */
	bool odd;  /* and could not be, or spells letters by \u */
};

/* A trace id key's value. */
static void take_id(struct finder *w, struct slice value, enum trace_source source)
{
	struct trace_id id;
	bool exact;

	if (!trace_id_parse(value, &id, &exact))
		return;
	add_id(w->f, id, source);
	/* Sixteen decimal digits read as hex and as decimal. */
	if (value.n == 16 && parse_decimal(value, &id))
		add_id(w->f, id, source);
}

static void take_value(struct finder *w, unsigned flags, const struct key *key, struct slice value,
		       enum trace_source source)
{
	uint64_t unused;
	bool at_start;

	if (value.n == 0)
		return;
	if ((flags & IS_KEY) != 0)
		take_id(w, value, source);
	/* A value that names an id by itself is asked for by that id. */
	if ((flags & IS_FIELD) != 0 && needle_of(value, &unused, &at_start) < NEEDLE_EDGE)
		add_token(w->f, field_token(key, value));
}

static void take_runs_of_value(struct finder *w, struct slice value, enum trace_source source)
{
	struct trace_id id;
	size_t pos = 0, a, b;

	if (value.n < 32)
		return;
	while (next_run(value, &pos, &a, &b))
		if (b - a == 32)
			add_id(w->f, hex32(value.p + a), source);
	for (pos = 0; next_dashed(value, &pos, &id);)
		add_id(w->f, id, source);
}

static void take_pairs(struct finder *w, struct slice encoded, enum trace_source source)
{
	struct cursor c = cursor_of(encoded);

	if (encoded.n == 0)
		return;
	for (uint64_t n = cursor_varint(&c); n > 0 && !c.bad; n--) {
		struct label l = labels_next(&c);
		const struct key *key;

		if (c.bad)
			break;
		unsigned flags = known_flags(w->f->scratch, w->k, l.name, &key);
		take_value(w, flags, key, l.value, source);
		take_runs_of_value(w, l.value, TRACE_FROM_TEXT);
	}
}

/* Where does the 32-digit value at `at` come from: "key":"<here", key=<here, key="<here, and the same behind
 * 00- ? */
static enum trace_source source_of(const struct finder *w, size_t at)
{
	const char *p = w->line.p;
	size_t i = at, end;
	const struct key *key;

	if (i >= 3 && p[i - 1] == '-' && hex_at(p + i - 2) && hex_at(p + i - 3))
		i -= 3;
	if (i > 0 && p[i - 1] == '"')
		i--;
	if (i > 0 && p[i - 1] == '\\')
		i--;
	while (i > 0 && p[i - 1] == ' ')
		i--;
	if (i == 0 || (p[i - 1] != ':' && p[i - 1] != '='))
		return TRACE_FROM_TEXT;
	bool json = p[--i] == ':';
	while (json && i > 0 && (p[i - 1] == ' ' || p[i - 1] == '"' || p[i - 1] == '\\'))
		i--;
	for (end = i;
	     i > 0 && end - i < KEY_MAX && !is_space(p[i - 1]) && p[i - 1] != '"' && p[i - 1] != '=';)
		i--;
	if ((known_flags(w->f->scratch, w->k, slice_of(p + i, end - i), &key) & IS_KEY) == 0)
		return TRACE_FROM_TEXT;
	return json ? TRACE_FROM_JSON : TRACE_FROM_LOGFMT;
}

static void take_runs_of_line(struct finder *w)
{
	struct trace_id id;
	size_t pos = 0, a, b;

	while (next_run(w->line, &pos, &a, &b)) {
		if (b - a > 32)
			add_token(w->f, TRACE_TOKEN_LONG_RUN);
		else
			add_id(w->f, hex32(w->line.p + a), source_of(w, a));
	}
	for (pos = MIN(w->f->scratch->marks.dash, w->line.n); next_dashed(w->line, &pos, &id);)
		add_id(w->f, id, TRACE_FROM_TEXT);
}

/* \u escapes of letters, digits and dashes can spell an id or a key that no byte search sees. */
static bool has_spelling_escape(struct slice s, size_t from)
{
	for (size_t i = from; i < s.n; i += 2) {
		size_t skip = slice_find_byte(slice_from(s, i), '\\');

		if (skip == SLICE_NONE)
			return false;
		i += skip;
		if (s.n - i < 6 || s.p[i + 1] != 'u' || s.p[i + 2] != '0' || s.p[i + 3] != '0')
			continue;
		int hi = text_hex_digit(s.p[i + 4]), lo = text_hex_digit(s.p[i + 5]);

		if (hi < 0 || hi > 7 || lo < 0)
			continue;
		char c = (char)(hi * 16 + lo);
		if (is_alnum(c) || c == '-')
			return true;
	}
	return false;
}

static bool eq_lower(const char *p, struct slice lower_case)
{
	for (size_t i = 0; i < lower_case.n; i++)
		if (lower(p[i]) != lower_case.p[i])
			return false;
	return true;
}

/* First offset >= from at which the lower-case needle stands in any case. */
static size_t find_nocase(struct slice s, size_t from, struct slice needle)
{
	size_t i = from;

	if (needle.n == 0 || s.n < needle.n)
		return SLICE_NONE;
#if defined(__x86_64__)
	const __m128i fold = _mm_set1_epi8(0x20);
	const __m128i first = _mm_set1_epi8((char)(needle.p[0] | 0x20));
	const __m128i last = _mm_set1_epi8((char)(needle.p[needle.n - 1] | 0x20));

	for (; i + needle.n - 1 + 16 <= s.n; i += 16) {
		__m128i a = load16(s.p + i), b = load16(s.p + i + needle.n - 1);
		unsigned mask = (unsigned)_mm_movemask_epi8(
			_mm_and_si128(_mm_cmpeq_epi8(_mm_or_si128(a, fold), first),
				      _mm_cmpeq_epi8(_mm_or_si128(b, fold), last)));

		for (; mask != 0; mask &= mask - 1) {
			size_t at = i + (size_t)__builtin_ctz(mask);

			if (eq_lower(s.p + at, needle))
				return at;
		}
	}
#endif
	for (; i + needle.n <= s.n; i++)
		if (lower(s.p[i]) == needle.p[0] && eq_lower(s.p + i, needle))
			return i;
	return SLICE_NONE;
}

/* ---------------------------------------------------------------- one look at the whole line */

static void mark_gate(const struct trace_keys *k, struct slice line, size_t gate, size_t at, struct marks *m)
{
	struct slice g = k->gate[gate];
	uint32_t n = m->n[gate];

	if (n > MAX_MARKS || at + g.n > line.n || (n > 0 && at < m->at[gate][n - 1] + g.n) ||
	    !eq_lower(line.p + at, g))
		return;
	if (n < MAX_MARKS)
		m->at[gate][n] = (uint32_t)at;
	m->n[gate]++;
}

/* A dash where a UUID or an X-Ray id has its first one; the digits are looked at later. */
static bool may_be_dashed(struct slice s, size_t at)
{
	const char *p = s.p + at;

	return (at >= 8 && s.n - at >= 28 && p[5] == '-' && p[10] == '-') ||
	       (at >= 1 && s.n - at >= 34 && p[9] == '-' && p[-1] == '1');
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2"), always_inline)) static inline

AVX2 __m256i load32(const char *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 uint32_t equal32(__m256i v, char c)
{
	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)));
}

struct fingerprint {
	__m256i low, high;
};

AVX2 struct fingerprint fingerprint_of(const struct trace_keys *k, size_t at)
{
	return (struct fingerprint){ _mm256_broadcastsi128_si256(load16((const char *)k->low[at])),
				     _mm256_broadcastsi128_si256(load16((const char *)k->high[at])) };
}

/* For each byte the gates that may have it there. */
AVX2 __m256i gates_of(__m256i v, struct fingerprint f)
{
	const __m256i half = _mm256_set1_epi8(15);

	return _mm256_and_si256(_mm256_shuffle_epi8(f.low, _mm256_and_si256(v, half)),
				_mm256_shuffle_epi8(f.high, _mm256_and_si256(_mm256_srli_epi16(v, 4), half)));
}

static void mark_dashes(struct slice line, size_t base, uint32_t mask, struct marks *m)
{
	for (; mask != 0 && m->dash == SLICE_NONE; mask &= mask - 1) {
		size_t at = base + (size_t)__builtin_ctz(mask);

		if (may_be_dashed(line, at))
			m->dash = at;
	}
}

static void mark_gates(const struct trace_keys *k, struct slice line, size_t base, uint32_t mask,
		       const uint8_t gates[32], struct marks *m)
{
	for (; mask != 0; mask &= mask - 1) {
		unsigned i = (unsigned)__builtin_ctz(mask);

		for (unsigned bits = gates[i]; bits != 0; bits &= bits - 1)
			mark_gate(k, line, (unsigned)__builtin_ctz(bits), base + i, m);
	}
}

/* 32 offsets from p, which is the line's byte at base, without the first `skip`; reads two bytes more. */
AVX2 void mark_block(const struct trace_keys *k, const struct fingerprint f[FINGERPRINT], struct slice line,
		     const char *p, size_t base, unsigned skip, struct marks *m)
{
	__m256i v = load32(p), gates = gates_of(v, f[0]);
	gates = _mm256_and_si256(gates, gates_of(load32(p + 1), f[1]));
	gates = _mm256_and_si256(gates, gates_of(load32(p + 2), f[2]));
	uint32_t some = ~equal32(gates, 0) >> skip << skip, dash = equal32(v, '-'), slash = equal32(v, '\\');

	if (dash != 0 && m->dash == SLICE_NONE)
		mark_dashes(line, base, dash, m);
	if (slash != 0 && m->slash == line.n)
		m->slash = base + (size_t)__builtin_ctz(slash);
	if (some != 0) {
		uint8_t found[32];

		_mm256_storeu_si256((__m256i *)(void *)found, gates);
		mark_gates(k, line, base, some, found, m);
	}
}

__attribute__((target("avx2"))) static void mark_avx2(const struct trace_keys *k, struct slice line,
						      struct marks *m)
{
	enum { BLOCK = 32 + FINGERPRINT - 1 };
	const struct fingerprint f[FINGERPRINT] = { fingerprint_of(k, 0), fingerprint_of(k, 1),
						    fingerprint_of(k, 2) };
	size_t i = 0;

	for (; line.n - i >= BLOCK; i += 32)
		mark_block(k, f, line, line.p + i, i, 0, m);
	if (i > 0) {
		/* The last whole block, as far as it is new; gates are three bytes long, and neither an escape nor
		 * an id begins in the two bytes behind it. */
		size_t last = line.n - BLOCK;

		mark_block(k, f, line, line.p + last, last, (unsigned)(i - last) & 31, m);
	} else {
		char copy[64 + FINGERPRINT] = { 0 };

		memcpy(copy, line.p, line.n);
		mark_block(k, f, line, copy, 0, 0, m);
		if (line.n > 32)
			mark_block(k, f, line, copy + 32, 32, 0, m);
	}
}
#endif

static void mark_portable(const struct trace_keys *k, struct slice line, struct marks *m)
{
	size_t slash = slice_find_byte(line, '\\');

	if (slash != SLICE_NONE)
		m->slash = slash;
	for (size_t at = 0, skip; m->dash == SLICE_NONE && at < line.n; at++) {
		skip = slice_find_byte(slice_from(line, at), '-');
		if (skip == SLICE_NONE)
			break;
		at += skip;
		if (may_be_dashed(line, at))
			m->dash = at;
	}
	for (size_t i = 0; i < MIN(k->n_gates, (size_t)MAX_MARKED); i++)
		for (size_t at = 0;
		     (at = find_nocase(line, at, k->gate[i])) != SLICE_NONE && m->n[i] <= MAX_MARKS;
		     at += k->gate[i].n)
			mark_gate(k, line, i, at, m);
}

static void mark_line(const struct trace_keys *k, struct slice line, struct marks *m)
{
	m->dash = SLICE_NONE;
	m->slash = line.n;
	memset(m->n, 0, sizeof(m->n));
#if defined(__x86_64__)
	if (k->vectors) {
		mark_avx2(k, line, m);
		return;
	}
#endif
	mark_portable(k, line, m);
}

/* The gate's n-th place, or the next one at or after from where they are too many to be noted. */
static size_t next_gate(const struct finder *w, size_t gate, size_t n, size_t from)
{
	if (gate < MAX_MARKED && n < MIN(w->f->scratch->marks.n[gate], (uint32_t)MAX_MARKS))
		return w->f->scratch->marks.at[gate][n];
	if (gate < MAX_MARKED && w->f->scratch->marks.n[gate] <= MAX_MARKS)
		return SLICE_NONE;
	return find_nocase(w->line, from, w->k->gate[gate]);
}

static size_t skip_space(struct slice s, size_t i)
{
	while (i < s.n && is_space(s.p[i]))
		i++;
	return i;
}

/* ---------------------------------------------------------------- values as the json and logfmt stages read
 * them */

static bool hex4(const char *p, uint32_t *out)
{
	uint32_t v = 0;

	if (!all_hex(p, 4))
		return false;
	for (size_t i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)text_hex_digit(p[i]);
	*out = v;
	return true;
}

/* s starts behind the backslash. Bytes eaten, 0 if it is no escape. */
static size_t decode_escape(struct slice s, uint32_t *rune)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint32_t low;

	if (s.n == 0 || s.p[0] == '\0')
		return 0;
	if ((at = strchr(from, s.p[0])) != NULL) {
		*rune = (unsigned char)to[at - from];
		return 1;
	}
	if (s.p[0] != 'u' || s.n < 5 || !hex4(s.p + 1, rune))
		return 0;
	if (*rune < 0xd800 || *rune > 0xdfff)
		return 5;
	if (*rune > 0xdbff || s.n < 11 || s.p[5] != '\\' || s.p[6] != 'u' || !hex4(s.p + 7, &low) ||
	    low < 0xdc00 || low > 0xdfff)
		return 0;
	*rune = 0x10000 + ((*rune - 0xd800) << 10) + (low - 0xdc00);
	return 11;
}

/* The inside of a quoted string: escapes resolved, each U+FFFD or invalid byte a space. False for a bad
 * escape. */
static bool decode_string(struct slice raw, struct buf *out)
{
	buf_reset(out);
	while (raw.n > 0) {
		size_t n;
		uint32_t rune;
		char utf8[4];

		if (raw.p[0] == '\\') {
			n = decode_escape(slice_from(raw, 1), &rune);
			if (n++ == 0)
				return false;
		} else {
			rune = utf8_decode(raw, &n);
		}
		raw = slice_from(raw, n);
		if (rune == 0xfffd)
			rune = ' ';
		buf_append(out, utf8, utf8_encode(utf8, rune));
	}
	return true;
}

static bool is_plain(struct slice raw)
{
	return ascii_prefix(raw) == raw.n && slice_find_byte(raw, '\\') == SLICE_NONE;
}

static void take_string(struct finder *w, unsigned flags, const struct key *key, struct slice raw,
			enum trace_source source)
{
	struct buf b;

	if (is_plain(raw)) {
		take_value(w, flags, key, raw, source);
		return;
	}
	buf_init(&b);
	if (decode_string(raw, &b))
		take_value(w, flags, key, buf_slice(&b), source);
	buf_fini(&b);
}

/* s.p[i - 1] is the opening quote: offset of the closing one, or SLICE_NONE. */
static size_t string_end(struct slice s, size_t i)
{
	for (;;) {
		size_t quote = slice_find_byte(slice_from(s, i), '"');

		if (quote == SLICE_NONE)
			return SLICE_NONE;
		size_t end = i + quote, n = 0;
		while (n < quote && s.p[end - 1 - n] == '\\')
			n++;
		if (n % 2 == 0)
			return end;
		/* The backslashes before it are all behind i, and pair up from the left. */
		i = end + 1;
	}
}

/* A number, true, false or null, up to a delimiter. Control characters that only some call white space make
 * it odd. */
static struct slice bare_value(struct finder *w, size_t start)
{
	struct slice s = w->line;
	size_t i = start;

	while (i < s.n && !is_space(s.p[i]) && s.p[i] != ',' && s.p[i] != '}' && s.p[i] != ']')
		i++;
	if (i < s.n && s.p[i] < ' ' && s.p[i] != '\t' && s.p[i] != '\n' && s.p[i] != '\r')
		w->odd = true;
	return slice_sub(s, start, i - start);
}

/* ---------------------------------------------------------------- walking a JSON object */

struct walk {
	struct finder *w;
	struct slice s;
	size_t i;
	struct buf key;	    /* the current key, decoded */
	char path[KEY_MAX]; /* normal form of the names down to here */
	size_t path_n;	    /* SLICE_NONE: longer than any key */
	size_t saved[WALK_DEPTH];
	size_t depth;
};

static bool walk_odd(struct walk *v)
{
	v->w->odd = true;
	return false;
}

static void walk_push_name(struct walk *v, struct slice name)
{
	char norm[KEY_MAX];
	size_t n = normalise(name, norm);

	if (n == 0 || v->path_n == SLICE_NONE)
		return;
	size_t gap = v->path_n > 0;
	if (n == SLICE_NONE || v->path_n + gap + n > KEY_MAX) {
		v->path_n = SLICE_NONE;
		return;
	}
	if (gap)
		v->path[v->path_n++] = '_';
	memcpy(v->path + v->path_n, norm, n);
	v->path_n += n;
}

static void walk_emit(struct walk *v, struct slice raw, bool is_string)
{
	const struct key *key = NULL;
	unsigned flags = 0;

	if (v->path_n != SLICE_NONE && v->path_n > 0)
		key = map_get(&v->w->k->by_name, slice_of(v->path, v->path_n));
	for (int leaf = 0; leaf < 2; leaf++) {
		if (leaf == 0)
			flags = key != NULL ? key->flags : 0;
		else if (v->depth < LEAF_DEPTH)
			flags = known_flags(v->w->f->scratch, v->w->k, buf_slice(&v->key), &key);
		else
			break;
		if ((flags & (IS_KEY | IS_FIELD)) == 0)
			continue;
		if (is_string)
			take_string(v->w, flags, key, raw, TRACE_FROM_JSON);
		else
			take_value(v->w, flags, key, raw, TRACE_FROM_JSON);
	}
}

/* Steps over an array, whose brackets must match. */
static bool walk_array(struct walk *v)
{
	char stack[WALK_DEPTH];
	size_t depth = 0;

	for (; v->i < v->s.n; v->i++) {
		char c = v->s.p[v->i];

		if (c == '"') {
			v->i = string_end(v->s, v->i + 1);
			if (v->i == SLICE_NONE)
				return walk_odd(v);
		} else if (c == '[' || c == '{') {
			if (depth == WALK_DEPTH)
				return walk_odd(v);
			stack[depth++] = (char)(c + 2); /* ] and } stand two behind [ and { */
		} else if (c == ']' || c == '}') {
			if (stack[--depth] != c)
				return walk_odd(v);
			if (depth == 0) {
				v->i++;
				return true;
			}
		}
	}
	return walk_odd(v);
}

static bool walk_key(struct walk *v)
{
	size_t start = v->i + 1, end;

	if (v->s.p[v->i] != '"' || (end = string_end(v->s, start)) == SLICE_NONE)
		return walk_odd(v);
	struct slice raw = slice_sub(v->s, start, end - start);
	buf_reset(&v->key);
	if (slice_find_byte(raw, '\\') == SLICE_NONE)
		buf_add(&v->key, raw);
	else if (!decode_string(raw, &v->key))
		return walk_odd(v);
	v->i = skip_space(v->s, end + 1);
	if (v->i >= v->s.n || v->s.p[v->i] != ':')
		return walk_odd(v);
	v->i = skip_space(v->s, v->i + 1);
	return v->i < v->s.n || walk_odd(v);
}

/* A value that is not an object. */
static bool walk_scalar(struct walk *v)
{
	size_t start = v->i;
	char c = v->s.p[start];

	if (c == '[')
		return walk_array(v);
	if (c == '"') {
		size_t end = string_end(v->s, start + 1);

		if (end == SLICE_NONE)
			return walk_odd(v);
		walk_emit(v, slice_sub(v->s, start + 1, end - start - 1), true);
		v->i = end + 1;
		return true;
	}
	struct slice text = bare_value(v->w, start);
	v->i = start + text.n;
	if (slice_is(text, "null"))
		return true;
	if (c != '-' && (c < '0' || c > '9') && !slice_is(text, "true") && !slice_is(text, "false"))
		return walk_odd(v);
	walk_emit(v, text, false);
	return true;
}

static bool walk_member(struct walk *v)
{
	size_t before = v->path_n;

	if (!walk_key(v))
		return false;
	walk_push_name(v, buf_slice(&v->key));
	if (v->s.p[v->i] == '{') {
		if (v->depth == WALK_DEPTH)
			return walk_odd(v);
		v->saved[v->depth++] = before;
		v->i++;
		return true;
	}
	if (!walk_scalar(v))
		return false;
	v->path_n = before;
	return true;
}

/* The line's object, member by member; w->odd is set where it is not well-formed, and the walk ends there. */
static void walk_line(struct finder *w, size_t start)
{
	struct walk v = { .w = w, .s = w->line, .i = start + 1 };

	buf_init(&v.key);
	for (bool need_comma = false;;) {
		size_t depth = v.depth;

		v.i = skip_space(v.s, v.i);
		if (v.i >= v.s.n) {
			walk_odd(&v);
			break;
		}
		if (v.s.p[v.i] == '}') {
			v.i++;
			if (v.depth == 0)
				break;
			v.path_n = v.saved[--v.depth];
			need_comma = true;
			continue;
		}
		if (need_comma) {
			if (v.s.p[v.i] != ',') {
				walk_odd(&v);
				break;
			}
			v.i++;
			need_comma = false;
			continue;
		}
		if (!walk_member(&v))
			break;
		need_comma = v.depth == depth;
	}
	buf_fini(&v.key);
}

/* ---------------------------------------------------------------- keys on the spot */

/* Begins with 32 digits: found by the run rule, here and by whoever asks. */
static bool is_plain_id(struct slice value)
{
	return value.n >= 32 && hex_len(slice_sub(value, 0, 33)) == 32 && !is_zero(hex32(value.p));
}

/* The gate stands inside the string between the quotes at `open` and `close`. Is that a key that matters? */
static void json_key_near(struct finder *w, size_t open, size_t close)
{
	struct slice s = w->line, name = slice_sub(s, open + 1, close - open - 1);
	const struct key *key;

	if ((open > 0 && s.p[open - 1] == '\\') || slice_find_byte(name, '\\') != SLICE_NONE) {
		w->walk = true;
		return;
	}
	size_t i = skip_space(s, close + 1);
	if (i >= s.n || s.p[i] != ':')
		return;
	i = skip_space(s, i + 1);
	if (i >= s.n || (s.p[i] == '"' && is_plain_id(slice_from(s, i + 1))))
		return;
	unsigned flags = known_flags(w->f->scratch, w->k, name, &key);
	if (flags == 0)
		return;
	if (s.p[i] == '{') {
		w->walk = true;
		return;
	}
	w->walk |= (flags & IS_FIELD_TAIL) != 0 || (flags & (IS_TAIL | IS_KEY)) == IS_TAIL;
	if ((flags & (IS_KEY | IS_FIELD)) == 0)
		return;
	if (s.p[i] == '"') {
		size_t end = string_end(s, i + 1);

		if (end != SLICE_NONE)
			take_string(w, flags, key, slice_sub(s, i + 1, end - i - 1), TRACE_FROM_JSON);
	} else if (s.p[i] != '[') {
		take_value(w, flags, key, bare_value(w, i), TRACE_FROM_JSON);
	}
}

static void logfmt_value(struct finder *w, size_t i, unsigned flags, const struct key *key)
{
	struct slice s = w->line;
	size_t end = i;

	if (i < s.n && s.p[i] == '"') {
		end = string_end(s, i + 1);
		if (end != SLICE_NONE)
			take_string(w, flags, key, slice_sub(s, i + 1, end - i - 1), TRACE_FROM_LOGFMT);
		return;
	}
	while (end < s.n && !is_space(s.p[end]) && s.p[end] != '=' && s.p[end] != '"')
		end++;
	if (end < s.n && s.p[end] == '=')
		return; /* logfmt drops such a pair */
	struct slice value = slice_sub(s, i, end - i);
	take_string(w, flags, key, value, TRACE_FROM_LOGFMT);
	/* [trace_id=4bf92f3577b34da6] and the like */
	while (value.n > 0 && strchr("]),;}'", value.p[value.n - 1]) != NULL)
		value.n--;
	if ((flags & IS_KEY) != 0 && value.n < end - i)
		take_id(w, value, TRACE_FROM_LOGFMT);
}

/* The gate stands at `at`: is it part of key=value? Returns the end of the word it stands in. */
static size_t logfmt_key_near(struct finder *w, size_t at, size_t floor)
{
	struct slice s = w->line;
	size_t a = at, b = at;
	const struct key *key;

	while (b < s.n && !is_space(s.p[b]) && s.p[b] != '=' && s.p[b] != '"')
		b++;
	if (b == s.n || s.p[b] != '=' || is_plain_id(slice_from(s, b + 1)))
		return b;
	while (a > floor && !is_space(s.p[a - 1]) && s.p[a - 1] != '=' && s.p[a - 1] != '"')
		a--;
	unsigned flags = known_flags(w->f->scratch, w->k, slice_sub(s, a, b - a), &key);
	if ((flags & (IS_KEY | IS_FIELD)) != 0)
		logfmt_value(w, b + 1, flags, key);
	return b;
}

static void take_keys(struct finder *w, size_t gate, bool is_json)
{
	struct slice s = w->line;
	size_t word_end = 0; /* logfmt: the word ending here is done */
	size_t close = SLICE_NONE, from = 0, quote_floor = 0;
	bool no_more_quotes = !is_json;

	for (size_t n = 0;; n++) {
		size_t at = next_gate(w, gate, n, from);

		if (at == SLICE_NONE)
			return;
		from = at + w->k->gate[gate].n;
		if (at >= word_end)
			word_end = logfmt_key_near(w, at, word_end);
		if (no_more_quotes || (close != SLICE_NONE && at < close))
			continue;
		size_t next = slice_find_byte(slice_from(s, at), '"');
		if (next == SLICE_NONE) {
			no_more_quotes = true;
			continue;
		}
		close = at + next;
		const char *open = memrchr(s.p + quote_floor, '"', at - quote_floor);
		quote_floor = close;
		if (open != NULL)
			json_key_near(w, (size_t)(open - s.p), close);
	}
}

void trace_find(const struct trace_keys *k, struct slice line, struct slice meta, struct slice stream_labels,
		struct trace_found *f)
{
	struct finder w = { .k = k, .f = f, .line = line };
	size_t start = skip_space(line, 0);
	bool is_json = start < line.n && line.p[start] == '{';

	f->n_refs = f->n_tokens = 0;
	ready_scratch(f, k);
	take_pairs(&w, meta, TRACE_FROM_META);
	take_pairs(&w, stream_labels, TRACE_FROM_LABEL);
	if (line.n > 0) {
		mark_line(k, line, &f->scratch->marks);
		take_runs_of_line(&w);
		w.odd = has_spelling_escape(line, f->scratch->marks.slash);
		w.walk = w.odd && is_json;
		for (size_t i = 0; i < k->n_gates; i++)
			take_keys(&w, i, is_json);
		if (w.walk && is_json)
			walk_line(&w, start);
		if (w.odd)
			add_token(f, TRACE_TOKEN_ESCAPED);
	}
	if (f->n_tokens > 1)
		unique_tokens(f);
	if (f->n_refs > 1)
		unique_refs(f);
}

/* ---------------------------------------------------------------- questions */

size_t trace_tokens_for_needle(struct slice needle, uint64_t out[4])
{
	bool at_start;
	enum needle_kind kind = needle_of(needle, &out[0], &at_start);

	if (kind == NEEDLE_NONE)
		return 0;
	if (kind != NEEDLE_EDGE)
		return 1;
	out[1] = TRACE_TOKEN_LONG_RUN;
	return 2;
}

size_t trace_tokens_for_label(const struct trace_keys *k, struct slice name, struct slice value,
			      uint64_t out[4])
{
	const struct key *key = find_key(k, name);
	struct trace_id id;
	bool exact, at_start;
	enum needle_kind kind = needle_of(value, &out[0], &at_start);
	size_t n = 0;

	if (value.n == 0)
		return 0;
	if (kind >= NEEDLE_EDGE) {
		n = 1;
		/* A character before the run may be spelled by an escape that ends in a hex digit: \u00e9,
		 * \b. */
		if (!at_start)
			out[n++] = TRACE_TOKEN_LONG_RUN;
	} else if (key != NULL && (key->flags & IS_KEY) != 0 && trace_id_parse(value, &id, &exact)) {
		out[n++] = id.lo;
	} else if (key != NULL && (key->flags & IS_FIELD) != 0) {
		out[n++] = field_token(key, value);
	} else {
		return 0;
	}
	out[n++] = TRACE_TOKEN_ESCAPED;
	return n;
}
