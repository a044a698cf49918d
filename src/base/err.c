#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name;
	int http;
	int exit_code;
} codes[ERR_N_CODES] = {
	[ERR_NONE] = { "none", 200, 0 },
	[ERR_BAD_REQUEST] = { "bad_request", 400, 65 },
	[ERR_UNAUTHORIZED] = { "unauthorized", 401, 77 },
	[ERR_FORBIDDEN] = { "forbidden", 403, 77 },
	[ERR_NOT_FOUND] = { "not_found", 404, 66 },
	[ERR_TOO_LARGE] = { "too_large", 413, 65 },
	[ERR_UNPROCESSABLE] = { "unprocessable", 422, 65 },
	[ERR_LIMITED] = { "limited", 429, 75 },
	[ERR_CANCELLED] = { "cancelled", 499, 1 },
	[ERR_TIMEOUT] = { "timeout", 504, 75 },
	[ERR_UNAVAILABLE] = { "unavailable", 503, 75 },
	[ERR_IO] = { "io", 503, 74 },
	[ERR_CORRUPT] = { "corrupt", 500, 65 },
	[ERR_LOCKED] = { "locked", 503, 75 },
	[ERR_CONFIG] = { "config", 500, 78 },
	[ERR_NOT_SUPPORTED] = { "not_supported", 400, 69 },
	[ERR_INTERNAL] = { "internal", 500, 70 },
};

__attribute__((format(printf, 3, 0))) static void set(struct err *err, enum err_code code, const char *fmt,
						      va_list ap)
{
	err->code = code;
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set(err, code, fmt, ap);
	va_end(ap);
	return -1;
}

int err_errno(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	char text[128];

	va_start(ap, fmt);
	set(err, saved == ENOSPC || saved == EDQUOT ? ERR_UNAVAILABLE : ERR_IO, fmt, ap);
	va_end(ap);
	size_t n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", strerror_r(saved, text, sizeof(text)));
	errno = saved;
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;

	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	set(err, err->code, fmt, ap);
	va_end(ap);
	size_t n = strlen(err->msg);
	snprintf(err->msg + n, sizeof(err->msg) - n, ": %s", old);
	return -1;
}

void err_clear(struct err *err)
{
	err->code = ERR_NONE;
	err->msg[0] = '\0';
}

int err_http_status(enum err_code code)
{
	return codes[code].http;
}

int err_exit_code(enum err_code code)
{
	return codes[code].exit_code;
}

const char *err_name(enum err_code code)
{
	return codes[code].name;
}
