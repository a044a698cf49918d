#include "ingest/validate.h"
#include "ingest/decode.h"
#include "ingest/level.h"
#include "ingest/meta_name.h"
#include "base/clock.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

enum { ECHO_BYTES = 256, MAX_FORMATTED = 10000 };

static const char *const reason_names[DISCARD_N_REASONS] = {
	[DISCARD_MISSING_LABELS] = "missing_labels",
	[DISCARD_MISSING_ENFORCED_LABELS] = "missing_enforced_labels",
	[DISCARD_BLOCKED] = "blocked_ingestion",
	[DISCARD_TOO_MANY_LABELS] = "max_label_names_per_series",
	[DISCARD_LABEL_NAME_TOO_LONG] = "label_name_too_long",
	[DISCARD_LABEL_VALUE_TOO_LONG] = "label_value_too_long",
	[DISCARD_DUPLICATE_LABELS] = "duplicate_label_names",
	[DISCARD_LABELS_TOO_LARGE] = "invalid_labels",
	[DISCARD_TOO_OLD] = "greater_than_max_sample_age",
	[DISCARD_TOO_NEW] = "too_far_in_future",
	[DISCARD_LINE_TOO_LONG] = "line_too_long",
	[DISCARD_META_DISALLOWED] = "disallowed_structured_metadata",
	[DISCARD_META_TOO_LARGE] = "structured_metadata_too_large",
	[DISCARD_META_TOO_MANY] = "structured_metadata_too_many",
	[DISCARD_META_NAME] = "invalid_structured_metadata",
	[DISCARD_RATE_LIMITED] = "rate_limited",
	[DISCARD_STREAM_RATE] = "per_stream_rate_limit",
	[DISCARD_STREAM_LIMIT] = "stream_limit",
};

const char *discard_reason_name(enum discard_reason r)
{
	return reason_names[r];
}

struct check {
	struct batch *b;
	const struct limits *l;
	int64_t now_ns;
	struct tally *t;
	struct buf text,
		labels; /* scratch: the message, the labels of the current stream (empty: not made yet) */
	size_t n_formatted;
	struct label *
		levels; /* detected_level with each of the usual values, shared by entries without metadata */
	size_t n_levels;
	struct slice clean[64]; /* names of metadata that need no change */
};

/* ---------------------------------------------------------------- messages */

static void put_cut(struct buf *out, struct slice s)
{
	struct slice shown = utf8_cut(s, ECHO_BYTES);

	text_terminal(out, shown);
	if (shown.n < s.n)
		buf_puts(out, "...");
}

void validate_stream_text(struct buf *out, struct labels labels)
{
	struct buf all;

	buf_init(&all);
	labels_format(&all, labels);
	put_cut(out, buf_slice(&all));
	buf_fini(&all);
}

static void count_text(struct check *c, struct slice text)
{
	struct tally *t = c->t;

	for (size_t i = 0; i < t->n_texts; i++) {
		if (slice_eq(t->text[i], text)) {
			t->count[i]++;
			return;
		}
	}
	if (t->n_texts == TALLY_EXAMPLES)
		return;
	t->text[t->n_texts] = arena_dup(&c->b->arena, text);
	t->count[t->n_texts++] = 1;
}

/* Message: before, the stream's labels, then fmt. */
__attribute__((format(printf, 4, 5))) static void complain(struct check *c, const struct batch_stream *s,
							   const char *before, const char *fmt, ...)
{
	va_list ap;

	c->t->n_errors++;
	/* Formatting has its price; a million refused entries are counted, but not one by one. */
	if (c->n_formatted++ >= MAX_FORMATTED)
		return;
	if (c->labels.n == 0)
		validate_stream_text(&c->labels, s->labels);
	buf_reset(&c->text);
	buf_puts(&c->text, before);
	buf_add(&c->text, buf_slice(&c->labels));
	va_start(ap, fmt);
	buf_vprintf(&c->text, fmt, ap);
	va_end(ap);
	count_text(c, buf_slice(&c->text));
}

void tally_text(const struct tally *t, struct buf *out)
{
	size_t shown = 0;

	if (t->n_errors == 1 && t->n_texts == 1) {
		buf_add(out, t->text[0]);
		return;
	}
	for (size_t i = 0; i < t->n_texts; i++) {
		buf_printf(out, "%s%zu errors like: ", i > 0 ? "; " : "", t->count[i]);
		buf_add(out, t->text[i]);
		shown += t->count[i];
	}
	if (shown < t->n_errors)
		buf_printf(out, "; and %zu more errors", t->n_errors - shown);
}

