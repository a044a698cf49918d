/* Lines with the fields of well-known logs: HDFS, Blue Gene/L, Apache's error log, sshd, Spark, ZooKeeper, Kubernetes,
 * OpenTelemetry records with their fields in the metadata. Formats and kinds of values are theirs, words and values ours. */
#include "gen.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

/* ------------------------------------------------------------------ randomness and text */

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

unsigned rng_skewed(struct rng *r, unsigned n)
{
	return rng_below(r, 1 + rng_below(r, 1 + rng_below(r, n)));
}

bool rng_one_in(struct rng *r, unsigned n)
{
	return rng_below(r, n) == 0;
}

const char *rng_pick(struct rng *r, const char *const *of, size_t n)
{
	return of[rng_below(r, (unsigned)n)];
}

static void put_time_part(struct buf *b, const struct tm *tm, char part)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec", days[] = "SunMonTueWedThuFriSat";

	switch (part) {
	case 'Y': buf_printf(b, "%04d", tm->tm_year + 1900); break;
	case 'y': buf_printf(b, "%02d", tm->tm_year % 100); break;
	case 'm': buf_printf(b, "%02d", tm->tm_mon + 1); break;
	case 'd': buf_printf(b, "%02d", tm->tm_mday); break;
	case 'e': buf_printf(b, "%2d", tm->tm_mday); break;
	case 'b': buf_append(b, months + 3 * tm->tm_mon, 3); break;
	case 'a': buf_append(b, days + 3 * tm->tm_wday, 3); break;
	case 'H': buf_printf(b, "%02d", tm->tm_hour); break;
	case 'M': buf_printf(b, "%02d", tm->tm_min); break;
	case 'S': buf_printf(b, "%02d", tm->tm_sec); break;
	}
}

