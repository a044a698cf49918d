#include "ingest/ingest.h"
#include "ingest/correlate.h"
#include "ingest/ingest_metrics.h"
#include "ingest/limit.h"
#include "ingest/refusals.h"
#include "base/clock.h"
#include "index/store.h"

#include <pthread.h>

enum {
	KEEP_SCRATCH = 4,	      /* idle ones */
	KEEP_BYTES = 8 * 1024 * 1024, /* in each; what a rare large push took is given back */
	RETRY_SECONDS = 1
};

/* What one push needs while it is worked on; reused, because fresh memory costs more than the decoding. */
struct scratch {
	struct scratch *next;
	struct batch batch;
	struct correlator correlator;
	struct buf body[2];
	struct buf text; /* of the answer, as far as it is known before the append */
};

struct ingest {
	struct ingest_options o;
	struct rate *rate;
	struct ingest_metrics *metrics;
	struct refusals *refusals;
	pthread_mutex_t lock; /* guards idle, n_idle */
	struct scratch *idle;
	size_t n_idle;
};

/* A push on its way through the store. */
struct waiting {
	struct ingest *in;
	ingest_done_fn done;
	void *arg;
	int status; /* if the store has nothing to say: 204, 400, 429 */
	int64_t appended_ns;
	uint64_t n_entries; /* given to the store */
	struct slice tenant, text;
	void *seen[INGEST_MAX_OBSERVERS];
	char bytes[]; /* tenant, text */
};

/* ---------------------------------------------------------------- scratch */

static struct scratch *scratch_new(void)
{
	struct scratch *s = xcalloc(1, sizeof(*s));

	batch_init(&s->batch);
	buf_init(&s->body[0]);
	buf_init(&s->body[1]);
	buf_init(&s->text);
	return s;
}

static void scratch_free(struct scratch *s)
{
	batch_fini(&s->batch);
	correlator_fini(&s->correlator);
	buf_fini(&s->body[0]);
	buf_fini(&s->body[1]);
	buf_fini(&s->text);
	free(s);
}

static struct scratch *scratch_take(struct ingest *in)
{
	pthread_mutex_lock(&in->lock);
	struct scratch *s = in->idle;
	if (s != NULL) {
		in->idle = s->next;
		in->n_idle--;
	}
	pthread_mutex_unlock(&in->lock);
	return s != NULL ? s : scratch_new();
}

static size_t scratch_bytes(const struct scratch *s)
{
	return s->body[0].cap + s->body[1].cap + s->batch.arena.total + s->batch.text.cap +
	       s->batch.entries.cap * sizeof(struct batch_entry) +
	       s->batch.streams.cap * sizeof(struct batch_stream);
}

static void scratch_give(struct ingest *in, struct scratch *s)
{
	arena_reset(&s->batch.arena);
	s->batch.entries.n = s->batch.streams.n = 0;
	s->batch.tenant = (struct slice){ NULL, 0 };
	s->batch.admitted = false;
	buf_reset(&s->text);
	if (scratch_bytes(s) > KEEP_BYTES) {
		scratch_free(s);
		return;
	}
	pthread_mutex_lock(&in->lock);
	if (in->n_idle < KEEP_SCRATCH) {
		s->next = in->idle;
		in->idle = s;
		in->n_idle++;
		s = NULL;
	}
	pthread_mutex_unlock(&in->lock);
	if (s != NULL)
		scratch_free(s);
}

struct ingest *ingest_new(const struct ingest_options *o)
{
	struct ingest *in = xcalloc(1, sizeof(*in));

	in->o = *o;
	in->rate = rate_new();
	in->metrics = ingest_metrics_new();
	in->refusals = refusals_new();
	pthread_mutex_init(&in->lock, NULL);
	return in;
}

