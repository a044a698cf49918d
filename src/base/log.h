/* base/log.h - our own log: logfmt, one event a line, on stderr. Values are escaped; the same event repeated more
 * than 10 times a second is counted instead of written. `error` means that someone must act. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_kv {
	const char *key; /* NULL ends the list */
	enum { LOG_KV_STR, LOG_KV_INT, LOG_KV_FLOAT } type;
	struct slice s;
	int64_t i;
	double f;
};

#define KV(key_, cstr_)                                                                                      \
	{                                                                                                    \
		.key = (key_), .type = LOG_KV_STR, .s = slice_cstr(cstr_)                                    \
	}
#define KVS(key_, slice_)                                                                                    \
	{                                                                                                    \
		.key = (key_), .type = LOG_KV_STR, .s = (slice_)                                             \
	}
#define KVI(key_, int_)                                                                                      \
	{                                                                                                    \
		.key = (key_), .type = LOG_KV_INT, .i = (int64_t)(int_)                                      \
	}
#define KVF(key_, dbl_)                                                                                      \
	{                                                                                                    \
		.key = (key_), .type = LOG_KV_FLOAT, .f = (dbl_)                                             \
	}

/* log_info("flushed head", KV("tenant", t), KVI("chunks", n)); the first argument is a constant. */
#define log_debug(msg, ...)                                                                                  \
	log_event(LOG_DEBUG, (msg), (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })
#define log_info(msg, ...)                                                                                   \
	log_event(LOG_INFO, (msg), (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })
#define log_warn(msg, ...)                                                                                   \
	log_event(LOG_WARN, (msg), (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })
#define log_error(msg, ...)                                                                                  \
	log_event(LOG_ERROR, (msg), (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ .key = NULL } })

void log_event(enum log_level level, const char *msg, const struct log_kv *kv);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_level_parse(struct slice name, enum log_level *out); /* debug info warn error */
const char *log_level_name(enum log_level level);

#endif
