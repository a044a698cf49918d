/* ingest/ingest_metrics.h - counters of the write path. Thread-safe; made at first use, they live for the
 * process. */
#ifndef INGEST_INGEST_METRICS_H
#define INGEST_INGEST_METRICS_H

#include "ingest/otlp.h"
#include "ingest/validate.h"

struct metric;

enum ingest_phase { PHASE_DECODE, PHASE_VALIDATE, PHASE_CORRELATE, PHASE_APPEND, N_INGEST_PHASES };

struct ingest_metrics;
struct ingest_metrics *ingest_metrics_new(void);
void ingest_metrics_free(struct ingest_metrics *m);

void ingest_metrics_phase(struct ingest_metrics *m, enum ingest_phase phase, int64_t ns);
/* One push that was decoded: counts what was accepted and what was refused. wire_bytes: body as it came. */
void ingest_metrics_push(struct ingest_metrics *m, struct slice tenant, const char *format,
			 const struct tally *t, uint64_t wire_bytes);
void ingest_metrics_discard(struct ingest_metrics *m, struct slice tenant, enum discard_reason why,
			    uint64_t entries, uint64_t bytes);
/* A request of OTLP metrics or traces with n data points or spans, which are not kept. */
void ingest_metrics_otlp_discard(struct ingest_metrics *m, struct slice tenant, enum otlp_signal signal,
				 uint64_t n);
void ingest_metrics_answer(struct ingest_metrics *m, int status);

#endif