/* ---------------------------------------------------------------- streams */

uint64_t entry_bytes(const struct batch_entry *e)
{
	uint64_t n = e->line.n;

	for (size_t i = 0; i < e->n_meta; i++)
		n += e->meta[i].name.n + e->meta[i].value.n;
	return n;
}

void tally_discard(struct tally *t, enum discard_reason why, const struct batch_stream *s,
		   const struct batch_entry *e, uint64_t bytes)
{
	if (t->discarded_entries[why]++ == 0)
		t->sample[why] = (struct tally_sample){ s, e };
	t->discarded_bytes[why] += bytes;
}

static void discard(struct check *c, enum discard_reason why, const struct batch_stream *s,
		    const struct batch_entry *e)
{
	tally_discard(c->t, why, s, e, entry_bytes(e));
}

static bool refuse_stream(struct check *c, struct batch_stream *s, enum discard_reason why)
{
	for (size_t i = 0; i < s->n; i++)
		discard(c, why, s, &c->b->entries.v[s->first + i]);
	s->rejected = true;
	return false;
}

static const struct slice service_name = { "service_name", 12 };

static const char *const service_labels[] = {
	"service",
	"app",
	"application",
	"app_name",
	"name",
	"app_kubernetes_io_name",
	"container",
	"container_name",
	"k8s_container_name",
	"component",
	"workload",
	"job",
	"k8s_job_name",
};

const char *const *validate_service_labels(size_t *n)
{
	*n = ARRAY_LEN(service_labels);
	return service_labels;
}

static struct slice discover_service_name(struct labels l)
{
	for (size_t i = 0; i < ARRAY_LEN(service_labels); i++) {
		struct slice v = labels_get(l, slice_cstr(service_labels[i]));

		if (v.n > 0)
			return v;
	}
	return SLICE("unknown_service");
}

static void add_service_name(struct check *c, struct batch_stream *s)
{
	size_t n = s->labels.n, at = 0;

	if (labels_get(s->labels, service_name).n > 0)
		return;
	struct label *v = arena_array(&c->b->arena, struct label, n + 1);
	while (at < n && slice_cmp(s->labels.v[at].name, service_name) < 0)
		at++;
	if (at > 0)
		memcpy(v, s->labels.v, at * sizeof(*v));
	v[at] = (struct label){ service_name, discover_service_name(s->labels) };
	if (at < n)
		memcpy(v + at + 1, s->labels.v + at, (n - at) * sizeof(*v));
	s->labels = (struct labels){ v, n + 1 };
}

static bool check_label(struct check *c, struct batch_stream *s, size_t i)
{
	const struct label *l = &s->labels.v[i];
	struct buf shown;
	bool ok = true;

	buf_init(&shown);
	if (c->l->max_label_name_length > 0 && l->name.n > c->l->max_label_name_length) {
		put_cut(&shown, l->name);
		complain(c, s, "stream '", "' has label name too long: '%.*s'", SLICE_ARG(buf_slice(&shown)));
		ok = refuse_stream(c, s, DISCARD_LABEL_NAME_TOO_LONG);
	} else if (c->l->max_label_value_length > 0 && l->value.n > c->l->max_label_value_length) {
		put_cut(&shown, l->value);
		complain(c, s, "stream '", "' has label value too long: '%.*s'",
			 SLICE_ARG(buf_slice(&shown)));
		ok = refuse_stream(c, s, DISCARD_LABEL_VALUE_TOO_LONG);
	} else if (i > 0 && slice_eq(l[-1].name, l->name)) {
		put_cut(&shown, l->name);
		complain(c, s, "stream '", "' has duplicate label name: '%.*s'",
			 SLICE_ARG(buf_slice(&shown)));
		ok = refuse_stream(c, s, DISCARD_DUPLICATE_LABELS);
	}
	buf_fini(&shown);
	return ok;
}

static uint64_t labels_text_bytes(struct labels l)
{
	uint64_t n = 2;

	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].name.n + l.v[i].value.n + 3 + (i > 0 ? 2 : 0);
	return n;
}

