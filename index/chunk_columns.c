/* Codec 2's writer. Columns are numbered in the order in which they are met, parents first; each one's descriptor and sections
 * are made apart, so that a column that does not pay as templates is taken back with all below it. */
#include "index/chunk_columns.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/vec.h"
#include "index/bitpack.h"
#include "index/chunk_internal.h"
#include "index/column_encode.h"
#include "index/column_read.h"
#include "index/template_mine.h"

#include <assert.h>
#include <lz4.h>
#include <lz4hc.h>
#include <pthread.h>

enum {
	MIN_ENTRIES = 32, /* below that rows do */
	MIN_MINED = 24,	  /* values of a column that is tried with templates */
	META_SHARE =
		4, /* of a chunk's bytes that metadata takes: then columns serve even lines without templates */
	TINY_LINE = 8,		   /* bytes: no templates are looked for */
	MAX_LINE = 8 << 20,	   /* a chunk with a longer one is written as rows */
	BLOCK_BYTES = 1 << 20,	   /* of lines and metadata */
	MAX_CHILDREN = 1024,	   /* columns of one column's templates */
	MAX_KEPT_BYTES = 16 << 20, /* scratch that a thread keeps */
	MAX_RAW = 128 << 20,
};

struct range {
	size_t from, to;
};
struct encoded {
	struct range descriptor, sections;
};

struct encoder {
	struct column_encoder *column;
	struct template_miner *miner[COLUMNS_MAX_DEPTH];
	VEC(uint32_t) child[COLUMNS_MAX_DEPTH]; /* numbers of the columns that a miner found */
	struct column_frame frame;
	VEC(uint32_t) block_first;
	VEC(struct encoded) columns;
	struct buf descriptors, sections, times, times_refs, skeleton, raw;
	VEC(int64_t) numbers;
	VEC(struct slice) texts, metas;
	struct chunk_block *block;
};

/* ---- scratch: one a thread ------------------------------------------------------------------------------------ */

static pthread_key_t encoder_key;
static pthread_once_t encoder_once = PTHREAD_ONCE_INIT;

static void encoder_free(void *arg)
{
	struct encoder *e = arg;

	if (e == NULL)
		return;
	column_encoder_free(e->column);
	for (size_t i = 0; i < COLUMNS_MAX_DEPTH; i++) {
		template_miner_free(e->miner[i]);
		vec_fini(&e->child[i]);
	}
	vec_fini(&e->block_first);
	vec_fini(&e->columns);
	vec_fini(&e->numbers);
	vec_fini(&e->texts);
	vec_fini(&e->metas);
	buf_fini(&e->descriptors);
	buf_fini(&e->sections);
	buf_fini(&e->times);
	buf_fini(&e->times_refs);
	buf_fini(&e->skeleton);
	buf_fini(&e->raw);
	free(e);
}

static void make_encoder_key(void)
{
	if (pthread_key_create(&encoder_key, encoder_free) != 0)
		abort();
}

static struct encoder *encoder_get(void)
{
	struct encoder *e;

	pthread_once(&encoder_once, make_encoder_key);
	e = pthread_getspecific(encoder_key);
	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->column = column_encoder_new();
	for (size_t i = 0; i < COLUMNS_MAX_DEPTH; i++)
		e->miner[i] = template_miner_new();
	if (pthread_setspecific(encoder_key, e) != 0)
		abort();
	return e;
}

/* A rare large chunk does not hold memory for ever. */
static void encoder_put(struct encoder *e)
{
	size_t kept = e->descriptors.cap + e->sections.cap + e->raw.cap;

	for (size_t i = 0; i < COLUMNS_MAX_DEPTH; i++)
		kept += template_miner_bytes(e->miner[i]);
	if (kept <= MAX_KEPT_BYTES)
		return;
	pthread_setspecific(encoder_key, NULL);
	encoder_free(e);
}

/* ---- columns -------------------------------------------------------------------------------------------------- */

/* What was written since; for taking back. */
struct mark {
	size_t columns, descriptors, sections;
};

