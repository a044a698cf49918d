/* A class's key is a number: the line's template, the metadata's template, and for each column that matters a code, side by
 * side in one word. A column's code is
 *
 *	CODE_ID       its number in the dictionary
 *	CODE_OFFSET   an integer less the smallest of the chunk
 *	CODE_TEXT     the number of its text among those met in the chunk
 *	CODE_VERDICT  how the tests of the label end: 0 for an empty text, else 1 + the verdicts as digits to the base 3
 *
 * Values that do not fit their column's kind have no code: their rows are odd, and go by row. */
#include "query/column_classes.h"
#include "base/hash.h"
#include "query/column_lines.h"
#include "query/labelfilter.h"

#include <assert.h>

enum {
	MAX_KEY_BITS = 63,
	DIRECT_BITS = 12,
	TEXT_BITS = 16,
	MAX_VERDICTS = 4,
	UNKNOWN = 0xff,
	MIN_GAIN = 512, /* classes from which on they must be fewer than half the rows */
};

enum code_kind { CODE_ID, CODE_OFFSET, CODE_TEXT, CODE_VERDICT };

struct class_column {
	uint32_t column;
	struct slice name; /* of the label; p == NULL: a whole line or metadata set */
	enum code_kind kind;
	unsigned shift, bits;
	size_t n_tests;
	const struct label_test *test[MAX_VERDICTS];
	bool numbers; /* and the tests compare numbers */
	bool is_value;
	uint8_t *verdict; /* of a dictionary's values, UNKNOWN at first */
	struct map texts;
	uint64_t block; /* whose codes are in the keys */
};

/* A slot whose value matters. */
struct class_part {
	uint32_t slot, column;
	bool is_value;
	int at; /* in classes.columns; COLUMN_NONE: a constant */
};
struct class_template {
	bool known, by_row;
	size_t n;
	struct class_part *part;
};

/* ---- columns that matter ---- */

static unsigned bits_for(uint64_t n_codes)
{
	return n_codes <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(n_codes - 1);
}

/* Do labels hold the column's text as it stands, whatever its value? */
static bool is_plain_text(const struct column *col)
{
	return (col->bytes.w[2] | col->bytes.w[3]) == 0 && !byte_set_has(&col->bytes, '\\');
}

static bool find_tests(const struct column_uses *u, struct class_column *x)
{
	for (size_t i = 0; i < u->n_tests; i++) {
		struct slice name = label_test_name(u->tests[i]);

		if (name.p == NULL || !column_label_may_be(x->name, name))
			continue;
		if (x->n_tests == MAX_VERDICTS)
			return false;
		x->test[x->n_tests++] = u->tests[i];
	}
	return true;
}

static bool is_number(const struct column *col)
{
	return col->kind == COLUMN_INT || col->kind == COLUMN_DECIMAL;
}

static bool tests_numbers(const struct class_column *x, const struct column *col)
{
	if (!is_number(col))
		return false;
	for (size_t i = 0; i < x->n_tests; i++)
		if (!label_test_is_number(x->test[i]))
			return false;
	return true;
}

static uint64_t n_verdicts(size_t n_tests)
{
	uint64_t n = 1;

	while (n_tests-- > 0)
		n *= LABEL_N_VERDICTS;
	return n + 1;
}

static bool is_unwrapped(const struct column_uses *u, struct slice name)
{
	return u->unwrap.p != NULL && column_label_may_be(name, u->unwrap);
}

/* Is the label only tested, or only counted as a number? */
static bool by_verdict(const struct column_uses *u, struct columns *c, struct class_column *x,
		       const struct column *col)
{
	bool unwrapped = is_unwrapped(u, x->name);
	struct err ignored; /* who needs the values meets it again */

	if (col->kind == COLUMN_DICT)
		columns_values(c, x->column, &ignored); /* only then are their bytes known */
	if (column_label_may_be_any(x->name, u->values, u->n_values) || !is_plain_text(col) ||
	    (unwrapped && !is_number(col)) || !find_tests(u, x))
		return false;
	x->numbers = tests_numbers(x, col);
	if (unwrapped && !x->numbers)
		return false; /* its values are told apart, each its own class */
	x->is_value = unwrapped;
	return true;
}

