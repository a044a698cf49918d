/* query/tmpl_decimal.h - exact decimal arithmetic on the shortest decimals of floats, for addf, subf, mulf and
 * divf: 0.1 + 0.2 is 0.3. Pure. */
#ifndef QUERY_TMPL_DECIMAL_H
#define QUERY_TMPL_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	DECIMAL_LIMBS = 256, /* of nine digits each */
};

/* limb[0] + limb[1] * 10^9 + …, times 10^exp */
struct decimal {
	bool negative;
	int32_t exp;
	uint32_t n;
	uint32_t limb[DECIMAL_LIMBS];
};

/* v must be finite. */
void decimal_of(struct decimal *d, double v);
/* false: more digits than there is room for. v must be finite; of decimal_div also not 0. */
bool decimal_add(struct decimal *d, double v);
bool decimal_sub(struct decimal *d, double v);
bool decimal_mul(struct decimal *d, double v);
bool decimal_div(struct decimal *d, double v); /* rounded to 16 places, half away from 0 */
double decimal_to_double(const struct decimal *d);

#endif
