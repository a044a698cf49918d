#include "ingest/correlate.h"

void correlator_fini(struct correlator *c)
{
	trace_found_fini(&c->of_stream);
	trace_found_fini(&c->of_entry);
	buf_fini(&c->encoded);
}

static bool has_token(const struct trace_found *f, uint64_t token)
{
	for (size_t i = 0; i < f->n_tokens; i++)
		if (f->token[i] == token)
			return true;
	return false;
}

/* Metadata as trace_find reads it, without detected_level, which every entry has and which names nothing. */
static struct slice encode_metadata(struct correlator *c, const struct batch_entry *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_meta; i++)
		n += !slice_is(e->meta[i].name, "detected_level");
	if (n == 0)
		return SLICE("");
	buf_reset(&c->encoded);
	buf_varint(&c->encoded, n);
	for (size_t i = 0; i < e->n_meta; i++) {
		if (slice_is(e->meta[i].name, "detected_level"))
			continue;
		buf_lenslice(&c->encoded, e->meta[i].name);
		buf_lenslice(&c->encoded, e->meta[i].value);
	}
	return buf_slice(&c->encoded);
}

static void correlate_entry(struct correlator *c, const struct trace_keys *keys, struct batch *b,
			    struct batch_entry *e)
{
	const struct trace_found *s = &c->of_stream, *f = &c->of_entry;
	size_t n = 0;

	trace_find(keys, e->line, encode_metadata(c, e), SLICE(""), &c->of_entry);
	if (s->n_tokens + f->n_tokens == 0)
		return;
	uint64_t *token = arena_array(&b->arena, uint64_t, s->n_tokens + f->n_tokens);
	for (size_t i = 0; i < f->n_tokens; i++)
		token[n++] = f->token[i];
	for (size_t i = 0; i < s->n_tokens; i++)
		if (!has_token(f, s->token[i]))
			token[n++] = s->token[i];
	e->tokens = token;
	e->n_tokens = (uint32_t)n;
}

void correlate_batch(struct correlator *c, const struct trace_keys *keys, struct batch *b)
{
	for (size_t i = 0; i < b->streams.n; i++) {
		struct batch_stream *s = &b->streams.v[i];

		if (s->rejected)
			continue;
		buf_reset(&c->encoded);
		labels_encode(&c->encoded, s->labels);
		trace_find(keys, SLICE(""), SLICE(""), buf_slice(&c->encoded), &c->of_stream);
		for (size_t k = 0; k < s->n; k++)
			if (!b->entries.v[s->first + k].rejected)
				correlate_entry(c, keys, b, &b->entries.v[s->first + k]);
	}
}
