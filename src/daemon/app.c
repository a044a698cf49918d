#include <config.h>
#include "daemon/app.h"
#include "api/api.h"
#include "api/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "daemon/process.h"
#include "daemon/tenants.h"
#include "index/store.h"
#include "ingest/ingest.h"
#include "query/query.h"
#include "query/sched.h"

#include <stdatomic.h>

enum { MAX_IO_THREADS_BY_DEFAULT = 4 };

struct app {
	struct config_args args; /* for reloads; borrowed from main */
	struct tenants *tenants;
	struct trace_keys *keys;
	struct store *store;
	struct ingest *ingest;
	struct pool *pool;
	struct sched *sched;
	struct query_engine engine;
	_Atomic uint64_t query_memory_in_use;
	struct api_context api;
	struct server *server;
	_Atomic bool stopping;
};

/* ------------------------------------------------------------------ what the others ask us */

static int64_t retention_of(void *arg, struct slice tenant)
{
	struct app *a = arg;

	return tenants_limits(a->tenants, tenant)->retention_period;
}

static uint64_t max_streams_of(void *arg, struct slice tenant)
{
	struct app *a = arg;

	return tenants_limits(a->tenants, tenant)->max_streams_per_user;
}

static void copy_limits(void *arg, struct slice tenant, struct limits *out)
{
	struct app *a = arg;

	*out = *tenants_limits(a->tenants, tenant);
}

static bool is_ready(void *arg, bool for_readers, struct buf *why)
{
	struct app *a = arg;
	char text[256];

	if (atomic_load(&a->stopping)) {
		buf_puts(why, "Application is stopping");
		return false;
	}
	if (!for_readers && store_read_only(a->store, text, sizeof(text))) {
		buf_puts(why, text);
		return false;
	}
	return true;
}

static void show_status(void *arg, struct buf *out)
{
	struct app *a = arg;

	store_status(a->store, out);
}

static void show_services(void *arg, struct buf *out)
{
	static const char *const services[] = { "ingest", "server", "store", "query-engine" };
	struct app *a = arg;
	const char *state = atomic_load(&a->stopping) ? "Stopping" : "Running";

	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		buf_printf(out, "%s => %s\n", services[i], state);
}

static void show_config(void *arg, struct slice mode, struct buf *out)
{
	struct app *a = arg;
	enum config_mode m = slice_is(mode, "diffs")	  ? CONFIG_DIFFS
			     : slice_is(mode, "defaults") ? CONFIG_DEFAULTS
							  : CONFIG_ALL;

	config_render(tenants_config(a->tenants), m, out);
}

static void show_trace_url_template(void *arg, struct buf *out)
{
	struct app *a = arg;

	buf_puts(out, tenants_settings(a->tenants)->trace_url_template);
}

static void before_metrics(void *arg)
{
	struct app *a = arg;

	process_update_metrics(tenants_settings(a->tenants)->data);
}

static int flush_store(void *arg, struct err *err)
{
	struct app *a = arg;

	return store_flush(a->store, err);
}

/* ------------------------------------------------------------------ from settings to options */

static void store_options_from(const struct settings *s, const struct trace_keys *keys,
			       struct store_options *o)
{
	store_options_init(o);
	o->dir = s->data;
	o->wal_sync = (enum wal_sync)s->wal_sync; /* the choices stand in the order of the enum */
	o->wal_sync_interval_ns = s->wal_sync_interval;
	o->head_bytes = s->head_size;
	o->head_max_age_ns = s->head_max_age;
	o->max_chunk_bytes = s->max_chunk_size;
	o->max_chunk_entries = (uint32_t)s->max_chunk_entries;
	o->trace_bucket_ns = s->trace_bucket;
	o->merge_interval_ns = s->merge_interval;
	o->min_free_bytes = s->min_free;
	o->ingest_memory_bytes = s->ingest_memory;
	o->keys = keys;
}

static const char *const *cstr_array(const struct setting_list *l, struct arena *a)
{
	const char **v = arena_array(a, const char *, l->n + 1);

	for (size_t i = 0; i < l->n; i++)
		v[i] = arena_cstr(a, l->v[i]);
	return v;
}

