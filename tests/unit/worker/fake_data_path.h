/* A data path that a test controls, for the tests of listeners. The linker replaces rx_batch_recv(), pipeline_submit(),
 * pipeline_complete(), tx_batch_flush() and tx_batch_drop_pending(). Include cmocka.h before this file. */
#ifndef UDPRELAYD_TESTS_FAKE_DATA_PATH_H
#define UDPRELAYD_TESTS_FAKE_DATA_PATH_H

#include <string.h>

#include "datapath/pipeline.h"

#define FAKE_FDS 64

static struct {
	unsigned waiting[FAKE_FDS]; /* trains in each socket */
	int errors[FAKE_FDS]; /* errno of each receive, or 0 */
	unsigned receives, errors_returned;
	void (*on_receive)(int fd); /* called before each receive; NULL: none */
	struct train trains[RX_BATCH_TRAINS];

	unsigned submitted, completed, dropped_batches; /* batches */
	unsigned trains_submitted, trains_completed;
	struct pipeline *last_pipeline;
	struct rx_context last_rx;
	bool submitted_ignored[RX_BATCH_TRAINS]; /* values of the last batch */
	enum drop_reason submitted_drops[RX_BATCH_TRAINS];

	bool full; /* flushes find a full send buffer */
} fake;

int __wrap_rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit,
			 struct train **trains);
void __wrap_pipeline_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *trains,
			    unsigned count);
void __wrap_pipeline_complete(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
			      unsigned count);
bool __wrap_tx_batch_flush(struct tx_batch *batch, uint64_t now_ms);
void __wrap_tx_batch_drop_pending(struct tx_batch *batch);

int __wrap_rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit,
			 struct train **trains)
{
	unsigned count;

	(void)batch, (void)udp;
	assert_int_equal(offset, 0);
	assert_in_range(fd, 0, FAKE_FDS - 1);
	if (fake.on_receive)
		fake.on_receive(fd);
	fake.receives++;
	if (fake.errors[fd]) {
		fake.errors_returned++;
		return -fake.errors[fd];
	}
	count = fake.waiting[fd] < limit ? fake.waiting[fd] : limit;
	fake.waiting[fd] -= count;
	*trains = fake.trains;
	return (int)count;
}

void __wrap_pipeline_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *trains,
			    unsigned count)
{
	assert_ptr_equal(trains, fake.trains);
	assert_int_equal(fake.submitted, fake.completed); /* one batch at a time */
	fake.submitted++;
	fake.trains_submitted += count;
	fake.last_pipeline = pipeline;
	fake.last_rx = *rx;
	for (unsigned i = 0; i < count; i++) {
		fake.submitted_ignored[i] = trains[i].ignored;
		fake.submitted_drops[i] = trains[i].drop;
	}
}

void __wrap_pipeline_complete(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
			      unsigned count)
{
	assert_ptr_equal(trains, fake.trains);
	assert_ptr_equal(pipeline, fake.last_pipeline);
	assert_memory_equal(rx, &fake.last_rx, sizeof(*rx));
	fake.completed++;
	fake.trains_completed += count;
}

bool __wrap_tx_batch_flush(struct tx_batch *batch, uint64_t now_ms)
{
	(void)batch, (void)now_ms;
	return !fake.full;
}

void __wrap_tx_batch_drop_pending(struct tx_batch *batch)
{
	(void)batch;
	fake.dropped_batches++;
}

static inline void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
}

#endif
