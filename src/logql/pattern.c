#include "logql/pattern.h"

static bool is_word(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* Length of a capture <name> at the start of s, or 0. */
static size_t capture_len(struct slice s)
{
	size_t n = 1;

	if (s.n < 3 || s.p[0] != '<' || !is_word(s.p[1], true))
		return 0;
	while (n < s.n && is_word(s.p[n], false))
		n++;
	return n < s.n && s.p[n] == '>' ? n + 1 : 0;
}

static void split(struct slice text, struct arena *a, struct pattern *out)
{
	size_t max = 1, len;

	for (size_t i = 0; i < text.n; i++)
		max += 2 * (text.p[i] == '<');
	out->nodes = arena_array(a, struct pattern_node, max);
	out->n = 0;
	while (text.n > 0) {
		struct pattern_node *node = &out->nodes[out->n++];

		len = capture_len(text);
		node->is_capture = len > 0;
		if (len == 0)
			for (len = 1; len < text.n && capture_len(slice_from(text, len)) == 0;)
				len++;
		node->text = slice_sub(text, 0, len);
		text = slice_from(text, len);
	}
}

static int check_consecutive(const struct pattern *p, struct err *err)
{
	for (size_t i = 1; i < p->n; i++)
		if (p->nodes[i - 1].is_capture && p->nodes[i].is_capture)
			return err_set(err, ERR_BAD_REQUEST,
				       "found consecutive capture '%.*s%.*s': invalid expression",
				       SLICE_ARG(p->nodes[i - 1].text), SLICE_ARG(p->nodes[i].text));
	return 0;
}

/* From <name> as written to the bare name; <_> becomes empty. */
static void strip_captures(struct pattern *p)
{
	for (size_t i = 0; i < p->n; i++) {
		struct pattern_node *node = &p->nodes[i];

		if (!node->is_capture)
			continue;
		node->text = slice_sub(node->text, 1, node->text.n - 2);
		if (slice_is(node->text, "_"))
			node->text.n = 0;
	}
}

static bool has_named(const struct pattern *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->nodes[i].is_capture && !slice_is(p->nodes[i].text, "<_>"))
			return true;
	return false;
}

static int check_unique(const struct pattern *p, struct err *err)
{
	if (p->n / 2 > PATTERN_MAX_CAPTURES)
		return err_set(err, ERR_BAD_REQUEST, "more than %d captures", PATTERN_MAX_CAPTURES);
	for (size_t i = 0; i < p->n; i++) {
		if (!p->nodes[i].is_capture || p->nodes[i].text.n == 0)
			continue;
		for (size_t j = 0; j < i; j++)
			if (p->nodes[j].is_capture && slice_eq(p->nodes[i].text, p->nodes[j].text))
				return err_set(err, ERR_BAD_REQUEST,
					       "duplicate capture name (%.*s): invalid expression",
					       SLICE_ARG(p->nodes[i].text));
	}
	return 0;
}

int pattern_parse(struct slice text, struct arena *a, struct pattern *out, struct err *err)
{
	struct pattern p;

	if (text.n == 0)
		return err_set(err, ERR_BAD_REQUEST,
			       "parse error at line 1, col 1: syntax error: unexpected $end, "
			       "expecting IDENTIFIER or LITERAL");
	split(text, a, &p);
	if (!has_named(&p))
		return err_set(err, ERR_BAD_REQUEST, "at least one capture is required");
	if (check_consecutive(&p, err) == -1)
		return -1;
	strip_captures(&p);
	if (check_unique(&p, err) == -1)
		return -1;
	*out = p;
	return 0;
}

int pattern_parse_filter(struct slice text, struct arena *a, struct pattern *out, struct err *err)
{
	struct pattern p;

	split(text, a, &p);
	if (check_consecutive(&p, err) == -1)
		return -1;
	for (size_t i = 0; i < p.n; i++)
		if (p.nodes[i].is_capture && !slice_is(p.nodes[i].text, "<_>"))
			return err_set(err, ERR_BAD_REQUEST, "named captures are not allowed: found '%.*s'",
				       SLICE_ARG(p.nodes[i].text));
	strip_captures(&p);
	*out = p;
	return 0;
}
