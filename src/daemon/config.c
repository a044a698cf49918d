#include "daemon/config.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/trace_link.h"

#include <assert.h>
#include <stdio.h>
#include <yaml.h>

enum {
	MAX_FILE_BYTES = 1 << 20,
	MAX_DEPTH = 16, /* of nested mappings */
	MAX_LIST_ITEMS = 10000,
};

enum origin { FROM_DEFAULT, FROM_FILE, FROM_COMMAND_LINE, FROM_RUNNING };

struct config {
	struct arena arena; /* texts and lists */
	struct settings settings;
	const char *file; /* as given, for the comments; NULL: none */
	struct {
		enum origin origin;
		size_t line; /* in the file */
	} from[];	     /* one for each row of settings_table */
};

static size_t row_index(const struct setting *row)
{
	return (size_t)(row - settings_table);
}

/* ------------------------------------------------------------------ YAML */

/* One open mapping, or the list of one setting. */
struct reader {
	struct config *c;
	yaml_parser_t parser;
	const char *name; /* of the file */
	const struct setting
		*row; /* its value or its list items are next; NULL: a key is next, or a section opens */
	struct buf section; /* the key before a value, while row is NULL */
	size_t section_line;
	bool in_list, have_key;
	unsigned depth;
	struct slice *item;
	size_t n_items, cap_items;
	bool unknown; /* the key names no setting: fine only if it opens a mapping */
};

static int bad_at(const struct reader *r, size_t line, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int bad_at(const struct reader *r, size_t line, struct err *err, const char *fmt, ...)
{
	va_list ap;
	char text[800];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_CONFIG, "%s:%zu: %s", r->name, line, text);
}

static int unknown_setting(const char *where, struct slice name, struct err *err)
{
	const struct setting *close = setting_closest(name);
	struct buf shown = { 0 };

	text_terminal(&shown, slice_sub(name, 0, 128));
	if (close != NULL)
		err_set(err, ERR_CONFIG, "%s: unknown setting \"%.*s\" (did you mean %s?)", where,
			SLICE_ARG(buf_slice(&shown)), close->name);
	else
		err_set(err, ERR_CONFIG, "%s: unknown setting \"%.*s\"", where, SLICE_ARG(buf_slice(&shown)));
	buf_fini(&shown);
	return -1;
}

static size_t event_line(const yaml_event_t *ev)
{
	return ev->start_mark.line + 1;
}

static int unknown_key(const struct reader *r, struct err *err)
{
	char where[512];

	snprintf(where, sizeof(where), "%s:%zu", r->name, r->section_line);
	return unknown_setting(where, buf_slice(&r->section), err);
}

/* A key: the name of a setting, or of a section if a mapping follows. */
static int read_key(struct reader *r, struct slice key, size_t line, struct err *err)
{
	r->row = setting_find(key);
	r->have_key = true;
	r->section_line = line;
	buf_reset(&r->section);
	buf_add(&r->section, key);
	if (r->row == NULL)
		return 0;
	size_t i = row_index(r->row);
	if (r->c->from[i].origin == FROM_FILE)
		return bad_at(r, line, err, "%s is set twice, first in line %zu", r->row->name,
			      r->c->from[i].line);
	r->c->from[i].origin = FROM_FILE;
	r->c->from[i].line = line;
	return 0;
}

static int read_value(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	struct slice text = slice_of(ev->data.scalar.value, ev->data.scalar.length);
	size_t line = event_line(ev);
	struct err why;

	if (r->row == NULL)
		return unknown_key(r, err);
	r->have_key = false;
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (plain && (text.n == 0 || slice_is(text, "~") || slice_is(text, "null")))
		return bad_at(r, line, err, "%s has no value (for an empty text write \"\")", r->row->name);
	if (setting_set(r->row, text, &r->c->arena, &r->c->settings, &why) == -1)
		return bad_at(r, line, err, "%s", why.msg);
	return 0;
}

static int read_item(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	if (r->n_items == MAX_LIST_ITEMS)
		return bad_at(r, event_line(ev), err, "%s has more than %d items", r->row->name,
			      MAX_LIST_ITEMS);
	if (r->n_items == r->cap_items) {
		r->cap_items = r->cap_items == 0 ? 16 : 2 * r->cap_items;
		r->item = xrealloc(r->item, r->cap_items * sizeof(*r->item));
	}
	struct slice text = slice_of(ev->data.scalar.value, ev->data.scalar.length);
	if (memchr(text.p, '\0', text.n) != NULL)
		return bad_at(r, event_line(ev), err, "%s holds a NUL byte", r->row->name);
	r->item[r->n_items++] = arena_dup(&r->c->arena, text);
	return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	if (r->in_list)
		return read_item(r, ev, err);
	if (r->depth == 0)
		return bad_at(r, event_line(ev), err, "expected settings as \"name: value\"");
	if (r->have_key)
		return read_value(r, ev, err);
	return read_key(r, slice_of(ev->data.scalar.value, ev->data.scalar.length), event_line(ev), err);
}

