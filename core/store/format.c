/* SPDX-License-Identifier: MIT */
/*
 * Encoding and decoding of segment headers and group headers.
 *
 * Segment header (4096 bytes)          Group header (64 bytes)
 *   0  magic "WEIRSEG1"                  0  magic u32
 *   8  format version u32                4  head CRC u32 (bytes 8..63)
 *  12  header length u32                 8  extent u32
 *  16  store id                         12  record count u32
 *  32  segment number u64               16  first sequence u64
 *  40  file size u64                    24  writer epoch u64
 *  48  first sequence u64               32  synced before u64
 *  56  created at i64                   40  previous chain value u32
 *  64  last committed at i64            44  body CRC u32
 *  72  chain value before u32           48  flags u32
 *  76  frontier node count u32          52  commit count u32
 * 128  frontier nodes                   56  seal: next segment's size u64
 * 4092 CRC u32 (bytes 0..4091)
 */
#include "store/format.h"

#include "base/digest.h"

static const char segment_magic[8] = "WEIRSEG1";

uint32_t
format_seed(const uint8_t store[16], uint64_t position)
{
	uint8_t p[24];

	memcpy(p, store, 16);
	put_u64(p + 16, position);
	return crc32c(0, p, sizeof(p));
}

uint32_t
format_body_crc(const uint8_t store[16], uint64_t position, uint64_t epoch,
		const void *p, size_t n)
{
	uint8_t e[8];

	put_u64(e, epoch);
	return crc32c(crc32c(format_seed(store, position), e, 8), p, n);
}

void
format_trailer(uint8_t out[GROUP_TRAILER], uint32_t extent)
{
	put_u32(out, extent);
	put_u32(out + 4, TRAILER_MAGIC);
}

bool
format_all_zero(const void *p, size_t n)
{
	const uint8_t *b = p;

	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}

void
segment_header_encode(uint8_t *out, const struct segment_header *h)
{
	unsigned nodes = frontier_nodes(&h->frontier);

	memset(out, 0, SEGMENT_HEADER);
	memcpy(out, segment_magic, 8);
	put_u32(out + 8, FORMAT_VERSION);
	put_u32(out + 12, SEGMENT_HEADER);
	memcpy(out + 16, h->store, 16);
	put_u64(out + 32, h->number);
	put_u64(out + 40, h->size);
	put_u64(out + 48, h->first_sequence);
	put_u64(out + 56, (uint64_t)h->created_at);
	put_u64(out + 64, (uint64_t)h->committed_at);
	put_u32(out + 72, h->chain);
	put_u32(out + 76, nodes);
	memcpy(out + SEGMENT_FRONTIER, h->frontier.node,
	       (size_t)nodes * MERKLE_DIGEST);
	put_u32(out + SEGMENT_HEADER - 4, crc32c(0, out, SEGMENT_HEADER - 4));
}

int
segment_header_decode(struct segment_header *h, const uint8_t *p,
		      const char **why, unsigned *at)
{
	unsigned nodes = get_u32(p + 76);

	*at = 0;
	*why = "has no segment header";
	if (memcmp(p, segment_magic, 8) != 0)
		return -1;
	*at = SEGMENT_HEADER - 4;
	*why = "has a segment header whose CRC does not agree";
	if (get_u32(p + SEGMENT_HEADER - 4) != crc32c(0, p, SEGMENT_HEADER - 4))
		return -1;
	*at = 8;
	*why = "was written in a format that this program does not know";
	if (get_u32(p + 8) != FORMAT_VERSION ||
	    get_u32(p + 12) != SEGMENT_HEADER)
		return -1;
	memset(h, 0, sizeof(*h));
	memcpy(h->store, p + 16, 16);
	h->number = get_u64(p + 32);
	h->size = get_u64(p + 40);
	h->first_sequence = get_u64(p + 48);
	h->created_at = (int64_t)get_u64(p + 56);
	h->committed_at = (int64_t)get_u64(p + 64);
	h->chain = get_u32(p + 72);
	*at = 76;
	*why = "has a segment header that contradicts itself";
	if (h->first_sequence == 0 || h->size > UINT32_MAX ||
	    h->size < SEGMENT_HEADER + GROUP_HEADER ||
	    nodes != (unsigned)__builtin_popcountll(h->first_sequence - 1))
		return -1;
	h->frontier.leaves = h->first_sequence - 1;
	memcpy(h->frontier.node, p + SEGMENT_FRONTIER,
	       (size_t)nodes * MERKLE_DIGEST);
	return 0;
}

void
group_header_encode(uint8_t *out, struct group_header *h,
		    const uint8_t store[16], uint64_t position)
{
	put_u32(out, GROUP_MAGIC);
	put_u32(out + 8, h->extent);
	put_u32(out + 12, h->records);
	put_u64(out + 16, h->first_sequence);
	put_u64(out + 24, h->epoch);
	put_u64(out + 32, h->synced_before);
	put_u32(out + 40, h->prev_chain);
	put_u32(out + 44, h->body_crc);
	put_u32(out + 48, h->flags);
	put_u32(out + 52, h->commits);
	put_u64(out + 56, h->next_size);
	h->head_crc =
		crc32c(format_seed(store, position), out + 8, GROUP_HEADER - 8);
	put_u32(out + 4, h->head_crc);
}

int
group_header_decode(struct group_header *h, const uint8_t *p,
		    const uint8_t store[16], uint64_t position)
{
	if (get_u32(p) != GROUP_MAGIC)
		return -1;
	h->head_crc = get_u32(p + 4);
	if (h->head_crc !=
	    crc32c(format_seed(store, position), p + 8, GROUP_HEADER - 8))
		return -1;
	h->extent = get_u32(p + 8);
	h->records = get_u32(p + 12);
	h->first_sequence = get_u64(p + 16);
	h->epoch = get_u64(p + 24);
	h->synced_before = get_u64(p + 32);
	h->prev_chain = get_u32(p + 40);
	h->body_crc = get_u32(p + 44);
	h->flags = get_u32(p + 48);
	h->commits = get_u32(p + 52);
	h->next_size = get_u64(p + 56);
	if (h->extent % 8 != 0 || h->extent > GROUP_EXTENT_MAX)
		return -1;
	if (h->flags == 0)
		return h->records > 0 && h->commits > 0 &&
				       h->commits <= h->records &&
				       h->extent >=
					       GROUP_HEADER + GROUP_TRAILER +
						       FRAME_LOCAL + FRAME_BODY
			       ? 0
			       : -1;
	return (h->flags == GROUP_MARK || h->flags == GROUP_SEAL) &&
			       h->extent == GROUP_HEADER && h->records == 0 &&
			       h->commits == 0
		       ? 0
		       : -1;
}
