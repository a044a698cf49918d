#include "query/tmpl_decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* One operand always comes from a float and has at most 17 digits, so that long division is by one machine
 * word. */
enum { LIMB_DIGITS = 9, DIV_PLACES = 16 };
static const uint32_t limb_base = 1000000000;

__extension__ typedef unsigned __int128 uint128;

struct small {
	bool negative;
	int32_t exp;
	uint64_t coef; /* up to 17 digits, the last one not 0 */
};

static struct small small_of(double v)
{
	char text[40];
	struct small s = { 0 };

	/* 15 digits are enough for each decimal that has no more, but for the smallest numbers. */
	for (int prec = fabs(v) < 1e-290 ? 0 : 14; prec <= 16; prec++) {
		snprintf(text, sizeof(text), "%.*e", prec, v);
		if (strtod(text, NULL) == v)
			break;
	}
	const char *p = text, *point = NULL;
	s.negative = *p == '-';
	p += s.negative;
	for (; *p != 'e'; p++) {
		if (*p == '.')
			point = p;
		else
			s.coef = s.coef * 10 + (uint64_t)(*p - '0');
	}
	s.exp = (int32_t)strtol(p + 1, NULL, 10) - (point != NULL ? (int32_t)(p - point - 1) : 0);
	while (s.coef > 0 && s.coef % 10 == 0) {
		s.coef /= 10;
		s.exp++;
	}
	if (s.coef == 0)
		s = (struct small){ 0 };
	return s;
}

static void trim(struct decimal *d)
{
	while (d->n > 0 && d->limb[d->n - 1] == 0)
		d->n--;
	if (d->n == 0)
		d->negative = false;
}

static void set_small(struct decimal *d, const struct small *s)
{
	uint64_t c = s->coef;

	d->negative = s->negative;
	d->exp = s->exp;
	for (d->n = 0; c > 0; c /= limb_base)
		d->limb[d->n++] = (uint32_t)(c % limb_base);
}

void decimal_of(struct decimal *d, double v)
{
	struct small s = small_of(v);

	set_small(d, &s);
}

static bool mul_word(struct decimal *d, uint64_t by)
{
	uint128 carry = 0;

	for (uint32_t i = 0; i < d->n; i++) {
		carry += (uint128)d->limb[i] * by;
		d->limb[i] = (uint32_t)(carry % limb_base);
		carry /= limb_base;
	}
	for (; carry > 0; carry /= limb_base) {
		if (d->n == DECIMAL_LIMBS)
			return false;
		d->limb[d->n++] = (uint32_t)(carry % limb_base);
	}
	trim(d);
	return true;
}

/* The same value with a smaller exponent. */
static bool lower_exp(struct decimal *d, int32_t exp)
{
	int32_t more = d->exp - exp, whole = more / LIMB_DIGITS;
	uint64_t rest = 1;

	d->exp = exp;
	if (d->n == 0)
		return true;
	if ((uint32_t)whole > DECIMAL_LIMBS - d->n)
		return false;
	memmove(d->limb + whole, d->limb, d->n * sizeof(*d->limb));
	memset(d->limb, 0, (size_t)whole * sizeof(*d->limb));
	d->n += (uint32_t)whole;
	for (int32_t i = whole * LIMB_DIGITS; i < more; i++)
		rest *= 10;
	return mul_word(d, rest);
}

static int cmp_digits(const struct decimal *a, const struct decimal *b)
{
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t i = a->n; i-- > 0;)
		if (a->limb[i] != b->limb[i])
			return a->limb[i] < b->limb[i] ? -1 : 1;
	return 0;
}

static bool add_digits(struct decimal *a, const struct decimal *b)
{
	uint32_t carry = 0;

	for (uint32_t i = 0; i < b->n || carry > 0; i++) {
		if (i == DECIMAL_LIMBS)
			return false;
		if (i == a->n)
			a->limb[a->n++] = 0;
		uint32_t sum = a->limb[i] + (i < b->n ? b->limb[i] : 0) + carry;
		carry = sum >= limb_base;
		a->limb[i] = sum - (carry ? limb_base : 0);
	}
	return true;
}