static struct mark mark_of(const struct encoder *e)
{
	return (struct mark){ e->columns.n, e->descriptors.n, e->sections.n };
}

static size_t bytes_since(const struct encoder *e, struct mark m)
{
	return e->descriptors.n - m.descriptors + e->sections.n - m.sections;
}

static void take_back(struct encoder *e, struct mark m)
{
	e->columns.n = m.columns;
	e->descriptors.n = m.descriptors;
	e->sections.n = m.sections;
}

static uint32_t add_column(struct encoder *e)
{
	vec_add(&e->columns);
	return (uint32_t)e->columns.n - 1;
}

/* The column chosen last. */
static void write_leaf(struct encoder *e, uint32_t number, const struct column_values *v)
{
	struct encoded *c = &e->columns.v[number];

	c->descriptor.from = e->descriptors.n;
	c->sections.from = e->sections.n;
	column_encode(e->column, &e->frame, v, &e->descriptors, &e->sections);
	c->descriptor.to = e->descriptors.n;
	c->sections.to = e->sections.n;
}

static void write_templates(struct encoder *e, uint32_t number, const struct column_values *v,
			    const struct mined *m, const uint32_t *child)
{
	struct encoded *c = &e->columns.v[number];
	struct buf *d = &e->descriptors;

	c->descriptor.from = d->n;
	c->sections.from = e->sections.n;
	buf_putc(d, COLUMN_TEMPLATES);
	buf_putc(d, 0);
	buf_varint(d, m->n_templates);
	for (uint32_t t = 0; t < m->n_templates; t++) {
		const struct mined_template *templ = &m->templ[t];

		buf_putc(d, (char)templ->shape);
		buf_varint(d, templ->n_slots);
		for (uint32_t k = 0; k < templ->n_slots; k++) {
			buf_putc(d, (char)templ->slot[k].what);
			buf_lenslice(d, templ->slot[k].before);
			buf_varint(d, child[templ->slot[k].column]);
		}
		buf_lenslice(d, templ->tail);
	}
	column_encode_ids(e->column, &e->frame, v->entry, m->id, v->n, d, &e->sections);
	c->descriptor.to = d->n;
	c->sections.to = e->sections.n;
}

static uint32_t write_values(struct encoder *e, const struct column_values *v, unsigned depth, bool may_mine);

static struct mine_input mine_input_of(const struct encoder *e, const struct column_values *v,
				       enum mine_what what)
{
	return (struct mine_input){ .what = what,
				    .text = v->v,
				    .entry = v->entry,
				    .n = v->n,
				    .n_blocks = e->frame.n_blocks,
				    .max_columns = (uint32_t)MIN(COLUMNS_MAX - e->columns.n, MAX_CHILDREN) };
}

/* Depth is the number of TEMPLATES columns above. False: no templates that pay. */
static bool try_templates(struct encoder *e, uint32_t number, const struct column_values *v, unsigned depth,
			  enum mine_what what)
{
	struct mine_input in = mine_input_of(e, v, what);
	struct mined m;

	if (depth == COLUMNS_MAX_DEPTH || !template_mine(e->miner[depth], &in, &m) ||
	    e->columns.n + m.n_columns > COLUMNS_MAX)
		return false;
	e->child[depth].n = 0;
	vec_reserve(&e->child[depth], m.n_columns);
	for (uint32_t i = 0; i < m.n_columns; i++) {
		const struct mined_column *c = &m.column[i];
		struct column_values values = { c->v, c->entry, c->n };

		if (e->columns.n >= COLUMNS_MAX)
			return false;
		vec_push(&e->child[depth], write_values(e, &values, depth + 1, !c->raw));
	}
	write_templates(e, number, v, &m, e->child[depth].v);
	return true;
}

static bool promises(struct encoder *e, const struct column_values *v, unsigned depth, enum mine_what what)
{
	struct mine_input in = mine_input_of(e, v, what);

	return depth < COLUMNS_MAX_DEPTH && template_mine_promises(e->miner[depth], &in);
}

