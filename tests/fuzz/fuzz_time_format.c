/* Date-times in hostile text and forms. Eight bytes of time, then a form, a newline and a text. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "index/time_format.h"

static void check(const struct time_format *f, struct slice text, int64_t ts)
{
	struct time_cache cache = { 0 };
	uint64_t set[4] = { 0 };
	char out[TIME_TEXT_MAX];
	int64_t diff = (int64_t)(text.n * 0x9e3779b97f4a7c15ULL);
	size_t n = time_format_write(f, ts, diff, &cache, out);

	assert(n > 0 && n <= TIME_TEXT_MAX);
	/* What was read before must make no difference. */
	struct time_seen seen = { .asked = false };
	int64_t one = 0, other = 0;
	(void)time_format_diff_next(f, &seen, slice_of(out, n), ts, &one);
	one = 0;
	bool fits = time_format_diff(f, text, ts, &one);
	if (time_format_diff_next(f, &seen, text, ts, &other) != fits || (fits && one != other))
		abort();
	if (time_format_diff(f, text, ts, &diff)) {
		n = time_format_write(f, ts, diff, &cache, out);
		assert(slice_eq(slice_of(out, n), text));
	}
	time_format_bytes(f, set);
	for (size_t i = 0; i < n; i++)
		assert(set[(unsigned char)out[i] >> 6] >> (out[i] & 63) & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(slice_of(data, size));
	int64_t ts = cursor_i64le(&c), diff;
	struct slice form = slice_of(c.p, cursor_left(&c)), text = form;
	size_t end = slice_find_byte(form, '\n'), n;
	struct time_format f, g;

	if (end != SLICE_NONE) {
		text = slice_from(form, end + 1);
		form.n = end;
	}
	if (time_format_parse(form, &f))
		check(&f, text, ts);
	if ((n = time_format_detect(text, &f)) > 0) {
		assert(n <= text.n && f.length == n);
		assert(time_format_parse(slice_of(f.text, f.n), &g) && g.unit_ns == f.unit_ns);
		check(&f, slice_sub(text, 0, n), ts);
		/* Near enough for nanoseconds, what was detected fits. */
		if (f.has_year && f.unit_ns >= 1000)
			assert(f.at[0] == TIME_ABSENT ||
			       time_format_diff(&f, slice_sub(text, 0, n), 0, &diff));
	}
	return 0;
}
