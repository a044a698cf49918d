/* api/handlers.h - the handlers of the route table in api.c, one group for each file. Each runs on an I/O thread. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

struct req;

void query_range(struct req *req); /* query.c */
void query_instant(struct req *req);

void parse_format(struct req *req); /* parse.c */
void parse_explain(struct req *req);

void labels_names(struct req *req); /* labels.c */
void labels_values(struct req *req);
void labels_series(struct req *req);
void labels_index_stats(struct req *req);

void running_queries(struct req *req); /* running.c */
void running_cancel_query(struct req *req);

void export_lines(struct req *req); /* export.c */

void refusals_get(struct req *req); /* refusals.c */

void entries_page(struct req *req); /* entries.c */
void entries_context(struct req *req);

void traces_logs(struct req *req); /* traces.c */
void traces_find(struct req *req);

void fields_labels(struct req *req); /* fields.c */
void fields_list(struct req *req);

void saved_queries_list(struct req *req); /* saved.c */
void saved_queries_put(struct req *req);
void saved_queries_delete(struct req *req);

void deletes_create(struct req *req); /* deletes.c */
void deletes_list(struct req *req);
void deletes_cancel(struct req *req);

void push_loki(struct req *req); /* push.c */
void push_legacy(struct req *req);
void push_plain(struct req *req);

void otlp_logs(struct req *req); /* otlp.c */
void otlp_metrics(struct req *req);
void otlp_traces(struct req *req);

void tail_loki(struct req *req); /* tail.c */
void tail_legacy(struct req *req);
void tail_events(struct req *req);

void explore_volume(struct req *req); /* explore.c */
void explore_volume_range(struct req *req);
void explore_labels(struct req *req);
void explore_fields(struct req *req);
void explore_values(struct req *req);

void rules_list(struct req *req); /* rules.c */
void rules_get(struct req *req);
void rules_set(struct req *req);
void rules_delete(struct req *req);
void rules_groups(struct req *req);
void rules_alerts(struct req *req);

void patterns_list(struct req *req); /* patterns.c */
void drilldown_limits(struct req *req);

void legacy_query(struct req *req); /* legacy.c */

void ring_page(struct req *req); /* ring.c */

void assets_root(struct req *req); /* assets.c */
void assets_page(struct req *req);
void assets_file(struct req *req);

void admin_ready(struct req *req); /* admin.c */
void admin_metrics(struct req *req);
void admin_buildinfo(struct req *req);
void admin_config(struct req *req);
void admin_tenant_limits(struct req *req);
void admin_services(struct req *req);
void admin_log_level(struct req *req);
void admin_set_log_level(struct req *req);
void admin_flush(struct req *req);
void admin_shutdown(struct req *req);
void admin_prepare_shutdown(struct req *req);

void grpc_otlp_logs(struct req *req); /* grpc_otlp.c */
void grpc_otlp_metrics(struct req *req);
void grpc_otlp_traces(struct req *req);

#endif
