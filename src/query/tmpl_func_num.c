/* Functions on numbers, and the two that turn other things into values. Arguments are converted loosely. */
#include <math.h>
#include "base/mem.h"
#include "query/tmpl_decimal.h"
#include "query/tmpl_func.h"
#include "query/tmpl_json.h"

#define UNUSED(x) ((void)(x))

static bool int64(struct tmpl_value *out, int64_t i)
{
	*out = tmpl_int_of(TMPL_INT_64, i);
	return true;
}

static bool to_int(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_int(tmpl_to_int(arg));
	return true;
}

static bool to_float(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_float(tmpl_to_float(arg));
	return true;
}

/* ---- whole numbers: they wrap around ---- */

static bool add(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	uint64_t sum = 0;

	UNUSED(r);
	for (size_t i = 0; i < n; i++)
		sum += (uint64_t)tmpl_to_int(&arg[i]);
	return int64(out, (int64_t)sum);
}

static bool sub(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	return int64(out, (int64_t)((uint64_t)tmpl_to_int(&arg[0]) - (uint64_t)tmpl_to_int(&arg[1])));
}

static bool mul(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	uint64_t product = 1;

	UNUSED(r);
	for (size_t i = 0; i < n; i++)
		product *= (uint64_t)tmpl_to_int(&arg[i]);
	return int64(out, (int64_t)product);
}

static bool divide(struct tmpl_run *r, const struct tmpl_value *arg, bool rest, struct tmpl_value *out)
{
	int64_t a = tmpl_to_int(&arg[0]), b = tmpl_to_int(&arg[1]);

	if (b == 0)
		return tmpl_fail(r, "runtime error: integer divide by zero");
	if (b == -1)
		return int64(out, rest ? 0 : (int64_t)(0 - (uint64_t)a));
	return int64(out, rest ? a % b : a / b);
}

static bool div_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return divide(r, arg, false, out);
}

static bool mod(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	return divide(r, arg, true, out);
}

static bool max(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	int64_t best = tmpl_to_int(arg);

	UNUSED(r);
	for (size_t i = 1; i < n; i++)
		best = MAX(best, tmpl_to_int(&arg[i]));
	return int64(out, best);
}

static bool min(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	int64_t best = tmpl_to_int(arg);

	UNUSED(r);
	for (size_t i = 1; i < n; i++)
		best = MIN(best, tmpl_to_int(&arg[i]));
	return int64(out, best);
}

/* ---- decimals ---- */

static bool finite_arg(struct tmpl_run *r, const struct tmpl_value *arg, double *out)
{
	*out = tmpl_to_float(arg);
	if (isfinite(*out))
		return true;
	return tmpl_fail(r, "Cannot create a Decimal from %s",
			 isnan(*out) ? "NaN"
			 : *out > 0  ? "+Inf"
				     : "-Inf");
}

static bool decimals(struct tmpl_run *r, const struct tmpl_value *arg, size_t n,
		     bool (*op)(struct decimal *, double), struct tmpl_value *out)
{
	struct decimal d;
	double v;

	if (!finite_arg(r, &arg[0], &v))
		return false;
	decimal_of(&d, v);
	for (size_t i = 1; i < n; i++) {
		if (!finite_arg(r, &arg[i], &v) || !tmpl_charge(r, (size_t)d.n * 8))
			return false;
		if (op == decimal_div && v == 0)
			return tmpl_fail(r, "decimal division by 0");
		if (!op(&d, v))
			return tmpl_fail(r, "decimal with more than %d digits", DECIMAL_LIMBS * 9);
	}
	*out = tmpl_float(decimal_to_double(&d));
	return true;
}

/* Begins with a zero of its own. */
static bool addf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	if (n > 0)
		return decimals(r, arg, n, decimal_add, out);
	*out = tmpl_float(0);
	return true;
}

static bool subf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	return decimals(r, arg, n, decimal_sub, out);
}

static bool mulf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	return decimals(r, arg, n, decimal_mul, out);
}

static bool divf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	return decimals(r, arg, n, decimal_div, out);
}

/* ---- floats ---- */

/* Unlike fmax: NaN wins, and so does 0 over -0. */
static double larger(double a, double b)
{
	if (isinf(a) && a > 0)
		return a;
	if (isinf(b) && b > 0)
		return b;
	if (isnan(a) || isnan(b))
		return NAN;
	if (a == 0 && b == 0)
		return signbit(a) ? b : a;
	return a > b ? a : b;
}

static double smaller(double a, double b)
{
	return -larger(-a, -b);
}

static bool pick(const struct tmpl_value *arg, size_t n, double (*better)(double, double),
		 struct tmpl_value *out)
{
	double best = tmpl_to_float(arg);

	for (size_t i = 1; i < n; i++)
		best = better(best, tmpl_to_float(&arg[i]));
	*out = tmpl_float(best);
	return true;
}

static bool maxf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	return pick(arg, n, larger, out);
}

static bool minf(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	return pick(arg, n, smaller, out);
}

static bool ceil_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_float(ceil(tmpl_to_float(arg)));
	return true;
}

static bool floor_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	UNUSED(n);
	*out = tmpl_float(floor(tmpl_to_float(arg)));
	return true;
}

/* The fraction decides between up and down, so that negative numbers are always rounded down. */
static bool round_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	double on = n > 2 ? arg[2].f : 0.5, scale = pow(10, (double)arg[1].i), whole;
	double scaled = scale * tmpl_to_float(&arg[0]);
	double fraction = modf(scaled, &whole);

	UNUSED(r);
	if (isinf(scaled))
		fraction = NAN;
	*out = tmpl_float((fraction >= on ? ceil(scaled) : floor(scaled)) / scale);
	return true;
}

/* ---- values ---- */

static bool from_json(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(n);
	/* A member takes more memory than its text. */
	if (!tmpl_charge(r, arg->s.n * 16))
		return false;
	*out = tmpl_json(arg->s, r->arena);
	return true;
}

static bool default_(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct tmpl_value *out)
{
	UNUSED(r);
	*out = n < 2 || tmpl_empty(&arg[1]) ? arg[0] : arg[1];
	return true;
}

tmpl_function *const tmpl_number_functions[TMPL_N_FUNCS] = {
	[TMPL_FN_INT] = to_int,
	[TMPL_FN_FLOAT64] = to_float,
	[TMPL_FN_ADD] = add,
	[TMPL_FN_SUB] = sub,
	[TMPL_FN_MUL] = mul,
	[TMPL_FN_DIV] = div_,
	[TMPL_FN_MOD] = mod,
	[TMPL_FN_MAX] = max,
	[TMPL_FN_MIN] = min,
	[TMPL_FN_ADDF] = addf,
	[TMPL_FN_SUBF] = subf,
	[TMPL_FN_MULF] = mulf,
	[TMPL_FN_DIVF] = divf,
	[TMPL_FN_MAXF] = maxf,
	[TMPL_FN_MINF] = minf,
	[TMPL_FN_CEIL] = ceil_,
	[TMPL_FN_FLOOR] = floor_,
	[TMPL_FN_ROUND] = round_,
	[TMPL_FN_FROM_JSON] = from_json,
	[TMPL_FN_DEFAULT] = default_,
};
