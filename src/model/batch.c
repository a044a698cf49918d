#include "model/batch.h"

#include <assert.h>

void batch_init(struct batch *b)
{
	*b = (struct batch){ 0 };
	arena_init(&b->arena);
}

void batch_fini(struct batch *b)
{
	vec_fini(&b->streams);
	vec_fini(&b->entries);
	buf_fini(&b->text);
	arena_fini(&b->arena);
}

struct batch_stream *batch_add_stream(struct batch *b)
{
	struct batch_stream *s = vec_add(&b->streams);

	s->first = b->entries.n;
	return s;
}

struct batch_entry *batch_add_entry(struct batch *b)
{
	struct batch_entry *e = vec_add(&b->entries);

	assert(b->streams.n > 0);
	b->streams.v[b->streams.n - 1].n++;
	return e;
}
