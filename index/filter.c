#include "index/filter.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <math.h>

/* ---- binary fuse, arity 3 ------------------------------------------------------------------------------------- */

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t token_hash(uint64_t token, uint64_t seed)
{
	return hash_mix(token + seed);
}

static uint16_t fingerprint_of(uint64_t hash)
{
	return (uint16_t)(hash ^ (hash >> 32));
}

static void slots_of(uint64_t hash, uint32_t seg_len, uint32_t n_slots, uint32_t slot[3])
{
	/* Three consecutive segments, one slot in each. */
	uint32_t n_starts = n_slots - 2 * seg_len;
	uint32_t h0 = (uint32_t)(((unsigned __int128)hash * n_starts) >> 64);

	slot[0] = h0;
	slot[1] = (h0 + seg_len) ^ ((uint32_t)(hash >> 18) & (seg_len - 1));
	slot[2] = (h0 + 2 * seg_len) ^ ((uint32_t)hash & (seg_len - 1));
}

static uint32_t segment_length_for(size_t n)
{
	double l = n < 2 ? 0 : floor(log((double)n) / log(3.33) + 2.25);
	uint32_t len = 1u << (unsigned)(l < 2 ? 2 : l > 18 ? 18 : l);

	return len;
}

/* The geometry for n tokens: a multiple of the segment length, at least three segments. */
static void geometry(size_t n, uint32_t *seg_len, uint32_t *n_slots)
{
	double factor = n < 2 ? 2 : 0.875 + 0.25 * log(1000000.0) / log((double)n);
	double want = round((double)n * (factor < 1.125 ? 1.125 : factor));

	*seg_len = segment_length_for(n);
	uint32_t n_seg = (uint32_t)((want + *seg_len - 1) / *seg_len);
	*n_slots = (n_seg < 3 ? 3 : n_seg) * *seg_len;
}

struct peel {
	uint64_t hash_xor;
	uint32_t count;
};

/* Tries one seed. order[] receives (hash, slot) in peeling order. */
static bool try_peel(const uint64_t *tokens, size_t n, uint64_t seed, uint32_t seg_len, uint32_t n_slots,
		     struct peel *t, uint32_t *queue, uint64_t *order_hash, uint32_t *order_slot)
{
	uint32_t slot[3];
	size_t n_queue = 0, done = 0;

	memset(t, 0, n_slots * sizeof(*t));
	for (size_t i = 0; i < n; i++) {
		uint64_t h = token_hash(tokens[i], seed);

		slots_of(h, seg_len, n_slots, slot);
		for (int k = 0; k < 3; k++) {
			t[slot[k]].hash_xor ^= h;
			t[slot[k]].count++;
		}
	}
	for (uint32_t s = 0; s < n_slots; s++)
		if (t[s].count == 1)
			queue[n_queue++] = s;
	while (n_queue > 0) {
		uint32_t s = queue[--n_queue];

		if (t[s].count != 1)
			continue;
		uint64_t h = t[s].hash_xor;
		order_hash[done] = h;
		order_slot[done++] = s;
		slots_of(h, seg_len, n_slots, slot);
		for (int k = 0; k < 3; k++) {
			t[slot[k]].hash_xor ^= h;
			if (--t[slot[k]].count == 1)
				queue[n_queue++] = slot[k];
		}
	}
	return done == n;
}

void fuse_build(uint64_t *tokens, size_t n, struct buf *out)
{
	uint32_t seg_len, n_slots, slot[3];
	size_t unique = 0;
	uint64_t seed = 0x9e3779b97f4a7c15ULL;

	if (n > 1)
		qsort(tokens, n, sizeof(*tokens), cmp_u64);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || tokens[i] != tokens[i - 1])
			tokens[unique++] = tokens[i];
	n = unique;
	assert(n < UINT32_MAX / 4);
	geometry(n, &seg_len, &n_slots);

	struct peel *t = xmalloc(n_slots * sizeof(*t));
	uint32_t *queue = xmalloc((3 * n + n_slots) * sizeof(*queue));
	uint64_t *order_hash = xmalloc(n * sizeof(*order_hash));
	uint32_t *order_slot = xmalloc(n * sizeof(*order_slot));
	unsigned attempt = 0;

	while (!try_peel(tokens, n, seed, seg_len, n_slots, t, queue, order_hash, order_slot)) {
		seed = hash_mix(seed + 1);
		/* Distinct tokens always peel in the end; more room makes the end certain. */
		if (++attempt % 16 == 0)
			n_slots += seg_len, t = xrealloc(t, n_slots * sizeof(*t)),
					    queue = xrealloc(queue, (3 * n + n_slots) * sizeof(*queue));
	}
	buf_u64le(out, seed);
	buf_u32le(out, (uint32_t)n);
	buf_u32le(out, seg_len);
	buf_u32le(out, n_slots);
	uint16_t *f = xcalloc(n_slots, sizeof(*f));
	for (size_t i = n; i-- > 0;) {
		slots_of(order_hash[i], seg_len, n_slots, slot);
		uint16_t v = fingerprint_of(order_hash[i]);
		for (int k = 0; k < 3; k++)
			if (slot[k] != order_slot[i])
				v ^= f[slot[k]];
		f[order_slot[i]] = v;
	}
	buf_append(out, f, n_slots * sizeof(*f));
	free(f);
	free(t);
	free(queue);
	free(order_hash);
	free(order_slot);
}

