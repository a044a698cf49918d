/* spoor check DIR: every checksum of a data directory. The only command that reads files of the store itself.
 */
#include "cli/cli.h"
#include "index/store.h"

#include <inttypes.h>
#include <stdio.h>

static void say(void *arg, const char *line)
{
	struct cli *c = arg;

	cli_progress_end(c);
	render_text(&c->out, &c->render, slice_cstr(line));
	buf_putc(&c->out, '\n');
	cli_flush(c);
}

static void report_text(struct buf *out, const struct check_report *r)
{
	buf_printf(out,
		   "%" PRIu64 " segments, %" PRIu64 " chunks, %" PRIu64 " blocks, %" PRIu64
		   " entries; %" PRIu64 " WAL files, %" PRIu64 " records; %" PRIu64 " bytes\n",
		   r->segments, r->chunks, r->blocks, r->entries, r->wal_files, r->wal_records, r->bytes);
	buf_printf(out,
		   "damaged: %" PRIu64 " segments, %" PRIu64 " chunks, %" PRIu64 " blocks, %" PRIu64
		   " WAL records, %" PRIu64 " indexes, %" PRIu64 " files of delete requests; %" PRIu64
		   " files that no index names\n",
		   r->bad_segments, r->bad_chunks, r->bad_blocks, r->bad_wal_records, r->bad_indexes,
		   r->bad_deletes, r->orphans);
}

int cmd_check(struct cli *c, int argc, char **argv)
{
	struct check_report r = { 0 };
	struct err err;

	(void)argc;
	cli_progress(c, "checking %s", argv[0]);
	if (store_check(argv[0], say, c, &r, &err) == -1)
		return cli_fail(c, err_exit_code(err.code), "%s", err.msg);
	cli_progress_end(c);
	report_text(&c->out, &r);
	int rc = cli_flush(c);
	bool damaged = r.bad_segments + r.bad_chunks + r.bad_blocks + r.bad_wal_records + r.bad_indexes +
			       r.bad_deletes >
		       0;
	return rc == 0 && damaged ? CLI_NOTHING : rc;
}