/* A column of whatever kind is smallest. */
static uint32_t write_values(struct encoder *e, const struct column_values *v, unsigned depth, bool may_mine)
{
	uint32_t number = add_column(e);
	struct mark mark = mark_of(e);
	size_t cost;

	if (column_choose(e->column, &e->frame, v, &cost) == COLUMN_TEXT && may_mine && v->n >= MIN_MINED &&
	    promises(e, v, depth, MINE_PLAIN)) {
		if (try_templates(e, number, v, depth, MINE_PLAIN) && bytes_since(e, mark) < cost)
			return number;
		take_back(e, mark);
		column_choose(e->column, &e->frame, v, &cost);
	}
	write_leaf(e, number, v);
	return number;
}

static void write_lines(struct encoder *e, uint32_t number, size_t bytes, bool may_mine)
{
	struct column_values v = { e->texts.v, NULL, e->frame.n_entries };
	struct mark mark = mark_of(e);
	size_t cost;

	bool mined = may_mine && try_templates(e, number, &v, 0, MINE_LINES);
	if (mined && bytes_since(e, mark) < bytes / 3)
		return;
	column_choose(e->column, &e->frame, &v, &cost);
	if (mined && bytes_since(e, mark) < cost)
		return;
	take_back(e, mark);
	write_leaf(e, number, &v);
}

static bool all_equal(const struct slice *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (!slice_eq(v[i], v[0]))
			return false;
	return true;
}

static void write_metas(struct encoder *e, uint32_t number)
{
	struct column_values v = { e->metas.v, NULL, e->frame.n_entries };
	struct mark mark = mark_of(e);
	size_t cost;

	if (!all_equal(v.v, v.n)) {
		if (try_templates(e, number, &v, 0, MINE_META))
			return;
		take_back(e, mark);
	}
	column_choose(e->column, &e->frame, &v, &cost);
	write_leaf(e, number, &v);
}

/* ---- the chunk ------------------------------------------------------------------------------------------------ */

static void cut_blocks(struct encoder *e, const struct chunk_entry *entry, size_t n)
{
	size_t bytes = 0, first = 0;

	e->block_first.n = 0;
	for (size_t i = 0; i < n; i++) {
		size_t more = entry[i].line.n + entry[i].meta.n;

		if (i == 0 || i - first == COLUMNS_BLOCK_ENTRIES || bytes + more > BLOCK_BYTES) {
			vec_push(&e->block_first, (uint32_t)i);
			first = i;
			bytes = 0;
		}
		bytes += more;
	}
	e->frame.n_blocks = e->block_first.n;
	vec_push(&e->block_first, (uint32_t)n);
	e->frame.block_first = e->block_first.v;
}

