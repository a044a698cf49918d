#include "api/api.h"
#include "api/handlers.h"
#include "base/mem.h"

enum {
	READ = NEED_TENANT | NEED_FORM | ROUTE_GZIP,
	WRITE = NEED_TENANT | NEED_BODY | ROUTE_NEWLINE | ROUTE_SAME_SITE,
};

// clang-format off
static const struct route routes[] = {
	/* method      path                                          handler                flags */
	{ "POST",     "/loki/api/v1/push",                          push_loki,             WRITE },
	{ "POST",     "/api/prom/push",                             push_legacy,           WRITE },
	{ "POST",     "/api/v1/ingest",                             push_plain,            WRITE },

	{ "GET|POST", "/loki/api/v1/query",                         query_instant,         READ },
	{ "GET|POST", "/loki/api/v1/query_range",                   query_range,           READ },
	{ "GET|POST", "/loki/api/v1/format_query",                  parse_format,          NEED_FORM | ROUTE_GZIP },
	{ "GET|POST", "/api/v1/parse",                              parse_explain,         READ },
	{ "GET|POST", "/loki/api/v1/labels",                        labels_names,          READ },
	{ "GET|POST", "/loki/api/v1/label",                         labels_names,          READ },
	{ "GET|POST", "/loki/api/v1/label/:name/values",            labels_values,         READ },
	{ "GET|POST", "/loki/api/v1/series",                        labels_series,         READ },
	{ "GET|POST", "/loki/api/v1/index/stats",                   labels_index_stats,    READ },
	{ "GET|POST", "/loki/api/v1/index/volume",                  explore_volume,        READ },
	{ "GET|POST", "/loki/api/v1/index/volume_range",            explore_volume_range,  READ },
	{ "GET|POST", "/loki/api/v1/detected_labels",               explore_labels,        READ },
	{ "GET|POST", "/loki/api/v1/detected_fields",               explore_fields,        READ },
	{ "GET|POST", "/loki/api/v1/detected_field/:name/values",   explore_values,        READ },
	{ "GET",      "/api/v1/traces/:trace_id/logs",              traces_logs,           READ },
	{ "GET|POST", "/api/prom/label",                            labels_names,          READ },
	{ "GET|POST", "/api/prom/label/:name/values",               labels_values,         READ },
	{ "GET|POST", "/api/prom/series",                           labels_series,         READ },

	{ "GET",      "/ready",                                     admin_ready,           0 },
	{ "GET",      "/loki/api/v1/status/buildinfo",              admin_buildinfo,       0 },
	{ "GET",      "/metrics",                                   admin_metrics,         ROUTE_GZIP | ROUTE_ADMIN },
	{ "GET",      "/config",                                    admin_config,          ROUTE_ADMIN },
	{ "GET",      "/services",                                  admin_services,        ROUTE_ADMIN },
	{ "GET",      "/log_level",                                 admin_log_level,       ROUTE_ADMIN },
	{ "POST",     "/log_level",                                 admin_set_log_level,   NEED_FORM | ROUTE_ADMIN | ROUTE_SAME_SITE },
	{ "POST",     "/flush",                                     admin_flush,           ROUTE_ADMIN | ROUTE_SAME_SITE },
};
// clang-format on

const struct route *api_routes(size_t *n)
{
	*n = ARRAY_LEN(routes);
	return routes;
}
