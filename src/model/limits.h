/* model/limits.h - what one tenant may do. Filled by the configuration (src/daemon/settings.def holds the defaults
 * and explains each); read-only afterwards, replaced as a whole on reload. 0 = off where a limit can be off. */
#ifndef MODEL_LIMITS_H
#define MODEL_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/slice.h"

struct limits {
	/* ingest */
	double ingestion_rate_mb, ingestion_burst_size_mb; /* MiB a second, MiB: as Loki counts them */
	uint64_t per_stream_rate_limit, per_stream_rate_limit_burst; /* bytes a second, bytes */
	uint64_t max_streams_per_user;
	uint64_t max_line_size; /* bytes */
	bool max_line_size_truncate;
	uint64_t max_label_names_per_series;
	uint64_t max_label_name_length, max_label_value_length; /* bytes */
	uint64_t max_stream_labels_size;			/* bytes of canonical text */
	bool allow_structured_metadata;
	uint64_t max_structured_metadata_size; /* bytes */
	uint64_t max_structured_metadata_entries_count;
	bool reject_old_samples;
	int64_t reject_old_samples_max_age; /* ns */
	int64_t creation_grace_period;	    /* ns */
	bool discover_log_levels;
	bool discover_service_name;
	bool increment_duplicate_timestamp;
	const char *enforced_labels;	   /* names with commas: each stream must have them */
	const char *block_ingestion_until; /* RFC 3339; "" = never */
	uint64_t block_ingestion_status_code;
	uint64_t max_streams_per_push, max_entries_per_push;
	/* queries */
	uint64_t max_entries_limit_per_query;
	uint64_t max_query_series;
	int64_t max_query_length, max_query_lookback, max_query_range; /* ns */
	int64_t query_timeout;					       /* ns */
	uint64_t max_query_memory;				       /* bytes */
	uint64_t max_query_bytes_read;				       /* bytes */
	uint64_t max_queued_queries;
	bool align_queries_with_step;
	bool volume_enabled;
	uint64_t volume_max_series;
	bool pattern_ingester_enabled;
	uint64_t max_concurrent_tail_requests;
	int64_t tail_max_duration; /* ns */
	/* keeping */
	const char *deletion_mode;    /* disabled, filter-only, filter-and-delete */
	const char *retention_stream; /* {selector}=period; ... */
	int64_t retention_period;     /* ns */
};

#endif
