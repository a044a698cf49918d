#include "model/tenant.h"
#include "base/mem.h"
#include "base/text.h"

static int refuse_char(struct slice id, unsigned char c, struct err *err)
{
	struct slice shown = slice_sub(id, 0, TENANT_MAX_BYTES);
	struct buf quoted;

	buf_init(&quoted);
	text_terminal(&quoted, shown);
	buf_printf(&quoted,
		   c >= 0x20 && c < 0x7f ? "' contains unsupported character '%c'"
					 : "' contains unsupported character '\\x%02x'",
		   c);
	err_set(err, ERR_BAD_REQUEST, "tenant ID '%.*s", (int)quoted.n, quoted.p);
	buf_fini(&quoted);
	return -1;
}

int tenant_check(struct slice id, struct err *err)
{
	for (size_t i = 0; i < id.n; i++) {
		unsigned char c = (unsigned char)id.p[i];
		bool ok = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
			  (c != 0 && strchr("!-_.*'()", c) != NULL);

		if (!ok)
			return refuse_char(id, c, err);
	}
	if (id.n > TENANT_MAX_BYTES)
		return err_set(err, ERR_BAD_REQUEST, "tenant ID is too long: max %d characters",
			       TENANT_MAX_BYTES);
	if (slice_is(id, ".") || slice_is(id, ".."))
		return err_set(err, ERR_BAD_REQUEST, "tenant ID is '.' or '..'");
	if (id.n == 0)
		return err_set(err, ERR_UNAUTHORIZED, "no org id");
	return 0;
}

static bool is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '-';
}

void tenant_dir_name(struct buf *b, struct slice id)
{
	for (size_t i = 0; i < id.n; i++) {
		if (is_plain(id.p[i]))
			buf_putc(b, id.p[i]);
		else
			buf_printf(b, "%%%02X", (unsigned char)id.p[i]);
	}
	buf_cstr_end(b);
}

bool tenant_from_dir_name(struct buf *b, struct slice dir)
{
	for (size_t i = 0; i < dir.n; i++) {
		if (is_plain(dir.p[i])) {
			buf_putc(b, dir.p[i]);
		} else if (dir.p[i] == '%' && i + 2 < dir.n && text_hex_digit(dir.p[i + 1]) >= 0 &&
			   text_hex_digit(dir.p[i + 2]) >= 0) {
			buf_putc(b, (char)(text_hex_digit(dir.p[i + 1]) * 16 + text_hex_digit(dir.p[i + 2])));
			i += 2;
		} else {
			return false;
		}
	}
	buf_cstr_end(b);
	return b->n > 0;
}
