#include <config.h>
#include "daemon/app.h"
#include "api/api.h"
#include "api/auth.h"
#include "api/encode.h"
#include "api/server.h"
#include "api/tls.h"
#include "base/account.h"
#include "base/cache.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "daemon/credentials.h"
#include "daemon/overrides.h"
#include "daemon/process.h"
#include "daemon/tenants.h"
#include "index/store.h"
#include "ingest/error_lines.h"
#include "ingest/ingest.h"
#include "ingest/patterns.h"
#include "query/erase.h"
#include "query/query.h"
#include "query/saved.h"
#include "query/sched.h"
#include "query/tail.h"
#include "rules/rule_store.h"
#include "rules/ruler.h"

#include <stdatomic.h>
#include <sys/stat.h>

enum { MAX_IO_THREADS_BY_DEFAULT = 4 };

struct app {
	struct config_args args; /* for reloads; borrowed from main */
	struct tenants *tenants;
	struct trace_keys *keys;
	struct store *store;
	struct patterns *patterns;
	struct error_lines *error_lines;
	struct ingest *ingest;
	struct pool *pool;
	struct sched *sched;
	struct query_engine engine;
	struct tail_hub *tails;
	struct rule_store *rules;
	struct saved_queries *saved;
	struct ruler *ruler;
	_Atomic uint64_t query_memory_in_use;
	struct account *memory;
	struct api_context api;
	struct auth *auth;
	struct stat overrides_seen; /* per_tenant_override_config as it was read last */
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

static const char *retention_streams_of(void *arg, struct slice tenant)
{
	struct app *a = arg;

	return tenants_limits(a->tenants, tenant)->retention_stream;
}

static uint64_t max_disk_bytes(void *arg, uint64_t disk_bytes)
{
	const struct settings *s = tenants_settings(((struct app *)arg)->tenants);
	uint64_t share = (uint64_t)((double)disk_bytes * s->retention_max_disk_share / 100);

	return share == 0		     ? s->retention_max_bytes
	       : s->retention_max_bytes == 0 ? share
					     : MIN(share, s->retention_max_bytes);
}

static void copy_limits(void *arg, struct slice tenant, struct limits *out)
{
	struct app *a = arg;

	tenants_copy_limits(a->tenants, tenant, out);
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
	static const char *const services[] = { "ingest", "ruler", "server", "store", "query-engine" };
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

	size_t from = out->n;
	config_render(tenants_config(a->tenants), m, out);
	config_hide_secrets(out, from);
}

static void show_limits(void *arg, struct slice tenant, struct buf *out)
{
	struct limits limits;

	copy_limits(arg, tenant, &limits);
	config_render_limits(&limits, out);
}

static void show_trace_url_template(void *arg, struct buf *out)
{
	struct app *a = arg;

	buf_puts(out, tenants_settings(a->tenants)->trace_url_template);
}

static size_t list_trace_links(void *arg, const struct slice **out)
{
	struct app *a = arg;
	const struct setting_list *links = &tenants_settings(a->tenants)->trace_links;

	*out = links->v;
	return links->n;
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
	o->index_cache_bytes = s->index_cache_size;
	o->keys = keys;
}

/* memory_limit, or what it is when nobody says. */
static uint64_t memory_limit(const struct settings *s)
{
	uint64_t most = (uint64_t)512 << 20, ram = process_ram_bytes();

	return s->memory_limit > 0 ? s->memory_limit : MIN(most, ram / 4);
}

static void shrink_cache(void *arg)
{
	cache_shrink(arg);
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
	o->multi_tenant_queries = s->multi_tenant_queries_enabled;
	o->check_host = true; /* where requests are not authenticated */
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
	o->handshake_timeout_ns = s->header_timeout;
	o->body_min_rate = s->body_min_rate;
	o->body_timeout_ns = s->body_timeout;
	o->idle_timeout_ns = s->idle_timeout;
	o->write_stall_ns = s->write_timeout;
	o->max_decoded_bytes = s->max_decompressed_size;
}

/* *out: NULL where no certificate is set. */
static int tls_from(const struct settings *s, struct tls **out, struct err *err)
{
	const struct tls_options o = { .cert_file = s->tls_cert_file,
				       .key_file = s->tls_key_file,
				       .client_ca_file = s->tls_client_ca_file,
				       .only_13 = s->tls_min_version == 1 };
	bool cert = o.cert_file[0] != '\0', key = o.key_file[0] != '\0';

	if (cert && key)
		return tls_open(&o, out, err);
	if (cert || key || o.client_ca_file[0] != '\0')
		return err_set(err, ERR_CONFIG, "TLS takes both tls_cert_file and tls_key_file");
	*out = NULL;
	return 0;
}

/* The files beside the configuration, all of them or none. */
struct files {
	struct overrides *overrides;	 /* NULL: none are set */
	struct credentials *credentials; /* NULL: no authentication */
	struct stat overrides_seen;
};

/* What only those know who speak LogQL. */
static int check_limits(const struct limits *l, struct err *err)
{
	if (store_check_retention(&query_erase_ops, l->retention_stream, err) == 0)
		return 0;
	err->code = ERR_CONFIG;
	return err_prefix(err, "retention_stream");
}

static int load_overrides(const struct settings *s, struct overrides **out, struct err *err)
{
	struct overrides *o;

	if (overrides_load(s->per_tenant_override_config, s, &o, err) == -1)
		return -1;
	if (overrides_check(o, check_limits, err) == -1) {
		overrides_free(o);
		return err_prefix(err, "%s", s->per_tenant_override_config);
	}
	*out = o;
	return 0;
}

static int files_load(const struct settings *s, struct files *f, struct err *err)
{
	struct files got = { 0 };

	if (check_limits(&s->limits, err) == -1)
		return -1;
	if (s->per_tenant_override_config[0] != '\0') {
		stat(s->per_tenant_override_config, &got.overrides_seen); /* reading says if it fails */
		if (load_overrides(s, &got.overrides, err) == -1)
			return -1;
	}
	if (s->auth != AUTH_NONE &&
	    credentials_load(s->auth_file, (enum auth_mode)s->auth, &got.credentials, err) == -1) {
		overrides_free(got.overrides);
		return -1;
	}
	*f = got;
	return 0;
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
	a->memory = account_new(memory_limit(tenants_settings(a->tenants)));
	o.memory = a->memory;
	o.retention_ns = retention_of;
	o.max_streams = max_streams_of;
	o.retention_streams = retention_streams_of;
	o.max_disk_bytes = max_disk_bytes;
	o.erase = &query_erase_ops;
	o.delete_cancel_period_ns = tenants_settings(a->tenants)->delete_request_cancel_period;
	o.arg = a;
	return store_open(&o, &a->store, err);
}

static bool patterns_enabled(void *arg, struct slice tenant)
{
	struct app *a = arg;

	return tenants_limits(a->tenants, tenant)->pattern_ingester_enabled;
}

static void start_patterns(struct app *a)
{
	const struct settings *s = tenants_settings(a->tenants);
	char *dir = xasprintf("%s/patterns", s->data);
	const struct patterns_options o = {
		.dir = dir,
		.memory_bytes = s->pattern_memory,
		.tenant_bytes = s->auth_enabled ? s->pattern_memory / 2 : s->pattern_memory,
		.enabled = patterns_enabled,
		.arg = a,
	};

	a->patterns = patterns_open(&o);
	free(dir);
}

static void start_ingest(struct app *a)
{
	const struct ingest_options o = {
		.store = a->store,
		.keys = a->keys,
		.limits = copy_limits,
		.arg = a,
		.max_decompressed_size = tenants_settings(a->tenants)->max_decompressed_size,
		.otlp_labels = tenants_settings(a->tenants)->otlp_index_labels.v,
		.n_otlp_labels = tenants_settings(a->tenants)->otlp_index_labels.n,
		.observers = { { tail_before, tail_done, a->tails },
			       { patterns_see, NULL, a->patterns },
			       { error_lines_see, NULL, a->error_lines } },
		.n_observers = 3,
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
		.result_cache = cache_new(s->result_cache_size),
	};
	a->engine.memory = account_user(a->memory, "queries");
	cache_use_account(a->engine.result_cache, account_user(a->memory, "result_cache"));
	account_on_short(a->memory, shrink_cache, a->engine.result_cache);
	sched_options_init(&o, n_cores);
	if (s->max_concurrent_queries > 0)
		o.slots[SCHED_QUERY] = (unsigned)s->max_concurrent_queries;
	a->sched = sched_new(&o);
}

static void start_tails(struct app *a)
{
	const struct settings *s = tenants_settings(a->tenants);
	struct tail_hub_options o;

	tail_hub_options_init(&o);
	o.engine = &a->engine;
	o.sched = a->sched;
	o.encode = encode_tail;
	o.queue_bytes = s->tail_queue_size;
	o.memory_bytes = s->tail_memory;
	a->tails = tail_hub_new(&o);
}

static int start_rules(struct app *a, struct err *err)
{
	const struct settings *s = tenants_settings(a->tenants);
	char *dir = s->rules_dir[0] != '\0' ? xstrdup(s->rules_dir) : xasprintf("%s/rules", s->data);
	int rc = rule_store_open(dir, &a->rules, err);

	free(dir);
	dir = xasprintf("%s/saved-queries", s->data);
	a->saved = saved_queries_new(dir);
	free(dir);
	return rc;
}

static int start_ruler(struct app *a, struct err *err)
{
	const struct settings *s = tenants_settings(a->tenants);
	char *state_file = xasprintf("%s/rules-state.json", s->data);
	struct arena arena;

	arena_init(&arena);
	const struct ruler_options o = {
		.rules = a->rules,
		.engine = &a->engine,
		.sched = a->sched,
		.limits = copy_limits,
		.arg = a,
		.state_file = state_file,
		.interval_ns = s->ruler_evaluation_interval,
		.alertmanager_url = cstr_array(&s->ruler_alertmanager_url, &arena),
		.n_alertmanager_urls = s->ruler_alertmanager_url.n,
		.remote_write_url = s->ruler_remote_write_url,
		.external_url = s->ruler_external_url,
	};
	int rc = ruler_new(&o, &a->ruler, err);
	arena_fini(&arena);
	free(state_file);
	return rc;
}

static int start_server(struct app *a, struct err *err)
{
	const struct settings *s = tenants_settings(a->tenants);
	struct server_options o;
	struct arena arena;
	size_t n_routes;

	a->api.ingest = a->ingest;
	a->api.patterns = a->patterns;
	a->api.otlp_labels = s->otlp_index_labels.v;
	a->api.n_otlp_labels = s->otlp_index_labels.n;
	a->api.trace_id_keys = s->trace_id_keys.v;
	a->api.n_trace_id_keys = s->trace_id_keys.n;
	a->api.indexed_fields = s->indexed_fields.v;
	a->api.n_indexed_fields = s->indexed_fields.n;
	a->api.engine = &a->engine;
	a->api.sched = a->sched;
	a->api.tails = a->tails;
	a->api.tail_ping_ns = s->tail_ping_interval;
	a->api.rules = a->rules;
	a->api.saved = a->saved;
	a->api.ruler = a->ruler;
	a->api.version = PACKAGE_VERSION;
	a->api.limits = copy_limits;
	a->api.ready = is_ready;
	a->api.status = show_status;
	a->api.services = show_services;
	a->api.config = show_config;
	a->api.tenant_limits = show_limits;
	a->api.trace_url_template = show_trace_url_template;
	a->api.trace_links = list_trace_links;
	a->api.before_metrics = before_metrics;
	a->api.flush = flush_store;
	a->api.arg = a;
	arena_init(&arena);
	server_options_init(&o);
	o.memory = account_user(a->memory, "ingest");
	o.listen[LISTEN_MAIN] = s->listen;
	o.listen[LISTEN_ADMIN] = s->admin_listen[0] != '\0' ? s->admin_listen : NULL;
	o.listen[LISTEN_OTLP] = s->otlp_http_listen[0] != '\0' ? s->otlp_http_listen : NULL;
	o.listen[LISTEN_GRPC] = s->otlp_grpc_listen[0] != '\0' ? s->otlp_grpc_listen : NULL;
	o.n_io_threads = s->io_threads > 0 ? (unsigned)s->io_threads
					   : MIN(process_n_cores(), MAX_IO_THREADS_BY_DEFAULT);
	o.app = &a->api;
	o.auth = a->auth;
	server_settings_from(s, &arena, &o.settings);
	const struct route *routes = api_routes(&n_routes);
	int rc = tls_from(s, &o.settings.tls, err);
	if (rc == 0)
		rc = server_new(&o, routes, n_routes, &a->server, err);
	tls_unref(o.settings.tls);
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
	bool reachable = !is_loopback(slice_cstr(s->listen)), open = reachable && s->auth == AUTH_NONE;

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
	if (s->auth != AUTH_NONE && s->admin_listen[0] != '\0' && !is_loopback(slice_cstr(s->admin_listen)))
		log_warn("whoever reaches this address may see the pages for operators, without credentials",
			 KV("admin_listen", s->admin_listen));
	if (reachable && (s->auth == AUTH_BASIC || s->auth == AUTH_BEARER) && s->tls_cert_file[0] == '\0')
		log_warn("credentials travel in the clear unless a proxy adds TLS", KV("listen", s->listen));
	log_info("listening", KV("address", s->listen), KVI("port", server_port(a->server, LISTEN_MAIN)),
		 KV("data", s->data), KV("version", PACKAGE_VERSION));
}

static void app_free(struct app *a)
{
	server_free(a->server);
	ruler_free(a->ruler);
	auth_free(a->auth);
	sched_free(a->sched);
	rule_store_close(a->rules);
	saved_queries_free(a->saved);
	ingest_free(a->ingest);
	patterns_close(a->patterns);
	error_lines_free(a->error_lines);
	store_close(a->store, true);
	tail_hub_free(a->tails);
	pool_free(a->pool);
	cache_free(a->engine.result_cache);
	account_free(a->memory);
	trace_keys_free(a->keys);
	tenants_free(a->tenants);
	free(a);
}

int app_start(struct config *config, const struct config_args *args, struct app **out, struct err *err)
{
	struct app *a = xcalloc(1, sizeof(*a));
	struct files files = { 0 };

	a->args = *args;
	a->auth = auth_new();
	int rc = files_load(config_settings(config), &files, err);
	a->tenants = tenants_new(config, files.overrides);
	if (rc == -1)
		goto fail;
	a->overrides_seen = files.overrides_seen;
	auth_set(a->auth, (enum auth_mode)config_settings(config)->auth, files.credentials);
	apply_settings(a, config_settings(config));
	if (start_store(a, err) == -1)
		goto fail;
	start_engine(a);
	start_tails(a);
	start_patterns(a);
	a->error_lines = error_lines_new(a->keys);
	start_ingest(a);
	if (start_rules(a, err) == -1)
		goto fail;
	if (start_ruler(a, err) == -1)
		goto fail;
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
	struct tls *tls = NULL;
	struct files files = { 0 };
	struct arena arena;

	if (config_reload(tenants_config(a->tenants), &a->args, &c, &needs_restart, err) == -1) {
		buf_fini(&needs_restart);
		return -1;
	}
	if (tls_from(config_settings(c), &tls, err) == -1) {
		config_free(c);
		buf_fini(&needs_restart);
		return -1;
	}
	if (files_load(config_settings(c), &files, err) == -1) {
		tls_unref(tls);
		config_free(c);
		buf_fini(&needs_restart);
		return -1;
	}
	a->overrides_seen = files.overrides_seen;
	auth_set(a->auth, (enum auth_mode)config_settings(c)->auth, files.credentials);
	tenants_replace(a->tenants, c, files.overrides);
	apply_settings(a, tenants_settings(a->tenants));
	arena_init(&arena);
	server_options_init(&defaults);
	settings = defaults.settings;
	settings.tls = tls;
	server_settings_from(tenants_settings(a->tenants), &arena, &settings);
	server_set_settings(a->server, &settings);
	tls_unref(tls);
	arena_fini(&arena);
	rule_store_refresh(a->rules);
	if (needs_restart.n > 0)
		log_warn("changed settings take a restart", KVS("settings", buf_slice(&needs_restart)));
	log_info("configuration reloaded");
	buf_fini(&needs_restart);
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_size == b->st_size && a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

void app_look_at_overrides(struct app *a)
{
	const struct settings *s = tenants_settings(a->tenants);
	struct overrides *o = NULL;
	struct stat st = { 0 };
	struct err err;

	if (s->per_tenant_override_config[0] == '\0' || stat(s->per_tenant_override_config, &st) == -1 ||
	    same_file(&st, &a->overrides_seen))
		return;
	a->overrides_seen = st; /* a bad file is reported once */
	if (load_overrides(s, &o, &err) == -1) {
		log_error("overrides not reloaded, the former ones stay in force", KV("error", err.msg));
		return;
	}
	tenants_replace_overrides(a->tenants, o);
	log_info("overrides reloaded", KV("file", s->per_tenant_override_config));
}

int app_check(const struct config *config, struct err *err)
{
	struct files files;
	struct tls *tls;

	if (files_load(config_settings(config), &files, err) == -1)
		return -1;
	overrides_free(files.overrides);
	credentials_unref(files.credentials);
	if (tls_from(config_settings(config), &tls, err) == -1)
		return -1;
	tls_unref(tls);
	return 0;
}

void app_stop(struct app *a)
{
	int64_t timeout = tenants_settings(a->tenants)->shutdown_timeout;

	atomic_store(&a->stopping, true);
	tail_hub_stop(a->tails); /* they would never end by themselves */
	if (!server_drain(a->server, timeout))
		log_warn("requests in work were cut off at shutdown");
	app_free(a);
}
