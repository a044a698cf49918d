/* base/metrics.h - counters, gauges and histograms in Prometheus' text format. A metric is made once, at first use,
 * and lives for the process. Updates are atomic and may come from any thread; creation takes a lock, so keep the
 * pointer where the path is hot.
 *
 *	static struct metric *pushes;
 *	if (pushes == NULL)
 *		pushes = metric_counter("spoor_pushes_total", "Push requests.", NULL);
 *	metric_add(pushes, 1);
 *
 * labels: ready-made pairs without braces, values already escaped (metric_label), e.g. tenant="a",reason="b". */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

struct metric;

struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* A counter of seconds; metric_add and metric_set take microseconds. */
struct metric *metric_seconds(const char *name, const char *help, const char *labels);
/* Buckets from 1 ms to about 2 minutes, for seconds. */
struct metric *metric_histogram(const char *name, const char *help, const char *labels);
void metric_add(struct metric *m, uint64_t n); /* counter */
void metric_set(struct metric *m, int64_t v);  /* gauge */
void metric_gauge_add(struct metric *m, int64_t delta);
void metric_observe(struct metric *m, double seconds); /* histogram */
uint64_t metric_value(const struct metric *m);
void metric_label(struct buf *b, const char *name,
		  struct slice value); /* appends ,name="escaped" or name="…" */
void metrics_render(struct buf *out);  /* all of them, sorted by name */

#endif
