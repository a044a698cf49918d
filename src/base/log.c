#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { REPEATS_A_SECOND = 10, N_KINDS = 64 };

static _Atomic int min_level = LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	const char *msg; /* constants: compared by address */
	int64_t second;
	unsigned n;
} kinds[N_KINDS];

static const char *const names[] = { "debug", "info", "warn", "error" };

void log_set_level(enum log_level level)
{
	atomic_store(&min_level, (int)level);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load(&min_level);
}

const char *log_level_name(enum log_level level)
{
	return names[level];
}

bool log_level_parse(struct slice name, enum log_level *out)
{
	for (int i = 0; i < 4; i++) {
		if (slice_is(name, names[i])) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* How many earlier events of this kind were swallowed, or -1 to swallow this one, too. */
static int64_t admit(const char *msg, int64_t second)
{
	size_t i = ((uintptr_t)msg >> 3) % N_KINDS;
	int64_t swallowed = 0;

	if (kinds[i].msg != msg || kinds[i].second != second) {
		if (kinds[i].msg == msg && kinds[i].n > REPEATS_A_SECOND)
			swallowed = kinds[i].n - REPEATS_A_SECOND;
		kinds[i].msg = msg;
		kinds[i].second = second;
		kinds[i].n = 0;
	}
	return ++kinds[i].n > REPEATS_A_SECOND ? -1 : swallowed;
}

void log_event(enum log_level level, const char *msg, const struct log_kv *kv)
{
	if ((int)level < atomic_load_explicit(&min_level, memory_order_relaxed))
		return;
	int64_t now = clock_now_ns();
	pthread_mutex_lock(&lock);
	int64_t swallowed = admit(msg, now / NS_PER_S);
	pthread_mutex_unlock(&lock);
	if (swallowed < 0)
		return;

	struct buf b;
	buf_init(&b);
	buf_puts(&b, "ts=");
	clock_format_rfc3339(&b, now / NS_PER_MS * NS_PER_MS, true);
	buf_printf(&b, " level=%s msg=", names[level]);
	text_logfmt_value(&b, slice_cstr(msg));
	for (; kv->key != NULL; kv++) {
		buf_printf(&b, " %s=", kv->key);
		switch (kv->type) {
		case LOG_KV_STR: text_logfmt_value(&b, slice_sub(kv->s, 0, 1024)); break;
		case LOG_KV_INT: buf_printf(&b, "%lld", (long long)kv->i); break;
		case LOG_KV_FLOAT: buf_printf(&b, "%.6g", kv->f); break;
		}
	}
	if (swallowed > 0)
		buf_printf(&b, " repeated=%lld", (long long)swallowed);
	buf_putc(&b, '\n');
	pthread_mutex_lock(&lock);
	for (size_t off = 0; off < b.n;) {
		ssize_t n = write(STDERR_FILENO, b.p + off, b.n - off);

		if (n <= 0)
			break;
		off += (size_t)n;
	}
	pthread_mutex_unlock(&lock);
	buf_fini(&b);
}
