/* logql/ip.h - the argument of ip("..."): one address, a CIDR block or a range a-b, as an inclusive interval
 * of addresses of one family. Plain values: no ownership, any thread. */
#ifndef LOGQL_IP_H
#define LOGQL_IP_H

#include "base/slice.h"

struct ip_set {
	bool v6;
	uint8_t lo[16], hi[16]; /* network order; IPv4 uses the first 4 bytes */
};

/* One address in text form, as Go's netip reads it without a zone: no leading zeros in IPv4. */
bool ip_parse_addr(struct slice text, bool *v6, uint8_t addr[16]);
/* False for a text that is none of the three forms. */
bool ip_set_parse(struct slice text, struct ip_set *out);
bool ip_set_has(const struct ip_set *set, bool v6, const uint8_t addr[16]);

#endif