static uint64_t since(int64_t ts, int64_t from)
{
	return (uint64_t)ts - (uint64_t)from;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

/* What all times, counted from their block's first, are multiples of. */
static uint64_t divisor_of(const struct encoder *e)
{
	const struct chunk_entry *entry = e->frame.entry;
	uint64_t divisor = 0;

	for (size_t b = 0; b < e->frame.n_blocks && divisor != 1; b++) {
		size_t first = e->block_first.v[b];

		for (size_t i = first; i < e->block_first.v[b + 1] && divisor != 1; i++) {
			uint64_t d = since(entry[i].ts, entry[first].ts);

			if (divisor == 0 || d % divisor != 0)
				divisor = common_divisor(d, divisor);
		}
	}
	return divisor == 0 ? 1 : divisor;
}

static void write_times(struct encoder *e, uint64_t divisor)
{
	const struct chunk_entry *entry = e->frame.entry;

	buf_reset(&e->times);
	buf_reset(&e->times_refs);
	for (size_t b = 0; b < e->frame.n_blocks; b++) {
		size_t first = e->block_first.v[b], n = e->block_first.v[b + 1] - first;

		e->numbers.n = 0;
		vec_reserve(&e->numbers, n);
		for (size_t i = 0; i < n; i++)
			vec_push(&e->numbers,
				 (int64_t)(since(entry[first + i].ts, entry[first].ts) / divisor));
		buf_reset(&e->raw);
		numbers_write(e->numbers.v, n, &e->raw);
		column_section(e->column, &e->frame, buf_slice(&e->raw), &e->times_refs, &e->times);
	}
}

static void write_skeleton(struct encoder *e, uint64_t divisor)
{
	struct buf *s = &e->skeleton;

	buf_reset(s);
	buf_varint(s, divisor);
	buf_add(s, buf_slice(&e->times_refs));
	buf_varint(s, e->columns.n);
	for (size_t i = 0; i < e->columns.n; i++) {
		struct range r = e->columns.v[i].descriptor;

		buf_append(s, e->descriptors.p + r.from, r.to - r.from);
	}
}

static void write_header(struct encoder *e, const struct chunk_info *info, uint64_t seed, struct buf *out)
{
	const struct chunk_entry *entry = e->frame.entry;
	size_t start = out->n;
	struct slice raw = buf_slice(&e->skeleton);

	buf_append(out, CHUNK_MAGIC, 4);
	buf_putc(out, (char)chunk_codec_columns.number);
	buf_varint(out, info->n_entries);
	buf_svarint(out, info->first_ts);
	buf_varint(out, since(info->last_ts, info->first_ts));
	buf_varint(out, info->raw_bytes);
	buf_varint(out, e->frame.n_blocks);
	for (size_t b = 0; b < e->frame.n_blocks; b++) {
		size_t first = e->block_first.v[b], end = e->block_first.v[b + 1];

		buf_varint(out, end - first);
		buf_varint(out, since(entry[first].ts, info->first_ts));
		buf_varint(out, since(entry[end - 1].ts, entry[first].ts));
	}
	buf_reset(&e->raw);
	int bound = LZ4_compressBound((int)raw.n);
	char *to = buf_reserve(&e->raw, (size_t)bound);
	int n = e->frame.effort > 1 ? LZ4_compress_HC(raw.p, to, (int)raw.n, bound, e->frame.effort)
				    : LZ4_compress_default(raw.p, to, (int)raw.n, bound);
	struct slice stored = n > 0 && (size_t)n < raw.n ? slice_of(to, (size_t)n) : raw;
	buf_varint(out, raw.n);
	buf_varint(out, stored.n);
	buf_add(out, stored);
	buf_u64le(out, hash64_seed(slice_of(out->p + start, out->n - start), seed));
}

/* Appends the chunk. False, and out as it was: not to be written in columns. */
static bool write_chunk(struct encoder *e, uint64_t seed, struct buf *out, struct chunk_info *info)
{
	size_t start = out->n;
	uint64_t divisor = divisor_of(e);

	write_times(e, divisor);
	if (e->columns.n > COLUMNS_MAX)
		return false;
	write_skeleton(e, divisor);
	if (e->skeleton.n > CHUNK_MAX_HEADER)
		return false;
	write_header(e, info, seed, out);
	if (out->n - start > CHUNK_MAX_HEADER) {
		out->n = start;
		return false;
	}
	info->header_bytes = (uint32_t)(out->n - start);
	buf_add(out, buf_slice(&e->times));
	for (size_t i = 0; i < e->columns.n; i++) {
		struct range r = e->columns.v[i].sections;

		buf_append(out, e->sections.p + r.from, r.to - r.from);
	}
	info->total_bytes = out->n - start;
	return true;
}

/* False: written as rows, since columns are not for this. */
static bool fits(const struct chunk_entry *entry, size_t n, struct chunk_info *info)
{
	bool ok = n >= MIN_ENTRIES && n < UINT32_MAX;

	*info = (struct chunk_info){ .first_ts = entry[0].ts,
				     .last_ts = entry[n - 1].ts,
				     .n_entries = (uint32_t)n };
	for (size_t i = 0; i < n; i++) {
		assert(i == 0 || entry[i].ts >= entry[i - 1].ts);
		info->raw_bytes += entry[i].line.n + entry[i].meta.n;
		ok = ok && entry[i].line.n <= MAX_LINE && entry[i].meta.n <= MAX_LINE;
	}
	return ok && info->raw_bytes <= MAX_RAW;
}

static void start(struct encoder *e, const struct chunk_entry *entry, size_t n, int effort)
{
	e->frame = (struct column_frame){ .entry = entry, .n_entries = n, .effort = effort };
	cut_blocks(e, entry, n);
	e->columns.n = 0;
	buf_reset(&e->descriptors);
	buf_reset(&e->sections);
	e->texts.n = e->metas.n = 0;
	vec_reserve(&e->texts, n);
	vec_reserve(&e->metas, n);
	for (size_t i = 0; i < n; i++) {
		e->texts.v[i] = entry[i].line;
		e->metas.v[i] = entry[i].meta;
	}
}

static size_t line_bytes(const struct encoder *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->frame.n_entries; i++)
		n += e->texts.v[i].n;
	return n;
}

