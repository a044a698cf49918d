/* Templates of rules: whatever the text, it expands to something, or to an error. */
#include "base/mem.h"
#include "query/tmpl_run.h"
#include "rules/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct label v[] = { { { "app", 3 }, { "web", 3 } },
					  { { "instance", 8 }, { "db.example.com:5432", 19 } } };
	const struct rule_template_data d = { { v, ARRAY_LEN(v) }, 1.5, SLICE("http://x/y") },
					none = { .value = -1e300 };
	struct slice text = slice_of(data, size), out;
	struct tmpl_run run;
	struct arena a;
	struct err err;

	if (size > 4096)
		return 0;
	tmpl_run_init(&run);
	arena_init(&a);
	rule_template_check(SLICE("A"), text, &err);
	rule_template_expand(SLICE("A"), text, &d, &run, &a, &out);
	rule_template_expand(SLICE("A"), text, &none, &run, &a, &out);
	arena_fini(&a);
	tmpl_run_fini(&run);
	return 0;
}