bool fuse_header_read(struct slice header, struct fuse_header *out)
{
	struct cursor c = cursor_of(header);
	struct fuse_header h;

	h.seed = cursor_u64le(&c);
	h.n_tokens = cursor_u32le(&c);
	h.segment_length = cursor_u32le(&c);
	h.n_slots = cursor_u32le(&c);
	if (c.bad || h.segment_length == 0 || (h.segment_length & (h.segment_length - 1)) != 0 ||
	    h.segment_length > 1u << 18 || h.n_slots % h.segment_length != 0 ||
	    h.n_slots / h.segment_length < 3)
		return false;
	*out = h;
	return true;
}

void fuse_slots(const struct fuse_header *h, uint64_t token, uint32_t slot[3], uint16_t *fingerprint)
{
	uint64_t hash = token_hash(token, h->seed);

	slots_of(hash, h->segment_length, h->n_slots, slot);
	*fingerprint = fingerprint_of(hash);
}

bool fuse_has(struct slice filter, uint64_t token)
{
	struct fuse_header h;
	uint32_t slot[3];
	uint16_t want, v;

	if (filter.n < FUSE_HEADER_BYTES || !fuse_header_read(slice_sub(filter, 0, FUSE_HEADER_BYTES), &h) ||
	    filter.n != FUSE_HEADER_BYTES + (size_t)h.n_slots * 2)
		return true;
	if (h.n_tokens == 0)
		return false;
	fuse_slots(&h, token, slot, &want);
	for (int k = 0; k < 3; k++) {
		memcpy(&v, filter.p + FUSE_HEADER_BYTES + (size_t)slot[k] * 2, 2);
		want ^= v;
	}
	return want == 0;
}

/* ---- blocked Bloom -------------------------------------------------------------------------------------------- */

enum { BLOOM_BITS = 480, BLOOM_PROBES = 8 };

size_t bloom_n_blocks(size_t n_tokens)
{
	return n_tokens * 12 / BLOOM_BITS + 1;
}

size_t bloom_block_of(uint64_t token, size_t n_blocks)
{
	return (size_t)(((unsigned __int128)hash_mix(token) * n_blocks) >> 64);
}

/* Eight bit numbers from one more mix of the token. */
static void bloom_bits(uint64_t token, unsigned bit[BLOOM_PROBES])
{
	uint64_t h = hash_mix(token ^ 0xa5a5a5a5a5a5a5a5ULL);
	uint32_t a = (uint32_t)h, b = (uint32_t)(h >> 32) | 1;

	for (unsigned i = 0; i < BLOOM_PROBES; i++)
		bit[i] = (unsigned)(((uint64_t)(a + i * b) * BLOOM_BITS) >> 32);
}

void bloom_add(char *blocks, size_t n_blocks, uint64_t token)
{
	char *block = blocks + bloom_block_of(token, n_blocks) * BLOOM_BLOCK_BYTES;
	unsigned bit[BLOOM_PROBES];

	bloom_bits(token, bit);
	for (unsigned i = 0; i < BLOOM_PROBES; i++)
		block[bit[i] / 8] = (char)(block[bit[i] / 8] | 1 << (bit[i] % 8));
}

static uint32_t block_sum(const char *block, size_t index)
{
	return (uint32_t)hash64_seed(slice_of(block, BLOOM_BLOCK_BYTES - 4), index);
}

void bloom_seal(char *blocks, size_t n_blocks)
{
	for (size_t i = 0; i < n_blocks; i++) {
		uint32_t sum = block_sum(blocks + i * BLOOM_BLOCK_BYTES, i);

		memcpy(blocks + i * BLOOM_BLOCK_BYTES + BLOOM_BLOCK_BYTES - 4, &sum, 4);
	}
}

bool bloom_block_has(const char block[BLOOM_BLOCK_BYTES], size_t block_index, uint64_t token, bool *damaged)
{
	unsigned bit[BLOOM_PROBES];
	uint32_t sum;

	memcpy(&sum, block + BLOOM_BLOCK_BYTES - 4, 4);
	*damaged = sum != block_sum(block, block_index);
	if (*damaged)
		return true;
	bloom_bits(token, bit);
	for (unsigned i = 0; i < BLOOM_PROBES; i++)
		if ((block[bit[i] / 8] >> (bit[i] % 8) & 1) == 0)
			return false;
	return true;
}
