#include "daemon/daemon.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/config_reload.h"
#include "daemon/privileges.h"
#include "daemon/server.h"

/* Time limit for writing the last log lines when the reader of standard error is blocked. Milliseconds. */
#define LOG_END_MS 200

void daemon_hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int daemon_run(struct config *config, const char *name)
{
	struct log *log;
	bool clean = true;
	int error = privileges_forbid_gain(), status;

	if (error) {
		fprintf(stderr, "%s: cannot forbid new privileges: %s\n", name, strerror(-error));
		return 1;
	}
	error = log_create(&log, STDERR_FILENO, config->log_level, config->log_format);
	if (!error)
		error = log_start(log);
	if (error) {
		fprintf(stderr, "%s: cannot start the log: %s\n", name, strerror(-error));
		return 1;
	}
	config_reload_log_warnings(config, log);
	status = server_run(config, log, &clean);
	if (status == 0)
		log_notice(log, "ended");
	log_destroy(log, LOG_END_MS);
	if (!clean)
		_exit(status);
	return status;
}