static void choose_code(struct column_classes *cc, struct columns *c, struct class_column *x,
			const struct column *col)
{
	if (x->name.p != NULL && by_verdict(cc->uses, c, x, col)) {
		x->kind = CODE_VERDICT;
		x->bits = bits_for(n_verdicts(x->n_tests));
		if (col->kind == COLUMN_DICT) {
			x->verdict = arena_alloc(&cc->arena, col->n_values);
			memset(x->verdict, UNKNOWN, col->n_values);
		}
	} else if (col->kind == COLUMN_DICT) {
		x->kind = CODE_ID;
		x->bits = bits_for(col->n_values);
	} else if ((is_number(col) || col->kind == COLUMN_IPV4) &&
		   (uint64_t)col->max - (uint64_t)col->min < (1 << TEXT_BITS)) {
		x->kind = CODE_OFFSET;
		x->bits = bits_for((uint64_t)col->max - (uint64_t)col->min + 1);
	} else {
		x->kind = CODE_TEXT;
		x->bits = TEXT_BITS;
	}
}

/* Its number; COLUMN_NONE for a constant. False: keys have no room left. */
static bool use_column(struct column_classes *cc, struct columns *c, uint32_t column, struct slice name,
		       int *out)
{
	const struct column *col = columns_get(c, column);
	struct class_column x = { .column = column };

	*out = COLUMN_NONE;
	if (col->kind == COLUMN_CONST && !col->has_exceptions)
		return true;
	for (size_t i = 0; i < cc->columns.n; i++)
		if (cc->columns.v[i].column == column && slice_eq(cc->columns.v[i].name, name)) {
			*out = (int)i;
			return true;
		}
	x.name = name;
	choose_code(cc, c, &x, col);
	x.shift = cc->bits;
	if (x.shift + x.bits > MAX_KEY_BITS)
		return false;
	cc->bits += x.bits;
	map_init(&x.texts);
	*out = (int)cc->columns.n;
	vec_push(&cc->columns, x);
	return true;
}

/* A slot with two labels, or two slots that may be the sample's number. */
static bool is_ambiguous(const struct class_template *t)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < i; k++)
			if (t->part[i].slot == t->part[k].slot ||
			    (t->part[i].is_value && t->part[k].is_value))
				return true;
	return false;
}

/* The columns of the labels that matter. */
static bool use_labels(struct column_classes *cc, struct columns *c, const struct line_template *lt,
		       const struct column_labels *labels, struct class_template *t)
{
	t->part = arena_array(&cc->arena, struct class_part, labels->n);
	for (size_t i = 0; i < labels->n; i++) {
		struct class_part *p = &t->part[t->n++];
		uint32_t slot = labels->v[i].slot, column = lt->slot[slot].column;

		*p = (struct class_part){ .slot = slot, .column = column };
		if (!use_column(cc, c, column, labels->v[i].name, &p->at))
			return false;
		p->is_value = p->at != COLUMN_NONE && cc->columns.v[p->at].is_value;
	}
	return !is_ambiguous(t);
}

static bool map_line(struct column_classes *cc, struct columns *c, const struct line_template *lt,
		     struct class_template *t)
{
	struct column_labels labels;

	return column_map_line(&cc->mapper, lt, &cc->arena, &labels) && use_labels(cc, c, lt, &labels, t);
}

static bool map_meta(struct column_classes *cc, struct columns *c, const struct line_template *lt,
		     struct class_template *t)
{
	struct column_labels labels;

	return column_map_meta(&cc->mapper, lt, &cc->arena, &labels) && use_labels(cc, c, lt, &labels, t);
}

/* ---- codes ---- */

static double power_of_ten(uint32_t n)
{
	double v = 1;

	while (n-- > 0)
		v *= 10;
	return v; /* exact up to 22 */
}

/* The number that parsing the text would give, exactly. False: it takes the text to tell. */
static bool exact_number(const struct column *col, double power, int64_t num, double *out)
{
	enum { EXACT_BITS = 53, EXACT_POWER = 22 };

	if (col->kind == COLUMN_INT) {
		*out = (double)num;
		return true;
	}
	if (col->scale > EXACT_POWER || num > (INT64_C(1) << EXACT_BITS) || num < -(INT64_C(1) << EXACT_BITS))
		return false;
	*out = (double)num / power;
	return true;
}