/* Names that the tenant demands and the stream lacks, with commas. */
static void missing_labels(const struct check *c, const struct batch_stream *s, struct buf *out)
{
	for (struct slice rest = slice_cstr(c->l->enforced_labels); rest.n > 0;) {
		size_t comma = slice_find_byte(rest, ',');
		struct slice name = slice_trim(slice_sub(rest, 0, comma));

		rest = comma == SLICE_NONE ? SLICE("") : slice_from(rest, comma + 1);
		if (name.n == 0 || labels_get(s->labels, name).p != NULL)
			continue;
		if (out->n > 0)
			buf_putc(out, ',');
		buf_add(out, name);
	}
}

static bool check_enforced_labels(struct check *c, struct batch_stream *s)
{
	struct buf before = { 0 }, names = { 0 };
	bool ok = true;

	if (c->l->enforced_labels == NULL || c->l->enforced_labels[0] == '\0')
		return true;
	missing_labels(c, s, &names);
	if (names.n > 0) {
		buf_printf(&before, "missing required labels '%.*s' for user '%.*s' for stream '",
			   SLICE_ARG(buf_slice(&names)), SLICE_ARG(c->b->tenant));
		buf_cstr_end(&before);
		complain(c, s, before.p, "' (policy: '')");
		ok = refuse_stream(c, s, DISCARD_MISSING_ENFORCED_LABELS);
	}
	buf_fini(&before);
	buf_fini(&names);
	return ok;
}

static bool check_labels(struct check *c, struct batch_stream *s)
{
	size_t n = s->labels.n;
	uint64_t bytes = labels_text_bytes(s->labels);

	if (n == 0) {
		c->t->n_errors++;
		count_text(c, SLICE("error at least one label pair is required per stream"));
		return refuse_stream(c, s, DISCARD_MISSING_LABELS);
	}
	if (labels_get(s->labels, service_name).p != NULL)
		n--;
	if (c->l->max_label_names_per_series > 0 && n > c->l->max_label_names_per_series) {
		complain(c, s, "entry for stream '", "' has %zu label names; limit %llu", n,
			 (unsigned long long)c->l->max_label_names_per_series);
		return refuse_stream(c, s, DISCARD_TOO_MANY_LABELS);
	}
	for (size_t i = 0; i < s->labels.n; i++)
		if (!check_label(c, s, i))
			return false;
	if (c->l->max_stream_labels_size > 0 && bytes > c->l->max_stream_labels_size) {
		complain(c, s, "stream '", "' has labels too large: '%llu' bytes, limit: '%llu' bytes",
			 (unsigned long long)bytes, (unsigned long long)c->l->max_stream_labels_size);
		return refuse_stream(c, s, DISCARD_LABELS_TOO_LARGE);
	}
	return check_enforced_labels(c, s);
}

/* ---------------------------------------------------------------- structured metadata */

/* Each byte that is no UTF-8 becomes a space. */
static struct slice sanitise_value(struct arena *a, struct slice s)
{
	char *p = arena_alloc_bytes(a, s.n + 1);
	size_t n = 0, len;

	for (struct slice rest = s; rest.n > 0; rest = slice_from(rest, len)) {
		if (utf8_decode(rest, &len) == 0xfffd && len == 1)
			p[n] = ' ';
		else
			memcpy(p + n, rest.p, len);
		n += len;
	}
	return slice_of(p, n);
}

static bool refuse_meta_name(struct check *c, struct batch_stream *s, struct slice name)
{
	struct buf shown;

	buf_init(&shown);
	put_cut(&shown, name);
	if (name.n == 0)
		complain(c, s, "stream '", "' has structured metadata without a name: label name is empty");
	else
		complain(c, s, "stream '",
			 "': normalization for label name \"%.*s\" resulted in invalid name \"_\"",
			 SLICE_ARG(buf_slice(&shown)));
	buf_fini(&shown);
	return false;
}

/* Entries of one resource share the bytes of most names, so a name is known by where it stands. */
static bool is_clean(struct check *c, struct slice name)
{
	struct slice *known = &c->clean[((uintptr_t)name.p / 8 ^ name.n) % ARRAY_LEN(c->clean)];

	if (name.n > 0 && known->p == name.p && known->n == name.n)
		return true;
	if (!meta_name_clean(name))
		return false;
	*known = name;
	return true;
}

