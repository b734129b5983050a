#include "daemon/daemon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/privileges.h"
#include "daemon/server.h"

/* How long the last lines may take when nobody reads standard error. */
#define END_LOG_MS 200

int daemon_run(struct config *config, const char *who)
{
	struct log *log;
	bool clean = true;
	int error = privileges_forbid_gain(), status;

	if (error) {
		fprintf(stderr, "%s: cannot forbid new privileges: %s\n", who, strerror(-error));
		return 1;
	}
	error = log_create(&log, STDERR_FILENO, config->log_level, config->log_format);
	if (!error)
		error = log_start(log);
	if (error) {
		fprintf(stderr, "%s: cannot start the log: %s\n", who, strerror(-error));
		return 1;
	}
	status = server_run(config, log, &clean);
	if (status == 0)
		log_notice(log, "ended");
	log_destroy(log, END_LOG_MS);
	if (!clean)
		_exit(status);
	return status;
}