static uint32_t verdict_of_text(const struct class_column *x, struct slice text)
{
	uint32_t code = 0;

	if (text.n == 0)
		return 0;
	for (size_t i = 0; i < x->n_tests; i++)
		code = code * LABEL_N_VERDICTS + label_test_value(x->test[i], text);
	return code + 1;
}

static uint32_t verdict_of_number(const struct class_column *x, double v)
{
	uint32_t code = 0;

	for (size_t i = 0; i < x->n_tests; i++)
		code = code * LABEL_N_VERDICTS + label_test_number(x->test[i], v);
	return code + 1;
}

static size_t row_of(const struct column_data *d, size_t i)
{
	return d->row != NULL ? d->row[i] : i;
}

/* The text of value i, which fits. */
static int text_of(struct column_classes *cc, struct columns *c, const struct class_column *x,
		   const struct column *col, const struct column_data *d, size_t i, struct slice *out,
		   struct err *err)
{
	if (col->kind == COLUMN_TEXT) {
		*out = d->text[i];
		return 0;
	}
	buf_reset(&cc->text);
	if (columns_text(c, x->column, (uint32_t)i, &cc->text, err) == -1)
		return -1;
	*out = buf_slice(&cc->text);
	return 0;
}

/* False: there are too many. */
static bool number_of_text(struct column_classes *cc, struct class_column *x, struct slice text,
			   uint32_t *out)
{
	uintptr_t known = (uintptr_t)map_get(&x->texts, text);

	if (known == 0) {
		if (x->texts.n + 1 >= (1 << TEXT_BITS))
			return false;
		known = x->texts.n + 1;
		*map_put(&x->texts, arena_dup(&cc->arena, text), NULL) = (void *)known;
	}
	*out = (uint32_t)known;
	return true;
}

static void make_odd(struct column_classes *cc, const struct column_data *d, size_t i)
{
	rows_add(cc->odd.v, row_of(d, i));
}

static int codes_by_text(struct column_classes *cc, struct columns *c, struct class_column *x,
			 const struct column *col, const struct column_data *d, const uint64_t *rows,
			 struct err *err)
{
	size_t e = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct slice text;

		cc->code.v[i] = 0;
		while (e < d->n_exceptions && d->exception_at[e] < i)
			e++;
		if (!rows_has(rows, row_of(d, i)))
			continue;
		if (e < d->n_exceptions && d->exception_at[e] == i)
			text = d->exception[e];
		else if (text_of(cc, c, x, col, d, i, &text, err) == -1)
			return -1;
		if (x->kind == CODE_VERDICT)
			cc->code.v[i] = verdict_of_text(x, text);
		else if (!number_of_text(cc, x, text, &cc->code.v[i]))
			make_odd(cc, d, i);
	}
	return 0;
}

static int codes_of_dictionary(struct column_classes *cc, struct columns *c, struct class_column *x,
			       const struct column *col, const struct column_data *d, struct err *err)
{
	if (x->kind == CODE_ID) {
		memcpy(cc->code.v, d->id, d->n * sizeof(*d->id));
		return 0;
	}
	if (col->value == NULL && columns_values(c, x->column, err) == -1)
		return -1;
	for (size_t i = 0; i < d->n; i++) {
		uint32_t id = d->id[i];

		if (x->verdict[id] == UNKNOWN)
			x->verdict[id] = (uint8_t)verdict_of_text(x, col->value[id]);
		cc->code.v[i] = x->verdict[id];
	}
	return 0;
}

/* Values, and the verdicts about them. */
static void codes_of_numbers(struct column_classes *cc, const struct class_column *x,
			     const struct column *col, const struct column_data *d)
{
	double power = power_of_ten(col->scale), v;

	if (x->kind == CODE_OFFSET) {
		for (size_t i = 0; i < d->n; i++)
			cc->code.v[i] = (uint32_t)((uint64_t)d->num[i] - (uint64_t)col->min);
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		cc->code.v[i] = 0;
		if (!exact_number(col, power, d->num[i], &v)) {
			make_odd(cc, d, i);
			continue;
		}
		cc->code.v[i] = verdict_of_number(x, v);
		if (x->is_value)
			cc->value.v[row_of(d, i)] = v;
	}
}

