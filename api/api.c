#include "api/api.h"
#include "api/handlers.h"
#include "base/mem.h"

enum {
	READ = NEED_TENANT | NEED_FORM | ROUTE_GZIP | ROUTE_MULTI_TENANT | ROLE_READ,
	WRITE = NEED_TENANT | NEED_BODY | ROUTE_NEWLINE | ROUTE_SAME_SITE | ROLE_WRITE,
	DELETES = NEED_TENANT | ROUTE_NEWLINE | ROLE_DELETE,
	RULES = NEED_TENANT | ROUTE_NEWLINE | ROUTE_ESCAPED,
	SAVED = NEED_TENANT | ROUTE_ESCAPED,
	TAIL = NEED_TENANT | ROUTE_SAME_SITE | ROLE_READ,
	GRPC = NEED_TENANT | NEED_BODY | ROLE_WRITE | ROUTE_GRPC,
	OTLP = NEED_TENANT | NEED_BODY | ROUTE_SAME_SITE | ROUTE_STATUS | ROLE_WRITE,
};

// clang-format off
static const struct route routes[] = {
	/* method      path                                          handler                flags */
	{ "POST",     "/loki/api/v1/push",                          push_loki,             WRITE },
	{ "POST",     "/api/prom/push",                             push_legacy,           WRITE },
	{ "POST",     "/api/v1/ingest",                             push_plain,            WRITE },
	{ "POST",     "/otlp/v1/logs",                              otlp_logs,             OTLP },
	{ "POST",     "/v1/logs",                                   otlp_logs,             OTLP | ROUTE_OTLP },
	{ "POST",     "/v1/metrics",                                otlp_metrics,          OTLP | ROUTE_OTLP },
	{ "POST",     "/v1/traces",                                 otlp_traces,           OTLP | ROUTE_OTLP },

	{ "GET|POST", "/loki/api/v1/query",                         query_instant,         READ },
	{ "GET|POST", "/loki/api/v1/query_range",                   query_range,           READ },
	{ "GET|POST", "/loki/api/v1/format_query",                  parse_format,          NEED_FORM | ROUTE_GZIP | ROLE_READ },
	{ "GET|POST", "/api/v1/parse",                              parse_explain,         READ },
	{ "GET|POST", "/loki/api/v1/labels",                        labels_names,          READ },
	{ "GET|POST", "/loki/api/v1/label",                         labels_names,          READ },
	{ "GET|POST", "/loki/api/v1/label/:name/values",            labels_values,         READ },
	{ "GET|POST", "/loki/api/v1/series",                        labels_series,         READ },
	{ "GET|POST", "/loki/api/v1/index/stats",                   labels_index_stats,    READ },
	{ "GET|POST", "/loki/api/v1/index/volume",                  explore_volume,        READ },
	{ "GET|POST", "/loki/api/v1/index/volume_range",            explore_volume_range,  READ },
	{ "GET|POST", "/loki/api/v1/patterns",                      patterns_list,         READ & ~ROUTE_MULTI_TENANT },
	{ "GET",      "/loki/api/v1/drilldown-limits",              drilldown_limits,      NEED_TENANT | ROUTE_GZIP | ROLE_READ },
	{ "GET|POST", "/loki/api/v1/detected_labels",               explore_labels,        READ },
	{ "GET|POST", "/loki/api/v1/detected_fields",               explore_fields,        READ },
	{ "GET|POST", "/loki/api/v1/detected_field/:name/values",   explore_values,        READ },
	{ "POST|PUT", "/loki/api/v1/delete",                        deletes_create,        DELETES | ROUTE_SAME_SITE },
	{ "GET",      "/loki/api/v1/delete",                        deletes_list,          DELETES | ROLE_READ },
	{ "DELETE",   "/loki/api/v1/delete",                        deletes_cancel,        DELETES | ROUTE_SAME_SITE },
	{ "GET|POST", "/api/v1/labels",                             fields_labels,         READ },
	{ "GET|POST", "/api/v1/fields",                             fields_list,           READ },
	{ "GET",      "/api/v1/saved-queries",                      saved_queries_list,    SAVED | ROUTE_GZIP | ROLE_READ },
	{ "PUT",      "/api/v1/saved-queries/:name",                saved_queries_put,     SAVED | NEED_BODY | ROUTE_SAME_SITE | ROLE_WRITE | ROLE_ADMIN },
	{ "DELETE",   "/api/v1/saved-queries/:name",                saved_queries_delete,  SAVED | ROUTE_SAME_SITE | ROLE_WRITE | ROLE_ADMIN },
	{ "GET|POST", "/api/v1/traces/find",                        traces_find,           READ },
	{ "GET",      "/api/v1/queries",                            running_queries,       NEED_TENANT | ROUTE_GZIP | ROLE_READ },
	{ "DELETE",   "/api/v1/queries/:id",                        running_cancel_query,  NEED_TENANT | ROUTE_SAME_SITE | ROLE_READ | ROLE_ADMIN },
	{ "GET",      "/api/v1/refusals",                           refusals_get,          NEED_TENANT | ROUTE_GZIP | ROLE_READ },
	{ "GET|POST", "/api/v1/entries",                            entries_page,          READ },
	{ "GET|POST", "/api/v1/export",                             export_lines,          READ & ~ROUTE_GZIP },
	{ "GET|POST", "/api/v1/context",                            entries_context,       READ },
	{ "GET",      "/api/v1/traces/:trace_id/logs",              traces_logs,           READ },
	{ "GET",      "/loki/api/v1/tail",                          tail_loki,             TAIL },
	{ "GET",      "/api/prom/tail",                             tail_legacy,           TAIL },
	{ "GET",      "/api/v1/tail",                               tail_events,           TAIL },
	{ "GET|POST", "/api/prom/query",                            legacy_query,          READ },
	{ "GET|POST", "/api/prom/label",                            labels_names,          READ },
	{ "GET|POST", "/api/prom/label/:name/values",               labels_values,         READ },
	{ "GET|POST", "/api/prom/series",                           labels_series,         READ },

	{ "GET",      "/loki/api/v1/rules",                         rules_list,            RULES | ROLE_READ },
	{ "GET",      "/loki/api/v1/rules/:namespace",              rules_list,            RULES | ROLE_READ },
	{ "GET",      "/loki/api/v1/rules/:namespace/:group",       rules_get,             RULES | ROLE_READ },
	{ "POST",     "/loki/api/v1/rules/:namespace",              rules_set,             RULES | NEED_BODY | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "DELETE",   "/loki/api/v1/rules/:namespace",              rules_delete,          RULES | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "DELETE",   "/loki/api/v1/rules/:namespace/:group",       rules_delete,          RULES | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "GET",      "/api/prom/rules",                            rules_list,            RULES | ROLE_READ },
	{ "GET",      "/api/prom/rules/:namespace",                 rules_list,            RULES | ROLE_READ },
	{ "GET",      "/api/prom/rules/:namespace/:group",          rules_get,             RULES | ROLE_READ },
	{ "POST",     "/api/prom/rules/:namespace",                 rules_set,             RULES | NEED_BODY | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "DELETE",   "/api/prom/rules/:namespace",                 rules_delete,          RULES | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "DELETE",   "/api/prom/rules/:namespace/:group",          rules_delete,          RULES | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "GET",      "/prometheus/api/v1/rules",                   rules_groups,          RULES | ROLE_READ },
	{ "GET",      "/prometheus/api/v1/alerts",                  rules_alerts,          RULES | ROLE_READ },

	{ "POST",     "/opentelemetry.proto.collector.logs.v1.LogsService/Export",       grpc_otlp_logs,    GRPC },
	{ "POST",     "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", grpc_otlp_metrics, GRPC },
	{ "POST",     "/opentelemetry.proto.collector.trace.v1.TraceService/Export",     grpc_otlp_traces,  GRPC },

	{ "GET",      "/",                                          assets_root,           ROUTE_OPEN },
	{ "GET",      "/ui",                                        assets_root,           ROUTE_OPEN },
	{ "GET",      "/ui/",                                       assets_page,           ROUTE_OPEN },
	{ "GET",      "/ui/:page",                                  assets_page,           ROUTE_OPEN },
	{ "GET",      "/ui/trace/:id",                              assets_page,           ROUTE_OPEN },
	{ "GET",      "/ui/assets/:name",                           assets_file,           ROUTE_OPEN },

	{ "GET",      "/ready",                                     admin_ready,           ROUTE_OPEN },
	{ "GET",      "/loki/api/v1/status/buildinfo",              admin_buildinfo,       ROLE_ANY },
	{ "GET",      "/metrics",                                   admin_metrics,         ROUTE_GZIP | ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/config",                                    admin_config,          ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/config/tenant/v1/limits",                   admin_tenant_limits,   NEED_TENANT | ROLE_READ },
	{ "GET",      "/services",                                  admin_services,        ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/log_level",                                 admin_log_level,       ROUTE_ADMIN | ROLE_ADMIN },
	{ "POST",     "/log_level",                                 admin_set_log_level,   NEED_FORM | ROUTE_ADMIN | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "POST",     "/flush",                                     admin_flush,           ROUTE_ADMIN | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "POST",     "/flush/tenant",                              admin_flush,           NEED_TENANT | ROUTE_ADMIN | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "POST",     "/ingester/shutdown",                         admin_shutdown,        NEED_FORM | ROUTE_ADMIN | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "GET",      "/ingester/prepare_shutdown",                 admin_prepare_shutdown, ROUTE_ADMIN | ROLE_ADMIN },
	{ "POST|DELETE", "/ingester/prepare_shutdown",              admin_prepare_shutdown, ROUTE_ADMIN | ROUTE_SAME_SITE | ROLE_ADMIN },
	{ "GET|POST", "/ring",                                      ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/distributor/ring",                          ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/ruler/ring",                                ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/compactor/ring",                            ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/indexgateway/ring",                         ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
	{ "GET",      "/memberlist",                                ring_page,             ROUTE_ADMIN | ROLE_ADMIN },
};
// clang-format on

const struct route *api_routes(size_t *n)
{
	*n = ARRAY_LEN(routes);
	return routes;
}
