/* rules/notify.h - alerts to Alertmanager: POST /api/v2/alerts of each URL, by a thread of its own each, so that one
 * which does not answer holds nobody up. Thread-safe. */
#ifndef RULES_NOTIFY_H
#define RULES_NOTIFY_H

#include "rules/alert.h"

struct notifier;

/* url: n base URLs, each gets every alert; n = 0 is fine. ERR_CONFIG: one is no URL. */
int notifier_new(const char *const *url, size_t n, struct notifier **out, struct err *err);
/* From now on there are a few seconds more for what is queued. */
void notifier_stop(struct notifier *n);
void notifier_free(struct notifier *n); /* NULL is fine */
/* Queues it: never blocks on the network. link: where the expression can be looked at; may be empty. */
void notifier_send(struct notifier *n, const struct alert *a, struct slice link);

/* One alert of the body: {"labels":{…},"annotations":{…},"startsAt":…,"endsAt":…,"generatorURL":…} */
void notify_alert_json(struct buf *out, const struct alert *a, struct slice link);
/* BASE/explore?left=… as Grafana's Explore takes it; nothing if base is empty. */
void notify_link(struct buf *out, struct slice base, struct slice expr);

#endif
