-- index.db of one partition (one tenant, one UTC day). Everything here can be made anew from the segments.
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
-- labels: encoded (sorted pairs), hash: XXH3-64 of these bytes
CREATE TABLE stream(id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, labels BLOB NOT NULL);
CREATE INDEX stream_hash ON stream(hash);
-- one token for each name=value: 16 hex digits of its hash; candidates are compared with the labels
CREATE VIRTUAL TABLE stream_fts USING fts5(tokens, content='', columnsize=0, detail=none, tokenize='ascii');
CREATE TABLE label(name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(name, value)) WITHOUT ROWID;
CREATE TABLE segment(id INTEGER PRIMARY KEY, file_id INTEGER NOT NULL, wal_first INTEGER NOT NULL,
	wal_last INTEGER NOT NULL, level INTEGER NOT NULL, size INTEGER NOT NULL, entries INTEGER NOT NULL,
	raw_bytes INTEGER NOT NULL, first_ts INTEGER NOT NULL, last_ts INTEGER NOT NULL);
-- seq orders chunks of a stream as they were written; sum: XXH3-64 of the other columns
CREATE TABLE chunk(stream INTEGER NOT NULL, segment INTEGER NOT NULL, seq INTEGER NOT NULL, first_ts INTEGER NOT NULL,
	last_ts INTEGER NOT NULL, entries INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, off INTEGER NOT NULL,
	header_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL, filter_off INTEGER NOT NULL,
	filter_bytes INTEGER NOT NULL, filter_sum INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE INDEX chunk_stream ON chunk(stream, first_ts);
CREATE INDEX chunk_time ON chunk(first_ts);
CREATE INDEX chunk_segment ON chunk(segment);
-- rowid: number of the time bucket; tokens: trace tokens as 16 hex digits
CREATE VIRTUAL TABLE trace_fts USING fts5(tokens, content='', columnsize=0, detail=none, tokenize='ascii');