static bool sanitise_metadata(struct check *c, struct batch_stream *s, struct batch_entry *e)
{
	struct arena *a = &c->b->arena;
	uint32_t n = 0;

	for (size_t i = 0; i < e->n_meta; i++) {
		struct label l = e->meta[i];

		if (!is_clean(c, l.name)) {
			struct slice name = l.name.n > 0 ? meta_name_sanitise(a, l.name) : l.name;

			if (name.n == 0 || slice_is(name, "_"))
				return refuse_meta_name(c, s, l.name);
			l.name = name;
		}
		if (l.value.n == 0)
			continue;
		if (!utf8_valid(l.value))
			l.value = sanitise_value(a, l.value);
		e->meta[n++] = l;
	}
	e->n_meta = n;
	if (labels_sort(e->meta, n).p == NULL)
		return true;
	/* The sort is stable, so of equal names the last one is the one that came last. */
	n = 0;
	for (size_t i = 0; i < e->n_meta; i++)
		if (i + 1 == e->n_meta || !slice_eq(e->meta[i].name, e->meta[i + 1].name))
			e->meta[n++] = e->meta[i];
	e->n_meta = n;
	return true;
}

static bool check_metadata(struct check *c, struct batch_stream *s, struct batch_entry *e)
{
	uint64_t bytes = entry_bytes(e) - e->line.n;
	const struct limits *l = c->l;

	if (!l->allow_structured_metadata) {
		complain(c, s, "stream '",
			 "' includes structured metadata, but this feature is disallowed. Please see "
			 "`limits_config.allow_structured_metadata` or contact your Loki administrator to "
			 "enable it");
		discard(c, DISCARD_META_DISALLOWED, s, e);
	} else if (l->max_structured_metadata_size > 0 && bytes > l->max_structured_metadata_size) {
		complain(c, s, "stream '",
			 "' has structured metadata too large: '%llu' bytes, limit: '%llu' bytes. Please see "
			 "`limits_config.max_structured_metadata_size` or contact your Loki administrator to "
			 "increase it",
			 (unsigned long long)bytes, (unsigned long long)l->max_structured_metadata_size);
		discard(c, DISCARD_META_TOO_LARGE, s, e);
	} else if (l->max_structured_metadata_entries_count > 0 &&
		   e->n_meta > l->max_structured_metadata_entries_count) {
		complain(c, s, "stream '",
			 "' has too many structured metadata labels: '%u', limit: '%llu'. Please see "
			 "`limits_config.max_structured_metadata_entries_count` or contact your Loki "
			 "administrator to "
			 "increase it",
			 e->n_meta, (unsigned long long)l->max_structured_metadata_entries_count);
		discard(c, DISCARD_META_TOO_MANY, s, e);
	} else if (!sanitise_metadata(c, s, e)) {
		discard(c, DISCARD_META_NAME, s, e);
	} else {
		return true;
	}
	return false;
}

static const struct slice detected_level = { "detected_level", 14 };

/* One label for each level that entries without metadata share. */
static struct label *shared_level(struct check *c, struct slice level)
{
	enum { MAX_SHARED = 8 };

	for (size_t i = 0; i < c->n_levels; i++)
		if (c->levels[i].value.p == level.p && c->levels[i].value.n == level.n)
			return &c->levels[i];
	if (c->n_levels % MAX_SHARED == 0) {
		c->levels = arena_array(&c->b->arena, struct label, MAX_SHARED);
		c->n_levels = 0;
	}
	c->levels[c->n_levels] = (struct label){ detected_level, level };
	return &c->levels[c->n_levels++];
}

static void add_level(struct check *c, struct batch_entry *e, struct slice of_labels)
{
	struct slice level = level_detect(of_labels, e->meta, e->n_meta, e->line);
	size_t at = 0, n = e->n_meta;

	if (n == 0) {
		e->meta = shared_level(c, level);
		e->n_meta = 1;
		return;
	}
	while (at < n && slice_cmp(e->meta[at].name, detected_level) < 0)
		at++;
	if (at < n && slice_eq(e->meta[at].name, detected_level)) {
		e->meta[at].value = level;
		return;
	}
	struct label *v = arena_array(&c->b->arena, struct label, n + 1);
	memcpy(v, e->meta, at * sizeof(*v));
	v[at] = (struct label){ detected_level, level };
	memcpy(v + at + 1, e->meta + at, (n - at) * sizeof(*v));
	e->meta = v;
	e->n_meta++;
}

/* ---------------------------------------------------------------- entries */

static bool refuse_time(struct check *c, struct batch_stream *s, const struct batch_entry *e, int64_t oldest,
			enum discard_reason why)
{
	struct buf when, limit;