static void server_settings_from(const struct settings *s, struct arena *a, struct server_settings *o)
{
	o->multi_tenant = s->auth_enabled;
	o->check_host = true; /* there is no authentication yet that would make it needless */
	o->allowed_hosts = cstr_array(&s->allowed_hosts, a);
	o->n_allowed_hosts = s->allowed_hosts.n;
	o->allowed_origins = cstr_array(&s->allowed_origins, a);
	o->n_allowed_origins = s->allowed_origins.n;
	o->max_body_bytes = s->max_recv_msg_size;
	o->ingest_memory_bytes = s->ingest_memory;
	o->max_connections = (unsigned)s->max_connections;
	o->max_connections_per_addr = (unsigned)s->max_connections_per_address;
	o->max_head_bytes = s->max_request_head_size;
	o->max_headers = s->max_request_headers;
	o->header_timeout_ns = s->header_timeout;
	o->body_min_rate = s->body_min_rate;
	o->body_timeout_ns = s->body_timeout;
	o->idle_timeout_ns = s->idle_timeout;
	o->write_stall_ns = s->write_timeout;
}

static struct trace_keys *keys_from(const struct settings *s)
{
	return trace_keys_new(s->trace_id_keys.v, s->trace_id_keys.n, s->indexed_fields.v,
			      s->indexed_fields.n);
}

/* What holds from now on, at the start and after a reload. */
static void apply_settings(struct app *a, const struct settings *s)
{
	log_set_level((enum log_level)s->log_level); /* the choices stand in the order of the enum */
	atomic_store(&a->api.log_queries, s->log_queries);
	atomic_store(&a->api.slow_query_ns, s->log_queries_longer_than);
}

/* ------------------------------------------------------------------ start and stop */

static int start_store(struct app *a, struct err *err)
{
	struct store_options o;

	a->keys = keys_from(tenants_settings(a->tenants));
	store_options_from(tenants_settings(a->tenants), a->keys, &o);
	o.retention_ns = retention_of;
	o.max_streams = max_streams_of;
	o.arg = a;
	return store_open(&o, &a->store, err);
}

static void start_ingest(struct app *a)
{
	const struct ingest_options o = {
		.store = a->store,
		.keys = a->keys,
		.limits = copy_limits,
		.arg = a,
		.max_decompressed_size = tenants_settings(a->tenants)->max_decompressed_size,
	};

	a->ingest = ingest_new(&o);
}

static void start_engine(struct app *a)
{
	const struct settings *s = tenants_settings(a->tenants);
	unsigned n_cores = process_n_cores();
	struct sched_options o;

	a->pool = pool_new("query", s->query_threads > 0 ? (unsigned)s->query_threads : n_cores);
	a->engine = (struct query_engine){
		.store = a->store,
		.pool = a->pool,
		.keys = a->keys,
		.memory_in_use = &a->query_memory_in_use,
		.memory_limit = s->query_memory,
	};
	sched_options_init(&o, n_cores);
	if (s->max_concurrent_queries > 0)
		o.slots[SCHED_QUERY] = (unsigned)s->max_concurrent_queries;
	a->sched = sched_new(&o);
}

static int start_server(struct app *a, struct err *err)
{
	const struct settings *s = tenants_settings(a->tenants);
	struct server_options o;
	struct arena arena;
	size_t n_routes;

	a->api.ingest = a->ingest;
	a->api.engine = &a->engine;
	a->api.sched = a->sched;
	a->api.version = PACKAGE_VERSION;
	a->api.limits = copy_limits;
	a->api.ready = is_ready;
	a->api.status = show_status;
	a->api.services = show_services;
	a->api.config = show_config;
	a->api.trace_url_template = show_trace_url_template;
	a->api.before_metrics = before_metrics;
	a->api.flush = flush_store;
	a->api.arg = a;
	arena_init(&arena);
	server_options_init(&o);
	o.listen[LISTEN_MAIN] = s->listen;
	o.listen[LISTEN_ADMIN] = s->admin_listen[0] != '\0' ? s->admin_listen : NULL;
	o.listen[LISTEN_OTLP] = s->otlp_http_listen[0] != '\0' ? s->otlp_http_listen : NULL;
	o.n_io_threads = s->io_threads > 0 ? (unsigned)s->io_threads
					   : MIN(process_n_cores(), MAX_IO_THREADS_BY_DEFAULT);
	o.app = &a->api;
	server_settings_from(s, &arena, &o.settings);
	const struct route *routes = api_routes(&n_routes);
	int rc = server_new(&o, routes, n_routes, &a->server, err);
	arena_fini(&arena);
	return rc;
}

