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

void traces_logs(struct req *req); /* traces.c */

void push_loki(struct req *req); /* push.c */
void push_legacy(struct req *req);
void push_plain(struct req *req);

void explore_volume(struct req *req); /* explore.c */
void explore_volume_range(struct req *req);
void explore_labels(struct req *req);
void explore_fields(struct req *req);
void explore_values(struct req *req);

void admin_ready(struct req *req); /* admin.c */
void admin_metrics(struct req *req);
void admin_buildinfo(struct req *req);
void admin_config(struct req *req);
void admin_services(struct req *req);
void admin_log_level(struct req *req);
void admin_set_log_level(struct req *req);
void admin_flush(struct req *req);

#endif
