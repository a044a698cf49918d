/* index/chunk_columns.h - codec 2: lines as templates and typed columns, each section LZ4 alone. What columns and templates
 * are, says index/columns.h. Ideas: CLP (Rodrigues et al., OSDI 2021), LogGrep (Wei et al., EuroSys 2023), CLP-S (OSDI 2024).
 *
 *	+--------+-------------+----------+----------+------------------+-------------+-------------+- - -
 *	| header | skeleton    | checksum | time  of | column 0, of     | column 1    | column 2    |
 *	|        | (LZ4)       | u64      | blocks   | block 0, 1, 2, … | dict, 0, 1… |             |
 *	+--------+-------------+----------+----------+------------------+-------------+-------------+- - -
 *	|<----- info.header_bytes ------->|<----------------------- sections ------------------- - -
 *
 * header:   the common prefix of index/chunk.h, then varint n_blocks, per block varint n_entries,
 *           varint first_ts - chunk.first_ts, varint last_ts - block.first_ts; varint skeleton_raw, varint skeleton_stored
 *           (equal: not compressed)
 * skeleton: varint divisor (>= 1); per block a section reference: its times; varint n_columns (>= 2); per column a
 *           descriptor
 * checksum: XXH3-64 of all before it, seeded by the chunk's place (chunk_seed). The sections' checksums stand in the
 *           skeleton and are not seeded, so a chunk is moved by writing this one anew.
 *
 * section reference: varint raw, varint stored (equal: as it is, else LZ4), u32 low half of XXH3-64 of the stored bytes, seed 0.
 *           Sections stand one behind the other in the order of their references.
 *
 * descriptor: u8 kind, u8 flags (1: has exceptions; 2: the dictionary has a section of its own), then by kind
 *	CONST      varint length, bytes
 *	DICT       varint n_values; unless flag 2: per value varint length, bytes
 *	INT        varint width (0 or 2..18), svarint min, svarint max
 *	DECIMAL    varint scale (1..18), svarint min, svarint max
 *	HEX        varint bytes (1..512), u8 upper
 *	UUID       -
 *	IPV4       svarint min, svarint max
 *	TIME       varint length, the format's text (index/time_format.h)
 *	TEXT       32 bytes: set of the bytes in it, bit c & 7 of byte c >> 3
 *	TEMPLATES  varint n_templates, per template: u8 shape, varint n_slots, per slot: u8 class, varint length and bytes
 *	           before it, varint column (greater than this one); then varint length and bytes of the tail
 *	if flag 1: 32 bytes, the set of bytes in exceptions
 *	if flag 2: section reference: per value varint length, bytes
 *	per block: varint n_values, and if that is not 0 and the kind is not CONST, a section reference
 *
 * A column belongs to one column of kind TEMPLATES and to at most one slot of each of its templates.
 * Nesting: at most COLUMNS_MAX_DEPTH TEMPLATES columns on a way down.
 *
 * numbers:  u8 mode, svarint base, [mode 1: svarint first], u8 bits (0..56 or 64), n values of `bits` bits, packed from the low bit on
 *           mode 0: n values, value = base + packed.  mode 1: n - 1 values, value[0] = first, value[i] = value[i-1] + base + packed
 *           (all sums modulo 2^64)
 * data section of a block, by kind
 *	times      numbers: (ts - block.first_ts) / divisor
 *	DICT, TEMPLATES, INT, DECIMAL, IPV4, TIME     numbers
 *	HEX, UUID  the bytes
 *	TEXT       numbers: lengths; then all bytes
 *	and if the column has exceptions: varint n, per exception varint number - number of the one before (the first: number),
 *	varint length, bytes
 *
 * A chunk for which this pays less than rows do is written by codec 1 instead. */
#ifndef INDEX_CHUNK_COLUMNS_H
#define INDEX_CHUNK_COLUMNS_H

#include "index/chunk.h"
#include "index/columns.h"

enum {
	COLUMNS_BLOCK_ENTRIES = 2048,
	COLUMNS_MAX = 4096,	      /* columns of a chunk */
	COLUMNS_MAX_TEMPLATES = 1024, /* of a column */
	COLUMNS_MAX_SLOTS = 1024,     /* of a template */
	COLUMNS_MAX_VALUES = 65536,   /* of a dictionary */
	COLUMNS_MAX_DEPTH = 4,
	COLUMNS_MAX_DICTS = 256 << 20,	/* bytes of all dictionaries with sections */
	COLUMNS_MAX_SKELETON = 4 << 20, /* raw; a chunk that would need more is written by codec 1 */
	COLUMNS_FLAG_EXCEPTIONS = 1,
	COLUMNS_FLAG_DICT_SECTION = 2,
	COLUMNS_INLINE_DICT_BYTES = 1024, /* larger dictionaries get a section */
};

extern const struct chunk_codec chunk_codec_columns; /* codec 2 */

#endif