	buf_init(&when);
	buf_init(&limit);
	if (e->ts == TS_TOO_OLD)
		buf_puts(&when, "0001-01-01T00:00:00Z");
	else
		clock_format_rfc3339(&when, e->ts, false);
	if (why == DISCARD_TOO_NEW) {
		complain(c, s, "entry for stream '", "' has timestamp too new: %.*s",
			 SLICE_ARG(buf_slice(&when)));
	} else {
		clock_format_rfc3339(&limit, oldest, false);
		complain(c, s, "entry for stream '",
			 "' has timestamp too old: %.*s, oldest acceptable timestamp is: %.*s",
			 SLICE_ARG(buf_slice(&when)), SLICE_ARG(buf_slice(&limit)));
	}
	discard(c, why, s, e);
	buf_fini(&when);
	buf_fini(&limit);
	return false;
}

static bool refuse_line(struct check *c, struct batch_stream *s, const struct batch_entry *e)
{
	char before[80];

	snprintf(before, sizeof(before), "max entry size '%llu' bytes exceeded for stream '",
		 (unsigned long long)c->l->max_line_size);
	complain(c, s, before, "' while adding an entry with length '%zu' bytes", e->line.n);
	discard(c, DISCARD_LINE_TOO_LONG, s, e);
	return false;
}

static bool check_entry(struct check *c, struct batch_stream *s, struct batch_entry *e)
{
	const struct limits *l = c->l;
	int64_t oldest = c->now_ns - l->reject_old_samples_max_age;

	if (e->ts == TS_TOO_OLD ||
	    (l->reject_old_samples && l->reject_old_samples_max_age > 0 && e->ts < oldest))
		return refuse_time(c, s, e, oldest, DISCARD_TOO_OLD);
	if (e->ts == TS_TOO_NEW ||
	    (l->creation_grace_period > 0 && e->ts > c->now_ns + l->creation_grace_period))
		return refuse_time(c, s, e, 0, DISCARD_TOO_NEW);
	if (l->max_line_size > 0 && e->line.n > l->max_line_size) {
		if (!l->max_line_size_truncate)
			return refuse_line(c, s, e);
		e->line.n = l->max_line_size;
	}
	return e->n_meta == 0 || check_metadata(c, s, e);
}

/* Within a push: same time as the one before, other line: 1 ns later, so that their order is kept. */
static void spread_times(struct check *c, struct batch_stream *s)
{
	const struct batch_entry *before = NULL;
	int64_t sent_before = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct batch_entry *e = &c->b->entries.v[s->first + i];
		int64_t sent = e->ts;

		if (e->rejected)
			continue;
		if (before != NULL && (sent == sent_before || sent == before->ts) &&
		    !slice_eq(before->line, e->line))
			e->ts = before->ts + 1;
		else
			sent_before = sent;
		before = e;
	}
}

static void validate_stream(struct check *c, struct batch_stream *s)
{
	bool levels = c->l->discover_log_levels && c->l->allow_structured_metadata;
	struct slice of_labels;

	buf_reset(&c->labels);
	if (s->n == 0) {
		s->rejected = true;
		return;
	}
	if (c->l->discover_service_name)
		add_service_name(c, s);
	if (!check_labels(c, s))
		return;
	buf_reset(&c->text);
	labels_encode(&c->text, s->labels);
	s->hash = labels_hash(buf_slice(&c->text));
	of_labels = level_of_labels(s->labels);
	for (size_t i = 0; i < s->n; i++) {
		struct batch_entry *e = &c->b->entries.v[s->first + i];

		e->rejected = !check_entry(c, s, e);
		if (e->rejected)
			continue;
		c->t->n_entries++;
		c->t->n_bytes += entry_bytes(e);
		if (levels)
			add_level(c, e, of_labels);
	}
	if (c->l->increment_duplicate_timestamp)
		spread_times(c, s);
}

void validate_batch(struct batch *b, const struct limits *l, int64_t now_ns, struct tally *t)
{
	struct check c = { .b = b, .l = l, .now_ns = now_ns, .t = t };

	buf_init(&c.text);
	buf_init(&c.labels);
	for (size_t i = 0; i < b->streams.n; i++)
		validate_stream(&c, &b->streams.v[i]);
	buf_fini(&c.text);
	buf_fini(&c.labels);
}
