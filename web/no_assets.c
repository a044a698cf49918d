/* In place of assets_data.c when spoord is built without its page. */
#include "api/assets.h"

const struct web_asset web_assets[1];
const size_t web_n_assets = 0;