/* Of those that are not all the same. */
static size_t meta_bytes(const struct encoder *e)
{
	size_t n = 0;

	if (all_equal(e->metas.v, e->frame.n_entries))
		return 0;
	for (size_t i = 0; i < e->frame.n_entries; i++)
		n += e->metas.v[i].n;
	return n;
}

static bool encode_columns(struct encoder *e, const struct chunk_entry *entry, size_t n, uint64_t seed,
			   int effort, struct buf *out, struct chunk_info *info)
{
	start(e, entry, n, effort);
	if (e->frame.n_blocks > CHUNK_MAX_BLOCKS)
		return false;
	struct column_values lines = { e->texts.v, NULL, n };
	bool tiny = line_bytes(e) / n < TINY_LINE;
	bool may_mine = !tiny && promises(e, &lines, 0, MINE_LINES);
	if (!tiny && !may_mine && info->raw_bytes / META_SHARE >= meta_bytes(e))
		return false;
	uint32_t line = add_column(e), meta = add_column(e);
	assert(line == COLUMN_LINE && meta == COLUMN_META);
	write_metas(e, meta);
	write_lines(e, line, info->raw_bytes, may_mine);
	return write_chunk(e, seed, out, info);
}

/* Columns that hardly compress are compared with rows; the smaller stays at `start`. */
static void keep_smaller(const struct chunk_entry *entry, size_t n, uint64_t seed, int effort, size_t start,
			 struct buf *out, struct chunk_info *info)
{
	struct chunk_info rows;
	size_t at = out->n;

	chunk_codec_rows.encode(entry, n, seed, effort, out, &rows);
	if (rows.total_bytes < info->total_bytes) {
		memmove(out->p + start, out->p + at, rows.total_bytes);
		out->n = start + rows.total_bytes;
		*info = rows;
	} else {
		out->n = at;
	}
}

static void columns_encode(const struct chunk_entry *entry, size_t n, uint64_t seed, int effort,
			   struct buf *out, struct chunk_info *info)
{
	size_t start = out->n;

	assert(n > 0);
	if (!fits(entry, n, info)) {
		chunk_codec_rows.encode(entry, n, seed, effort, out, info);
		return;
	}
	struct encoder *e = encoder_get();
	if (!encode_columns(e, entry, n, seed, effort, out, info))
		chunk_codec_rows.encode(entry, n, seed, effort, out, info);
	else if (info->total_bytes > info->raw_bytes / 3)
		keep_smaller(entry, n, seed, effort, start, out, info);
	encoder_put(e);
}

static void columns_place(char *chunk, const struct chunk_info *info, uint64_t from, uint64_t to)
{
	size_t n = info->header_bytes - 8;
	uint64_t sum = hash64_seed(slice_of(chunk, n), to);

	(void)from;
	memcpy(chunk + n, &sum, 8);
}

const struct chunk_codec chunk_codec_columns = {
	.number = 2,
	.name = "columns",
	.encode = columns_encode,
	.place = columns_place,
	.block_may_match = columns_block_may_match,
	.block_read = columns_block_read,
};
