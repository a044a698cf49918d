/* query/labelre.h - the regular expression of a label filter, | v=~"...": matched with the whole value, apart
 * from the shapes that Loki reduces to "contains" or "always true" (see query/simple_re.h). Immutable, any
 * thread. */
#ifndef QUERY_LABELRE_H
#define QUERY_LABELRE_H

#include "base/err.h"

struct label_re;

int label_re_new(struct slice pattern, struct label_re **out, struct err *err);
void label_re_free(struct label_re *re); /* NULL is fine */
bool label_re_match(const struct label_re *re, struct slice value);

#endif
