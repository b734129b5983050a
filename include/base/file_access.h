/* Checks of paths. */
#ifndef UDPRELAYD_BASE_FILE_ACCESS_H
#define UDPRELAYD_BASE_FILE_ACCESS_H

/* Returns 0 if the process may create a file at this path, or a negative errno if its directory is missing or not
 * writable. Checks the effective user. Creates no file. */
int file_access_check_creation(const char *path);

#endif
