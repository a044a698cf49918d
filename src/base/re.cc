/* base/re.cc - libre2 behind base/re.h; the only C++ in the tree. Patterns pass our own parser first
 * (re_parse.c), so that errors read as Go's and nothing that libre2 accepts beyond Go's syntax gets through.
 *
 * Text that is not UTF-8: Go takes each bad byte for U+FFFD, while libre2 lets it match nothing. A text that
 * holds such bytes is therefore searched in a copy with U+FFFD in their place, and offsets are mapped back.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <re2/re2.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* struct arena_mark and arena_mark() are fine in C */
extern "C" {
#include "base/buf.h"
#include "base/mem.h"
#include "base/re_parse.h"
#include "base/text.h"
}
#pragma GCC diagnostic pop

/* Of max_mem libre2 gives 2/3 to the program and 1/3 to the one that runs backwards, and lets instructions
 * use a quarter of that: together 256 KiB at 1 MiB. The rest is for the states of the DFA, which are dropped
 * when it is full. What the DFA cannot hold is run state by state, so this bounds the time for a byte of
 * text, too. */
static const int64_t max_program_bytes = 256 << 10;
static const int64_t max_mem_bytes = max_program_bytes * 4;

extern "C" {
__thread struct re_guard re_guard;
}

struct re {
	RE2 *engine;
	uint64_t n_instructions;
	bool anchored;
	size_t n_groups;
	struct slice *group_name;
	struct arena arena; /* names */
};

static RE2 *engine_new(struct slice bare, unsigned flags) noexcept
{
	RE2::Options options;

	options.set_log_errors(false);
	options.set_max_mem(max_mem_bytes);
	options.set_dot_nl((flags & RE_DOT_NL) != 0);
	return new (std::nothrow) RE2(re2::StringPiece(bare.p, bare.n), options);
}

static int engine_error(const RE2 *engine, struct err *err) noexcept
{
	if (engine == nullptr)
		return err_set(err, ERR_UNAVAILABLE, "out of memory for a regular expression");
	if (engine->error_code() == RE2::ErrorPatternTooLarge)
		return err_set(err, ERR_BAD_REQUEST,
			       "regular expression is too large: compiled, it is over the limit of %lld KiB",
			       (long long)(max_program_bytes >> 10));
	return err_set(err, ERR_BAD_REQUEST, "error parsing regexp: %s", engine->error().c_str());
}

extern "C" bool re_engine_has_class(struct slice name)
{
	char pattern[80];

	if (name.n == 0 || name.n > 60)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] != '_' &&
		    (name.p[i] < 'A' || name.p[i] > 'z' || (name.p[i] > 'Z' && name.p[i] < 'a')))
			return false;
	int n = snprintf(pattern, sizeof(pattern), "\\p{%.*s}", (int)name.n, name.p);
	RE2 *engine = engine_new(slice_of(pattern, (size_t)n), 0);
	bool ok = engine != nullptr && engine->ok();
	delete engine;
	return ok;
}

static void names_copy(struct re *re, const struct re_parsed *parsed)
{
	re->n_groups = parsed->n_groups;
	re->group_name = arena_array(&re->arena, struct slice, parsed->n_groups + 1);
	for (size_t i = 0; i < parsed->n_groups; i++)
		re->group_name[i] = arena_dup(&re->arena, parsed->group_name[i]);
}

extern "C" int re_compile(struct slice pattern, unsigned flags, struct re **out, struct err *err)
{
	struct arena scratch;
	struct re_parsed parsed;
	RE2 *engine = nullptr;
	int rc = -1;

	arena_init(&scratch);
	if (re_parse_full(pattern, flags, &scratch, &parsed, err) == -1)
		goto out;
	engine = engine_new(parsed.bare, flags);
	if (engine == nullptr || !engine->ok()) {
		engine_error(engine, err);
		goto out;
	}
	*out = (struct re *)xcalloc(1, sizeof(**out));
	arena_init(&(*out)->arena);
	(*out)->anchored = (flags & RE_ANCHORED) != 0;
	names_copy(*out, &parsed);
	(*out)->n_instructions = (uint64_t)engine->ProgramSize();
	(*out)->engine = engine;
	engine = nullptr;
	rc = 0;
out:
	delete engine;
	arena_fini(&scratch);
	return rc;
}

extern "C" void re_free(struct re *re)
{
	if (re == nullptr)
		return;
	delete re->engine;
	arena_fini(&re->arena);
	free(re);
}

enum { STEPS_UNASKED = 32 << 20 }; /* a fifth of a second at most */

static bool should_stop()
{
	if (re_guard.steps < STEPS_UNASKED)
		return false;
	re_guard.steps = 0;
	return re_guard.stop(re_guard.arg);
}

/* The DFA takes one step a byte; but where its states are too many, and for groups, libre2 follows all threads of
 * the program at once, and does not tell beforehand. */
static bool may_begin(const struct re *re, struct slice text)
{
	uint64_t steps = re->n_instructions * text.n; /* 2^16 instructions at most, no text of 2^48 bytes */

	if (re_guard.stop == nullptr)
		return true;
	if (re_guard.given_up || steps > RE_MAX_STEPS || should_stop()) {
		re_guard.given_up = true;
		return false;
	}
	re_guard.steps += steps;
	return true;
}

static bool engine_run(const struct re *re, struct slice text, re2::StringPiece *group, int n_groups) noexcept
{
	if (!may_begin(re, text))
		return false;
	return re->engine->Match(re2::StringPiece(text.p != nullptr ? text.p : "", text.n), 0, text.n,
				 re->anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, group, n_groups);
}

