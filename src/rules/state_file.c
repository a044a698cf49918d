#include "rules/state_file.h"
#include "base/json_out.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { VERSION = 1 };

void state_file_put_value(struct buf *out, double v)
{
	char text[40];

	if (isnan(v)) {
		buf_puts(out, "NaN");
		return;
	}
	if (isinf(v)) {
		buf_puts(out, v < 0 ? "-Inf" : "+Inf");
		return;
	}
	for (int digits = 0; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*e", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_puts(out, text);
}

/* ---- writing ---- */

static void put_labels(struct json_out *j, const char *key, struct labels l)
{
	json_key(j, key);
	labels_json(j, l);
}

static void put_int(struct json_out *j, const char *key, int64_t v)
{
	json_key(j, key);
	json_int(j, v);
}

static void put_text(struct json_out *j, const char *key, struct slice s)
{
	json_key(j, key);
	json_str(j, s);
}

static void put_alert(struct json_out *j, const struct alert *a)
{
	struct buf value = { 0 };

	state_file_put_value(&value, a->value);
	json_open(j, '{');
	put_labels(j, "labels", a->labels);
	put_labels(j, "annotations", a->annotations);
	put_text(j, "state", slice_cstr(alert_state_name(a->state)));
	put_text(j, "value", buf_slice(&value));
	put_int(j, "activeAt", a->active_at);
	put_int(j, "firedAt", a->fired_at);
	put_int(j, "resolvedAt", a->resolved_at);
	put_int(j, "keepFiringSince", a->keep_firing_since);
	json_close(j, '}');
	buf_fini(&value);
}

static void begin(struct buf *out)
{
	buf_printf(out, "{\"version\":%d,\"rules\":[", VERSION);
}

void state_file_add(struct buf *out, const struct saved_rule *rule)
{
	struct json_out j = { .b = out, .comma = out->n > 0 };

	if (out->n == 0)
		begin(out);
	json_open(&j, '{');
	put_text(&j, "tenant", rule->tenant);
	put_text(&j, "namespace", rule->ns);
	put_text(&j, "group", rule->group);
	put_text(&j, "alert", rule->alert);
	put_labels(&j, "labels", rule->labels);
	put_int(&j, "lastEvaluation", rule->last_eval_ns);
	json_key(&j, "alerts");
	json_open(&j, '[');
	for (size_t i = 0; i < rule->alerts.v.n; i++)
		put_alert(&j, &rule->alerts.v.v[i]);
	json_close(&j, ']');
	json_close(&j, '}');
}

void state_file_end(struct buf *out)
{
	if (out->n == 0)
		begin(out);
	buf_puts(out, "]}\n");
}

/* ---- reading ---- */

static bool text_of(const json_t *o, const char *key, struct arena *a, struct slice *out)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return false;
	*out = arena_dup(a, slice_of(json_string_value(v), json_string_length(v)));
	return true;
}

static bool int_of(const json_t *o, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v))
		return false;
	*out = json_integer_value(v);
	return true;
}

static bool labels_of(json_t *o, const char *key, struct arena *a, struct labels *out)
{
	json_t *l = json_object_get(o, key), *value;
	struct label *v;
	const char *name;
	size_t n = 0;

	if (!json_is_object(l))
		return false;
	v = arena_array(a, struct label, json_object_size(l) + 1);
	json_object_foreach(l, name, value)
	{
		if (!json_is_string(value))
			return false;
		v[n++] = (struct label){ arena_dup(a, slice_cstr(name)),
					 arena_dup(a, slice_of(json_string_value(value),
							       json_string_length(value))) };
	}
	labels_sort(v, n);
	*out = (struct labels){ v, n };
	return true;
}

static bool value_of(struct slice s, double *out)
{
	if (slice_is(s, "NaN"))
		*out = NAN;
	else if (slice_is(s, "+Inf"))
		*out = INFINITY;
	else if (slice_is(s, "-Inf"))
		*out = -INFINITY;
	else
		return slice_to_double(s, out);
	return true;
}

static bool read_alert(json_t *o, struct alerts *to)
{
	struct alert a = { 0 };
	struct slice state, value;
	struct arena tmp;

	arena_init(&tmp);
	bool ok = labels_of(o, "labels", &tmp, &a.labels) &&
		  labels_of(o, "annotations", &tmp, &a.annotations) && text_of(o, "state", &tmp, &state) &&
		  alert_state_parse(state, &a.state) && text_of(o, "value", &tmp, &value) &&
		  value_of(value, &a.value) && int_of(o, "activeAt", &a.active_at) &&
		  int_of(o, "firedAt", &a.fired_at) && int_of(o, "resolvedAt", &a.resolved_at) &&
		  int_of(o, "keepFiringSince", &a.keep_firing_since);
	if (ok)
		alerts_add(to, &a);
	arena_fini(&tmp);
	return ok;
}

static bool read_rule(json_t *o, struct saved_rules *s)
{
	const json_t *alerts = json_object_get(o, "alerts");
	struct saved_rule *r = vec_add(&s->v);

	alerts_init(&r->alerts);
	if (!text_of(o, "tenant", &s->arena, &r->tenant) || !text_of(o, "namespace", &s->arena, &r->ns) ||
	    !text_of(o, "group", &s->arena, &r->group) || !text_of(o, "alert", &s->arena, &r->alert) ||
	    !labels_of(o, "labels", &s->arena, &r->labels) ||
	    !int_of(o, "lastEvaluation", &r->last_eval_ns) || !json_is_array(alerts))
		return false;
	for (size_t i = 0; i < json_array_size(alerts); i++)
		if (!read_alert(json_array_get(alerts, i), &r->alerts))
			return false;
	return true;
}

static bool read_all(const json_t *root, struct saved_rules *s)
{
	const json_t *rules = json_object_get(root, "rules");
	int64_t version;

	if (!int_of(root, "version", &version) || version != VERSION || !json_is_array(rules))
		return false;
	for (size_t i = 0; i < json_array_size(rules); i++)
		if (!read_rule(json_array_get(rules, i), s))
			return false;
	return true;
}

int state_file_parse(struct slice text, struct saved_rules *out, struct err *err)
{
	struct saved_rules s = { 0 };
	json_error_t why;
	json_t *root = json_loadb(text.p != NULL ? text.p : "", text.n, JSON_ALLOW_NUL, &why);

	if (root == NULL)
		return err_set(err, ERR_CORRUPT, "state of alerts: %s", why.text);
	arena_init(&s.arena);
	bool ok = read_all(root, &s);
	json_decref(root);
	if (!ok) {
		saved_rules_fini(&s);
		return err_set(err, ERR_CORRUPT, "state of alerts: a member is missing or wrong");
	}
	*out = s;
	return 0;
}

void saved_rules_fini(struct saved_rules *s)
{
	for (size_t i = 0; i < s->v.n; i++)
		alerts_fini(&s->v.v[i].alerts);
	vec_fini(&s->v);
	arena_fini(&s->arena);
}

struct saved_rule *saved_rules_find(struct saved_rules *s, const struct saved_rule *like)
{
	for (size_t i = 0; i < s->v.n; i++) {
		struct saved_rule *r = &s->v.v[i];

		if (!r->taken && slice_eq(r->alert, like->alert) && slice_eq(r->group, like->group) &&
		    slice_eq(r->ns, like->ns) && slice_eq(r->tenant, like->tenant) &&
		    labels_eq(r->labels, like->labels))
			return r;
	}
	return NULL;
}
