/* api/assets.h - the files of the web page, which web/build.mjs compresses and writes down as C (web/assets_data.c).
 * Constant, so any thread may read them. Without the page (configure --disable-web) there are none. */
#ifndef API_ASSETS_H
#define API_ASSETS_H

#include <stddef.h>

struct web_asset {
	const char
		*name; /* "index.html", "app-4F2K7Q3A.js": all but the first hold a hash of their content */
	const char *content_type;
	const char *etag; /* strong, with its quotes */
	const unsigned char *gzip;
	size_t gzip_bytes;
	size_t bytes; /* inflated */
};

extern const struct web_asset web_assets[];
extern const size_t web_n_assets;

#endif