void ingest_free(struct ingest *in)
{
	if (in == NULL)
		return;
	for (struct scratch *s = in->idle, *next; s != NULL; s = next) {
		next = s->next;
		scratch_free(s);
	}
	rate_free(in->rate);
	ingest_metrics_free(in->metrics);
	refusals_free(in->refusals);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

/* ---------------------------------------------------------------- answers */

static void answer(struct ingest *in, ingest_done_fn done, void *arg, int status, struct slice text)
{
	struct buf b;

	buf_init(&b);
	if (status != 204) {
		buf_add(&b, text);
		buf_putc(&b, '\n');
	}
	ingest_metrics_answer(in->metrics, status);
	done(arg, status, status == 204 ? SLICE("") : buf_slice(&b),
	     status == 429 || status == 503 ? RETRY_SECONDS : 0);
	buf_fini(&b);
}

static void observers_before(struct ingest *in, const struct batch *b, void **seen)
{
	for (size_t i = 0; i < in->o.n_observers; i++)
		seen[i] = in->o.observers[i].before(in->o.observers[i].arg, b);
}

static void observers_done(struct ingest *in, void **seen, bool stored)
{
	for (size_t i = 0; i < in->o.n_observers; i++)
		if (seen[i] != NULL)
			in->o.observers[i].done(in->o.observers[i].arg, seen[i], stored);
}

/* The store took none of it, or not all. */
static void note_not_stored(const struct waiting *w, const struct err *err, size_t n_refused)
{
	bool streams = err->code == ERR_LIMITED;
	struct refusal sample = { .time_ns = clock_now_ns(),
				  .status = err_http_status(err->code),
				  .text = slice_cstr(err->msg) };

	refusals_add(w->in->refusals, w->tenant,
		     streams ? discard_reason_name(DISCARD_STREAM_LIMIT) : "not_stored",
		     streams ? n_refused : w->n_entries, &sample);
}

static void on_stored(void *arg, const struct err *err, size_t n_refused)
{
	struct waiting *w = arg;

	ingest_metrics_phase(w->in->metrics, PHASE_APPEND, clock_mono_ns() - w->appended_ns);
	observers_done(w->in, w->seen, err->code == ERR_NONE || err->code == ERR_LIMITED);
	if (n_refused > 0)
		ingest_metrics_discard(w->in->metrics, w->tenant, DISCARD_STREAM_LIMIT, n_refused, 0);
	if (err->code != ERR_NONE)
		note_not_stored(w, err, n_refused);
	/* What may succeed later outweighs what never will: a sender throws away what gets a 400. */
	if (err->code == ERR_NONE)
		answer(w->in, w->done, w->arg, w->status, w->text);
	else
		answer(w->in, w->done, w->arg, err_http_status(err->code), slice_cstr(err->msg));
	free(w);
}

static struct waiting *waiting_new(struct ingest *in, ingest_done_fn done, void *arg, int status,
				   struct slice tenant, uint64_t n_entries, struct slice text)
{
	struct waiting *w = xmalloc(sizeof(*w) + tenant.n + text.n);

	*w = (struct waiting){ .in = in, .done = done, .arg = arg, .status = status, .n_entries = n_entries };
	memcpy(w->bytes, tenant.p, tenant.n);
	if (text.n > 0)
		memcpy(w->bytes + tenant.n, text.p, text.n);
	w->tenant = slice_of(w->bytes, tenant.n);
	w->text = slice_of(w->bytes + tenant.n, text.n);
	w->appended_ns = clock_mono_ns();
	return w;
}

/* ---------------------------------------------------------------- a push */

static struct body_headers headers_of(const struct ingest *in, const struct ingest_request *rq)
{
	return (struct body_headers){ rq->kind,
				      rq->content_type,
				      rq->content_encoding,
				      { in->o.max_decompressed_size, rq->reserve, rq->reserve_arg } };
}

static int decode(struct ingest *in, const struct ingest_request *rq, const struct limits *l,
		  struct scratch *s, const char **format, struct err *err)
{
	struct body_headers h = headers_of(in, rq);
	struct decode_options o = { .max_streams = l->max_streams_per_push,
				    .max_entries = l->max_entries_per_push,
				    .max_labels_bytes = l->max_stream_labels_size,
				    .now_ns = clock_now_ns(),
				    .labels = rq->labels,
				    .n_labels = rq->n_labels,
				    .otlp_labels = in->o.otlp_labels,
				    .n_otlp_labels = in->o.n_otlp_labels };

	if (body_decode(&h, rq->body, &o, s->body, &s->batch, format, err) == -1)
		return -1;
	if (s->batch.streams.n == 0)
		return err_set(err, ERR_UNPROCESSABLE,
			       "error at least one valid stream is required for ingestion");
	s->batch.tenant = rq->tenant;
	return 0;
}

/* Refuses what must be refused. The status of the answer if all else goes well; its text is left in s->text.
 */
static int check(struct ingest *in, const struct limits *l, struct scratch *s, struct tally *t)
{
	int64_t now = clock_now_ns();

	if (!limit_blocked(&s->batch, l, now, t, &s->text))
		return (int)l->block_ingestion_status_code;
	validate_batch(&s->batch, l, now, t);
	if (!limit_tenant(in->rate, &s->batch, l, t, &s->text))
		return 429;
	if (limit_streams(in->rate, &s->batch, l, t, &s->text) > 0)
		return 429;
	if (t->n_errors == 0)
		return 204;
	tally_text(t, &s->text);
	return 400;
}

static void note_unread(struct ingest *in, struct slice tenant, const struct err *err)
{
	struct refusal sample = { .time_ns = clock_now_ns(),
				  .status = err_http_status(err->code),
				  .text = slice_cstr(err->msg) };

	refusals_add(in->refusals, tenant, "invalid_body", 0, &sample);
}

/* What validation and limits did not let pass. */
static void note_refused(struct ingest *in, struct slice tenant, int status, const struct tally *t,
			 struct slice text)
{
	struct buf labels;

	buf_init(&labels);
	for (size_t i = 0; i < DISCARD_N_REASONS; i++) {
		struct refusal sample = { .time_ns = clock_now_ns(), .status = status, .text = text };

		if (t->discarded_entries[i] == 0)
			continue;
		if (t->sample[i].entry != NULL) {
			buf_reset(&labels);
			labels_format(&labels, t->sample[i].stream->labels);
			sample.labels = buf_slice(&labels);
			sample.line = t->sample[i].entry->line;
			sample.line_bytes = sample.line.n;
		}
		refusals_add(in->refusals, tenant, discard_reason_name((enum discard_reason)i),
			     t->discarded_entries[i], &sample);
	}
	buf_fini(&labels);
}

static void set_counts(struct ingest_counts *c, const struct tally *t)
{
	c->accepted = t->n_entries;
	c->rejected = 0;
	for (size_t i = 0; i < DISCARD_N_REASONS; i++)
		c->rejected += t->discarded_entries[i];
}

static int64_t lap(struct ingest *in, enum ingest_phase phase, int64_t since)
{
	int64_t now = clock_mono_ns();

	ingest_metrics_phase(in->metrics, phase, now - since);
	return now;
}

void ingest_push(struct ingest *in, const struct ingest_request *rq, ingest_done_fn done, void *arg)
{
	struct scratch *s = scratch_take(in);
	struct tally t = { 0 };
	struct limits l;
	struct err err;
	const char *format;
	int64_t at = clock_mono_ns();

	in->o.limits(in->o.arg, rq->tenant, &l);
	if (decode(in, rq, &l, s, &format, &err) == -1) {
		note_unread(in, rq->tenant, &err);
		answer(in, done, arg, err_http_status(err.code), slice_cstr(err.msg));
		goto out;
	}
	at = lap(in, PHASE_DECODE, at);
	int status = check(in, &l, s, &t);
	if (rq->counts != NULL)
		set_counts(rq->counts, &t);
	at = lap(in, PHASE_VALIDATE, at);
	ingest_metrics_push(in->metrics, rq->tenant, format, &t, rq->body.n);
	if (status != 204)
		note_refused(in, rq->tenant, status, &t, buf_slice(&s->text));
	if (t.n_entries == 0) {
		answer(in, done, arg, status, buf_slice(&s->text));
		goto out;
	}
	correlate_batch(&s->correlator, in->o.keys, &s->batch);
	lap(in, PHASE_CORRELATE, at);
	struct waiting *w = waiting_new(in, done, arg, status, rq->tenant, t.n_entries, buf_slice(&s->text));
	store_admit(in->o.store, &s->batch);
	observers_before(in, &s->batch, w->seen);
	store_append(in->o.store, &s->batch, on_stored, w);
out:
	scratch_give(in, s);
}

struct refusals *ingest_refusals(struct ingest *in)
{
	return in->refusals;
}

int ingest_otlp_discard(struct ingest *in, const struct ingest_request *rq, enum otlp_signal signal,
			uint64_t *n, bool *json, struct err *err)
{
	struct body_headers h = headers_of(in, rq);
	struct scratch *s = scratch_take(in);
	struct slice body = rq->body;
	int rc = body_open_otlp(&h, &body, &s->body[0], json, err);

	if (rc == 0)
		rc = (*json ? otlp_count_json : otlp_count_proto)(signal, body, n, err);
	if (rc == 0)
		ingest_metrics_otlp_discard(in->metrics, rq->tenant, signal, *n);
	scratch_give(in, s);
	return rc;
}
