/* Reading of the configuration file at a reload. Errors and warnings go to the log of the running daemon. */
#ifndef UDPRELAYD_DAEMON_CONFIG_RELOAD_H
#define UDPRELAYD_DAEMON_CONFIG_RELOAD_H

#include "base/log.h"
#include "config/config.h"

/* Reads the file at path. Logs the same errors or warnings as at the start, one log line each. Returns the
 * configuration, which the caller owns, or NULL. */
struct config *config_reload_read(const char *path, struct log *log);

/* Logs the warnings of the configuration, one log line each. */
void config_reload_log_warnings(const struct config *config, struct log *log);

/* Some keys are fixed until the daemon restarts. Logs a warning for each one that differs between the active and the
 * next configuration, and writes the active value into *next. worker_count: number of running workers. */
void config_reload_keep_fixed_keys(const struct config *active, struct config *next, unsigned worker_count,
				   struct log *log);

#endif