static int open_list(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	if (r->in_list)
		return bad_at(r, event_line(ev), err, "%s is a list of texts, not of lists", r->row->name);
	if (!r->have_key)
		return bad_at(r, event_line(ev), err, "expected settings as \"name: value\"");
	if (r->row == NULL)
		return unknown_key(r, err);
	r->in_list = true;
	r->n_items = 0;
	return 0;
}

static int close_list(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	struct err why;

	r->in_list = r->have_key = false;
	if (setting_set_list(r->row, r->item, r->n_items, &r->c->arena, &r->c->settings, &why) == -1)
		return bad_at(r, event_line(ev), err, "%s", why.msg);
	return 0;
}

static int open_mapping(struct reader *r, const yaml_event_t *ev, struct err *err)
{
	if (r->in_list || (r->have_key && r->row != NULL))
		return bad_at(r, event_line(ev), err, "%s takes a value, not a mapping", r->row->name);
	if (r->depth > 0 && !r->have_key)
		return bad_at(r, event_line(ev), err, "a mapping cannot be a name");
	if (r->depth == MAX_DEPTH)
		return bad_at(r, event_line(ev), err, "mappings are nested deeper than %d", MAX_DEPTH);
	r->depth++;
	r->have_key = false;
	return 0;
}

static int read_event(struct reader *r, const yaml_event_t *ev, bool *first_document, struct err *err)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (!*first_document)
			return bad_at(r, event_line(ev), err, "more than one document");
		*first_document = false;
		return 0;
	case YAML_ALIAS_EVENT: return bad_at(r, event_line(ev), err, "aliases (*name) are not supported");
	case YAML_SCALAR_EVENT:
		if (ev->data.scalar.anchor != NULL)
			return bad_at(r, event_line(ev), err, "anchors (&name) are not supported");
		if (r->depth == 0 && ev->data.scalar.length == 0)
			return 0; /* a file of comments */
		return read_scalar(r, ev, err);
	case YAML_SEQUENCE_START_EVENT:
		if (ev->data.sequence_start.anchor != NULL)
			return bad_at(r, event_line(ev), err, "anchors (&name) are not supported");
		return open_list(r, ev, err);
	case YAML_SEQUENCE_END_EVENT: return close_list(r, ev, err);
	case YAML_MAPPING_START_EVENT:
		if (ev->data.mapping_start.anchor != NULL)
			return bad_at(r, event_line(ev), err, "anchors (&name) are not supported");
		return open_mapping(r, ev, err);
	case YAML_MAPPING_END_EVENT:
		assert(r->depth > 0);
		r->depth--;
		return 0;
	default: return 0;
	}
}

static int read_yaml(struct config *c, struct slice text, const char *name, struct err *err)
{
	struct reader r = { .c = c, .name = name };
	bool first_document = true;
	int rc = -1;

	if (!yaml_parser_initialize(&r.parser))
		return err_set(err, ERR_CONFIG, "%s: the YAML parser cannot start", name);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
	for (bool end = false; !end;) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&r.parser, &ev)) {
			bad_at(&r, r.parser.problem_mark.line + 1, err, "%s",
			       r.parser.problem != NULL ? r.parser.problem : "not valid YAML");
			goto out;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		int ok = read_event(&r, &ev, &first_document, err);
		yaml_event_delete(&ev);
		if (ok == -1)
			goto out;
	}
	rc = 0;
out:
	yaml_parser_delete(&r.parser);
	buf_fini(&r.section);
	free(r.item);
	return rc;
}

/* ------------------------------------------------------------------ the whole */

static int read_set(struct config *c, const char *arg, struct err *err)
{
	struct slice text = slice_cstr(arg);
	size_t eq = slice_find_byte(text, '=');

	if (eq == SLICE_NONE)
		return err_set(err, ERR_CONFIG, "--set %.128s: expected NAME=VALUE", arg);
	struct slice name = slice_trim(slice_sub(text, 0, eq));
	const struct setting *row = setting_find(name);
	if (row == NULL)
		return unknown_setting("--set", name, err);
	if (setting_set(row, slice_trim(slice_from(text, eq + 1)), &c->arena, &c->settings, err) == -1)
		return err_prefix(err, "--set");
	c->from[row_index(row)].origin = FROM_COMMAND_LINE;
	return 0;
}

