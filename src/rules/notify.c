#include "rules/notify.h"
#include "base/text.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rules/outbox.h"

enum { MAX_QUEUED = 10000, MAX_BATCH = 64 };

struct notifier {
	struct outbox **box;
	size_t n;
};

/* ---- JSON ---- */

static void put_labels(struct json_out *j, const char *key, struct labels l)
{
	json_key(j, key);
	labels_json(j, l);
}

static void put_time(struct json_out *j, const char *key, int64_t ns)
{
	struct buf b;

	buf_init(&b);
	clock_format_rfc3339(&b, ns, true);
	json_key(j, key);
	json_str(j, buf_slice(&b));
	buf_fini(&b);
}

void notify_alert_json(struct buf *out, const struct alert *a, struct slice link)
{
	struct json_out j = { .b = out };

	json_open(&j, '{');
	put_labels(&j, "labels", a->labels);
	put_labels(&j, "annotations", a->annotations);
	put_time(&j, "startsAt", a->fired_at);
	put_time(&j, "endsAt", a->resolved_at != 0 ? a->resolved_at : a->valid_until);
	if (link.n > 0) {
		json_key(&j, "generatorURL");
		json_str(&j, link);
	}
	json_close(&j, '}');
}

static void body(const struct slice *item, size_t n, struct buf *out)
{
	buf_putc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(out, ',');
		buf_add(out, item[i]);
	}
	buf_putc(out, ']');
}

/* ---- links ---- */

void notify_link(struct buf *out, struct slice base, struct slice expr)
{
	struct buf left;
	struct json_out j = { .b = &left };

	if (base.n == 0)
		return;
	buf_init(&left);
	buf_puts(&left, "{\"queries\":[{\"refId\":\"A\",\"expr\":");
	json_str(&j, expr);
	buf_puts(&left, ",\"queryType\":\"range\"}],\"range\":{\"from\":\"now-1h\",\"to\":\"now\"}}");
	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	buf_add(out, base);
	buf_puts(out, "/explore?left=");
	text_url_escape(out, buf_slice(&left));
	buf_fini(&left);
}

/* ---- life ---- */

int notifier_new(const char *const *url, size_t n, struct notifier **out, struct err *err)
{
	static const char *const header[] = { "Content-Type: application/json" };
	struct notifier *x = xcalloc(1, sizeof(*x));
	struct outbox_options o = {
		.thread = "alertmanager",
		.path = "/api/v2/alerts",
		.max_items = MAX_QUEUED,
		.max_batch = MAX_BATCH,
		.header = header,
		.n_headers = ARRAY_LEN(header),
		.body = body,
		.sent = metric_counter("spoor_rule_notifications_sent_total",
				       "Alerts that Alertmanager took.", NULL),
		.failed = metric_counter("spoor_rule_notifications_failed_total",
					 "Alerts in attempts to reach Alertmanager that failed.", NULL),
		.dropped = metric_counter("spoor_rule_notifications_dropped_total",
					  "Alerts that Alertmanager never got.", NULL),
	};

	x->box = xcalloc(n + 1, sizeof(*x->box));
	for (size_t i = 0; i < n; i++, x->n++) {
		o.url = url[i];
		if (outbox_new(&o, &x->box[i], err) == -1) {
			notifier_free(x);
			return err_prefix(err, "ruler_alertmanager_url");
		}
	}
	*out = x;
	return 0;
}

void notifier_stop(struct notifier *n)
{
	for (size_t i = 0; i < n->n; i++)
		outbox_stop(n->box[i]);
}

void notifier_free(struct notifier *n)
{
	if (n == NULL)
		return;
	notifier_stop(n);
	for (size_t i = 0; i < n->n; i++)
		outbox_free(n->box[i]);
	free(n->box);
	free(n);
}

void notifier_send(struct notifier *n, const struct alert *a, struct slice link)
{
	struct buf b;

	if (n->n == 0)
		return;
	buf_init(&b);
	notify_alert_json(&b, a, link);
	for (size_t i = 0; i < n->n; i++)
		outbox_put(n->box[i], SLICE(""), buf_slice(&b));
	buf_fini(&b);
}
