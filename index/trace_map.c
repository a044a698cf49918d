#include "index/trace_map.h"
#include "base/hash.h"

#include <assert.h>

enum { FIRST_SLOTS = 1024, WORTH_CLEANING = 8192 };

void trace_map_fini(struct trace_map *m)
{
	free(m->slot);
	vec_fini(&m->postings);
	vec_fini(&m->runs);
	vec_fini(&m->free_runs);
	*m = (struct trace_map){ 0 };
}

size_t trace_map_memory(const struct trace_map *m)
{
	return m->cap * sizeof(*m->slot) + m->postings.cap * sizeof(*m->postings.v) +
	       m->runs.cap * sizeof(*m->runs.v);
}

uint32_t trace_map_add_run(struct trace_map *m, struct head_run *run)
{
	if (m->free_runs.n == 0) {
		vec_push(&m->runs, ((struct trace_run){ .run = run }));
		return (uint32_t)m->runs.n;
	}
	uint32_t i = m->free_runs.v[--m->free_runs.n];
	m->runs.v[i] = (struct trace_run){ .run = run };
	return i + 1;
}

static struct trace_slot *slot_of(const struct trace_map *m, uint64_t token)
{
	size_t i = hash_mix(token) & (m->cap - 1);

	while (m->slot[i].token != 0 && m->slot[i].token != token)
		i = (i + 1) & (m->cap - 1);
	return &m->slot[i];
}

static void grow(struct trace_map *m)
{
	struct trace_map old = *m;

	m->cap = old.cap == 0 ? FIRST_SLOTS : old.cap * 2;
	m->slot = xcalloc(m->cap, sizeof(*m->slot));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i].token != 0)
			*slot_of(m, old.slot[i].token) = old.slot[i];
	free(old.slot);
}

void trace_map_add(struct trace_map *m, uint64_t token, uint32_t number)
{
	if (token == 0)
		return;
	if (m->n * 3 >= m->cap * 2)
		grow(m);
	struct trace_slot *s = slot_of(m, token);
	if (s->token == 0) {
		s->token = token;
		m->n++;
	}
	if (s->posting != 0 && m->postings.v[s->posting - 1].run == number - 1)
		return;
	vec_push(&m->postings, ((struct trace_posting){ number - 1, s->posting }));
	s->posting = (uint32_t)m->postings.n;
	m->runs.v[number - 1].n_postings++;
}

static void clean_slot(struct trace_map *m, const struct trace_map *old, const struct trace_slot *s)
{
	struct trace_slot kept = { .token = s->token };

	for (uint32_t p = s->posting; p != 0; p = old->postings.v[p - 1].prev) {
		uint32_t run = old->postings.v[p - 1].run;

		if (m->runs.v[run].run == NULL)
			continue;
		vec_push(&m->postings, ((struct trace_posting){ run, kept.posting }));
		kept.posting = (uint32_t)m->postings.n;
	}
	if (kept.posting == 0)
		return;
	*slot_of(m, s->token) = kept;
	m->n++;
}

static void clean(struct trace_map *m)
{
	struct trace_map old = *m;
	size_t live = old.postings.n - old.n_gone;

	m->n = m->n_gone = 0;
	m->cap = FIRST_SLOTS;
	while (m->cap < live * 2)
		m->cap *= 2;
	m->slot = xcalloc(m->cap, sizeof(*m->slot));
	m->postings.v = NULL;
	m->postings.n = m->postings.cap = 0;
	vec_reserve(&m->postings, live * 2);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slot[i].token != 0)
			clean_slot(m, &old, &old.slot[i]);
	m->free_runs.n = 0;
	for (size_t i = 0; i < m->runs.n; i++)
		if (m->runs.v[i].run == NULL)
			vec_push(&m->free_runs, (uint32_t)i);
	free(old.slot);
	vec_fini(&old.postings);
}

void trace_map_remove_run(struct trace_map *m, uint32_t number)
{
	struct trace_run *r = &m->runs.v[number - 1];

	assert(r->run != NULL);
	r->run = NULL;
	m->n_gone += r->n_postings;
	if (m->n_gone >= WORTH_CLEANING && m->n_gone * 2 > m->postings.n)
		clean(m);
}

static int cmp_ptr(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

static void collect_group(const struct trace_map *m, const struct trace_group *g, struct head_run ***out,
			  size_t *n)
{
	VEC(struct head_run *) runs = { 0 };
	size_t unique = 0;

	for (size_t i = 0; i < g->n && m->cap > 0; i++) {
		for (uint32_t p = slot_of(m, g->token[i])->posting; p != 0; p = m->postings.v[p - 1].prev) {
			struct head_run *run = m->runs.v[m->postings.v[p - 1].run].run;

			if (run != NULL)
				vec_push(&runs, run);
		}
	}
	if (runs.n > 1)
		qsort(runs.v, runs.n, sizeof(*runs.v), cmp_ptr);
	for (size_t i = 0; i < runs.n; i++)
		if (i == 0 || runs.v[i] != runs.v[i - 1])
			runs.v[unique++] = runs.v[i];
	*out = runs.v;
	*n = unique;
}

struct head_run **trace_map_find(const struct trace_map *m, const struct trace_group *groups, size_t n_groups,
				 size_t *n)
{
	struct head_run **all, **more;
	size_t n_more;

	assert(n_groups > 0);
	collect_group(m, &groups[0], &all, n);
	for (size_t g = 1; g < n_groups; g++) {
		size_t kept = 0;

		collect_group(m, &groups[g], &more, &n_more);
		for (size_t i = 0; i < *n; i++)
			if (n_more > 0 && bsearch(&all[i], more, n_more, sizeof(*more), cmp_ptr) != NULL)
				all[kept++] = all[i];
		free(more);
		*n = kept;
	}
	return all;
}