int config_check(const struct settings *s, struct err *err)
{
	struct slice url = slice_cstr(s->trace_url_template);

	if (url.n > 0 && !slice_starts(url, SLICE("http://")) && !slice_starts(url, SLICE("https://")))
		return err_set(err, ERR_CONFIG, "trace_url_template must start with http:// or https://");
	if (url.n > 0 && slice_find(url, SLICE("{trace_id}")) == SLICE_NONE)
		return err_set(err, ERR_CONFIG, "trace_url_template has no {trace_id} in it");
	for (size_t i = 0; i < s->trace_links.n; i++)
		if (trace_link_check(s->trace_links.v[i], err) == -1)
			return -1;
	struct slice mode = slice_cstr(s->limits.deletion_mode);
	if (!slice_is(mode, "filter-and-delete") && !slice_is(mode, "filter-only") &&
	    !slice_is(mode, "disabled"))
		return err_set(err, ERR_CONFIG,
			       "deletion_mode must be filter-and-delete, filter-only or disabled");
	int64_t until;
	if (s->limits.block_ingestion_until[0] != '\0' &&
	    !clock_parse_rfc3339(slice_cstr(s->limits.block_ingestion_until), &until))
		return err_set(err, ERR_CONFIG,
			       "block_ingestion_until must be a time like 2026-12-31T00:00:00Z");
	if (s->listen[0] == '\0')
		return err_set(err, ERR_CONFIG, "listen is empty");
	if (s->auth != 0 && s->auth_file[0] == '\0')
		return err_set(err, ERR_CONFIG, "auth takes credentials: auth_file is not set");
	if (s->auth == 3 && s->tls_client_ca_file[0] == '\0')
		return err_set(err, ERR_CONFIG, "auth: mtls takes tls_client_ca_file");
	if (s->max_decompressed_size < s->max_recv_msg_size)
		return err_set(err, ERR_CONFIG, "max_decompressed_size is smaller than max_recv_msg_size");
	if (s->ingest_memory < s->max_recv_msg_size)
		return err_set(err, ERR_CONFIG,
			       "ingest_memory is smaller than max_recv_msg_size: the largest body could "
			       "never be read");
	if (s->limits.ingestion_rate_mb > 0 && s->limits.ingestion_burst_size_mb == 0)
		return err_set(err, ERR_CONFIG,
			       "ingestion_burst_size_mb is 0: no push could ever be accepted");
	if (s->query_memory > 0 && s->query_memory < s->limits.max_query_memory)
		return err_set(err, ERR_CONFIG, "query_memory is smaller than max_query_memory");
	return 0;
}

static struct config *config_new(const char *file)
{
	struct config *c = xcalloc(1, sizeof(*c) + settings_n * sizeof(c->from[0]));

	arena_init(&c->arena);
	settings_defaults(&c->settings, &c->arena);
	c->file = file != NULL ? arena_cstr(&c->arena, slice_cstr(file)) : NULL;
	return c;
}

int config_load_text(struct slice yaml, const char *name, const struct config_args *args, struct config **out,
		     struct err *err)
{
	struct config *c = config_new(name);
	int rc = -1;

	if (yaml.n > 0 && read_yaml(c, yaml, name, err) == -1)
		goto out;
	for (size_t i = 0; i < args->n_set; i++) {
		if (read_set(c, args->set[i], err) == -1)
			goto out;
	}
	if (config_check(&c->settings, err) == -1)
		goto out;
	*out = TAKE(c);
	rc = 0;
out:
	config_free(c);
	return rc;
}

int config_load(const struct config_args *args, struct config **out, struct err *err)
{
	struct buf text = { 0 };
	int rc = -1;

	if (args->file != NULL && file_read_all(args->file, MAX_FILE_BYTES, &text, err) == -1) {
		err->code = ERR_CONFIG;
		goto out;
	}
	rc = config_load_text(buf_slice(&text), args->file, args, out, err);
out:
	buf_fini(&text);
	return rc;
}

int config_reload(const struct config *running, const struct config_args *args, struct config **out,
		  struct buf *needs_restart, struct err *err)
{
	struct config *c = NULL;

	if (config_load(args, &c, err) == -1)
		return -1;
	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL || row->reload || setting_equal(row, &c->settings, &running->settings))
			continue;
		buf_printf(needs_restart, "%s%s", needs_restart->n > 0 ? " " : "", row->name);
		setting_copy(row, &c->settings, &running->settings, &c->arena);
		c->from[i].origin = FROM_RUNNING;
	}
	if (config_check(&c->settings, err) == -1) {
		config_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	free(c);
}

const struct settings *config_settings(const struct config *c)
{
	return &c->settings;
}