static bool is_loopback(struct slice listen)
{
	return slice_starts(listen, SLICE("127.")) || slice_starts(listen, SLICE("[::1]")) ||
	       slice_starts(listen, SLICE("localhost:"));
}

static void announce(const struct app *a)
{
	const struct settings *s = tenants_settings(a->tenants);
	struct buf labels = { 0 };
	bool open = !is_loopback(slice_cstr(s->listen));

	metric_label(&labels, "version", SLICE(PACKAGE_VERSION));
	buf_cstr_end(&labels);
	metric_set(metric_gauge("spoor_build_info", "Version of spoor.", labels.p), 1);
	buf_reset(&labels);
	metric_label(&labels, "version", SLICE(API_VERSION));
	metric_label(&labels, "revision", SLICE("spoor-" PACKAGE_VERSION));
	metric_label(&labels, "branch", SLICE(""));
	metric_label(&labels, "goversion", SLICE(""));
	buf_cstr_end(&labels);
	metric_set(metric_gauge("loki_build_info", "Version of Loki whose interface is served.", labels.p),
		   1);
	buf_fini(&labels);
	metric_set(metric_gauge("process_start_time_seconds", "Start of the process, Unix time.", NULL),
		   clock_now_ns() / NS_PER_S);
	metric_set(metric_gauge("spoor_auth_disabled", "1: anyone who reaches the port may read and write.",
				NULL),
		   open);
	if (open)
		log_warn("no authentication: whoever reaches this address may read and write logs",
			 KV("listen", s->listen));
	log_info("listening", KV("address", s->listen), KVI("port", server_port(a->server, LISTEN_MAIN)),
		 KV("data", s->data), KV("version", PACKAGE_VERSION));
}

static void app_free(struct app *a)
{
	server_free(a->server);
	sched_free(a->sched);
	ingest_free(a->ingest);
	store_close(a->store, true);
	pool_free(a->pool);
	trace_keys_free(a->keys);
	tenants_free(a->tenants);
	free(a);
}

int app_start(struct config *config, const struct config_args *args, struct app **out, struct err *err)
{
	struct app *a = xcalloc(1, sizeof(*a));

	a->args = *args;
	a->tenants = tenants_new(config);
	apply_settings(a, config_settings(config));
	if (start_store(a, err) == -1)
		goto fail;
	start_ingest(a);
	start_engine(a);
	if (start_server(a, err) == -1)
		goto fail;
	announce(a);
	*out = a;
	return 0;
fail:
	app_free(a);
	return -1;
}

int app_rebuild_index(struct config *config, struct err *err)
{
	struct trace_keys *keys = keys_from(config_settings(config));
	struct store_options o;

	store_options_from(config_settings(config), keys, &o);
	int rc = store_rebuild_index(&o, err);
	trace_keys_free(keys);
	config_free(config);
	return rc;
}

int app_reload(struct app *a, struct err *err)
{
	struct buf needs_restart = { 0 };
	struct server_settings settings;
	struct server_options defaults;
	struct config *c = NULL;
	struct arena arena;

	if (config_reload(tenants_config(a->tenants), &a->args, &c, &needs_restart, err) == -1) {
		buf_fini(&needs_restart);
		return -1;
	}
	tenants_replace(a->tenants, c);
	apply_settings(a, tenants_settings(a->tenants));
	arena_init(&arena);
	server_options_init(&defaults);
	settings = defaults.settings;
	server_settings_from(tenants_settings(a->tenants), &arena, &settings);
	server_set_settings(a->server, &settings);
	arena_fini(&arena);
	if (needs_restart.n > 0)
		log_warn("changed settings take a restart", KVS("settings", buf_slice(&needs_restart)));
	log_info("configuration reloaded");
	buf_fini(&needs_restart);
	return 0;
}

void app_stop(struct app *a)
{
	int64_t timeout = tenants_settings(a->tenants)->shutdown_timeout;

	atomic_store(&a->stopping, true);
	if (!server_drain(a->server, timeout))
		log_warn("requests in work were cut off at shutdown");
	app_free(a);
}

unsigned app_port(const struct app *a)
{
	return server_port(a->server, LISTEN_MAIN);
}