static void exceptions_are_odd(struct column_classes *cc, const struct column_data *d)
{
	for (uint32_t e = 0; e < d->n_exceptions; e++) {
		cc->code.v[d->exception_at[e]] = 0;
		make_odd(cc, d, d->exception_at[e]);
	}
}

static void add_codes(struct column_classes *cc, const struct class_column *x, const struct column_data *d)
{
	const uint32_t *code = cc->code.v;
	uint64_t *key = cc->key.v;

	if (x->bits == 0)
		return;
	if (d->row == NULL)
		for (size_t i = 0; i < d->n; i++)
			key[i] |= (uint64_t)code[i] << x->shift;
	else
		for (size_t i = 0; i < d->n; i++)
			key[d->row[i]] |= (uint64_t)code[i] << x->shift;
}

/* Adds what the column says to the block's keys. */
static int take_column(struct column_classes *cc, struct columns *c, size_t at, const uint64_t *rows,
		       struct err *err)
{
	struct class_column *x = &cc->columns.v[at];
	const struct column *col = columns_get(c, x->column);
	const struct column_data *d;

	if (x->block == cc->block)
		return 0;
	x->block = cc->block;
	if (x->bits == 0 && !x->is_value && !col->has_exceptions)
		return 0;
	if (columns_data(c, x->column, &d, err) == -1)
		return -1;
	vec_reserve(&cc->code, d->n);
	/* Numbers are compared as such; all else, and what the other kinds' tests need, by text. */
	if (col->kind == COLUMN_DICT) {
		if (codes_of_dictionary(cc, c, x, col, d, err) == -1)
			return -1;
		exceptions_are_odd(cc, d);
	} else if (x->kind == CODE_OFFSET || (x->kind == CODE_VERDICT && x->numbers)) {
		codes_of_numbers(cc, x, col, d);
		exceptions_are_odd(cc, d);
	} else if (codes_by_text(cc, c, x, col, d, rows, err) == -1) {
		return -1;
	}
	add_codes(cc, x, d);
	return 0;
}

/* ---- the block's keys ---- */

static int take_parts(struct column_classes *cc, struct columns *c, const struct class_template *t,
		      const uint64_t *rows, struct err *err)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->part[i].at != COLUMN_NONE &&
		    take_column(cc, c, (size_t)t->part[i].at, rows, err) == -1)
			return -1;
	return 0;
}

typedef bool (*map_fn)(struct column_classes *cc, struct columns *c, const struct line_template *lt,
		       struct class_template *t);

/* Line or metadata: templates, and the columns of those that the block has. */
static int take_tree(struct column_classes *cc, struct columns *c, uint32_t column,
		     struct class_template *templ, map_fn map, unsigned shift, const uint64_t *rows,
		     struct err *err)
{
	size_t n = columns_n_rows(c), n_templates = columns_get(c, column)->n_templates;
	const struct column_data *d;
	bool by_row = false;

	if (columns_data(c, column, &d, err) == -1)
		return -1;
	vec_reserve(&cc->seen, n_templates);
	memset(cc->seen.v, 0, n_templates);
	for (size_t i = 0; i < n; i++) {
		cc->key.v[i] |= (uint64_t)d->id[i] << shift;
		cc->seen.v[d->id[i]] |= rows_has(rows, i);
	}
	for (size_t t = 0; t < n_templates; t++) {
		if (!cc->seen.v[t])
			continue;
		if (!templ[t].known)
			templ[t].by_row = !map(cc, c, &columns_get(c, column)->templ[t], &templ[t]);
		templ[t].known = true;
		by_row = by_row || templ[t].by_row;
	}
	for (size_t i = 0; i < n && by_row; i++)
		if (templ[d->id[i]].by_row)
			rows_add(cc->odd.v, i);
	for (uint32_t e = 0; e < d->n_exceptions; e++)
		make_odd(cc, d, d->exception_at[e]);
	for (size_t t = 0; t < n_templates; t++)
		if (cc->seen.v[t] && !templ[t].by_row && take_parts(cc, c, &templ[t], rows, err) == -1)
			return -1;
	return 0;
}

