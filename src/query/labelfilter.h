/* query/labelfilter.h - the label filter stages, | a="x" and b > 5, compiled: string, number, duration, bytes
 * and ip tests in and/or trees. Immutable once made: any number of threads may run it on their own label
 * sets. */
#ifndef QUERY_LABELFILTER_H
#define QUERY_LABELFILTER_H

#include "logql/ast.h"
#include "query/label_set.h"

struct label_test;
/* Borrows the tree f. */
int label_test_new(const struct label_filter *f, struct label_test **out, struct err *err);
void label_test_free(struct label_test *t); /* NULL is fine */
/* The tests of one label each that an and/or tree is made of, or the test itself; borrowed. Returns their number, of which
 * at most max are stored. */
size_t label_test_leaves(const struct label_test *t, const struct label_test **out, size_t max);
/* What a test of one label makes of a value that is there. */
enum label_verdict { LABEL_NO, LABEL_YES, LABEL_NO_VALUE, LABEL_N_VERDICTS };
enum label_verdict label_test_value(const struct label_test *t, struct slice value);
/* Is it a comparison with a number? Then a value that is one need not become text. */
bool label_test_is_number(const struct label_test *t);
enum label_verdict label_test_number(const struct label_test *t, double value);
/* Does the entry stay? A value that does not convert keeps the entry and gives it an error, in scratch
 * memory. */
bool label_test_run(const struct label_test *t, struct label_set *s, struct arena *scratch);
/* The label of a test of one alone, not of and/or; p == NULL for others and for __error__. */
struct slice label_test_name(const struct label_test *t);
/* Does the outcome depend on earlier errors, too? */
bool label_test_sees_errors(const struct label_test *t);
/* The value without which no entry stays: | a="x". p == NULL: there is none. */
struct slice label_test_required(const struct label_test *t);

#endif
