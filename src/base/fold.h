/* base/fold.h - letters without regard to case, by Unicode's simple (one rune to one rune) mappings. Pure
 * functions. */
#ifndef BASE_FOLD_H
#define BASE_FOLD_H

#include "base/buf.h"

uint32_t rune_lower(uint32_t rune);
uint32_t rune_upper(uint32_t rune);
bool rune_is_alnum(uint32_t rune); /* a letter or a digit of any script */
/* One representative, in lower case, of all runes that differ from this one by case alone (k, K and the
 * Kelvin sign). */
uint32_t rune_fold(uint32_t rune);
enum { RUNE_MAX_ORBIT = 6 };
/* All those runes, this one included; their number. */
size_t rune_orbit(uint32_t rune, uint32_t out[RUNE_MAX_ORBIT]);

void text_lower(struct buf *out, struct slice s); /* appends; bytes that are not UTF-8 stay as they are */
/* Whether the text, in lower case, holds the needle, which is in lower case already. The rune that matches
 * the first byte of an ASCII needle must be ASCII too: "(?i)k" finds no Kelvin sign in Loki. */
bool text_has_fold(struct slice text, struct slice lower_needle);
bool text_eq_fold(struct slice text, struct slice lower);

#endif