static int make_keys(struct column_classes *cc, struct columns *c, const uint64_t *rows, struct err *err)
{
	size_t n = columns_n_rows(c);

	vec_reserve(&cc->key, n);
	vec_reserve(&cc->odd, rows_words(n));
	vec_reserve(&cc->of_row, n);
	vec_reserve(&cc->value, n);
	memset(cc->key.v, 0, n * sizeof(*cc->key.v));
	memset(cc->odd.v, 0, rows_words(n) * sizeof(*cc->odd.v));
	if (cc->line != NULL && take_tree(cc, c, COLUMN_LINE, cc->line, map_line, 0, rows, err) == -1)
		return -1;
	if (cc->whole_line != COLUMN_NONE && take_column(cc, c, (size_t)cc->whole_line, rows, err) == -1)
		return -1;
	if (cc->meta != NULL &&
	    take_tree(cc, c, COLUMN_META, cc->meta, map_meta, cc->line_bits, rows, err) == -1)
		return -1;
	if (cc->whole_meta != COLUMN_NONE && take_column(cc, c, (size_t)cc->whole_meta, rows, err) == -1)
		return -1;
	return 0;
}

/* ---- one class ---- */

static size_t value_number(const struct column_data *d, uint32_t row)
{
	size_t lo = 0, hi = d->n;

	if (d->row == NULL)
		return row;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->row[mid] < row)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int text_at(struct columns *c, uint32_t column, uint32_t row, struct buf *out, struct err *err)
{
	const struct column_data *d;

	if (columns_data(c, column, &d, err) == -1)
		return -1;
	size_t i = value_number(d, row);
	if (i >= d->n)
		return err_set(err, ERR_CORRUPT, "column %u has no value for entry %u of its block", column,
			       row);
	return columns_text(c, column, (uint32_t)i, out, err);
}

static const struct class_part *part_of(const struct class_template *t, uint32_t slot)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->part[i].slot == slot)
			return &t->part[i];
	return NULL;
}

static int template_at(struct columns *c, uint32_t column, uint32_t row, uint32_t *out, struct err *err)
{
	const struct column_data *d;

	if (columns_data(c, column, &d, err) == -1)
		return -1;
	*out = d->id[row];
	return 0;
}

/* The line of a row with placeholders for what does not matter. */
static int line_at(struct column_classes *cc, struct columns *c, uint32_t row, struct slot_span *value,
		   struct err *err)
{
	uint32_t number;

	*value = (struct slot_span){ 0, 0 };
	buf_reset(&cc->line_text);
	if (!cc->uses->reads_lines)
		return 0;
	if (cc->line == NULL)
		return text_at(c, COLUMN_LINE, row, &cc->line_text, err);
	if (template_at(c, COLUMN_LINE, row, &number, err) == -1)
		return -1;
	const struct line_template *lt = &columns_get(c, COLUMN_LINE)->templ[number];
	for (uint32_t k = 0; k < lt->n_slots; k++) {
		const struct class_part *p = part_of(&cc->line[number], k);

		buf_add(&cc->line_text, lt->slot[k].before);
		size_t off = cc->line_text.n;
		if (p == NULL)
			buf_add(&cc->line_text, column_placeholder(lt->slot[k].what));
		else if (text_at(c, p->column, row, &cc->line_text, err) == -1)
			return -1;
		if (p != NULL && p->is_value)
			*value = (struct slot_span){ (uint32_t)off, (uint32_t)(cc->line_text.n - off) };
	}
	buf_add(&cc->line_text, lt->tail);
	return 0;
}

/* Its metadata set likewise, encoded. */
static int meta_at(struct column_classes *cc, struct columns *c, uint32_t row, struct err *err)
{
	uint32_t number;

	buf_reset(&cc->meta_text);
	if (cc->meta == NULL)
		return text_at(c, COLUMN_META, row, &cc->meta_text, err);
	if (template_at(c, COLUMN_META, row, &number, err) == -1)
		return -1;
	const struct line_template *lt = &columns_get(c, COLUMN_META)->templ[number];
	cc->labels.n = 0;
	for (uint32_t k = 0; k < lt->n_slots; k++) {
		const struct class_part *p = part_of(&cc->meta[number], k);
		struct label l = { lt->slot[k].before, column_placeholder(SLOT_TEXT) };

		if (p != NULL) {
			buf_reset(&cc->text);
			if (text_at(c, p->column, row, &cc->text, err) == -1)
				return -1;
			l.value = arena_dup(&cc->scratch, buf_slice(&cc->text));
		}
		vec_push(&cc->labels, l);
	}
	labels_encode(&cc->meta_text, (struct labels){ cc->labels.v, cc->labels.n });
	return 0;
}

