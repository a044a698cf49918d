/* cli/render.h - log lines, samples and traces as text for people or programs. Pure: into a buf. On a
 * terminal
 * (`escape`) nothing that came from the server can move the cursor or hide text; colours stand only around
 * data. */
#ifndef CLI_RENDER_H
#define CLI_RENDER_H

#include "base/buf.h"
#include "model/labels.h"

enum output { OUTPUT_TEXT, OUTPUT_RAW, OUTPUT_JSONL };

struct render {
	enum output output;
	bool color;
	bool escape;
};

struct entry {
	int64_t ts; /* ns */
	struct slice line;
	struct labels labels;
};

struct sample {
	int64_t ts;	    /* ns */
	struct slice value; /* as the server wrote it */
	struct labels labels;
};

void render_text(struct buf *out, const struct render *r, struct slice s); /* escaped if it must be */
/* Pairs that all entries have. The array is the arena's. */
struct labels labels_common(struct arena *a, const struct entry *e, size_t n);
void render_labels(struct buf *out, const struct render *r, struct labels l); /* {a="b"}, or a JSON object */
/* One line. common: pairs not to be repeated (text only). */
void render_entry(struct buf *out, const struct render *r, const struct entry *e, struct labels common);
/* An aligned table (text), values alone (raw), or objects. */
void render_samples(struct buf *out, const struct render *r, const struct sample *s, size_t n);
/* A line of a trace: time since the first one, service (padded to width), level, line. */
void render_trace_entry(struct buf *out, const struct render *r, const struct entry *e, int64_t first_ns,
			size_t service_width);
struct slice entry_service(struct labels l);
struct slice entry_level(struct labels l);
void render_elapsed(struct buf *out, int64_t ns); /* 12.345ms, 1.204s */

#endif
