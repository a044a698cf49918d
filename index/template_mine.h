/* index/template_mine.h - from many texts (lines, values of a string column, metadata sets) to a few templates and the values of
 * their slots. Texts that follow no template worth its price follow a last one that is a single slot: SHAPE_RAW.
 *
 * JSON and logfmt: lines are led along a tree of the literals seen so far, most recent branch first, and only a line that
 * leaves the tree is tokenised. Plain text: skeletons are counted by hash (their bytes are compared before it is
 * believed); among lines whose skeletons are too rare, words that are rare become slots as well (the rule of frequent
 * words: Vaarandi, "A Data Clustering Algorithm for Mining Patterns from Event Logs", 2003). One thread. */
#ifndef INDEX_TEMPLATE_MINE_H
#define INDEX_TEMPLATE_MINE_H

#include "index/chunk_columns.h"

enum mine_what {
	MINE_LINES, /* JSON, logfmt, plain */
	MINE_PLAIN, /* plain */
	MINE_META   /* encoded label sets */
};

struct mine_input {
	enum mine_what what;
	const struct slice *text;
	const uint32_t *entry; /* number of the entry of each text, ascending; NULL: text i is entry i's */
	size_t n;	       /* > 0 */
	size_t n_blocks;       /* what a column costs depends on it */
	uint32_t max_columns;
};

struct mined_slot {
	struct slice before;
	uint64_t key; /* slots of equal key and class share a column */
	uint32_t column;
	enum slot_class what;
};
struct mined_template {
	enum line_shape shape;
	struct slice tail;
	const struct mined_slot *slot;
	uint32_t n_slots;
	uint32_t n_texts;
};
struct mined_column {
	const struct slice *v;
	const uint32_t *entry;
	size_t n; /* > 0 */
	bool raw; /* of the template SHAPE_RAW */
};

/* All slices point into the texts; the arrays are the miner's and live until its next use. */
struct mined {
	const struct mined_template *templ;
	uint32_t n_templates;
	const uint32_t *id; /* template of each text */
	const struct mined_column *column;
	uint32_t n_columns;
	size_t n_raw; /* texts of SHAPE_RAW */
};

struct template_miner;
struct template_miner *template_miner_new(void);
void template_miner_free(struct template_miner *m);
size_t template_miner_bytes(const struct template_miner *m); /* memory that it keeps */
/* Looks at a few of the texts, spread over them. False: template_mine would hardly find what pays, and is spared. */
bool template_mine_promises(struct template_miner *m, const struct mine_input *in);
/* False: no templates that pay. */
bool template_mine(struct template_miner *m, const struct mine_input *in, struct mined *out);

#endif
