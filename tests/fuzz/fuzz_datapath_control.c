/* Arbitrary control messages: no read beyond them, and a train that hangs together. */
#include <stdlib.h>
#include <string.h>

#include "datapath/rx_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct train *train)
{
	uint64_t sum = 0;

	if (train->drop)
		return;
	if (train->count < 1 || train->count > TRAIN_MAX)
		abort();
	for (uint32_t i = 0; i < train->count; i++) {
		uint32_t datagram = train_datagram_size(train, i);

		if (datagram > train->segment || (train->size && !datagram))
			abort();
		sum += datagram;
	}
	if (sum != train->size)
		abort();
}

/* Four bytes of size, one of flags; the rest is control data. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct train train = {0};
	struct pktinfo local;
	struct msghdr message = {0};
	uint32_t bytes;

	if (size < 5)
		return 0;
	memcpy(&bytes, data, 4);
	message.msg_flags = (data[4] & 1 ? MSG_TRUNC : 0) | (data[4] & 2 ? MSG_CTRUNC : 0);
	message.msg_controllen = size - 5;
	message.msg_control = malloc(size - 5 ? size - 5 : 1);
	memcpy(message.msg_control, data + 5, size - 5);
	rx_batch_parse_cmsgs(&train, &local, &message, bytes % (RX_SLOT_SIZE + 1));
	check(&train);
	if (train.local && (train.local != &local || !local.destination.length))
		abort();
	free(message.msg_control);
	return 0;
}