void put_time(struct buf *b, int64_t ts, const char *form)
{
	time_t seconds = (time_t)(ts / NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	for (; *form != '\0'; form++) {
		if (*form == '%')
			put_time_part(b, &tm, *++form);
		else
			buf_putc(b, *form);
	}
}

void put_fraction(struct buf *b, int64_t ts, int digits)
{
	unsigned fraction = (unsigned)(ts % NS_PER_S);

	for (int i = digits; i < 9; i++)
		fraction /= 10;
	buf_printf(b, "%0*u", digits, fraction);
}

void put_hex(struct buf *b, struct rng *r, int digits)
{
	for (; digits > 0; digits -= 16)
		buf_printf(b, "%0*" PRIx64, MIN(digits, 16),
			   digits < 16 ? rng_next(r) >> (64 - 4 * digits) : rng_next(r));
}

void put_word(struct buf *b, uint64_t number)
{
	static const char consonants[] = "bcdfghjklmnprstvwz", vowels[] = "aeiou";
	struct rng r = { number };
	unsigned syllables = 1 + rng_below(&r, 4);

	for (unsigned i = 0; i < syllables; i++) {
		buf_putc(b, consonants[rng_below(&r, sizeof(consonants) - 1)]);
		buf_putc(b, vowels[rng_below(&r, sizeof(vowels) - 1)]);
	}
}

static void put_uuid(struct buf *b, struct rng *r)
{
	put_hex(b, r, 8);
	for (int i = 0; i < 3; i++) {
		buf_putc(b, '-');
		put_hex(b, r, 4);
	}
	buf_putc(b, '-');
	put_hex(b, r, 12);
}

/* A host of 10.net.0.0/16; few of them speak often. */
static void put_host(struct buf *b, struct rng *r, unsigned net)
{
	unsigned host = rng_skewed(r, 200);

	buf_printf(b, "10.%u.%u.%u", net, host % 9 * 27, 10 + host);
}

/* ------------------------------------------------------------------ shapes */

static uint64_t recent_block(struct corpus *c)
{
	uint64_t *slot = &c->recent[rng_below(&c->rng, CORPUS_RECENT)];

	if (*slot == 0 || rng_one_in(&c->rng, 9))
		*slot = rng_next(&c->rng);
	return *slot;
}

/* Blocks of a distributed file system: each is written to three nodes, about nine lines in all. */
static void put_hdfs(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	int64_t block = (int64_t)recent_block(c);
	unsigned kind = rng_below(r, 100), size = rng_below(r, 5) != 0 ? 67108864 : rng_below(r, 67108864);
	bool master = kind >= 70;

	put_time(b, c->stamp, "%y%m%d %H%M%S");
	buf_printf(b, " %u %s dfs.%s: ", 1 + rng_skewed(r, 30000), kind == 99 ? "WARN" : "INFO",
		   master      ? "FSNamesystem"
		   : kind < 40 ? "DataNode$Responder"
			       : "DataNode$Receiver");
	if (kind < 20) {
		buf_printf(b, "Responder %u done with block blk_%" PRId64, rng_below(r, 3), block);
	} else if (kind < 40) {
		buf_printf(b, "Stored block blk_%" PRId64 ", %u bytes, from /", block, size);
		put_host(b, r, 250);
	} else if (kind < 70) {
		buf_printf(b, "Incoming block blk_%" PRId64 " source: /", block);
		put_host(b, r, 250);
		buf_printf(b, ":%u target: /", 32768 + rng_below(r, 28000));
		put_host(b, r, 250);
		buf_puts(b, ":50010");
	} else if (kind < 90) {
		buf_puts(b, "BLOCK* addStored: ");
		put_host(b, r, 251);
		buf_printf(b, ":50010 now has blk_%" PRId64 " of %u bytes", block, size);
	} else if (kind < 97) {
		buf_printf(
			b,
			"BLOCK* allocate: /user/etl/out/_temporary/_task_20260115%04u_%04u_m_%06u_0/part-%05u"
			" blk_%" PRId64,
			rng_below(r, 2400), 1 + rng_skewed(r, 20), rng_below(r, 2000), rng_below(r, 2000),
			block);
	} else {
		buf_printf(b, "BLOCK* invalidate: blk_%" PRId64 " queued for ", block);
		put_host(b, r, 251);
		buf_puts(b, ":50010");
	}
}

static void put_node(struct buf *b, struct rng *r)
{
	buf_printf(b, "R%02u-M%u-N%u-C:J%02u-U%02u", rng_skewed(r, 64), rng_below(r, 2), rng_below(r, 16),
		   2 + rng_below(r, 16), 1 + rng_below(r, 2) * 10);
}

/* A supercomputer's nodes report memory errors and crashed programs in bursts. */
static void put_bgl(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	struct buf node = { 0 };
	unsigned kind = rng_skewed(r, 10);
	bool fatal = rng_one_in(r, 12);

	if (c->recent[0] == 0 || rng_one_in(r, 30))
		c->recent[0] = rng_next(r);
	put_node(&node, &(struct rng){ c->recent[0] + rng_skewed(r, 4) });
	buf_printf(b, "%s %" PRId64 " ", fatal ? "KERNFAIL" : "-", c->stamp / NS_PER_S);
	put_time(b, c->stamp, "%Y.%m.%d ");
	buf_add(b, buf_slice(&node));
	put_time(b, c->stamp, " %Y-%m-%d-%H.%M.%S.");
	put_fraction(b, c->stamp, 6);
	buf_putc(b, ' ');
	buf_add(b, buf_slice(&node));
	buf_printf(b, " RAS %s %s ", kind == 7 ? "APP" : "KERNEL", fatal ? "FATAL" : "INFO");
	buf_fini(&node);
	switch (kind) {
	case 0: buf_puts(b, "parity error in the instruction cache, corrected"); break;
	case 1: buf_printf(b, "core.%u written", rng_below(r, 65536)); break;
	case 2:
		buf_printf(b, "%u memory errors at rank 0, symbol %u, over %u seconds, corrected",
			   1 + rng_skewed(r, 400), rng_below(r, 36), 1 + rng_skewed(r, 600));
		break;
	case 3: buf_printf(b, "%u double-hummer alignments seen", 1 + rng_skewed(r, 60000)); break;
	case 4:
		buf_printf(b, "single symbol fixed at 0x%08x, mask 0x%02x", rng_below(r, 1u << 31) & ~31u,
			   rng_below(r, 256));
		break;
	case 5: buf_puts(b, "data storage interrupt"); break;
	case 6:
		buf_printf(b, "iar 0x%08x dear 0x%08x", rng_below(r, 1u << 24) * 4, rng_below(r, 1u << 31));
		break;
	case 7:
		buf_printf(b, "ciod: no message prefix from control stream %u of 172.16.96.%u:%u",
			   rng_below(r, 64), 1 + rng_below(r, 250), 32768 + rng_below(r, 20000));
		break;
	default:
		buf_printf(b, "general purpose register %u = 0x%08x", rng_below(r, 32),
			   rng_below(r, 1u << 31));
	}
}

static void put_apache(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned kind = rng_below(r, 20);

	buf_putc(b, '[');
	put_time(b, c->stamp, "%a %b %d %H:%M:%S %Y");
	buf_printf(b, "] [%s] ", kind < 12 ? "notice" : "error");
	if (kind < 8) {
		buf_printf(b, "worker.2 child %u found slot %u of the scoreboard", 1000 + rng_below(r, 31000),
			   1 + rng_skewed(r, 14));
	} else if (kind < 12) {
		buf_puts(b, "worker environment up, properties from /etc/httpd/conf/workers.properties");
	} else if (kind < 15) {
		buf_printf(b, "connector child in state %u", 6 + rng_skewed(r, 4));
	} else {
		buf_printf(b, "[client %u.%u.%u.%u] ", 1 + rng_below(r, 222), rng_below(r, 256),
			   rng_below(r, 256), 1 + rng_below(r, 254));
		if (kind < 18) {
			buf_puts(b, "no index for directory: /var/www/html/");
		} else {
			buf_puts(b, "file not there: /var/www/html/");
			put_word(b, rng_skewed(r, 500));
			buf_puts(b, PICK(r, ".php", ".html", "/", ".cgi", ".asp"));
		}
	}
}

/* Mostly strangers who try names and passwords: some lines for each attempt with the same process and address. */
static void put_openssh(struct corpus *c, struct buf *b)
{
	static const char *const users[] = { "root", "root",  "root",	"admin", "test",   "oracle",
					     "git",  "guest", "ubuntu", "pi",	 "deploy", "postgres" };
	struct rng *r = &c->rng;
	uint64_t *attempt = &c->recent[rng_below(r, 4)];

	if (*attempt == 0 || rng_one_in(r, 5))
		*attempt = rng_next(r) | 1;
	struct rng same = { *attempt };
	unsigned pid = 20000 + (unsigned)(c->n / 6 % 12000), address = rng_below(&same, 1u << 31),
		 port = 1024 + rng_below(&same, 60000);
	const char *user = users[rng_below(&same, ARRAY_LEN(users))];
	struct buf ip = { 0 };

	buf_printf(&ip, "%u.%u.%u.%u", 1 + (address >> 24), address >> 16 & 255, address >> 8 & 255,
		   address & 255);
	put_time(b, c->stamp, "%b %e %H:%M:%S");
	buf_printf(b, " gate sshd[%u]: ", pid);
	switch (rng_below(r, 7)) {
	case 0:
		buf_printf(b, "Bad password for %s from %.*s port %u ssh2", user, SLICE_ARG(buf_slice(&ip)),
			   port);
		break;
	case 1:
		buf_printf(b, "Unknown user %s%u from %.*s", user, rng_below(r, 9),
			   SLICE_ARG(buf_slice(&ip)));
		break;
	case 2:
		buf_printf(b,
			   "pam_unix(sshd:auth): login refused; logname= uid=0 euid=0 tty=ssh ruser= "
			   "rhost=%.*s user=%s",
			   SLICE_ARG(buf_slice(&ip)), user);
		break;
	case 3: buf_printf(b, "Disconnect by %.*s: 11: Bye [preauth]", SLICE_ARG(buf_slice(&ip))); break;
	case 4: buf_printf(b, "Closed by %.*s [preauth]", SLICE_ARG(buf_slice(&ip))); break;
	case 5: buf_printf(b, "pam_unix(sshd:auth): check pass; user unknown"); break;
	default:
		buf_printf(b, "Name of %.*s does not map back to its address, possible break-in",
			   SLICE_ARG(buf_slice(&ip)));
	}
	buf_fini(&ip);
}

/* An executor: tasks begin, read blocks, end; numbers go up by one. */
static void put_spark(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	uint64_t task = c->n / 7;
	unsigned kind = rng_below(r, 20);

	put_time(b, c->stamp, "%y/%m/%d %H:%M:%S ");
	if (kind < 4)
		buf_printf(b,
			   "INFO executor.Executor: Running task %" PRIu64 ".0 of stage %" PRIu64
			   ".0 (TID %" PRIu64 ")",
			   task % 400, task / 400, task);
	else if (kind < 8)
		buf_printf(b,
			   "INFO executor.Executor: Done with task %" PRIu64 ".0 of stage %" PRIu64
			   ".0 (TID %" PRIu64 "). %u bytes of result for the driver",
			   task % 400, task / 400, task, 1800 + rng_skewed(r, 900));
	else if (kind < 13)
		buf_printf(b,
			   "INFO storage.MemoryStore: Block %s_%" PRIu64
			   "%s kept as %s in memory (size %u.%u %s, free %u.%u MB)",
			   PICK(r, "broadcast", "rdd_2"), task / 3, PICK(r, "", "_piece0"),
			   PICK(r, "values", "bytes"), 1 + rng_skewed(r, 500), rng_below(r, 10),
			   PICK(r, "B", "KB", "KB", "MB"), 300 + rng_below(r, 100), rng_below(r, 10));
	else if (kind < 15)
		buf_printf(b, "INFO storage.BlockManager: Found block rdd_%u_%" PRIu64 " here",
			   2 + rng_below(r, 40), task % 400);
	else if (kind < 17)
		buf_printf(b,
			   "INFO python.PythonRunner: Times: total = %u, boot = %d, init = %u, finish = %u",
			   30 + rng_skewed(r, 900), -(int)rng_below(r, 500), 20 + rng_skewed(r, 600),
			   rng_below(r, 5));
	else if (kind < 19)
		buf_printf(b,
			   "INFO rdd.HadoopRDD: Split: hdfs://10.10.34.11:9000/data/day/%05" PRIu64
			   ".log:%u+%u",
			   task % 4000, rng_below(r, 4) * 134217728, 1 + rng_below(r, 134217728));
	else
		buf_printf(b,
			   "WARN scheduler.TaskSetManager: Lost task %" PRIu64 ".0 in stage %" PRIu64
			   ".0 (TID %" PRIu64 ", node-%02u): fetch failed",
			   task % 400, task / 400, task, rng_below(r, 40));
}

static void put_zookeeper(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned kind = rng_below(r, 10), node = 11 + rng_below(r, 5), port = 30000 + rng_below(r, 30000);
	bool warns = kind < 3;

	put_time(b, c->stamp, "%Y-%m-%d %H:%M:%S,");
	put_fraction(b, c->stamp, 3);
	buf_printf(b, " - %s  [", warns ? "WARN" : "INFO");
	switch (kind) {
	case 0:
	case 1:
		buf_printf(b, "Sender:%" PRIu64 ":QuorumCnx$Sender@%u] - Leaving the sender thread",
			   188978561024 + (c->n / 50) * 65536, rng_one_in(r, 2) ? 679u : 688u);
		break;
	case 2:
		buf_printf(b, "Receiver:%u:QuorumCnx$Receiver@762] - Link to %u lost, my id = %u, cause: ",
			   1 + rng_below(r, 5), 1 + rng_below(r, 5), 1 + rng_below(r, 5));
		break;
	case 3:
	case 4:
		buf_printf(
			b,
			"/10.10.34.%u:3888:QuorumCnx$Acceptor@493] - Connection asked for by /10.10.34.%u:%u",
			node, 11 + rng_below(r, 5), port);
		break;
	case 5:
	case 6:
		buf_printf(b,
			   "NIOServer:0.0.0.0/0.0.0.0:2181:NIOServerFactory@197] - Took connection from "
			   "/10.10.34.%u:%u",
			   node, port);
		break;
	case 7:
		buf_printf(b,
			   "Commit:%u:ZooServer@595] - Session 0x%x%010x open, timeout %u, client "
			   "/10.10.34.%u:%u",
			   node - 10, 0x14f, rng_below(r, 1u << 31), rng_one_in(r, 4) ? 10000u : 40000u, node,
			   port);
		break;
	case 8:
		buf_printf(b,
			   "SessionTracker:ZooServer@325] - Session 0x%x%010x over, timeout of %ums passed",
			   0x14f, rng_below(r, 1u << 31), rng_one_in(r, 4) ? 10000u : 40000u);
		break;
	default:
		buf_printf(b,
			   "QuorumPeer[myid=%u]/0.0.0.0:2181:Election@774] - Message: %u (n.leader), 0x%x "
			   "(n.zxid), 0x%x "
			   "(n.round), LOOKING (n.state)",
			   1 + rng_below(r, 5), 1 + rng_below(r, 5), rng_below(r, 1u << 30),
			   1 + rng_skewed(r, 30));
	}
}

static void put_pod(struct buf *b, struct rng *r)
{
	struct rng same = { rng_skewed(r, 300) };

	put_word(b, rng_below(&same, 40));
	buf_putc(b, '-');
	put_hex(b, &same, 10);
	buf_putc(b, '-');
	put_hex(b, &same, 5);
}

/* klog: a header of fixed width, then a quoted message with fields, or printf's text. */
static void put_klog(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	unsigned kind = rng_below(r, 12);

	buf_putc(b, kind == 0 ? 'E' : kind == 1 ? 'W' : 'I');
	put_time(b, c->stamp, "%m%d %H:%M:%S.");
	put_fraction(b, c->stamp, 6);
	buf_puts(b, "    1200 ");
	if (kind < 3) {
		buf_printf(b,
			   "pod_worker.go:%u] \"Could not sync pod\" err=\"back-off %us restarting "
			   "container\" pod=\"shop/",
			   1294 + kind, 10u << rng_below(r, 5));
		put_pod(b, r);
		buf_puts(b, "\" podUID=");
		put_uuid(b, &(struct rng){ rng_skewed(r, 300) });
	} else if (kind < 6) {
		buf_puts(b, "kubelet.go:2453] \"Sync loop\" source=\"PLEG\" pod=\"shop/");
		put_pod(b, r);
		buf_printf(b, "\" event=\"%s\" containerID=\"containerd://",
			   PICK(r, "started", "died", "removed"));
		put_hex(b, r, 64);
		buf_putc(b, '"');
	} else if (kind < 9) {
		buf_printf(b,
			   "httplog.go:132] \"HTTP\" verb=\"%s\" "
			   "URI=\"/api/v1/namespaces/%s/%s?resourceVersion=%" PRIu64
			   "\" latency=\"%u.%06ums\" userAgent=\"kubelet/v1.31.2\" audit-ID=\"",
			   PICK(r, "GET", "GET", "LIST", "WATCH", "PATCH"),
			   PICK(r, "shop", "edge", "kube-system"),
			   PICK(r, "pods", "pods", "endpoints", "configmaps", "leases"),
			   48210000 + c->n * 3 + rng_below(r, 3), rng_skewed(r, 400), rng_below(r, 1000000));
		put_uuid(b, r);
		buf_printf(b, "\" srcIP=\"10.0.%u.%u:%u\" resp=%u", rng_below(r, 8), 1 + rng_below(r, 254),
			   32768 + rng_below(r, 28000), rng_one_in(r, 20) ? 409u : 200u);
	} else if (kind < 11) {
		buf_printf(b, "reconciler.go:%u] Volume \"kube-api-access-", 245 + kind);
		put_hex(b, r, 5);
		buf_puts(b, "\" of pod \"");
		put_pod(b, r);
		buf_puts(b, "\" is set up");
	} else {
		buf_printf(b,
			   "trace.go:236] Trace[%u]: \"Update\" (total time: %ums):", rng_below(r, 1u << 31),
			   500 + rng_skewed(r, 3000));
	}
}

/* A plain message; what belongs to it is structured metadata, as an OpenTelemetry collector sends it. */
static void put_otel(struct corpus *c, struct buf *b)
{
	struct rng *r = &c->rng;
	struct buf id = { 0 };
	uint64_t trace = recent_block(c);

	c->n_meta = 0;
	buf_reserve(&c->meta_text, 256); /* values must not move */
	corpus_add_meta(c, "code_line", (buf_printf(&id, "%u", 20 + rng_skewed(r, 400)), buf_slice(&id)));
	buf_reset(&id);
	put_hex(&id, r, 16);
	corpus_add_meta(c, "span_id", buf_slice(&id));
	buf_reset(&id);
	put_hex(&id, &(struct rng){ trace }, 32);
	corpus_add_meta(c, "trace_id", buf_slice(&id));
	buf_fini(&id);
	switch (rng_skewed(r, 4)) {
	case 0:
		buf_printf(b, "Order %u placed with %u items", 700000 + (unsigned)c->n,
			   1 + rng_skewed(r, 30));
		break;
	case 1:
		buf_printf(b, "Reading offers took %u.%03u ms", rng_skewed(r, 900), rng_below(r, 1000));
		break;
	case 2: buf_printf(b, "Cache miss for key offer:%u", rng_skewed(r, 90000)); break;
	default: buf_printf(b, "Retry %u of call to payments: deadline exceeded", 1 + rng_below(r, 5));
	}
}

const struct corpus_shape corpus_logs[] = {
	{ "hdfs", 20 * NS_PER_MS, 0, true, put_hdfs },
	{ "bgl", 60 * NS_PER_MS, NS_PER_US, true, put_bgl },
	{ "apache-error", 700 * NS_PER_MS, 0, true, put_apache },
	{ "openssh", 400 * NS_PER_MS, 0, true, put_openssh },
	{ "spark", 15 * NS_PER_MS, 0, true, put_spark },
	{ "zookeeper", 300 * NS_PER_MS, NS_PER_MS, true, put_zookeeper },
	{ "kubernetes", 30 * NS_PER_MS, NS_PER_US, true, put_klog },
	{ "otel-metadata", 50 * NS_PER_MS, 1, true, put_otel },
};
const size_t corpus_n_logs = ARRAY_LEN(corpus_logs);

/* ------------------------------------------------------------------ a stream */

const struct corpus_shape *corpus_get(size_t i)
{
	if (i < corpus_n_logs)
		return &corpus_logs[i];
	return i - corpus_n_logs < corpus_n_hostile ? &corpus_hostile[i - corpus_n_logs] : NULL;
}

const struct corpus_shape *corpus_find(const char *name)
{
	const struct corpus_shape *shape;

	for (size_t i = 0; (shape = corpus_get(i)) != NULL; i++)
		if (strcmp(shape->name, name) == 0)
			return shape;
	return NULL;
}

void corpus_init(struct corpus *c, const struct corpus_shape *shape, uint64_t seed, int64_t start_ns)
{
	*c = (struct corpus){ .rng = { seed * UINT64_C(0x2545f4914f6cdd1d) },
			      .now = start_ns,
			      .ts = start_ns };
	for (const char *p = shape->name; *p != '\0'; p++)
		c->rng.s = (c->rng.s + (unsigned char)*p) * UINT64_C(0x100000001b3);
}

void corpus_fini(struct corpus *c)
{
	buf_fini(&c->meta_text);
}

void corpus_add_meta(struct corpus *c, const char *name, struct slice value)
{
	size_t at = c->meta_text.n;

	buf_add(&c->meta_text, value);
	c->meta[c->n_meta++] =
		(struct label){ slice_cstr(name), slice_of(c->meta_text.p + at, c->meta_text.n - at) };
}

void corpus_next(struct corpus *c, const struct corpus_shape *shape, struct buf *b)
{
	c->now += 1 + (int64_t)(rng_next(&c->rng) % (uint64_t)(2 * shape->gap_ns));
	if (shape->stamp_ns > 0) {
		c->ts = c->now - c->now % shape->stamp_ns;
		c->stamp = c->ts;
	} else { /* read from a file some time after it was written */
		c->ts = c->now;
		c->stamp = MAX(c->stamp, c->now - (int64_t)rng_below(&c->rng, 200) * NS_PER_MS);
	}
	c->n_meta = 0;
	buf_reset(&c->meta_text);
	shape->put(c, b);
	c->n++;
}
