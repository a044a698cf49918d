/* index/trace_map.h - which runs of a head hold which trace tokens. Runs come and go: a run that is sealed is struck out,
 * and when most of what is noted belongs to such runs the map is made anew without them. Under the head's lock. */
#ifndef INDEX_TRACE_MAP_H
#define INDEX_TRACE_MAP_H

#include "base/vec.h"
#include "index/store.h"

struct head_run;

struct trace_map {
	struct trace_slot {
		uint64_t token;	  /* 0 = free: no token is 0 */
		uint32_t posting; /* newest, number + 1 */
	} * slot;
	size_t n, cap;
	VEC(struct trace_posting {
		uint32_t run;  /* number in runs */
		uint32_t prev; /* number + 1, 0 = end */
	})
	postings;
	VEC(struct trace_run {
		struct head_run *run; /* NULL: gone */
		uint32_t n_postings;
	})
	runs;
	VEC(uint32_t) free_runs; /* numbers that nothing names any more */
	size_t n_gone;		 /* postings of runs that are gone */
};

void trace_map_fini(struct trace_map *m);
size_t trace_map_memory(const struct trace_map *m);
uint32_t trace_map_add_run(struct trace_map *m, struct head_run *run); /* its number + 1 */
void trace_map_add(struct trace_map *m, uint64_t token, uint32_t number);
void trace_map_remove_run(struct trace_map *m, uint32_t number);
/* Runs that hold at least one token of every group, each once. The array is the caller's. */
struct head_run **trace_map_find(const struct trace_map *m, const struct trace_group *groups, size_t n_groups,
				 size_t *n);

#endif