static void replace_bad_bytes(struct slice text, struct buf *out)
{
	for (size_t n; text.n > 0; text = slice_from(text, n)) {
		if (utf8_decode(text, &n) == 0xfffd && n == 1)
			buf_puts(out, "\xef\xbf\xbd");
		else
			buf_append(out, text.p, n);
	}
}

/* The offset in text that became `off` in its copy without bad bytes. */
static size_t offset_before(struct slice text, size_t off)
{
	size_t i = 0;

	for (size_t n, at = 0; at < off && i < text.n; i += n)
		at += utf8_decode(slice_from(text, i), &n) == 0xfffd && n == 1 ? 3 : n;
	return i;
}

/* What matches in the text as it is also matches with bad bytes replaced, so only a failure needs the copy.
 */
extern "C" bool re_match(const struct re *re, struct slice text)
{
	if (engine_run(re, text, nullptr, 0))
		return true;
	if (re_guard.given_up || utf8_valid(text))
		return false;
	struct buf copy;
	buf_init(&copy);
	replace_bad_bytes(text, &copy);
	bool found = engine_run(re, buf_slice(&copy), nullptr, 0);
	buf_fini(&copy);
	return found;
}

static void group_set(struct slice *group, const re2::StringPiece &at, struct slice text,
		      struct slice searched, bool copied)
{
	if (at.data() == nullptr) {
		*group = (struct slice){ nullptr, 0 };
		return;
	}
	size_t from = (size_t)(at.data() - searched.p), to = from + at.size();
	if (copied) {
		from = offset_before(text, from);
		to = offset_before(text, to);
	}
	*group = slice_sub(text, from, to - from);
}

extern "C" bool re_find(const struct re *re, struct slice text, struct slice *group, size_t n_groups)
{
	re2::StringPiece found[RE_MAX_GROUPS + 1];
	size_t n = n_groups <= re->n_groups + 1 ? n_groups : re->n_groups + 1;
	bool copied = !utf8_valid(text);
	struct buf copy;

	if (text.p == nullptr)
		text = slice_of("", 0);
	if (n > RE_MAX_GROUPS + 1)
		n = RE_MAX_GROUPS + 1;
	buf_init(&copy);
	if (copied)
		replace_bad_bytes(text, &copy);
	struct slice searched = copied ? buf_slice(&copy) : text;
	bool ok = engine_run(re, searched, found, (int)n);
	for (size_t i = 0; ok && i < n_groups; i++)
		group_set(&group[i], i < n ? found[i] : re2::StringPiece(), text, searched, copied);
	buf_fini(&copy);
	return ok;
}

/* Where the bytes of a text come from that was copied without bad bytes. NULL: it is the text itself. */
static uint32_t *origin_new(struct slice text, size_t n_copy)
{
	uint32_t *origin = (uint32_t *)xcalloc(n_copy + 1, sizeof(*origin));
	size_t at = 0;

	for (size_t i = 0, n; i < text.n; i += n) {
		size_t wide = utf8_decode(slice_from(text, i), &n) == 0xfffd && n == 1 ? 3 : n;

		for (size_t k = 0; k < wide; k++)
			origin[at++] = (uint32_t)(i + (k < n ? k : n));
	}
	origin[at] = (uint32_t)text.n;
	return origin;
}

static struct slice origin_of(const re2::StringPiece &at, struct slice text, struct slice searched,
			      const uint32_t *origin)
{
	if (at.data() == nullptr)
		return slice_of(nullptr, 0);
	size_t from = (size_t)(at.data() - searched.p), to = from + at.size();
	if (origin != nullptr) {
		from = origin[from];
		to = origin[to];
	}
	return slice_sub(text, from, to - from);
}

extern "C" void re_each(const struct re *re, struct slice text, size_t n_groups,
			bool (*visit)(void *arg, const struct slice *group), void *arg)
{
	re2::StringPiece found[RE_MAX_GROUPS + 1];
	struct slice group[RE_MAX_GROUPS + 1];
	size_t n = MIN(n_groups, (size_t)RE_MAX_GROUPS + 1), n_found = MIN(n, re->n_groups + 1);
	size_t pos = 0, last_end = SLICE_NONE, len;
	uint32_t *origin = nullptr;
	bool go_on = true;
	struct buf copy;

	if (text.p == nullptr)
		text = slice_of("", 0);
	struct slice searched = text;
	buf_init(&copy);
	if (!utf8_valid(text)) {
		replace_bad_bytes(text, &copy);
		searched = buf_slice(&copy);
		origin = origin_new(text, copy.n);
	}
	re2::StringPiece in(searched.p, searched.n);
	while (go_on && pos <= searched.n &&
	       re->engine->Match(in, pos, searched.n, re->anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED,
				 found, (int)n_found)) {
		size_t from = (size_t)(found[0].data() - searched.p), to = from + found[0].size();

		if (to > from || from != last_end) {
			for (size_t i = 0; i < n; i++)
				group[i] = origin_of(i < n_found ? found[i] : re2::StringPiece(), text,
						     searched, origin);
			go_on = visit(arg, group);
		}
		last_end = to;
		if (to > pos) {
			pos = to;
		} else {
			len = 1;
			if (pos < searched.n)
				utf8_decode(slice_from(searched, pos), &len);
			pos += len;
		}
	}
	free(origin);
	buf_fini(&copy);
}

extern "C" size_t re_n_groups(const struct re *re)
{
	return re->n_groups;
}

extern "C" struct slice re_group_name(const struct re *re, size_t i)
{
	return i >= 1 && i <= re->n_groups ? re->group_name[i - 1] : slice_of("", 0);
}