static int decide_row(struct column_classes *cc, struct columns *c, uint32_t row, struct column_class *out,
		      struct err *err)
{
	struct class_sample s = { .line = SLICE("") };
	struct slot_span value;

	arena_reset(&cc->scratch);
	if (meta_at(cc, c, row, err) == -1 || line_at(cc, c, row, &value, err) == -1)
		return -1;
	if (cc->line_text.n > 0)
		s.line = buf_slice(&cc->line_text);
	if (value.n > 0)
		s.value = slice_sub(s.line, value.off, value.n);
	pipeline_base(cc->pipe, cc->stream, buf_slice(&cc->meta_text), &cc->scratch, &s.base);
	return cc->decide(cc->arg, &s, out, err);
}

/* ---- classes by key ---- */

static uint32_t *table_slot(const struct column_classes *cc, uint64_t key)
{
	size_t i = hash_mix(key) & (cc->cap_table - 1);

	while (cc->table[i] != 0 && cc->classes.v[cc->table[i]].key != key)
		i = (i + 1) & (cc->cap_table - 1);
	return &cc->table[i];
}

static void make_table(struct column_classes *cc, size_t cap)
{
	free(cc->table);
	cc->cap_table = cap;
	cc->table = xcalloc(cap, sizeof(*cc->table));
	for (size_t i = 1; i < cc->classes.n; i++)
		*table_slot(cc, cc->classes.v[i].key) = (uint32_t)i;
}

static bool gives_up(const struct column_classes *cc)
{
	return cc->classes.n > CLASSES_MAX || (cc->classes.n > MIN_GAIN && cc->classes.n * 2 > cc->n_rows);
}

/* The first row of a key decides for all of them. */
static int class_at(struct column_classes *cc, struct columns *c, uint32_t row, uint32_t *out,
		    struct err *err)
{
	uint64_t key = cc->key.v[row];
	bool direct = cc->cap_table == 0;
	struct column_class new = { .key = key };

	*out = direct ? cc->direct[key] : *table_slot(cc, key);
	if (*out != 0 || gives_up(cc))
		return 0;
	if (decide_row(cc, c, row, &new, err) == -1)
		return -1;
	*out = (uint32_t)cc->classes.n;
	vec_push(&cc->classes, new);
	if (direct)
		cc->direct[key] = (uint16_t)*out;
	else if (cc->classes.n * 2 > cc->cap_table)
		make_table(cc, cc->cap_table * 2);
	else
		*table_slot(cc, key) = *out;
	return 0;
}

static int find_classes(struct column_classes *cc, struct columns *c, const uint64_t *rows, struct err *err)
{
	size_t n = columns_n_rows(c);

	cc->n_rows += n;
	if (cc->cap_table == 0 && cc->bits > DIRECT_BITS)
		make_table(cc, (size_t)2 << DIRECT_BITS);
	for (size_t i = 0; (i = rows_next(rows, i, n)) != SLICE_NONE; i++) {
		cc->of_row.v[i] = CLASS_OF_ROWS;
		if (!rows_has(cc->odd.v, i) && class_at(cc, c, (uint32_t)i, &cc->of_row.v[i], err) == -1)
			return -1;
	}
	return 0;
}

/* ---- a chunk ---- */

static void forget_chunk(struct column_classes *cc)
{
	for (size_t i = 0; i < cc->columns.n; i++)
		map_fini(&cc->columns.v[i].texts);
	cc->columns.n = 0;
	free(cc->table);
	cc->table = NULL;
	cc->cap_table = 0;
	cc->classes.n = 0;
	arena_reset(&cc->arena);
	cc->line = cc->meta = NULL;
	cc->whole_line = cc->whole_meta = COLUMN_NONE;
	cc->line_is_text = false;
}

