/* daemon/settings.h - the table of settings (settings.def) and what can be done with one row: parse, check,
 * format. Pure and thread-safe. */
#ifndef DAEMON_SETTINGS_H
#define DAEMON_SETTINGS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/limits.h"

struct setting_list {
	const struct slice *v;
	size_t n;
};

#define SETTING_C_BOOL	   bool
#define SETTING_C_INT	   uint64_t
#define SETTING_C_FLOAT	   double
#define SETTING_C_BYTES	   uint64_t
#define SETTING_C_DURATION int64_t
#define SETTING_C_STRING   const char *
#define SETTING_C_LIST	   struct setting_list

struct settings {
	struct limits limits; /* TENANT rows */
#define SECTION(title)
#define GLOBAL(name, type, reload, def, min, max, doc) SETTING_C_##type name;
#define TENANT(name, type, reload, def, min, max, doc)
#define CHOICE(name, choices, reload, def, doc) int name;
#include "daemon/settings.def"
#undef SECTION
#undef GLOBAL
#undef TENANT
#undef CHOICE
};

enum setting_type {
	SETTING_BOOL,
	SETTING_INT,
	SETTING_FLOAT,
	SETTING_BYTES,
	SETTING_DURATION,
	SETTING_STRING,
	SETTING_LIST,
	SETTING_CHOICE,
};

struct setting {
	const char *name; /* NULL: a section's title stands in doc */
	enum setting_type type;
	bool tenant;   /* a limit of each tenant */
	bool reload;   /* SIGHUP takes it over */
	size_t offset; /* in struct settings */
	const char *def;
	double min, max;
	const char *choices; /* a|b|c */
	const char *doc;
};

extern const struct setting settings_table[];
extern const size_t settings_n;

const struct setting *setting_find(struct slice name);	  /* NULL if unknown */
const struct setting *setting_closest(struct slice name); /* what a typing error may have meant, or NULL */
const char *setting_type_text(const struct setting *row); /* "size", "duration", … */
/* Parses and checks one value into s; strings go to the arena. A list is text with commas. */
int setting_set(const struct setting *row, struct slice text, struct arena *a, struct settings *s,
		struct err *err);
int setting_set_list(const struct setting *row, const struct slice *v, size_t n, struct arena *a,
		     struct settings *s, struct err *err);
void setting_format(const struct setting *row, const struct settings *s,
		    struct buf *out); /* so that it can be read back */
bool setting_equal(const struct setting *row, const struct settings *a, const struct settings *b);
void setting_copy(const struct setting *row, struct settings *to, const struct settings *from,
		  struct arena *a);
void settings_defaults(struct settings *s, struct arena *a);
/* Of each limit the stricter: the smaller number where 0 is not "none", false rather than true. */
void limits_tighten(struct limits *to, const struct limits *other);

#endif
