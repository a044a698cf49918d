#include "rules/alert.h"

static const char *const state_names[] = {
	[ALERT_INACTIVE] = "inactive",
	[ALERT_PENDING] = "pending",
	[ALERT_FIRING] = "firing",
};

const char *alert_state_name(enum alert_state s)
{
	return state_names[s];
}

bool alert_state_parse(struct slice name, enum alert_state *out)
{
	for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
		if (slice_is(name, state_names[i])) {
			*out = (enum alert_state)i;
			return true;
		}
	return false;
}

void alerts_init(struct alerts *a)
{
	*a = (struct alerts){ 0 };
	arena_init(&a->arena);
}

void alerts_fini(struct alerts *a)
{
	vec_fini(&a->v);
	arena_fini(&a->arena);
}

void alerts_add(struct alerts *a, const struct alert *one)
{
	struct alert *x = vec_add(&a->v);

	*x = *one;
	x->labels = labels_dup(&a->arena, one->labels);
	x->annotations = labels_dup(&a->arena, one->annotations);
}

void alerts_were_down(struct alerts *a, int64_t down_ns)
{
	for (size_t i = 0; i < a->v.n; i++)
		if (a->v.v[i].state == ALERT_PENDING)
			a->v.v[i].active_at += down_ns;
}

enum alert_state alerts_state(const struct alerts *a)
{
	enum alert_state most = ALERT_INACTIVE;

	for (size_t i = 0; i < a->v.n; i++)
		most = MAX(most, a->v.v[i].state);
	return most;
}

/* ---- from one evaluation to the next ---- */

static int by_labels(const void *a, const void *b)
{
	return labels_cmp(((const struct alert *)a)->labels, ((const struct alert *)b)->labels);
}

static int sample_by_labels(const void *a, const void *b)
{
	return labels_cmp(((const struct alert_sample *)a)->labels, ((const struct alert_sample *)b)->labels);
}

/* The series is there. */
static void holds(struct alert *a, const struct alert_sample *s, const struct alert_rule *rule, int64_t now)
{
	if (a->state == ALERT_INACTIVE)
		*a = (struct alert){ .state = ALERT_PENDING, .active_at = now };
	a->labels = s->labels;
	a->annotations = s->annotations;
	a->value = s->value;
	a->keep_firing_since = 0;
	if (a->state == ALERT_PENDING && now - a->active_at >= rule->for_ns) {
		a->state = ALERT_FIRING;
		a->fired_at = now;
	}
}

/* The series is not there. False: the alert can be forgotten. */
static bool holds_no_longer(struct alert *a, const struct alert_rule *rule, int64_t now)
{
	if (a->state == ALERT_PENDING)
		return false;
	if (a->state == ALERT_INACTIVE)
		return now - a->resolved_at <= ALERT_RESOLVED_RETENTION_NS;
	if (rule->keep_firing_for_ns > 0) {
		if (a->keep_firing_since == 0)
			a->keep_firing_since = now;
		if (now - a->keep_firing_since < rule->keep_firing_for_ns)
			return true;
	}
	a->state = ALERT_INACTIVE;
	a->resolved_at = now;
	return true;
}

/* Both lists are sorted: goes through them side by side. */
static void merge(const struct alerts *old, const struct alert_rule *rule, const struct alert_sample *s,
		  size_t n, int64_t now, struct alerts *out)
{
	for (size_t i = 0, k = 0; i < old->v.n || k < n;) {
		int c = i == old->v.n ? 1 : k == n ? -1 : labels_cmp(old->v.v[i].labels, s[k].labels);
		struct alert a = { 0 };

		if (c <= 0)
			a = old->v.v[i++];
		if (c >= 0)
			holds(&a, &s[k++], rule, now);
		else if (!holds_no_longer(&a, rule, now))
			continue;
		alerts_add(out, &a);
	}
}

static size_t n_active(const struct alerts *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->v.n; i++)
		n += a->v.v[i].state != ALERT_INACTIVE;
	return n;
}

int alerts_update(struct alerts *a, const struct alert_rule *rule, struct alert_sample *s, size_t n,
		  int64_t now, struct err *err)
{
	struct alerts next;
	size_t active;

	if (n > 1)
		qsort(s, n, sizeof(*s), sample_by_labels);
	for (size_t i = 1; i < n; i++)
		if (labels_eq(s[i - 1].labels, s[i].labels))
			return err_set(err, ERR_UNPROCESSABLE,
				       "vector contains metrics with the same labelset after applying alert "
				       "labels");
	if (a->v.n > 1)
		qsort(a->v.v, a->v.n, sizeof(*a->v.v), by_labels);
	alerts_init(&next);
	merge(a, rule, s, n, now, &next);
	alerts_fini(a);
	*a = next;
	active = n_active(a);
	if (rule->limit <= 0 || active <= (size_t)rule->limit)
		return 0;
	alerts_fini(a);
	alerts_init(a);
	return err_set(err, ERR_UNPROCESSABLE, "exceeded limit of %lld with %zu alerts",
		       (long long)rule->limit, active);
}

bool alert_send_due(struct alert *a, int64_t now, int64_t interval_ns)
{
	if (a->state == ALERT_PENDING)
		return false;
	if (a->resolved_at <= a->last_sent && a->last_sent + ALERT_RESEND_DELAY_NS >= now)
		return false;
	a->last_sent = now;
	/* Two evaluations or deliveries may fail before Alertmanager thinks that it is over. */
	a->valid_until = now + 4 * MAX(ALERT_RESEND_DELAY_NS, interval_ns);
	return true;
}
