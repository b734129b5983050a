/* Runs the target over files, and over every file of directories: the corpus as a test. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 20)

static void fail(const char *path)
{
	perror(path);
	exit(1);
}

/* Copied to memory of exactly its size, so that a sanitizer sees what reads beyond. */
static void replay_file(const char *path)
{
	static uint8_t buffer[INPUT_MAX];
	FILE *file = fopen(path, "rbe");
	uint8_t *data;
	size_t size;

	if (!file)
		fail(path);
	size = fread(buffer, 1, sizeof(buffer), file);
	if (ferror(file))
		fail(path);
	fclose(file);
	data = malloc(size ? size : 1);
	if (!data)
		fail(path);
	for (size_t i = 0; i < size; i++)
		data[i] = buffer[i];
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

/* Returns how many files there were. */
static int replay_directory(DIR *directory, const char *path)
{
	int replayed = 0;

	for (const struct dirent *entry; (entry = readdir(directory));) {
		char *file;

		if (entry->d_name[0] == '.')
			continue;
		if (asprintf(&file, "%s/%s", path, entry->d_name) < 0)
			fail(path);
		replay_file(file);
		free(file);
		replayed++;
	}
	return replayed;
}

int main(int argc, char **argv)
{
	int replayed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *directory = opendir(argv[i]);

		if (!directory && errno != ENOTDIR)
			fail(argv[i]);
		if (directory) {
			replayed += replay_directory(directory, argv[i]);
			closedir(directory);
		} else {
			replay_file(argv[i]);
			replayed++;
		}
	}
	printf("%d inputs replayed\n", replayed);
	return replayed ? 0 : 1;
}
