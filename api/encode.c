#include "api/encode.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/text.h"
#include "query/entry_id.h"

#include <math.h>

enum { CHECK_EVERY = 1024 };

/* An answer in the making. */
struct encoder {
	struct json_out j;
	bool categorize;
	struct query_control *control;
	size_t n_items;
};

static int check(struct encoder *e, struct err *err)
{
	return ++e->n_items % CHECK_EVERY == 0 ? query_control_check(e->control, err) : 0;
}

/* ---- pieces ---- */

static void put_int(struct buf *b, int64_t v)
{
	char digits[24];
	size_t i = sizeof(digits);
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do {
		digits[--i] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	if (v < 0)
		digits[--i] = '-';
	buf_append(b, digits + i, sizeof(digits) - i);
}

/* Unix nanoseconds as a string. */
static void put_ns(struct json_out *j, int64_t ns)
{
	json_sep(j);
	buf_putc(j->b, '"');
	put_int(j->b, ns);
	buf_putc(j->b, '"');
}

/* Unix seconds as a number, to the millisecond. */
static void put_seconds(struct json_out *j, int64_t ns)
{
	int64_t ms = ns / NS_PER_MS;
	char fraction[4];

	json_sep(j);
	if (ms < 0 && ms > -1000)
		buf_putc(j->b, '-');
	put_int(j->b, ms / 1000);
	ms = ms % 1000 < 0 ? -(ms % 1000) : ms % 1000;
	if (ms == 0)
		return;
	fraction[0] = (char)('0' + ms / 100);
	fraction[1] = (char)('0' + ms / 10 % 10);
	fraction[2] = (char)('0' + ms % 10);
	size_t n = fraction[2] != '0' ? 3 : fraction[1] != '0' ? 2 : 1;
	buf_putc(j->b, '.');
	buf_append(j->b, fraction, n);
}

static void put_value(struct json_out *j, double v)
{
	json_sep(j);
	buf_putc(j->b, '"');
	text_float(j->b, v);
	buf_putc(j->b, '"');
}

static void put_point(struct json_out *j, const struct result_point *p)
{
	json_open(j, '[');
	put_seconds(j, p->ts);
	put_value(j, p->value);
	json_close(j, ']');
}

static void key_uint(struct json_out *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_int(j, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void key_float(struct json_out *j, const char *key, double v)
{
	json_key(j, key);
	json_float(j, isfinite(v) ? v : 0);
}

/* ---- streams ---- */

static void put_categories(struct json_out *j, const struct result_entry *e)
{
	json_open(j, '{');
	if (e->meta.n > 0) {
		json_key(j, "structuredMetadata");
		labels_json(j, e->meta);
	}
	if (e->parsed.n > 0) {
		json_key(j, "parsed");
		labels_json(j, e->parsed);
	}
	json_close(j, '}');
}

static void put_entry(struct encoder *e, const struct result_entry *entry)
{
	struct json_out *j = &e->j;

	json_open(j, '[');
	put_ns(j, entry->ts);
	json_sep(j);
	json_quote(j->b, entry->line, true);
	if (e->categorize)
		put_categories(j, entry);
	json_close(j, ']');
}

static int put_streams(struct encoder *e, const struct query_result *r, struct err *err)
{
	struct json_out *j = &e->j;

	json_open(j, '[');
	for (size_t i = 0; i < r->n_streams; i++) {
		const struct result_stream *s = &r->stream[i];

		json_open(j, '{');
		json_key(j, "stream");
		labels_json(j, s->labels);
		json_key(j, "values");
		json_open(j, '[');
		for (size_t k = 0; k < s->n; k++) {
			if (check(e, err) == -1)
				return -1;
			put_entry(e, &s->entry[k]);
		}
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, ']');
	return 0;
}

/* ---- series ---- */

static int put_matrix(struct encoder *e, const struct query_result *r, struct err *err)
{
	struct json_out *j = &e->j;

	json_open(j, '[');
	for (size_t i = 0; i < r->n_series; i++) {
		const struct result_series *s = &r->series[i];

		json_open(j, '{');
		json_key(j, "metric");
		labels_json(j, s->labels);
		json_key(j, "values");
		json_open(j, '[');
		for (size_t k = 0; k < s->n; k++) {
			if (check(e, err) == -1)
				return -1;
			put_point(j, &s->point[k]);
		}
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, ']');
	return 0;
}

static int put_vector(struct encoder *e, const struct query_result *r, struct err *err)
{
	struct json_out *j = &e->j;

	json_open(j, '[');
	for (size_t i = 0; i < r->n_series; i++) {
		const struct result_series *s = &r->series[i];

		if (check(e, err) == -1)
			return -1;
		if (s->n == 0)
			continue;
		json_open(j, '{');
		json_key(j, "metric");
		labels_json(j, s->labels);
		json_key(j, "value");
		put_point(j, &s->point[0]);
		json_close(j, '}');
	}
	json_close(j, ']');
	return 0;
}

/* A scalar's time is in whole milliseconds, unlike that of all others: so does Loki. */
static int put_scalar(struct encoder *e, const struct query_result *r)
{
	struct json_out *j = &e->j;

	json_open(j, '[');
	if (r->n_series > 0 && r->series[0].n > 0) {
		json_int(j, r->series[0].point[0].ts / NS_PER_MS);
		put_value(j, r->series[0].point[0].value);
	}
	json_close(j, ']');
	return 0;
}

/* ---- stats ---- */

/* From the store's files, or from the heads in memory. */
static void put_store(struct json_out *j, const struct query_stats *s, bool heads)
{
	json_key(j, "store");
	json_open(j, '{');
	key_uint(j, "totalChunksRef", heads ? 0 : s->chunks_total);
	key_uint(j, "totalChunksDownloaded", heads ? 0 : s->chunks_read);
	key_uint(j, "chunksDownloadTime", 0);
	json_key(j, "queryReferencedStructuredMetadata");
	json_bool(j, !heads && s->meta_bytes_processed > 0);
	json_key(j, "queryUsedV2Engine");
	json_bool(j, false);
	json_key(j, "chunk");
	json_open(j, '{');
	key_uint(j, "headChunkBytes", heads ? s->head_bytes : 0);
	key_uint(j, "headChunkLines", heads ? s->head_lines : 0);
	key_uint(j, "decompressedBytes", heads ? 0 : s->decompressed_bytes);
	key_uint(j, "decompressedLines", heads ? 0 : s->decompressed_lines);
	key_uint(j, "compressedBytes", heads ? 0 : s->compressed_bytes);
	key_uint(j, "totalDuplicates", heads ? 0 : s->duplicates);
	key_uint(j, "postFilterLines", heads ? 0 : s->post_filter_lines);
	key_uint(j, "headChunkStructuredMetadataBytes", 0);
	key_uint(j, "decompressedStructuredMetadataBytes", heads ? 0 : s->meta_bytes_processed);
	json_close(j, '}');
	key_uint(j, "chunkRefsFetchTime", 0);
	key_uint(j, "congestionControlLatency", 0);
	key_uint(j, "pipelineWrapperFilteredLines", 0);
	json_key(j, "dataobj");
	json_sep(j);
	buf_puts(j->b,
		 "{\"prePredicateDecompressedRows\":0,\"prePredicateDecompressedBytes\":0,"
		 "\"prePredicateDecompressedStructuredMetadataBytes\":0,\"postPredicateRows\":0,"
		 "\"postPredicateDecompressedBytes\":0,\"postPredicateStructuredMetadataBytes\":0,"
		 "\"postFilterRows\":0,\"pagesScanned\":0,\"pagesDownloaded\":0,\"pagesDownloadedBytes\":0,"
		 "\"pageBatches\":0,\"totalRowsAvailable\":0,\"totalPageDownloadTime\":0,"
		 "\"wireBytesTransferred\":0}");
	json_close(j, '}');
}

static uint64_t per_second(uint64_t n, double seconds)
{
	double rate = seconds > 0 ? (double)n / seconds : 0;

	return rate < 9e18 ? (uint64_t)rate : INT64_MAX;
}

static void put_summary(struct json_out *j, const struct query_stats *s)
{
	json_key(j, "summary");
	json_open(j, '{');
	key_uint(j, "bytesProcessedPerSecond", per_second(s->bytes_processed, s->exec_seconds));
	key_uint(j, "linesProcessedPerSecond", per_second(s->lines_processed, s->exec_seconds));
	key_uint(j, "totalBytesProcessed", s->bytes_processed);
	key_uint(j, "totalLinesProcessed", s->lines_processed);
	key_float(j, "execTime", s->exec_seconds);
	key_float(j, "queueTime", s->queue_seconds);
	key_uint(j, "subqueries", 0);
	key_uint(j, "totalEntriesReturned", s->entries_returned);
	key_uint(j, "splits", 0);
	key_uint(j, "shards", 1);
	key_uint(j, "totalPostFilterLines", s->post_filter_lines);
	key_uint(j, "totalStructuredMetadataBytesProcessed", s->meta_bytes_processed);
	json_close(j, '}');
}

static void put_cache(struct json_out *j, const char *name, const struct query_stats *s)
{
	bool is_result = strcmp(name, "result") == 0; /* the only one that there is */

	json_key(j, name);
	json_open(j, '{');
	key_uint(j, "entriesFound", is_result ? s->cache_hits : 0);
	key_uint(j, "entriesRequested", is_result ? s->cache_requests : 0);
	key_uint(j, "entriesStored", is_result ? s->cache_stored : 0);
	key_uint(j, "bytesReceived", is_result ? s->cache_bytes_found : 0);
	key_uint(j, "bytesSent", is_result ? s->cache_bytes_stored : 0);
	key_uint(j, "requests", is_result ? s->cache_requests : 0);
	key_uint(j, "downloadTime", 0);
	key_uint(j, "queryLengthServed", 0);
	json_close(j, '}');
}

static void put_caches(struct json_out *j, const struct query_stats *s)
{
	static const char *const names[] = { "chunk",	     "index",
					     "result",	     "statsResult",
					     "volumeResult", "seriesResult",
					     "labelResult",  "instantMetricResult",
					     "logResult",    "taskResult" };

	json_key(j, "cache");
	json_open(j, '{');
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		put_cache(j, names[i], s);
	json_close(j, '}');
}

/* What Loki has no names for: why chunks and blocks need not be read, and what was done with the rest. */
static void put_work(struct json_out *j, const struct query_stats *s)
{
	json_key(j, "work");
	json_open(j, '{');
	key_uint(j, "chunksConsidered", s->chunks_total);
	key_uint(j, "chunksSkippedByTime", s->chunks_skipped_by_time);
	key_uint(j, "chunksSkippedByTraceIndex", s->chunks_skipped_by_trace);
	key_uint(j, "chunksSkippedByFilter", s->chunks_skipped_by_filter);
	key_uint(j, "chunksSkippedByTemplates", s->chunks_skipped_by_templates);
	key_uint(j, "chunksCounted", s->chunks_counted);
	key_uint(j, "chunksRead", s->chunks_read);
	key_uint(j, "daysSkippedByTraceIndex", s->days_skipped_by_trace);
	key_uint(j, "blocksRead", s->blocks_read);
	key_uint(j, "blocksSkipped", s->blocks_skipped);
	key_uint(j, "blocksSkippedByTemplates", s->blocks_skipped_by_templates);
	key_uint(j, "bytesRead", s->compressed_bytes);
	key_uint(j, "columnsDecoded", s->columns_decoded);
	key_uint(j, "linesRebuilt", s->lines_rebuilt);
	key_uint(j, "unitsFromCache", s->cache_hits);
	json_close(j, '}');
}

void encode_stats(struct json_out *j, const struct query_stats *s)
{
	uint64_t skipped = s->chunks_skipped_by_trace + s->chunks_skipped_by_filter;

	json_key(j, "stats");
	json_open(j, '{');
	put_summary(j, s);
	json_key(j, "querier");
	json_open(j, '{');
	put_store(j, s, false);
	key_float(j, "querierExecTime", s->scan_seconds);
	json_close(j, '}');
	json_key(j, "ingester");
	json_open(j, '{');
	key_uint(j, "totalReached", 1);
	key_uint(j, "totalChunksMatched", 0);
	key_uint(j, "totalBatches", 0);
	key_uint(j, "totalLinesSent", 0);
	put_store(j, s, true);
	json_close(j, '}');
	put_caches(j, s);
	json_key(j, "index");
	json_open(j, '{');
	key_uint(j, "totalChunks", s->chunks_total);
	key_uint(j, "postFilterChunks", s->chunks_total - MIN(skipped, s->chunks_total));
	key_uint(j, "shardsDuration", 0);
	json_key(j, "usedBloomFilters");
	json_bool(j, s->used_trace_index);
	key_uint(j, "totalStreams", s->streams);
	key_float(j, "chunkRefsLookupTime", s->plan_seconds);
	key_float(j, "bloomFilterTime", 0);
	json_close(j, '}');
	put_work(j, s);
	json_close(j, '}');
}

/* ---- query results ---- */

static bool next_flag(struct slice *rest, struct slice *flag)
{
	if (rest->p == NULL || rest->n == 0)
		return false;
	size_t comma = slice_find_byte(*rest, ',');
	*flag = slice_sub(*rest, 0, comma);
	*rest = slice_from(*rest, comma == SLICE_NONE ? rest->n : comma + 1);
	return true;
}

bool encode_wants_categories(struct slice flags)
{
	struct slice flag;

	while (next_flag(&flags, &flag))
		if (slice_is(flag, "categorize-labels"))
			return true;
	return false;
}

static void put_flags(struct json_out *j, struct slice flags)
{
	struct slice flag;

	if (flags.n == 0)
		return;
	json_key(j, "encodingFlags");
	json_open(j, '[');
	while (next_flag(&flags, &flag))
		json_str(j, flag);
	json_close(j, ']');
}

static void put_warnings(struct json_out *j, const struct query_result *r)
{
	if (r->n_warnings == 0)
		return;
	json_key(j, "warnings");
	json_open(j, '[');
	for (size_t i = 0; i < r->n_warnings; i++)
		json_str(j, r->warning[i]);
	json_close(j, ']');
}

static int put_result(struct encoder *e, const struct query_result *r, struct err *err)
{
	switch (r->type) {
	case RESULT_STREAMS: return put_streams(e, r, err);
	case RESULT_MATRIX: return put_matrix(e, r, err);
	case RESULT_VECTOR: return put_vector(e, r, err);
	case RESULT_SCALAR: return put_scalar(e, r);
	}
	return err_set(err, ERR_INTERNAL, "result of unknown type %d", (int)r->type);
}

int encode_result(struct buf *b, const struct query_result *r, struct slice flags, struct query_control *c,
		  struct err *err)
{
	static const char *const types[] = { "streams", "matrix", "vector", "scalar" };
	struct encoder e = { .j = { .b = b }, .categorize = encode_wants_categories(flags), .control = c };
	struct json_out *j = &e.j;

	json_open(j, '{');
	json_key(j, "status");
	json_cstr(j, "success");
	put_warnings(j, r);
	json_key(j, "data");
	json_open(j, '{');
	json_key(j, "resultType");
	json_cstr(j, types[r->type]);
	if (r->type == RESULT_STREAMS)
		put_flags(j, flags);
	json_key(j, "result");
	if (put_result(&e, r, err) == -1)
		return -1;
	encode_stats(j, &r->stats);
	json_close(j, '}');
	json_close(j, '}');
	buf_putc(b, '\n');
	return 0;
}

static void put_legacy_entry(struct json_out *j, int64_t ts, struct slice line)
{
	json_open(j, '{');
	json_key(j, "ts");
	json_sep(j);
	buf_putc(j->b, '"');
	clock_format_rfc3339(j->b, ts, true);
	buf_putc(j->b, '"');
	json_key(j, "line");
	json_sep(j);
	json_quote(j->b, line, true);
	json_close(j, '}');
}

int encode_legacy(struct buf *b, const struct query_result *r, struct query_control *c, struct err *err)
{
	struct encoder e = { .j = { .b = b }, .control = c };
	struct json_out *j = &e.j;
	struct buf labels;
	int rc = 0;

	buf_init(&labels);
	json_open(j, '{');
	json_key(j, "streams");
	json_open(j, '[');
	for (size_t i = 0; i < r->n_streams && rc == 0; i++) {
		const struct result_stream *s = &r->stream[i];

		buf_reset(&labels);
		labels_format(&labels, s->labels);
		json_open(j, '{');
		json_key(j, "labels");
		json_str(j, buf_slice(&labels));
		json_key(j, "entries");
		json_open(j, '[');
		for (size_t k = 0; k < s->n && (rc = check(&e, err)) == 0; k++)
			put_legacy_entry(j, s->entry[k].ts, s->entry[k].line);
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, ']');
	encode_stats(j, &r->stats);
	json_close(j, '}');
	buf_putc(b, '\n');
	buf_fini(&labels);
	return rc;
}

/* ---- labels, series, statistics ---- */

static void open_success(struct json_out *j)
{
	json_open(j, '{');
	json_key(j, "status");
	json_cstr(j, "success");
}

static void close_body(struct json_out *j)
{
	json_close(j, '}');
	buf_putc(j->b, '\n');
}

void encode_strings(struct buf *b, const struct slice *v, size_t n)
{
	struct json_out j = { .b = b };

	open_success(&j);
	if (n > 0) {
		json_key(&j, "data");
		json_open(&j, '[');
		for (size_t i = 0; i < n; i++)
			json_str(&j, v[i]);
		json_close(&j, ']');
	}
	close_body(&j);
}

void encode_series(struct buf *b, const struct labels *v, size_t n)
{
	struct json_out j = { .b = b };

	open_success(&j);
	json_key(&j, "data");
	json_open(&j, '[');
	for (size_t i = 0; i < n; i++)
		labels_json(&j, v[i]);
	json_close(&j, ']');
	close_body(&j);
}

void encode_index_stats(struct buf *b, const struct meta_stats *s)
{
	struct json_out j = { .b = b };

	json_open(&j, '{');
	key_uint(&j, "streams", s->streams);
	key_uint(&j, "chunks", s->chunks);
	key_uint(&j, "bytes", s->bytes);
	key_uint(&j, "entries", s->entries);
	close_body(&j);
}

/* ---- traces ---- */

static void put_trace_entry(struct json_out *j, const struct trace_entry *e)
{
	json_open(j, '{');
	json_key(j, "id");
	json_sep(j);
	buf_putc(j->b, '"');
	entry_id_format(j->b, e->ts, entry_hash(e->labels, e->line, e->meta));
	buf_putc(j->b, '"');
	json_key(j, "ts");
	put_ns(j, e->ts);
	json_key(j, "line");
	json_sep(j);
	json_quote(j->b, e->line, true);
	json_key(j, "labels");
	labels_json(j, e->labels);
	json_key(j, "metadata");
	labels_json(j, e->meta);
	json_close(j, '}');
}

/* The first or last instant of a trace; null if it has no lines. */
static void put_trace_bound(struct json_out *j, const char *key, const struct trace_result *r, int64_t ns)
{
	json_key(j, key);
	if (r->n > 0)
		put_ns(j, ns);
	else
		json_put_null(j);
}

static void put_trace_warnings(struct json_out *j, const struct trace_result *r)
{
	if (r->n_corrupt_blocks == 0)
		return;
	json_key(j, "warnings");
	json_open(j, '[');
	json_sep(j);
	buf_printf(j->b, "\"%zu damaged blocks were skipped; lines may be missing\"", r->n_corrupt_blocks);
	json_close(j, ']');
}

static void put_links(struct json_out *j, const struct encoded_links *links)
{
	json_key(j, "trace_url");
	if (links->url.n > 0)
		json_str(j, links->url);
	else
		json_put_null(j);
	json_key(j, "links");
	json_open(j, '[');
	for (size_t i = 0; i < links->n; i++) {
		json_open(j, '{');
		json_key(j, "name");
		json_str(j, links->v[i].name);
		json_key(j, "url");
		json_str(j, links->v[i].url);
		json_close(j, '}');
	}
	json_close(j, ']');
}

int encode_trace(struct buf *b, const struct trace_result *r, const struct encoded_links *links,
		 struct query_control *c, struct err *err)
{
	struct encoder e = { .j = { .b = b }, .control = c };
	struct json_out *j = &e.j;
	struct buf id;

	buf_init(&id);
	trace_id_format(&id, r->id);
	json_open(j, '{');
	json_key(j, "trace_id");
	json_str(j, buf_slice(&id));
	buf_fini(&id);
	put_trace_warnings(j, r);
	put_trace_bound(j, "start", r, r->first_ns);
	put_trace_bound(j, "end", r, r->last_ns);
	json_key(j, "entries");
	json_open(j, '[');
	for (size_t i = 0; i < r->n; i++) {
		if (check(&e, err) == -1)
			return -1;
		put_trace_entry(j, &r->entry[i]);
	}
	json_close(j, ']');
	json_key(j, "more");
	json_bool(j, r->more);
	json_key(j, "first_error");
	if (r->has_error)
		json_int(j, (int64_t)r->first_error);
	else
		json_put_null(j);
	put_links(j, links);
	close_body(j);
	return 0;
}

/* ---- live tails ---- */

void encode_flags(struct buf *b, struct slice flags)
{
	put_flags(&(struct json_out){ .b = b, .comma = true }, flags);
}

static void put_legacy_labels(struct json_out *j, struct labels l)
{
	struct buf text;

	buf_init(&text);
	labels_format(&text, l);
	json_str(j, buf_slice(&text));
	buf_fini(&text);
}

void encode_tail(struct buf *b, enum tail_format format, const struct tail_entry *entry, size_t *labels_off,
		 size_t *labels_n)
{
	const struct result_entry values = {
		.ts = entry->ts, .line = entry->line, .meta = entry->meta, .parsed = entry->parsed
	};
	struct encoder e = { .j = { .b = b }, .categorize = format == TAIL_CATEGORIZED };
	bool legacy = format == TAIL_LEGACY;
	size_t begin = b->n;

	json_open(&e.j, '{');
	json_key(&e.j, legacy ? "labels" : "stream");
	*labels_off = b->n - begin;
	if (legacy)
		put_legacy_labels(&e.j, entry->labels);
	else
		labels_json(&e.j, entry->labels);
	*labels_n = b->n - begin - *labels_off;
	json_key(&e.j, legacy ? "entries" : "values");
	json_open(&e.j, '[');
	if (legacy)
		put_legacy_entry(&e.j, entry->ts, entry->line);
	else
		put_entry(&e, &values);
	json_close(&e.j, ']');
	json_close(&e.j, '}');
}
