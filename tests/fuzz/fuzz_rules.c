/* Rule files and groups: whatever is accepted must, written out, be read back as the same rules. */
#include "base/log.h"
#include "base/mem.h"
#include "rules/rule.h"

#include <assert.h>

static void same_text(struct slice a, struct slice b)
{
	assert((a.p == NULL) == (b.p == NULL) && slice_eq(a, b));
}

static void same_group(const struct rule_group *a, const struct rule_group *b)
{
	same_text(a->name, b->name);
	assert(a->interval_ns == b->interval_ns && a->query_offset_ns == b->query_offset_ns &&
	       a->limit == b->limit);
	assert(labels_eq(a->labels, b->labels) && a->n_rules == b->n_rules);
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct rule *x = &a->rule[i], *y = &b->rule[i];

		same_text(x->alert, y->alert);
		same_text(x->record, y->record);
		same_text(x->expr, y->expr);
		assert(x->for_ns == y->for_ns && x->keep_firing_for_ns == y->keep_firing_for_ns);
		assert(labels_eq(x->labels, y->labels) && labels_eq(x->annotations, y->annotations));
	}
}

static void one_group(struct slice text)
{
	struct rule_group *g, *again;
	struct buf b = { 0 };
	struct err err;

	if (rule_group_parse(text, &g, &err) == -1)
		return;
	rule_group_format(g, false, &b);
	int rc = b.n > RULES_MAX_FILE_BYTES ? -1 : rule_group_parse(buf_slice(&b), &again, &err);
	assert(rc == 0 || b.n > RULES_MAX_FILE_BYTES);
	if (rc == 0) {
		same_group(g, again);
		rule_group_unref(again);
	}
	rule_group_unref(g);
	buf_fini(&b);
}

static void file(struct slice text)
{
	struct rule_group **group, **again;
	size_t n, n_again;
	struct buf b = { 0 };
	struct err err;

	if (rule_file_parse(text, &group, &n, &err) == -1)
		return;
	rule_file_format(group, n, &b);
	if (b.n <= RULES_MAX_FILE_BYTES) {
		int rc = rule_file_parse(buf_slice(&b), &again, &n_again, &err);

		assert(rc == 0 && n == n_again);
		for (size_t i = 0; i < n; i++) {
			same_group(group[i], again[i]);
			rule_group_unref(again[i]);
		}
		free(again);
	}
	for (size_t i = 0; i < n; i++)
		rule_group_unref(group[i]);
	free(group);
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	log_set_level(LOG_ERROR);
	one_group(slice_of(data, size));
	file(slice_of(data, size));
	return 0;
}
