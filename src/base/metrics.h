/* base/metrics.h - counters, gauges and histograms in Prometheus' text format and in OpenMetrics. A metric is made once,
 * at first use, and lives for the process. Updates are atomic and may come from any thread; creation takes a lock, so keep the
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
/* The trace that the last addition to a counter came from: shown beside its value in OpenMetrics. ts: Unix ns. Longer ids
 * are left out. */
void metric_exemplar(struct metric *m, struct slice trace_id, double value, int64_t ts);

enum metrics_format {
	METRICS_TEXT,
	METRICS_OPENMETRICS
}; /* Prometheus' text format 0.0.4; OpenMetrics 1.0 */
/* All of them, sorted by name. */
void metrics_render_as(struct buf *out, enum metrics_format format);
void metrics_render(struct buf *out); /* METRICS_TEXT */

/* Gauges that come and go, such as what recording rules yield: at each rendering the source calls put for each, with
 * ready-made labels ("" if none). Names that a metric above has are left out, and so is what is put twice. There is one
 * source; list NULL takes it away and waits for renderings at work. */
typedef void metrics_put(void *to, struct slice name, struct slice labels, double value);
void metrics_set_source(void (*list)(void *arg, metrics_put *put, void *to), void *arg);

#endif
