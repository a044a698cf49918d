/* base/err.h - what went wrong: a code that decides HTTP status and exit code, and a message that names the thing,
 * the value and the limit. Functions that fail return -1 (or NULL) and fill *err; err may not be NULL. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>
#include "base/slice.h"

enum err_code {
	ERR_NONE,
	ERR_BAD_REQUEST, /* the client's input is wrong */
	ERR_UNAUTHORIZED,
	ERR_FORBIDDEN,
	ERR_NOT_FOUND,
	ERR_TOO_LARGE,	   /* a body over its limit */
	ERR_UNPROCESSABLE, /* well-formed, but nothing in it to do */
	ERR_LIMITED,	   /* a rate or count limit; try later */
	ERR_CANCELLED,	   /* the client went away */
	ERR_TIMEOUT,	   /* the query's deadline */
	ERR_UNAVAILABLE,   /* disk full, shutting down, out of memory: try later */
	ERR_IO,		   /* the disk failed */
	ERR_CORRUPT,	   /* a checksum or a structure on disk is wrong */
	ERR_LOCKED,	   /* another process holds the directory */
	ERR_CONFIG,	   /* configuration error */
	ERR_NOT_SUPPORTED, /* valid, but this version does not do it */
	ERR_INTERNAL,
	ERR_N_CODES
};

struct err {
	enum err_code code;
	char msg[1024]; /* NUL-terminated; cut, never overrun */
};

/* Each returns -1, so that a failure is `return err_set(err, ...);`. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_errno(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* appends strerror */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* "fmt: msg" */
void err_clear(struct err *err);
int err_http_status(enum err_code code);
int err_exit_code(enum err_code code); /* sysexits.h values, 1 for the rest */
const char *err_name(enum err_code code);

#endif