/* The column of lines or of metadata. */
static void start_column(struct column_classes *cc, struct columns *c, uint32_t column,
			 struct class_template **tree, int *whole)
{
	const struct column *col = columns_get(c, column);

	if (col->kind != COLUMN_TEMPLATES) {
		use_column(cc, c, column, (struct slice){ NULL, 0 }, whole);
		return;
	}
	*tree = arena_zalloc(&cc->arena, col->n_templates * sizeof(**tree));
	cc->bits += bits_for(col->n_templates);
}

static void start_chunk(struct column_classes *cc, struct columns *c)
{
	enum column_kind kind = columns_get(c, COLUMN_LINE)->kind;

	forget_chunk(cc);
	cc->chunk = columns_chunk(c);
	cc->bits = cc->line_bits = 0;
	cc->n_rows = 0;
	vec_add(&cc->classes); /* CLASS_OF_ROWS */
	memset(cc->direct, 0, sizeof(*cc->direct) << DIRECT_BITS);
	if (cc->uses->reads_lines) {
		cc->line_is_text = kind != COLUMN_TEMPLATES && kind != COLUMN_DICT && kind != COLUMN_CONST;
		if (cc->line_is_text)
			return;
		start_column(cc, c, COLUMN_LINE, &cc->line, &cc->whole_line);
	}
	cc->line_bits = cc->bits;
	start_column(cc, c, COLUMN_META, &cc->meta, &cc->whole_meta);
}

void column_classes_init(struct column_classes *cc, const struct column_uses *uses, struct pipe_state *pipe,
			 class_decide_fn decide, void *arg)
{
	*cc = (struct column_classes){ .uses = uses, .pipe = pipe, .decide = decide, .arg = arg };
	arena_init(&cc->arena);
	arena_init(&cc->scratch);
	column_mapper_init(&cc->mapper, uses);
	buf_init(&cc->text);
	buf_init(&cc->line_text);
	buf_init(&cc->meta_text);
	cc->direct = xcalloc((size_t)1 << DIRECT_BITS, sizeof(*cc->direct));
}

void column_classes_fini(struct column_classes *cc)
{
	forget_chunk(cc);
	vec_fini(&cc->of_row);
	vec_fini(&cc->value);
	vec_fini(&cc->classes);
	vec_fini(&cc->columns);
	vec_fini(&cc->key);
	vec_fini(&cc->odd);
	vec_fini(&cc->code);
	vec_fini(&cc->seen);
	vec_fini(&cc->labels);
	arena_fini(&cc->arena);
	arena_fini(&cc->scratch);
	column_mapper_fini(&cc->mapper);
	buf_fini(&cc->text);
	buf_fini(&cc->line_text);
	buf_fini(&cc->meta_text);
	free(cc->direct);
}

uint64_t column_classes_bytes(const struct column_classes *cc)
{
	uint64_t n = cc->arena.total + cc->scratch.total + (sizeof(*cc->direct) << DIRECT_BITS) +
		     cc->cap_table * sizeof(*cc->table) + cc->classes.cap * sizeof(*cc->classes.v) +
		     cc->columns.cap * sizeof(*cc->columns.v) +
		     cc->key.cap * (sizeof(*cc->key.v) + sizeof(*cc->value.v) + sizeof(*cc->of_row.v));

	for (size_t i = 0; i < cc->columns.n; i++)
		n += cc->columns.v[i].texts.n * 2 * (sizeof(struct slice) + sizeof(void *));
	return n;
}

int column_classes_sort(struct column_classes *cc, struct columns *c, struct labels stream,
			const uint64_t *rows, struct err *err)
{
	size_t n = columns_n_rows(c);

	if (cc->chunk != columns_chunk(c) || cc->classes.n == 0)
		start_chunk(cc, c);
	cc->stream = stream;
	cc->block++;
	if (cc->line_is_text) {
		vec_reserve(&cc->of_row, n);
		memset(cc->of_row.v, 0, n * sizeof(*cc->of_row.v));
		return 0;
	}
	return make_keys(cc, c, rows, err) == -1 ? -1 : find_classes(cc, c, rows, err);
}
