#include "logql/ip.h"

#include <arpa/inet.h>

bool ip_parse_addr(struct slice text, bool *v6, uint8_t addr[16])
{
	char tmp[INET6_ADDRSTRLEN + 1];
	bool is_v6;

	if (text.n == 0 || text.n >= sizeof(tmp) || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(tmp, text.p, text.n);
	tmp[text.n] = '\0';
	is_v6 = slice_find_byte(text, ':') != SLICE_NONE;
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, tmp, addr) != 1)
		return false;
	*v6 = is_v6;
	return true;
}

static bool parse_prefix(struct slice text, size_t slash, struct ip_set *out)
{
	struct slice bits_text = slice_from(text, slash + 1);
	size_t n_addr;
	uint64_t bits;

	if (!ip_parse_addr(slice_sub(text, 0, slash), &out->v6, out->lo))
		return false;
	if (!slice_to_u64(bits_text, &bits) || (bits_text.n > 1 && bits_text.p[0] == '0'))
		return false;
	n_addr = out->v6 ? 16 : 4;
	if (bits > n_addr * 8)
		return false;
	for (size_t i = 0; i < n_addr; i++) {
		size_t kept = bits >= (i + 1) * 8 ? 8 : bits > i * 8 ? bits - i * 8 : 0;
		uint8_t mask = (uint8_t)(0xff00 >> kept);

		out->hi[i] = (uint8_t)(out->lo[i] | (uint8_t)~mask);
		out->lo[i] &= mask;
	}
	return true;
}

static bool parse_range(struct slice text, size_t dash, struct ip_set *out)
{
	bool v6;

	return ip_parse_addr(slice_sub(text, 0, dash), &out->v6, out->lo) &&
	       ip_parse_addr(slice_from(text, dash + 1), &v6, out->hi) && v6 == out->v6 &&
	       memcmp(out->lo, out->hi, v6 ? 16 : 4) <= 0;
}

bool ip_set_parse(struct slice text, struct ip_set *out)
{
	struct ip_set set = { 0 };
	size_t at;
	bool ok;

	if ((at = slice_find_byte(text, '-')) != SLICE_NONE) {
		ok = parse_range(text, at, &set);
	} else if ((at = slice_find_byte(text, '/')) != SLICE_NONE) {
		ok = parse_prefix(text, at, &set);
	} else {
		ok = ip_parse_addr(text, &set.v6, set.lo);
		memcpy(set.hi, set.lo, sizeof(set.hi));
	}
	if (ok)
		*out = set;
	return ok;
}

bool ip_set_has(const struct ip_set *set, bool v6, const uint8_t addr[16])
{
	size_t n = v6 ? 16 : 4;

	return set->v6 == v6 && memcmp(addr, set->lo, n) >= 0 && memcmp(addr, set->hi, n) <= 0;
}