bool config_same(const struct config *a, const struct config *b)
{
	for (size_t i = 0; i < settings_n; i++) {
		if (settings_table[i].name != NULL &&
		    !setting_equal(&settings_table[i], &a->settings, &b->settings))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ showing it */

static void render_origin(const struct config *c, size_t i, struct buf *out)
{
	switch (c->from[i].origin) {
	case FROM_DEFAULT: buf_puts(out, "  # default\n"); break;
	case FROM_FILE: buf_printf(out, "  # configuration file, line %zu\n", c->from[i].line); break;
	case FROM_COMMAND_LINE: buf_puts(out, "  # command line\n"); break;
	case FROM_RUNNING: buf_puts(out, "  # changed since the start; takes a restart\n"); break;
	}
}

void config_render(const struct config *c, enum config_mode mode, struct buf *out)
{
	struct config *def = config_new(NULL);
	const struct config *shown = mode == CONFIG_DEFAULTS ? def : c;
	const char *title = NULL;

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL) {
			title = row->doc;
			continue;
		}
		if (mode == CONFIG_DIFFS && setting_equal(row, &c->settings, &def->settings))
			continue;
		if (title != NULL)
			buf_printf(out, "%s# %s\n", out->n > 0 ? "\n" : "", title);
		title = NULL;
		buf_printf(out, "%s: ", row->name);
		setting_format(row, &shown->settings, out);
		render_origin(shown, i, out);
	}
	config_free(def);
}

void config_render_limits(const struct limits *limits, struct buf *out)
{
	const struct settings s = { .limits = *limits };

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (!row->tenant)
			continue;
		buf_printf(out, "%s: ", row->name);
		setting_format(row, &s, out);
		buf_putc(out, '\n');
	}
}

void config_hide_secrets(struct buf *b, size_t from)
{
	struct slice rest = slice_of(b->p + from, b->n - from);
	struct buf out = { 0 };
	size_t at;

	while ((at = slice_find(rest, SLICE("://"))) != SLICE_NONE) {
		size_t n = 0;

		buf_add(&out, slice_sub(rest, 0, at + 3));
		rest = slice_from(rest, at + 3);
		while (n < rest.n && strchr("@/ '\",\n", rest.p[n]) == NULL)
			n++;
		if (n < rest.n && rest.p[n] == '@') {
			buf_puts(&out, "<secret>");
			rest = slice_from(rest, n);
		}
	}
	buf_add(&out, rest);
	b->n = from;
	buf_add(b, buf_slice(&out));
	buf_fini(&out);
}

static void default_text(const struct setting *row, const struct config *def, struct buf *out)
{
	if (row->def[0] == '\0')
		buf_puts(out, "none");
	else
		setting_format(row, &def->settings, out);
}

void config_help(struct buf *out)
{
	struct config *def = config_new(NULL);

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL) {
			buf_printf(out, "\n%s:\n", row->doc);
			continue;
		}
		buf_printf(out, "  %s (%s, default ", row->name, setting_type_text(row));
		default_text(row, def, out);
		buf_printf(out, ")\n      %s\n", row->doc);
	}
	config_free(def);
}

/* Text inside a macro line of mdoc: backslashes, leading dots and quotes are roff's. */
static void mdoc_text(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\\')
			buf_puts(out, "\\e");
		else if ((c == '.' || c == '\'') && (i == 0 || s.p[i - 1] == '\n'))
			buf_printf(out, "\\&%c", c);
		else if (c == '-')
			buf_puts(out, "\\-");
		else
			buf_putc(out, c);
	}
}

static void capitalise(char *c)
{
	if (*c >= 'a' && *c <= 'z')
		*c = (char)(*c - 32);
}

void config_mdoc(struct buf *out)
{
	struct config *def = config_new(NULL);
	struct buf text = { 0 };

	for (size_t i = 0; i < settings_n; i++) {
		const struct setting *row = &settings_table[i];

		if (row->name == NULL) {
			buf_printf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", i > 0 ? ".El\n" : "", row->doc);
			continue;
		}
		buf_printf(out, ".It Ic %s\n", row->name);
		buf_reset(&text);
		size_t type = strlen(row->doc) + 2;
		buf_printf(&text, "%s.\n%s%s, default ", row->doc,
			   row->type == SETTING_CHOICE ? "one of " : "", setting_type_text(row));
		default_text(row, def, &text);
		buf_puts(&text, row->tenant ? "; a limit of each tenant" : "");
		buf_puts(&text, row->reload ? "." : "; a change takes a restart.");
		capitalise(&text.p[0]);
		capitalise(&text.p[type]);
		mdoc_text(buf_slice(&text), out);
		buf_putc(out, '\n');
	}
	buf_puts(out, ".El\n");
	buf_fini(&text);
	config_free(def);
}
