/* Writes spoor-logql(7): the page given, with tables from funcs.def and tmpl_funcs.def and with examples from the file
 * of text cases given, which the tests run. Lines that stand for something else:
 *
 *	@STAGES@ @RANGE_FUNCS@ @VECTOR_FUNCS@ @CONVERSIONS@ @TEMPLATE_FUNCS@
 *	@EXAMPLE name@		the lines of the case file between "# example name" and the next empty line */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEVER, MAYBE, NEEDS }; /* unwrap, in funcs.def */

/* mdoc: text that roff would take for something else, or not know */
static void put_roff(struct slice s)
{
	static const char *const special[][2] = {
		{ "\\", "\\e" },
		{ "\"", "\\(dq" },
		{ "'", "\\(aq" },
		{ "`", "\\(ga" },
		{ "~", "\\(ti" },
		{ "^", "\\(ha" },
		{ "-", "\\-" },
		{ "\xe2\x9f\x82", "\\[u27C2]" },
		{ "\xe2\x80\xa6", "..." },
	};

	while (s.n > 0) {
		char plain[2] = { s.p[0], '\0' };
		const char *as = plain;
		size_t n = 1;

		for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
			if (slice_starts(s, slice_cstr(special[i][0]))) {
				as = special[i][1];
				n = strlen(special[i][0]);
			}
		fputs(as, stdout);
		s = slice_from(s, n);
	}
}

static void put_row(const char *name, const char *doc, const char *more)
{
	fputs(".It Li \"", stdout);
	put_roff(slice_cstr(name));
	fputs("\"\n", stdout);
	put_roff(slice_cstr(doc));
	printf("%s.\n", more);
}

/* ---- tables ---- */

static void put_stages(void)
{
#define STAGE_FUNC(sym, name, usage, doc) put_row(usage, doc, "");
#include "logql/funcs.def"
}

static void put_range_func(const char *name, const char *doc, int unwrap, bool grouping)
{
	static const char *const needs[] = {
		[NEVER] = "", [MAYBE] = "; with or without unwrap", [NEEDS] = "; needs unwrap"
	};
	char more[80];

	snprintf(more, sizeof(more), "%s%s", needs[unwrap], grouping ? "; may be grouped" : "");
	put_row(name, doc, more);
}

static void put_range_funcs(void)
{
#define RANGE_FUNC(sym, name, unwrap, grouping, doc) put_range_func(name, doc, unwrap, grouping);
#include "logql/funcs.def"
}

static void put_vector_funcs(void)
{
#define VECTOR_FUNC(sym, name, param, doc) put_row((param) ? name "(k, ...)" : name "(...)", doc, "");
#include "logql/funcs.def"
}

static void put_conversions(void)
{
#define CONV_FUNC(sym, name, doc) put_row(name "(label)", doc, "");
#include "logql/funcs.def"
}

static void add_param(struct buf *usage, char letter, const char *after)
{
	switch (letter) {
	case 's': buf_puts(usage, " text"); break;
	case 'i': buf_puts(usage, " n"); break;
	case 'f': buf_puts(usage, " number"); break;
	case 't': buf_puts(usage, " time"); break;
	default: buf_puts(usage, " value"); break;
	}
	buf_puts(usage, after);
}

static void put_template_func(const char *name, const char *params, const char *rest, const char *doc)
{
	struct buf usage;

	buf_init(&usage);
	buf_puts(&usage, name);
	for (; *params != '\0'; params++)
		add_param(&usage, *params, "");
	if (*rest != '\0')
		add_param(&usage, *rest, " ...");
	buf_cstr_end(&usage);
	put_row(usage.p, doc, "");
	buf_fini(&usage);
}

static void put_template_funcs(void)
{
#define TMPL_FUNC(sym, name, params, rest, doc) put_template_func(name, params, rest, doc);
#include "logql/tmpl_funcs.def"
#undef TMPL_FUNC
}

static const struct {
	const char *name;
	void (*put)(void);
} tables[] = {
	{ "@STAGES@", put_stages },
	{ "@RANGE_FUNCS@", put_range_funcs },
	{ "@VECTOR_FUNCS@", put_vector_funcs },
	{ "@CONVERSIONS@", put_conversions },
	{ "@TEMPLATE_FUNCS@", put_template_funcs },
};

/* ---- examples ---- */

static struct slice next_line(struct slice *rest)
{
	size_t end = slice_find_byte(*rest, '\n');
	struct slice line = slice_sub(*rest, 0, end);

	*rest = slice_from(*rest, end == SLICE_NONE ? rest->n : end + 1);
	return line;
}

static bool put_example(struct slice cases, struct slice name)
{
	const struct slice head = SLICE("# example ");

	while (cases.n > 0) {
		struct slice line = next_line(&cases);

		if (!slice_starts(line, head) || !slice_eq(slice_from(line, head.n), name))
			continue;
		puts(".Bd -literal -offset indent");
		while ((line = next_line(&cases)).n > 0 && !slice_is(line, "---")) {
			if (line.p[0] == '.' || line.p[0] == '\'')
				fputs("\\&", stdout);
			put_roff(line);
			putchar('\n');
		}
		puts(".Ed");
		return true;
	}
	fprintf(stderr, "mklogql7: no example %.*s\n", SLICE_ARG(name));
	return false;
}

static bool put_line(struct slice line, struct slice cases)
{
	const struct slice example = SLICE("@EXAMPLE ");

	if (slice_starts(line, example) && slice_ends(line, SLICE("@")))
		return put_example(cases, slice_sub(line, example.n, line.n - example.n - 1));
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		if (slice_is(line, tables[i].name)) {
			puts(".Bl -tag -width Ds -compact");
			tables[i].put();
			puts(".El");
			return true;
		}
	}
	printf("%.*s\n", SLICE_ARG(line));
	return true;
}

static bool read_all(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	char chunk[16384];
	size_t n;

	if (f == NULL) {
		fprintf(stderr, "mklogql7: %s: %s\n", path, strerror(errno));
		return false;
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_append(out, chunk, n);
	bool ok = !ferror(f);
	fclose(f);
	return ok;
}

int main(int argc, char **argv)
{
	struct buf page, cases;
	bool ok;

	if (argc != 3) {
		fprintf(stderr, "usage: mklogql7 spoor-logql.7.in manual.case\n");
		return EXIT_FAILURE;
	}
	buf_init(&page);
	buf_init(&cases);
	ok = read_all(argv[1], &page) && read_all(argv[2], &cases);
	for (struct slice rest = buf_slice(&page); ok && rest.n > 0;)
		ok = put_line(next_line(&rest), buf_slice(&cases));
	ok = ok && fflush(stdout) == 0;
	buf_fini(&page);
	buf_fini(&cases);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
