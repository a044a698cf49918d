#include "daemon/yaml_doc.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

struct yaml_doc {
	yaml_document_t doc;
	char *name;
};

static int not_yaml(const yaml_parser_t *parser, const char *name, struct err *err)
{
	return err_set(err, ERR_CONFIG, "%s:%zu: %s", name, parser->problem_mark.line + 1,
		       parser->problem != NULL ? parser->problem : "not valid YAML");
}

/* Is there nothing but the end behind the first document? */
static int check_end(yaml_parser_t *parser, const char *name, struct err *err)
{
	yaml_document_t more;

	if (!yaml_parser_load(parser, &more))
		return not_yaml(parser, name, err);
	bool another = yaml_document_get_root_node(&more) != NULL;
	yaml_document_delete(&more);
	return another ? err_set(err, ERR_CONFIG, "%s: more than one document", name) : 0;
}

int yaml_doc_load(struct slice text, const char *name, struct yaml_doc **out, struct err *err)
{
	struct yaml_doc *d = xcalloc(1, sizeof(*d));
	yaml_parser_t parser;
	int rc = -1;

	if (!yaml_parser_initialize(&parser)) {
		free(d);
		return err_set(err, ERR_CONFIG, "%s: the YAML parser cannot start", name);
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p != NULL ? text.p : ""), text.n);
	if (!yaml_parser_load(&parser, &d->doc)) {
		not_yaml(&parser, name, err);
		free(d);
		goto out;
	}
	d->name = xstrdup(name);
	if (yaml_doc_root(d) != 0 && check_end(&parser, name, err) == -1) {
		yaml_doc_free(d);
		goto out;
	}
	*out = d;
	rc = 0;
out:
	yaml_parser_delete(&parser);
	return rc;
}

void yaml_doc_free(struct yaml_doc *d)
{
	if (d == NULL)
		return;
	yaml_document_delete(&d->doc);
	free(d->name);
	free(d);
}

int yaml_doc_root(struct yaml_doc *d)
{
	return yaml_document_get_root_node(&d->doc) != NULL
		       ? 1
		       : 0; /* nodes are numbered in order of their begin */
}

static bool is_null(const yaml_node_t *n)
{
	struct slice text = slice_of(n->data.scalar.value, n->data.scalar.length);

	return n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (text.n == 0 || slice_is(text, "~") || slice_is(text, "null"));
}

enum yaml_doc_kind yaml_doc_kind(struct yaml_doc *d, int node)
{
	const yaml_node_t *n = yaml_document_get_node(&d->doc, node);

	if (n == NULL || n->type == YAML_NO_NODE)
		return YAML_DOC_NULL;
	if (n->type == YAML_SCALAR_NODE)
		return is_null(n) ? YAML_DOC_NULL : YAML_DOC_TEXT;
	return n->type == YAML_MAPPING_NODE ? YAML_DOC_MAP : YAML_DOC_LIST;
}

struct slice yaml_doc_text(struct yaml_doc *d, int node)
{
	const yaml_node_t *n = yaml_document_get_node(&d->doc, node);

	return n != NULL && n->type == YAML_SCALAR_NODE
		       ? slice_of(n->data.scalar.value, n->data.scalar.length)
		       : SLICE("");
}

bool yaml_doc_pair(struct yaml_doc *d, int map, size_t *i, int *key, int *value)
{
	const yaml_node_t *n = yaml_document_get_node(&d->doc, map);

	if (n == NULL || n->type != YAML_MAPPING_NODE)
		return false;
	const yaml_node_pair_t *pair = n->data.mapping.pairs.start + *i;
	if (pair >= n->data.mapping.pairs.top)
		return false;
	*key = pair->key;
	*value = pair->value;
	(*i)++;
	return true;
}

bool yaml_doc_item(struct yaml_doc *d, int list, size_t *i, int *item)
{
	const yaml_node_t *n = yaml_document_get_node(&d->doc, list);

	if (n == NULL || n->type != YAML_SEQUENCE_NODE)
		return false;
	const yaml_node_item_t *at = n->data.sequence.items.start + *i;
	if (at >= n->data.sequence.items.top)
		return false;
	*item = *at;
	(*i)++;
	return true;
}

int yaml_doc_bad(struct yaml_doc *d, int node, struct err *err, const char *fmt, ...)
{
	const yaml_node_t *n = yaml_document_get_node(&d->doc, node);
	char text[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_CONFIG, "%s:%zu: %s", d->name, n != NULL ? n->start_mark.line + 1 : 1, text);
}
