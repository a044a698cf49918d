/* daemon/yaml_doc.h - a YAML file read as a whole, for files whose shape is not that of settings: credentials,
 * overrides. A node is a number, 0 is none. Aliases name the same node again, so whoever walks must know how deep;
 * merge keys (<<) are not supported. Not thread-safe. */
#ifndef DAEMON_YAML_DOC_H
#define DAEMON_YAML_DOC_H

#include "base/err.h"

struct yaml_doc;

enum yaml_doc_kind { YAML_DOC_NULL, YAML_DOC_TEXT, YAML_DOC_LIST, YAML_DOC_MAP };

/* text must outlive it, name is copied. ERR_CONFIG: not valid, or more than one document. */
int yaml_doc_load(struct slice text, const char *name, struct yaml_doc **out, struct err *err);
void yaml_doc_free(struct yaml_doc *d); /* NULL is fine */
int yaml_doc_root(struct yaml_doc *d);	/* 0: the file is empty */
enum yaml_doc_kind yaml_doc_kind(struct yaml_doc *d, int node);
struct slice yaml_doc_text(struct yaml_doc *d, int node); /* of a YAML_DOC_TEXT; "" for others */
/* for (size_t i = 0; yaml_doc_pair(d, map, &i, &key, &value); ) in the file's order */
bool yaml_doc_pair(struct yaml_doc *d, int map, size_t *i, int *key, int *value);
bool yaml_doc_item(struct yaml_doc *d, int list, size_t *i, int *item);
/* ERR_CONFIG "file:line: …" */
int yaml_doc_bad(struct yaml_doc *d, int node, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