/* a - b for a >= b, into out, which may be either. */
static void sub_digits(const struct decimal *a, const struct decimal *b, struct decimal *out)
{
	uint32_t borrow = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		int64_t v = (int64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0) - borrow;

		borrow = v < 0;
		out->limb[i] = (uint32_t)(borrow ? v + limb_base : v);
	}
	out->n = a->n;
}

static bool add_signed(struct decimal *d, const struct small *s)
{
	struct decimal other;

	set_small(&other, s);
	if (other.n == 0)
		return true;
	if (d->n == 0) {
		*d = other;
		return true;
	}
	if (d->exp > other.exp ? !lower_exp(d, other.exp) : !lower_exp(&other, d->exp))
		return false;
	if (d->negative == other.negative)
		return add_digits(d, &other);
	bool smaller = cmp_digits(d, &other) < 0;
	sub_digits(smaller ? &other : d, smaller ? d : &other, d);
	d->negative = smaller ? other.negative : d->negative;
	trim(d);
	return true;
}

bool decimal_add(struct decimal *d, double v)
{
	struct small s = small_of(v);

	return add_signed(d, &s);
}

bool decimal_sub(struct decimal *d, double v)
{
	struct small s = small_of(v);

	s.negative = !s.negative;
	return add_signed(d, &s);
}

bool decimal_mul(struct decimal *d, double v)
{
	struct small s = small_of(v);

	d->negative = d->negative != s.negative;
	d->exp += s.exp;
	return mul_word(d, s.coef);
}

/* The remainder. */
static uint64_t div_word(struct decimal *d, uint64_t by)
{
	uint128 rest = 0;

	for (uint32_t i = d->n; i-- > 0;) {
		rest = rest * limb_base + d->limb[i];
		d->limb[i] = (uint32_t)(rest / by);
		rest %= by;
	}
	while (d->n > 0 && d->limb[d->n - 1] == 0)
		d->n--;
	return (uint64_t)rest;
}

static bool add_one(struct decimal *d)
{
	struct decimal one = { .n = 1, .limb = { 1 } };

	return add_digits(d, &one);
}

/* Drops n digits behind, of which the first decides the rounding. */
static bool drop_digits(struct decimal *d, int32_t n)
{
	uint64_t last = 0;

	for (; n > 0 && d->n > 0; n--)
		last = div_word(d, 10);
	if (n > 0)
		last = 0;
	return last < 5 || add_one(d);
}

bool decimal_div(struct decimal *d, double v)
{
	struct small s = small_of(v);
	int32_t exp = d->exp - s.exp; /* of the quotient of the coefficients */
	bool negative = d->negative != s.negative;
	bool ok = true;

	if (d->n == 0)
		return true;
	if (exp > -DIV_PLACES) {
		ok = lower_exp(d, d->exp - (exp + DIV_PLACES));
		exp = -DIV_PLACES;
	}
	if (!ok)
		return false;
	uint64_t rest = div_word(d, s.coef);
	if (exp < -DIV_PLACES)
		ok = drop_digits(d, -DIV_PLACES - exp);
	else if (rest >= s.coef - rest)
		ok = add_one(d);
	d->exp = -DIV_PLACES;
	d->negative = negative;
	trim(d);
	return ok;
}

double decimal_to_double(const struct decimal *d)
{
	char text[DECIMAL_LIMBS * LIMB_DIGITS + 32];
	int n = 0;

	if (d->n == 0)
		return 0;
	text[n++] = d->negative ? '-' : '+';
	for (uint32_t i = d->n; i-- > 0;)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%09u", d->limb[i]);
	snprintf(text + n, sizeof(text) - (size_t)n, "e%d", d->exp);
	return strtod(text, NULL);
}
